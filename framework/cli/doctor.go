package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
)

// doctorDeadline bounds one question of the doctor.
const doctorDeadline = 30 * time.Second

func (s *session) doctor() *cobra.Command {
	var to adminFlags
	var noChat bool
	c := &cobra.Command{
		Use:   "doctor [URL]",
		Short: "Look for what is wrong with a running server, and say what to do",
		Long: "Look for what is wrong with a running server: does the cache hit, does compression shrink, is a stream buffered on\n" +
			"its way, are model and Redis there, was the last reload refused, who is refused, what is slow, what is lost. A line\n" +
			"for each check says what was seen and what to do. Ask through a proxy and past it to see what the proxy changes.\n" +
			"It sends a few requests, and one chat message unless --no-chat, which may ask the model. Without a URL the server is\n" +
			"the one that serve starts with the same policy and environment. Exit codes: 0 nothing failed, 1 could not run,\n" +
			"2 a check failed.",
		Example: s.examples("doctor http://127.0.0.1:5000", "a line for each check", "doctor https://shop.example --format json", "for programs"),
		Args:    s.args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			to.server = strings.Join(append(args, to.server), "")
			client, err := s.admin(&to)
			if err != nil {
				return err
			}
			if to.policy == "" && to.server != "" {
				client.policy = nil // which is not known: its paths are those of the contract
			}
			p, err := examine(client, !noChat)
			if err != nil {
				return err
			}
			return s.diagnose(p, to.format)
		},
	}
	to.register(c)
	c.Flags().BoolVar(&noChat, "no-chat", false, "send no chat message")
	return c
}

// finding is what a check has found.
type finding struct {
	Check    string `json:"check"`
	State    string `json:"state"` // ok, warn or fail
	Evidence string `json:"evidence"`
	Advice   string `json:"advice,omitempty"`
}

// The states of a finding.
const (
	stateOK   = "ok"
	stateWarn = "warn"
	stateFail = "fail"
)

func fine(format string, args ...any) finding {
	return finding{State: stateOK, Evidence: fmt.Sprintf(format, args...)}
}

func warn(advice, format string, args ...any) finding {
	return finding{State: stateWarn, Evidence: fmt.Sprintf(format, args...), Advice: advice}
}

func fail(advice, format string, args ...any) finding {
	return finding{State: stateFail, Evidence: fmt.Sprintf(format, args...), Advice: advice}
}

// diagnose runs every check and prints what it finds.
func (s *session) diagnose(p *patient, format outputFormat) error {
	findings := make([]finding, 0, len(checks))
	failed := false
	for _, c := range checks {
		f := c.run(p)
		f.Check = c.name
		failed = failed || f.State == stateFail
		findings = append(findings, f)
	}
	var err error
	if format == formatJSON {
		err = s.writeJSON(findings)
	} else {
		for _, f := range findings {
			text := f.Evidence
			if f.Advice != "" {
				text += "; " + f.Advice
			}
			style := map[string]string{stateOK: green, stateWarn: bold, stateFail: red}[f.State]
			if err == nil {
				err = s.printf("%s %-12s %s\n", styled(s.out, style, fmt.Sprintf("%-4s", f.State)), f.Check, text)
			}
		}
	}
	if err == nil && failed {
		err = errFound
	}
	return err
}

// patient is a running server with what it says of itself.
type patient struct {
	client   *adminClient
	http     http.Client
	live     *reply
	chat     *conversation // nil when none was held
	health   health
	metrics  map[string]*dto.MetricFamily // nil when the server does not show them
	unread   string                       // why it does not
	examined map[string]examined          // by path
}

// health is what the doctor reads of /api/health.
type health struct {
	Version  string
	Services map[string]struct {
		Status    string
		Circuit   string
		Kind      string
		LatencyMS float64
		Upstreams map[string]struct{ Circuit string }
	}
}

// reply is an answer that was read whole.
type reply struct {
	status        int
	header        http.Header
	body          []byte
	length        int64 // as the header has it
	sent, arrived time.Time
}

// examine asks a server what all checks need. The error says that no server answers.
func examine(client *adminClient, chat bool) (*patient, error) {
	p := &patient{
		client: client, examined: map[string]examined{},
		http: http.Client{
			Timeout:       doctorDeadline,
			Transport:     &http.Transport{DisableCompression: true, Proxy: http.ProxyFromEnvironment},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	defer p.http.CloseIdleConnections()
	var err error
	if p.live, err = p.ask(call{"health.live", http.MethodGet, "/livez", "", nil}); err != nil {
		return nil, client.unreachable(err)
	}
	if chat {
		p.talk()
	}
	if r, err := p.ask(call{"health", http.MethodGet, "/api/health", "", nil}); err == nil {
		_ = json.Unmarshal(r.body, &p.health) // one that says something else says nothing of its services
	}
	p.readMetrics()
	return p, nil
}

// readMetrics reads /metrics.
func (p *patient) readMetrics() {
	r, err := p.ask(call{"metrics", http.MethodGet, "/metrics", "", nil})
	switch {
	case err != nil:
		p.unread = err.Error()
		return
	case r.status != http.StatusOK:
		p.unread = fmt.Sprintf("/metrics is answered %d", r.status)
		return
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if p.metrics, err = parser.TextToMetricFamilies(bytes.NewReader(r.body)); err != nil {
		p.metrics, p.unread = nil, "/metrics is not what Prometheus reads"
	}
}

// ask sends a request, with the admin token if there is one, and header fields given as names and values in turn.
func (p *patient) ask(of call, fields ...string) (*reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), doctorDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, of.method, p.client.url(of), bytes.NewReader(of.body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	if len(of.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.client.token != "" && (of.handler == "metrics" || of.handler == "health") { // a policy may keep them for admins
		req.Header.Set("Authorization", "Bearer "+p.client.token)
	}
	r := &reply{sent: time.Now()}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	r.status, r.header, r.length = res.StatusCode, res.Header, res.ContentLength
	r.arrived = time.Now()
	r.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return r, err
}

// sum adds up the series of a metric that have these labels, given as names and values in turn; ok says whether there are any. Of a
// histogram it is the number of observations.
func (p *patient) sum(name string, labels ...string) (total float64, ok bool) {
	for _, by := range p.by(name, "", labels...) {
		total, ok = total+by, true
	}
	return total, ok
}

// by adds up the series of a metric that have these labels, by the values of one more.
func (p *patient) by(name, label string, labels ...string) map[string]float64 {
	sums := map[string]float64{}
	for _, m := range p.metrics[name].GetMetric() {
		values := map[string]string{}
		for _, l := range m.GetLabel() {
			values[l.GetName()] = l.GetValue()
		}
		matches := true
		for i := 0; i+1 < len(labels); i += 2 {
			matches = matches && values[labels[i]] == labels[i+1]
		}
		if matches {
			sums[values[label]] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue() +
				float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sums
}
