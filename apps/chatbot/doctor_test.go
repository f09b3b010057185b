package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

// shopRoutes is a small shop, which is well.
const shopRoutes = `
[[routes]]
path = "/livez"
handler = "health.live"
[[routes]]
path = "/readyz"
handler = "health.ready"
[[routes]]
path = "/api/health"
handler = "health"
[[routes]]
path = "/metrics"
handler = "metrics"
[[routes]]
path = "/api/metrics/summary"
handler = "metrics.summary"
[[routes]]
path = "/api/products"
handler = "catalog.list"
cache = { ttl = "1h" }
slo = { latency = "10s", errors = 0.01 }
[[routes]]
method = "POST"
path = "/api/chat/stream"
handler = "chat.stream"
[[routes]]
method = "POST"
path = "/api/clear-history"
handler = "chat.clear"
`

// faulty is a plugin whose answers can't be stored, are slow or fail.
func faulty() framework.Plugin {
	handlers := framework.Handlers{
		"faulty.cookie": func(context.Context, *framework.Request) (*framework.Response, error) {
			r := framework.Text("yours alone")
			r.Header.Set("Set-Cookie", "id=1")
			return r, nil
		},
		"faulty.slow": func(context.Context, *framework.Request) (*framework.Response, error) {
			time.Sleep(30 * time.Millisecond)
			return framework.Text("late"), nil
		},
		"faulty.broken": func(context.Context, *framework.Request) (*framework.Response, error) {
			return nil, errors.New("broken")
		},
	}
	info := framework.Info{Name: "faulty"}
	for _, name := range slices.Sorted(maps.Keys(handlers)) {
		info.Handlers = append(info.Handlers, framework.HandlerInfo{Name: name})
	}
	return framework.NewPlugin(info, framework.NoOptions{}, func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
		return handlers, nil
	})
}

type diagnosis struct{ Check, State, Evidence, Advice string }

// diagnose runs chatbot doctor as users do.
func diagnose(t *testing.T, url string) (findings map[string]diagnosis, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "chatbot", "doctor", url, "--format", "json").Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var list []diagnosis
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	findings = map[string]diagnosis{}
	for _, f := range list {
		findings[f.Check] = f
	}
	return findings, code
}

