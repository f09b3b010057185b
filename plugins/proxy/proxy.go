// Package proxy passes requests on to other servers and their answers back, unchanged except for what a gateway has to change
// (RFC 9110, section 7.6): nothing is followed, decoded or repeated.
package proxy

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

// Options are the plugin's.
type Options struct {
	Upstreams      map[string]Upstream `toml:"upstreams" doc:"The servers behind this one, by a name of your choice." check:"nonempty"`
	ConnectTimeout policy.Duration     `toml:"connect_timeout" doc:"Longest time to connect to a target." check:"min=1ms,max=1m"`
	IdleTimeout    policy.Duration     `toml:"idle_timeout" doc:"How long an unused connection to a target is kept: less than the target keeps it." check:"min=1ms,max=1h"`
	HeaderLimit    policy.Size         `toml:"header_limit" doc:"Largest header of an answer; a larger one is a 502." check:"min=1KiB,max=1MiB"`
	TrustForwarded bool                `toml:"trust_forwarded" doc:"Whether the X-Forwarded and Forwarded fields of requests are passed on and added to; otherwise they are replaced."`
	Health         Health              `toml:"health" doc:"When a target is taken out, and when it comes back."`
}

// Upstream is one service behind the proxy.
type Upstream struct {
	Targets  []string `toml:"targets" doc:"Its servers, such as http://127.0.0.1:8000; the one with the fewest requests under way gets the next." check:"required,nonempty"`
	Prefix   string   `toml:"prefix" doc:"Beginning of the paths that it serves, in whole segments; all when absent. The longest that fits wins."`
	Host     string   `toml:"host" doc:"Host that its targets are asked for; the one that the client asked for when absent."`
	Request  Fields   `toml:"request" doc:"Changes of the header of requests."`
	Response Fields   `toml:"response" doc:"Changes of the header of answers."`
}

// Fields are changes of a header.
type Fields struct {
	Set    map[string]string `toml:"set" doc:"Fields that are set, in place of those that are there."`
	Remove []string          `toml:"remove" doc:"Fields that are taken away."`
}

// Health says when a target is taken out, and when it comes back. With all targets of an upstream out, requests still try.
type Health struct {
	Failures  int             `toml:"failures" doc:"Failures in a row, of requests and checks, that take a target out." check:"min=1,max=1000"`
	Pause     policy.Duration `toml:"pause" doc:"How long a target stays out that is not checked." check:"min=10ms,max=1h"`
	Path      string          `toml:"path" doc:"Path that each target is asked for, which must answer 200 to 399; without it there are no checks."`
	Interval  policy.Duration `toml:"interval" doc:"Time between two checks of a target." check:"min=10ms,max=1h"`
	Timeout   policy.Duration `toml:"timeout" doc:"Longest time of a check." check:"min=10ms,max=1m"`
	Successes int             `toml:"successes" doc:"Checks passed in a row that bring a target back." check:"min=1,max=1000"`
}

func defaults() Options {
	return Options{
		ConnectTimeout: policy.Duration(2 * time.Second),
		IdleTimeout:    policy.Duration(3 * time.Second), // Node and uvicorn keep theirs for 5 s
		HeaderLimit:    64 << 10,
		Health: Health{
			Failures: 3, Pause: policy.Duration(10 * time.Second), Interval: policy.Duration(5 * time.Second),
			Timeout: policy.Duration(2 * time.Second), Successes: 2,
		},
	}
}

// Plugin returns the plugin.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "proxy",
		Doc:  "Passes requests on to other servers.",
		Handlers: []framework.HandlerInfo{
			{Name: "proxy", Doc: "The answer of the upstream with the longest prefix of the path.", Gateway: true},
		},
	}, defaults(), build)
}

func build(h *framework.Host, o Options) (framework.Handlers, error) {
	if len(o.Upstreams) == 0 {
		return nil, fmt.Errorf("no upstream: write [plugins.proxy.upstreams.NAME] with targets")
	}
	// Connections, and what is known of targets, outlive a reload that does not change the options.
	p, err := framework.Shared(h, fmt.Sprintf("%+v", o), func() (*proxy, error) { return newProxy(o, h.Metrics) })
	if err != nil {
		return nil, err
	}
	p.log.Store(h.Log)
	h.AddCheck("proxy", p.check)
	return framework.Handlers{"proxy": p.forward}, nil
}

// Validate implements policy.Validator.
func (o Options) Validate() error {
	prefixes := map[string]string{}
	for _, name := range sortedNames(o.Upstreams) {
		u := o.Upstreams[name]
		wrong := func(key string, err error) error {
			return &policy.OptionError{Key: "upstreams." + name + "." + key, Err: err}
		}
		for _, target := range u.Targets {
			if _, err := parseTarget(target); err != nil {
				return wrong("targets", err)
			}
		}
		if u.Prefix != "" && !strings.HasPrefix(u.Prefix, "/") {
			return wrong("prefix", fmt.Errorf("%q does not start with a slash", u.Prefix))
		}
		prefix := strings.TrimRight(u.Prefix, "/")
		if other, taken := prefixes[prefix]; taken {
			return wrong("prefix", fmt.Errorf("it is that of %s too", other))
		}
		prefixes[prefix] = name
		if u.Host != "" && !isHost(u.Host) {
			return wrong("host", fmt.Errorf("%q is not a host", u.Host))
		}
		for key, f := range map[string]Fields{"request": u.Request, "response": u.Response} {
			if err := f.validate(); err != nil {
				return wrong(key, err)
			}
		}
	}
	if o.Health.Path != "" && !strings.HasPrefix(o.Health.Path, "/") {
		return &policy.OptionError{Key: "health.path", Err: fmt.Errorf("%q does not start with a slash", o.Health.Path)}
	}
	return nil
}

func (f Fields) validate() error {
	names := slices.Clone(f.Remove)
	for name, value := range f.Set {
		if strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("the value of %s cannot stand in a header", name)
		}
		names = append(names, name)
	}
	for _, name := range names {
		if !isToken(name) {
			return fmt.Errorf("%q is not the name of a header field", name)
		}
	}
	return nil
}

// parseTarget reads the address of a target.
func parseTarget(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil:
		return nil, fmt.Errorf("%q is not the address of a server; write it like http://127.0.0.1:8000", s)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q has more than an address; paths are passed on as they came", s)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func isHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return err == nil && u.Host == s
}

// check reports how the targets do.
func (p *proxy) check(context.Context) framework.Check {
	status, targets := "healthy", map[string]any{}
	for _, u := range p.upstreams {
		up := 0
		for _, t := range u.targets {
			state := "up"
			if t.isUp() {
				up++
			} else {
				state = "down"
			}
			targets[u.name+" "+t.address.String()] = state
		}
		switch {
		case up == 0:
			status = "unhealthy"
		case up < len(u.targets) && status == "healthy":
			status = "degraded"
		}
	}
	return framework.Check{Status: status, Fields: map[string]any{"targets": targets}}
}
