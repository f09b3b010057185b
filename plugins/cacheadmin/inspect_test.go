package cacheadmin_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
)

// inspect asks what is stored for a URL.
func inspect(t *testing.T, query url.Values) (status int, found framework.Inspection, body string) {
	t.Helper()
	s := start(t)
	fill(t, s)
	s.Get(t, "/api/pages/2", "Accept-Encoding", "gzip")
	a := s.Get(t, "/api/cache/inspect?"+query.Encode(), "Authorization", "Bearer t0ken")
	if err := json.Unmarshal([]byte(a.Body), &found); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	return a.Status, found, a.Body
}

func TestInspect(t *testing.T) {
	for _, c := range []struct {
		url, outcome, route, key string
		stored                   int
		reason                   string
	}{
		{"/api/products/1", "HIT", "GET /api/products/:id", "GET@ /api/products/1", 1, "it is fresh, in memory"},
		{"http://a.example/api/products/1?x", "HIT", "GET /api/products/:id", "GET@ /api/products/1", 1, "it is fresh, in memory"},
		{"/api/products/3", "MISS", "GET /api/products/:id", "GET@ /api/products/3", 0, "no layer holds an answer under this key"},
		{"/api/plain", "BYPASS", "GET /api/plain", "", 0, "not cached: the route has no cache table"},
		{"/api/cache/flush", "", "", "", 0, "no route has this method for this path"},
		{"/none", "", "", "", 0, "no route has this path"},
	} {
		status, found, body := inspect(t, url.Values{"url": {c.url}})
		v := found.Verdict
		if status != 200 || !strings.Contains(body, `"success":true`) || string(v.Outcome) != c.outcome || v.Reason != c.reason ||
			found.Route != c.route || found.Key != c.key || len(found.Stored) != c.stored || found.Stored == nil {
			t.Errorf("%s: %d %s", c.url, status, body)
		}
	}
	_, found, body := inspect(t, url.Values{"url": {"/api/products/1"}, "header": {"If-None-Match: *"}})
	if found.Verdict.Status != 304 || found.Mode != "policy" || found.Handler != "echo" || found.Stored[0].Tags[0] != "products" {
		t.Errorf("with a condition: %s", body)
	}
}

func TestInspectRefuses(t *testing.T) {
	for name, query := range map[string]url.Values{
		"nothing": {}, "no path": {"url": {"api/products"}}, "another scheme": {"url": {"mailto:a@b"}}, "no URL": {"url": {"/%zz"}},
		"no header": {"url": {"/"}, "header": {"Accept"}}, "no name": {"url": {"/"}, "header": {": x"}},
	} {
		if status, _, body := inspect(t, query); status != 400 || !strings.Contains(body, `"code":"invalid_request"`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}
