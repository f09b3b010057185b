package framework_test

import (
	"context"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// A handler that tries to read everything, on a cached route, gives an answer that depends on the declared inputs alone.
func TestUndeclaredInputsCannotChangeACachedAnswer(t *testing.T) {
	names := []string{"a", "b", "c", "X-A", "X-B", "Accept-Language", "Authorization", "session", "lang"}
	echo := func(_ context.Context, r *framework.Request) (*framework.Response, error) {
		var b strings.Builder
		for _, n := range names {
			fmt.Fprintf(&b, "%s=%q %q %q %q;", n, r.QueryAll(n), r.Query(n), r.Header(n), r.Cookie(n))
		}
		fmt.Fprintf(&b, "cookie header=%q body=%q id=%q client=%v method=%s path=%s", r.Header("Cookie"), r.Body(), r.ID(), r.Client(), r.Method(), r.Path())
		return framework.Text(b.String()), nil
	}
	s := frameworktest.Start(t, `
version = 1
[log.access]
enabled = false
[[routes]]
path = "/cached/:id"
handler = "test"
cache = { ttl = "1h" }
`, plugin("test", framework.Handlers{"test": echo}, framework.HandlerInfo{
		Name: "test", Reads: framework.Inputs{Query: []string{"a", "b"}, Headers: []string{"X-A"}},
	}))
	type declared struct{ id, a, b, header string }
	answers := map[declared]string{}
	value := rapid.StringMatching(`[a-z0-9 ÿ%&=+;,"]{0,6}`)
	rapid.Check(t, func(rt *rapid.T) {
		in := declared{
			rapid.SampledFrom([]string{"1", "2", "%41", "a b"}).Draw(rt, "id"), value.Draw(rt, "a"), value.Draw(rt, "b"),
			rapid.StringMatching(`[a-z0-9]{0,3}`).Draw(rt, "header"),
		}
		query := []string{"a=" + url.QueryEscape(in.a), "b=" + url.QueryEscape(in.b)}
		header := []string{"X-A", in.header}
		for _, n := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"c", "session", "lang", "X-B", "utm", "A", "a[]"}), rapid.ID[string]).Draw(rt, "undeclared") {
			query = append(query, url.QueryEscape(n)+"="+url.QueryEscape(value.Draw(rt, n)))
			header = append(header, "X-Undeclared-"+strings.Trim(n, "[]"), "1")
		}
		sort.Strings(query[2:])
		if rapid.Bool().Draw(rt, "undeclared first") {
			query = append(query[2:], query[:2]...)
		}
		header = append(header, "Cookie", "session="+rapid.StringMatching(`[a-z]{0,4}`).Draw(rt, "cookie")+"; lang=ar",
			"Authorization", "Bearer "+rapid.StringMatching(`[a-z]{1,4}`).Draw(rt, "token"),
			"Accept-Language", rapid.SampledFrom([]string{"fr", "en", "ar"}).Draw(rt, "language"),
			"X-B", rapid.StringMatching(`[a-z]{0,4}`).Draw(rt, "x-b"))
		a := s.Get(t, "/cached/"+url.PathEscape(in.id)+"?"+strings.Join(query, "&"), header...)
		if a.Status != 200 {
			rt.Fatalf("%d %s", a.Status, a.Body)
		}
		if known, ok := answers[in]; ok && known != a.Body {
			rt.Fatalf("the same declared inputs %+v gave\n%s\nand\n%s", in, known, a.Body)
		}
		answers[in] = a.Body
		for _, secret := range []string{"Bearer", "session=\"[", "ar\""} {
			if strings.Contains(a.Body, secret) && !strings.Contains(in.a+in.b+in.header, strings.Trim(secret, `"`)) {
				rt.Fatalf("the handler has read %q: %s", secret, a.Body)
			}
		}
		if !strings.Contains(a.Body, fmt.Sprintf("a=[%q]", in.a)) {
			rt.Fatalf("the handler did not get a=%q: %s", in.a, a.Body)
		}
	})
	if got := metric(t, s, `http_server_undeclared_reads_total{http_route="/cached/:id"}`); got == "0" || got == "" {
		t.Errorf("undeclared reads counted: %q", got)
	}
}

func TestACachedRouteSaysWhatTheCacheDid(t *testing.T) {
	s := frameworktest.Start(t, `
version = 1
[[routes]]
path = "/cached"
handler = "test"
cache = { ttl = "1h" }
cache_control = "short"
`, plugin("test", framework.Handlers{"test": text("hello")}))
	for i, want := range []string{"MISS", "HIT"} {
		a := s.Get(t, "/cached")
		if a.Header.Get("X-Cache") != want || a.Header.Get("Cache-Status") == "" || a.Header.Get("Age") == "" || a.Header.Get("ETag") == "" {
			t.Errorf("request %d: %v", i, a.Header)
		}
		if a.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("request %d: Cache-Control %q", i, a.Header.Get("Cache-Control"))
		}
	}
	etag := s.Get(t, "/cached").Header.Get("ETag")
	if a := s.Get(t, "/cached", "If-None-Match", etag); a.Status != 304 || a.Body != "" || a.Header.Get("ETag") != etag {
		t.Errorf("conditional: %+v", a)
	}
	if got := metric(t, s, `cache_responses_total{http_route="/cached",result="hit"}`); got != "3" {
		t.Errorf("hits counted: %q", got)
	}
}

func TestStoredAnswersServeTheSamePolicyAndDataOnly(t *testing.T) {
	data := "one"
	p := framework.NewPlugin(framework.Info{Name: "test", Handlers: []framework.HandlerInfo{{Name: "test"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			h.AnswersFrom([]byte(data))
			return framework.Handlers{"test": text(data)}, nil
		})
	s := frameworktest.Start(t, "version = 1\n[[routes]]\npath = \"/\"\nhandler = \"test\"\ncache = { ttl = \"1h\" }\n", p)
	for _, c := range []struct{ data, cache string }{{"one", "MISS"}, {"one", "HIT"}, {"two", "MISS"}, {"two", "HIT"}, {"one", "HIT"}} {
		data = c.data
		if err := s.App.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := s.Get(t, "/"); a.Body != c.data || a.Header.Get("X-Cache") != c.cache {
			t.Errorf("data %s: %s %s, want %s", c.data, a.Body, a.Header.Get("X-Cache"), c.cache)
		}
	}
}
