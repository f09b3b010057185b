package cacheadmin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/cacheadmin"
)

const policy = `
version = 1
[server]
admin_token = "t0ken"
[[routes]]
path = "/api/products/:id"
handler = "echo"
cache = { ttl = "1h", tags = ["products"] }
[[routes]]
path = "/api/pages/:id"
handler = "echo"
cache = { ttl = "1h", tags = ["pages"] }
[[routes]]
path = "/api/plain"
handler = "echo"
[[routes]]
path = "/api/cache/stats"
handler = "cacheadmin.stats"
audience = "admin"
[[routes]]
path = "/api/cache/inspect"
handler = "cacheadmin.inspect"
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

// plugins are the one under test, and one whose answers are cached.
func plugins() []framework.Plugin {
	echo := framework.NewPlugin(framework.Info{Name: "echo", Handlers: []framework.HandlerInfo{{Name: "echo"}}}, framework.NoOptions{},
		func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
			return framework.Handlers{"echo": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
				return framework.Text(r.Path()), nil
			}}, nil
		})
	return []framework.Plugin{echo, cacheadmin.Plugin()}
}

func start(t *testing.T) *frameworktest.Server { return frameworktest.Start(t, policy, plugins()...) }

func call(t *testing.T, s *frameworktest.Server, method, path, body, token string) (status int, header http.Header, answer map[string]any) {
	t.Helper()
	var credentials []string
	if token != "" {
		credentials = []string{"Authorization", "Bearer " + token}
	}
	a := s.Do(t, method, path, body, credentials...)
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal([]byte(a.Body), &answer); err != nil {
			t.Fatalf("%v in %s", err, a.Body)
		}
	}
	return a.Status, a.Header, answer
}

func fill(t *testing.T, s *frameworktest.Server) {
	t.Helper()
	for _, path := range []string{"/api/products/1", "/api/products/2", "/api/pages/1"} {
		call(t, s, "GET", path, "", "")
	}
}

func cached(t *testing.T, s *frameworktest.Server, path string) bool {
	t.Helper()
	_, header, _ := call(t, s, "GET", path, "", "")
	return header.Get("X-Cache") == "HIT"
}

func TestStats(t *testing.T) {
	s := start(t)
	fill(t, s)
	fill(t, s)
	status, _, answer := call(t, s, "GET", "/api/cache/stats", "", "t0ken")
	layers, _ := answer["cache"].(map[string]any)
	memory, _ := layers["memory"].(map[string]any)
	redis, _ := layers["redis"].(map[string]any)
	if status != 200 || answer["success"] != true || memory["keys"] != 3.0 || memory["hits"] != 3.0 || memory["hitRate"] != "50.00%" {
		t.Errorf("%d %v", status, answer)
	}
	if redis["available"] != false {
		t.Errorf("redis: %v", redis)
	}
}

func TestFlush(t *testing.T) {
	s := start(t)
	fill(t, s)
	status, _, answer := call(t, s, "POST", "/api/cache/flush", "", "t0ken")
	if status != 200 || answer["success"] != true || answer["message"] != "Cache flushed successfully" {
		t.Errorf("%d %v", status, answer)
	}
	if cached(t, s, "/api/products/1") || cached(t, s, "/api/pages/1") {
		t.Error("something is still there")
	}
}

func TestInvalidate(t *testing.T) {
	for _, c := range []struct {
		name, body string
		matched    float64
		left       []string
	}{
		{"key", `{"key":"GET@ /api/products/1"}`, 1, []string{"/api/products/2", "/api/pages/1"}},
		{"part of keys", `{"pattern":"products"}`, 2, []string{"/api/pages/1"}},
		{"wild pattern", `{"pattern":"/api/*/1"}`, 2, []string{"/api/products/2"}},
		{"nothing of a regular expression", `{"pattern":"/api/.+"}`, 0, []string{"/api/products/1", "/api/products/2", "/api/pages/1"}},
		{"tags", `{"tags":["products","other"]}`, 2, []string{"/api/pages/1"}},
		{"dry run", `{"pattern":"products","dryRun":true}`, 2, []string{"/api/products/1", "/api/products/2", "/api/pages/1"}},
		{"dry run of tags", `{"tags":["products"],"dryRun":true}`, 2, []string{"/api/products/1", "/api/products/2", "/api/pages/1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t)
			fill(t, s)
			status, _, answer := call(t, s, "POST", "/api/cache/invalidate", c.body, "t0ken")
			if status != 200 || answer["success"] != true || answer["matched"] != c.matched {
				t.Fatalf("%d %v, want %v matched", status, answer, c.matched)
			}
			for _, path := range []string{"/api/products/1", "/api/products/2", "/api/pages/1"} {
				want := strings.Contains(strings.Join(c.left, " "), path)
				if got := cached(t, s, path); got != want {
					t.Errorf("%s is cached: %v, want %v", path, got, want)
				}
			}
		})
	}
}
