package framework_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

const negative = `
version = 1
[[routes]]
path = "/api/items/:id"
handler = "items"
cache = { ttl = "1h", status_ttl = { 404 = "30s", 503 = "10s" } }
cache_control = "short"
`

// A 404 and a 503 that the policy names are stored: as errors, so that each client gets its own request id, and never as
// something that caches downstream may keep.
func TestStoredErrors(t *testing.T) {
	var calls atomic.Int32
	s := frameworktest.Start(t, negative, plugin("items", framework.Handlers{
		"items": func(_ context.Context, req *framework.Request) (*framework.Response, error) {
			calls.Add(1)
			switch req.Param("id") {
			case "none":
				return nil, framework.NotFound("no such item")
			case "down":
				return &framework.Response{Status: http.StatusServiceUnavailable, Body: []byte("closed")}, nil
			case "gone":
				return nil, &framework.Error{Status: http.StatusGone, Code: "gone", Message: "it was here"}
			}
			return framework.Text("item"), nil
		},
	}))
	for _, test := range []struct {
		id      string
		status  int
		cached  string
		control string
	}{
		{"none", 404, "HIT", "no-store"},
		{"down", 503, "HIT", "no-store"},
		{"gone", 410, "MISS", "no-store"},
		{"1", 200, "HIT", "public, max-age=300"},
	} {
		calls.Store(0)
		first, second := s.Get(t, "/api/items/"+test.id), s.Get(t, "/api/items/"+test.id)
		for _, a := range []frameworktest.Answer{first, second} {
			if a.Status != test.status || a.Header.Get("Cache-Control") != test.control || a.Header.Get("Cache-Status") == "" {
				t.Errorf("%s: %d %v", test.id, a.Status, a.Header)
			}
			var body struct{ RequestID string }
			if strings.HasPrefix(a.Body, "{") && (json.Unmarshal([]byte(a.Body), &body) != nil || body.RequestID != a.Header.Get("X-Request-Id")) {
				t.Errorf("%s: not the id of the request %s: %s", test.id, a.Header.Get("X-Request-Id"), a.Body)
			}
		}
		want := map[string]int32{"HIT": 1, "MISS": 2}[test.cached]
		if second.Header.Get("X-Cache") != test.cached || first.Header.Get("X-Cache") != "MISS" || calls.Load() != want {
			t.Errorf("%s: %d calls, %v", test.id, calls.Load(), second.Header)
		}
	}
}