// between puts a proxy before a server, that changes answers.
func between(t *testing.T, server string, change func(w http.ResponseWriter, r *http.Response)) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		out, err := http.NewRequestWithContext(req.Context(), req.Method, server+req.URL.String(), req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		out.Header = req.Header
		res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		maps.Copy(w.Header(), res.Header)
		change(w, res)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// TestDoctor has the doctor look at a server that is well, and at one for each thing that may be wrong, where it finds that and no more.
func TestDoctor(t *testing.T) {
	start := func(t *testing.T, more string) *frameworktest.Server {
		t.Helper()
		return frameworktest.Start(t, "version = 1\n[log.access]\nenabled = false\n"+more+shopRoutes, append(plugins.Standard(), faulty())...)
	}
	route := func(path, handler, more string) string {
		return fmt.Sprintf("[[routes]]\npath = %q\nhandler = %q\n%s\n", path, handler, more)
	}
	visit := func(t *testing.T, s *frameworktest.Server, path string, times int) {
		t.Helper()
		for range times {
			s.Get(t, path)
		}
	}
	redisDies := func(t *testing.T, more string) string {
		redis := redistest.Start(t)
		server := start(t, fmt.Sprintf("%s[cache.redis]\nhost = \"127.0.0.1\"\nport = %d\n", more, redis.Port))
		redis.Kill()
		for end := time.Now().Add(patience); !strings.Contains(server.Get(t, "/metrics").Body, `cache_up{layer="redis"} 0`); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody notices that Redis is away")
			}
		}
		return server.URL
	}
	const nowhere = "127.0.0.1:1"
	for name, c := range map[string]struct {
		prepare func(t *testing.T) (url string)
		check   string // that finds it
		state   string
		says    string
	}{
		"healthy": {func(t *testing.T) string { return start(t, "").URL }, "cache", "ok", "asked twice, 1 path hit: /api/products"},
		"the cache does not hit": {func(t *testing.T) string {
			return start(t, route("/cookie", "faulty.cookie", `cache = { ttl = "1h" }`)).URL
		}, "cache", "fail", "GET /cookie, asked twice, is a BYPASS: innatural; fwd=uri-miss; detail="},
		"compression does not shrink": {
			func(t *testing.T) string { return start(t, "[compression]\nenabled = false\n").URL },
			"compression", "fail", "comes as it is",
		},
		"a proxy takes compression away": {func(t *testing.T) string {
			server := start(t, "")
			return between(t, server.URL, func(w http.ResponseWriter, r *http.Response) {
				if r.Header.Get("Content-Encoding") != "" {
					plain := server.Get(t, r.Request.URL.Path)
					w.Header().Del("Content-Encoding")
					w.Header().Set("Content-Length", fmt.Sprint(len(plain.Body)))
					_, _ = io.WriteString(w, plain.Body)
					return
				}
				w.WriteHeader(r.StatusCode)
				_, _ = io.Copy(w, r.Body)
			})
		}, "compression", "fail", "comes as it is"},
		"a stream is buffered": {func(t *testing.T) string {
			profile, _ := modelmock.ProfileNamed("typical")
			mock, err := modelmock.New(modelmock.Config{Profile: profile})
			if err != nil {
				t.Fatal(err)
			}
			model := httptest.NewServer(mock)
			t.Cleanup(model.Close)
			server := start(t, "[plugins.chat.model.upstreams.main]\nurl = \""+model.URL+"/v1\"\nmodel = \"mock\"\n")
			return between(t, server.URL, func(w http.ResponseWriter, r *http.Response) {
				body, _ := io.ReadAll(r.Body)
				w.WriteHeader(r.StatusCode)
				w.(http.Flusher).Flush() // so it has no length
				_, _ = w.Write(body)
			})
		}, "stream", "fail", "came together"},
		"the model is away": {func(t *testing.T) string {
			return start(t, "[plugins.chat.model]\nattempts = 1\n[plugins.chat.model.upstreams.main]\nurl = \"http://"+nowhere+"/v1\"\nmodel = \"mock\"\n").URL
		}, "model", "fail", "upstream_error"},
		"Redis is away": {func(t *testing.T) string { return redisDies(t, "") }, "redis", "fail", "it does not answer (circuit "},
		"nothing can be kept": {func(t *testing.T) string {
			return redisDies(t, "[plugins.chat]\nstore = \"redis\"\n")
		}, "store", "fail", "can't be kept (redis)"},
		"a reload was refused": {func(t *testing.T) string {
			var broken atomic.Bool
			server := frameworktest.StartWith(t, func(v policy.Vocabulary) (*policy.Policy, error) {
				text := "version = 1\n" + shopRoutes
				if broken.Load() {
					text += "tll = 1\n"
				}
				return framework.PolicyText("shop.toml", text)(v)
			}, plugins.Standard()...)
			broken.Store(true)
			if server.App.Reload(t.Context()) == nil {
				t.Fatal("loaded")
			}
			return server.URL
		}, "policy", "fail", "the last reload was refused"},
		"the clock is wrong": {func(t *testing.T) string {
			return between(t, start(t, "").URL, func(w http.ResponseWriter, r *http.Response) {
				w.Header().Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
				w.WriteHeader(r.StatusCode)
				_, _ = io.Copy(w, r.Body)
			})
		}, "clock", "fail", "differ by 10m0s"},
		"a load test gets 429": {func(t *testing.T) string {
			server := start(t, route("/limited", "faulty.cookie", "limits = { requests = 3 }"))
			visit(t, server, "/limited", 10)
			return server.URL
		}, "refusals", "warn", "7 requests were answered 429"},
		"a route is slow": {func(t *testing.T) string {
			server := start(t, route("/slow", "faulty.slow", `slow = "10ms"`))
			visit(t, server, "/slow", 5)
			return server.URL
		}, "slow", "warn", "5 of 5 requests of /slow were slow"},
		"a route fails": {func(t *testing.T) string {
			server := start(t, route("/broken", "faulty.broken", ""))
			visit(t, server, "/broken", 10)
			return server.URL
		}, "errors", "fail", "most /broken 500"},
		"a promise is broken": {func(t *testing.T) string {
			server := start(t, route("/slow", "faulty.slow", `slo = { latency = "10ms" }`))
			visit(t, server, "/slow", 5)
			return server.URL
		}, "promises", "fail", "broken: GET /slow"},
		"keys differ each time": {func(t *testing.T) string {
			server := start(t, route("/api/products/search", "catalog.search", `cache = { ttl = "1h" }`))
			for i := range 120 {
				server.Get(t, fmt.Sprintf("/api/products/search?q=%d", i))
			}
			return server.URL
		}, "hit rate", "fail", "are of /api/products/search"},
	} {
		t.Run(name, func(t *testing.T) {
			findings, code := diagnose(t, c.prepare(t))
			f := findings[c.check]
			if f.State != c.state || !strings.Contains(f.Evidence, c.says) || (f.Advice == "") != (c.state == "ok") {
				t.Errorf("%s: %+v, want %s: %s", c.check, f, c.state, c.says)
			}
			if want := map[string]int{"ok": 0, "warn": 0, "fail": 2}[c.state]; code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			for _, other := range findings {
				same := c.check == "store" && (other.Check == "redis" || other.Check == "errors") // where it is kept, and what it fails
				if other.Check != c.check && other.State != "ok" && !same {
					t.Errorf("%+v was not to be found", other)
				}
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), "chatbot", "doctor", "http://"+nowhere).CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "nothing listens at") {
			t.Errorf("%v: %s", err, out)
		}
	})
}
