package framework_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
)

const templated = `
version = 1
[[routes]]
path = "/users/:id/:tab"
handler = "tell"
cache = { ttl = "1h", key = "user:{id}:{query.page}:{header.X-Shop}" }
[[routes]]
path = "/orders/:id/:tab"
handler = "tell"
cache = { ttl = "1h", key = "user:{id}:{query.page}:{header.X-Shop}" }
[[routes]]
path = "/files/*"
handler = "tell"
cache = { ttl = "1h", key = "file:{*}" }
[[routes]]
path = "/same"
handler = "tell"
cache = { ttl = "1h", key = "{path}" }
`

// C4: the key is what the template makes of the request, and a handler can read nothing that is not in it.
func TestKeyTemplates(t *testing.T) {
	var calls atomic.Int32
	s := frameworktest.Start(t, templated, plugin("tell", framework.Handlers{
		"tell": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
			calls.Add(1)
			return framework.Text(strings.Join([]string{
				r.Path(), r.Param("id"), r.Param("tab"), r.Param("*"), strings.Join(r.QueryAll("page"), "+"), r.Query("other"),
				r.Header("X-Shop"), r.Header("User-Agent"),
			}, ",")), nil
		},
	}))
	for _, test := range []struct {
		target, shop string
		want         string
		cached       string
	}{
		{"/users/7/a?page=1&other=2", "rabat", ",7,,,1,,rabat,", "MISS"},
		{"/users/7/b?page=1", "rabat", ",7,,,1,,rabat,", "HIT"}, // what is not in the key changes nothing
		{"/users/7/a?page=1", "fes", ",7,,,1,,fes,", "MISS"},
		{"/users/7/a?page=1&page=2", "fes", ",7,,,1+2,,fes,", "MISS"},
		{"/users/7/a?page=", "fes", ",7,,,,,fes,", "MISS"},
		{"/users/7/a", "fes", ",7,,,,,fes,", "MISS"},
		{"/users/7%3A1/a", "", ",7:1,,,,,,", "MISS"},
		{"/users/7/a?page=1", "", ",7,,,1,,,", "MISS"},
		{"/orders/7/a?page=1", "rabat", ",7,,,1,,rabat,", "MISS"}, // a key belongs to its route
		{"/files/a/b", "", ",,,a/b,,,,", "MISS"},
		{"/files/a/b?page=3", "x", ",,,a/b,,,,", "HIT"},
		{"/files/a%2Fb", "", ",,,a/b,,,,", "MISS"},
		{"/same", "", "/same,,,,,,,", "MISS"},
	} {
		var fields []string
		if test.shop != "" {
			fields = []string{"X-Shop", test.shop}
		}
		a := s.Get(t, test.target, fields...)
		if a.Body != test.want || a.Header.Get("X-Cache") != test.cached {
			t.Errorf("%s: %s, %s; want %s, %s", test.target, a.Header.Get("X-Cache"), a.Body, test.cached, test.want)
		}
	}
}

// The key that explain shows is the one by which a purge finds the answer.
func TestTemplatedKeysAreExplainedAndPurged(t *testing.T) {
	var layers *cache.Memory
	teller := framework.NewPlugin(
		framework.Info{Name: "tell", Handlers: []framework.HandlerInfo{{Name: "tell"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			layers = h.Layers
			return framework.Handlers{"tell": text("told")}, nil
		})
	s := frameworktest.Start(t, templated, teller)
	p, problems := policy.Load(policy.Source{Name: "t.toml", Text: []byte(templated)}, framework.Vocabulary(teller), policy.Layers{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const target = "/users/7/a?page=1&page=2"
	req := framework.NewRequest("GET", target, nil).WithHeader("X-Shop", "fès / rabat")
	key := framework.CacheKey(p.Match("GET", "/users/7/a").Route, req)
	if key != "user:7:1%%2:fès%20/%20rabat" {
		t.Errorf("key %s", key)
	}
	for _, want := range []string{"MISS", "HIT"} {
		if a := s.Get(t, target, "X-Shop", "fès / rabat"); a.Header.Get("X-Cache") != want {
			t.Errorf("%s, want %s", a.Header.Get("X-Cache"), want)
		}
	}
	done, err := layers.PurgeShared(t.Context(), cache.Purge{Selectors: []cache.Selector{{Key: key}}})
	if err != nil || done.Matched != 1 {
		t.Errorf("purged %d, %v", done.Matched, err)
	}
	if a := s.Get(t, target, "X-Shop", "fès / rabat"); a.Header.Get("X-Cache") != "MISS" {
		t.Error("not purged")
	}
}
