package plugins_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/plugins/cacheadmin"
	"github.com/innatural/chatbot/plugins/health"
	"github.com/innatural/chatbot/plugins/metrics"
)

const sharedPolicy = `
version = 1
[[routes]]
path = "/api/products/:id"
handler = "counter"
cache = { ttl = "1h", tags = ["products"] }
[[routes]]
path = "/loaded"
handler = "counter.loaded"
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
path = "/api/cache/stats"
handler = "cacheadmin.stats"
audience = "admin"
[[routes]]
method = "POST"
path = "/api/cache/flush"
handler = "cacheadmin.flush"
audience = "admin"
[[routes]]
method = "POST"
path = "/api/cache/invalidate"
handler = "cacheadmin.invalidate"
audience = "admin"
`

// node is one of several instances of a service.
type node struct {
	*frameworktest.Server
	t     *testing.T
	calls *atomic.Int32
}

// startNode serves a policy whose routes count how often they are asked.
func startNode(t *testing.T, load framework.Loader) *node {
	t.Helper()
	n := &node{t: t, calls: new(atomic.Int32)}
	info := framework.Info{Name: "counter", Handlers: []framework.HandlerInfo{{Name: "counter"}, {Name: "counter.loaded"}}}
	counter := framework.NewPlugin(info, framework.NoOptions{}, func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
		return framework.Handlers{
			"counter": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
				n.calls.Add(1)
				return framework.Text(r.Path()), nil
			},
			"counter.loaded": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
				text, err := cache.Load(ctx, h.Cache, "expensive", time.Hour, func(context.Context) (string, error) {
					n.calls.Add(1)
					return "loaded", nil
				})
				return framework.Text(text), err
			},
		}, nil
	})
	n.Server = frameworktest.StartWith(t, load, counter, cacheadmin.Plugin(), health.Plugin(), metrics.Plugin())
	return n
}

func withRedis(t *testing.T, s *redistest.Server) framework.Loader {
	return framework.PolicyText(t.Name()+".toml", fmt.Sprintf("%s\n[cache.redis]\nhost = \"127.0.0.1\"\nport = %d\n", sharedPolicy, s.Port))
}

func (n *node) ask(method, path, body string) (status int, xCache, answer string) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), method, n.URL+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := n.Client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("X-Cache"), string(b)
}

// value returns what is at a path of a JSON answer.
func (n *node) value(route string, path ...string) any {
	n.t.Helper()
	_, _, text := n.ask("GET", route, "")
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		n.t.Fatalf("%v in %s", err, text)
	}
	for _, name := range path {
		v = v.(map[string]any)[name]
	}
	return v
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not come about: %s", what)
		}
	}
}

// keys waits until Redis holds a value whose key ends so.
func holds(t *testing.T, s *redistest.Server, end string) {
	t.Helper()
	eventually(t, "Redis holds "+end, func() bool {
		keys, err := s.Client.Keys(t.Context(), "innatural:cache:*"+end).Result()
		return err == nil && len(keys) == 1 && !strings.Contains(keys[0], "lock:")
	})
}

func TestTwoInstancesShareTheirAnswers(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, withRedis(t, server)), startNode(t, withRedis(t, server))
	const path = "/api/products/1"
	if _, x, _ := a.ask("GET", path, ""); x != "MISS" {
		t.Errorf("the first: %s", x)
	}
	holds(t, server, path)
	if _, x, body := b.ask("GET", path, ""); x != "HIT" || body != path {
		t.Errorf("the other instance: %s %s", x, body)
	}
	a.ask("GET", "/loaded", "")
	holds(t, server, "expensive")
	if _, _, text := b.ask("GET", "/loaded", ""); text != "loaded" || b.calls.Load() != 0 {
		t.Errorf("%s; the other instance called %d times", text, b.calls.Load())
	}

	for _, purge := range []struct{ path, body string }{
		{"/api/cache/flush", ""},
		{"/api/cache/invalidate", `{"tags":["products"]}`},
		{"/api/cache/invalidate", `{"key":"GET@ /api/products/1"}`},
		{"/api/cache/invalidate", `{"pattern":"products"}`},
	} {
		b.ask("GET", path, "")
		if _, x, _ := b.ask("GET", path, ""); x != "HIT" {
			t.Fatalf("before: %s", x)
		}
		calls := a.calls.Load() + b.calls.Load()
		status, _, answer := a.ask("POST", purge.path, purge.body)
		if status != 200 || !strings.Contains(answer, `"redis":{"outcome":"purged"`) {
			t.Errorf("%s %s: %d %s", purge.path, purge.body, status, answer)
		}
		eventually(t, purge.body+" on the other instance", func() bool {
			b.ask("GET", path, "")
			return a.calls.Load()+b.calls.Load() > calls
		})
	}

	stats := func(name string) any { return b.value("/api/cache/stats", "cache", "redis", name) }
	if stats("available") != true || stats("circuit") != "closed" || stats("hits").(float64) < 2 || stats("latencyMs").(float64) <= 0 {
		t.Errorf("stats: %v", b.value("/api/cache/stats", "cache", "redis"))
	}
	if up := b.value("/api/metrics/summary", "metrics", "cache", "redis", "available"); up != true {
		t.Errorf("summary: %v", up)
	}
	if status := b.value("/api/health", "services", "redis", "status"); status != "healthy" {
		t.Errorf("health: %v", status)
	}
	_, _, exported := b.ask("GET", "/metrics", "")
	for _, line := range []string{`cache_up{layer="redis"} 1`, `cache_requests_total{layer="redis",result="hit"}`} {
		if !strings.Contains(exported, line) {
			t.Errorf("not exported: %s", line)
		}
	}
}

func TestRedisAwayDegradesAndNoMore(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, withRedis(t, server))
	a.ask("GET", "/api/products/1", "")
	server.Kill()
	eventually(t, "the circuit opens", func() bool {
		return a.value("/api/cache/stats", "cache", "redis", "available") == false
	})
	for i := range 100 {
		path := "/api/products/" + strconv.Itoa(i)
		if status, _, body := a.ask("GET", path, ""); status != 200 || body != path {
			t.Errorf("%d %s", status, body)
		}
	}
	if _, x, _ := a.ask("GET", "/api/products/1", ""); x != "HIT" {
		t.Errorf("a hit became %s", x)
	}
	if status, _, text := a.ask("GET", "/api/health", ""); status != 200 || !strings.Contains(text, `"status":"degraded"`) {
		t.Errorf("health: %d %s", status, text)
	}
	if _, _, text := a.ask("GET", "/metrics", ""); !strings.Contains(text, `cache_up{layer="redis"} 0`) {
		t.Error("cache_up")
	}
	for _, path := range []string{"/api/cache/flush", "/api/cache/invalidate"} {
		status, _, text := a.ask("POST", path, `{"key":"x"}`)
		if status != 502 || !strings.Contains(text, "redis_unavailable") || strings.Contains(text, `"success":true`) {
			t.Errorf("a purge with Redis away: %d %s", status, text)
		}
	}
	if _, x, _ := a.ask("GET", "/api/products/1", ""); x != "MISS" {
		t.Errorf("not purged here: %s", x)
	}
	server.Restart()
	eventually(t, "Redis is back", func() bool { return a.value("/api/health", "status") == "healthy" })
	a.Stop()
	if n := strings.Count(a.Logs(), "memory serves alone"); n != 1 {
		t.Errorf("the outage was logged %d times:\n%s", n, a.Logs())
	}
}

// The variables of the environment, and a reload that moves to another server and then to none.
func TestRedisFromTheEnvironmentAndReload(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	if err := first.Client.ConfigSet(t.Context(), "requirepass", "s3cret").Err(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "policy.toml")
	if err := os.WriteFile(file, []byte(sharedPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	use := func(host string, port int, password string) {
		t.Setenv("REDIS_HOST", host)
		t.Setenv("REDIS_PORT", strconv.Itoa(port))
		t.Setenv("REDIS_PASSWORD", password)
	}
	use("127.0.0.1", first.Port, "s3cret")
	a := startNode(t, framework.PolicyFile(file, nil))
	a.ask("GET", "/api/products/1", "")
	if err := first.Client.Do(t.Context(), "AUTH", "s3cret").Err(); err != nil {
		t.Fatal(err)
	}
	holds(t, first, "/api/products/1")

	use("127.0.0.1", second.Port, "")
	if err := a.App.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, x, _ := a.ask("GET", "/api/products/1", ""); x == "BYPASS" {
		t.Errorf("after the reload: %s", x)
	}
	a.ask("GET", "/api/products/2", "")
	holds(t, second, "/api/products/2")
	eventually(t, "the old layer is closed", func() bool {
		clients, err := first.Client.ClientList(t.Context()).Result()
		return err == nil && strings.Count(clients, "\n") == 1
	})

	use("", second.Port, "")
	if err := a.App.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := a.value("/api/health", "services", "redis", "status"); status != "disabled" {
		t.Errorf("without Redis: %v", status)
	}
	eventually(t, "the metrics are taken away", func() bool {
		_, _, text := a.ask("GET", "/metrics", "")
		return !strings.Contains(text, `cache_up{layer="redis"}`)
	})
}
