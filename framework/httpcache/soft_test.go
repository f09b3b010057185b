package httpcache_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/httpcache"
)

// What was purged softly is stale from then on: RFC 5861 says what becomes of it.
func TestSoftPurge(t *testing.T) {
	purge := func(f *fixture) {
		f.t.Helper()
		if done, err := f.memory.PurgeShared(f.t.Context(), cache.Purge{Soft: true, Keys: []string{"k"}}); err != nil || done.Matched != 1 {
			f.t.Fatalf("purged %d, %v", done.Matched, err)
		}
	}
	second := func(context.Context) (*httpcache.Response, error) { return answer(200, "X-Version", "2"), nil }
	test := func(name string, run func(t *testing.T, f *fixture)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t)
				f.get(httpcache.Request{})
				time.Sleep(20 * time.Second)
				run(t, f)
			})
		})
	}
	test("without either: fetched anew", func(_ *testing.T, f *fixture) {
		purge(f)
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=stale; stored", 2)
		f.expect(f.get(httpcache.Request{}), httpcache.Hit, "hit; ttl=60", 2)
	})
	test("stale while revalidating", func(t *testing.T, f *fixture) {
		f.rule.StaleWhileRevalidate = 30 * time.Second
		f.fetch = second
		purge(f)
		time.Sleep(10 * time.Second)
		if _, ok := f.Hit("k", &f.rule, &httpcache.Request{Method: http.MethodGet}); ok {
			t.Error("a fresh hit")
		}
		f.expect(f.get(httpcache.Request{}), httpcache.Stale, "hit; ttl=-10; detail=stale-while-revalidate", -1)
		synctest.Wait()
		res := f.get(httpcache.Request{})
		f.expect(res, httpcache.Hit, "hit; ttl=60", 2)
		if header(&res).Get("X-Version") != "2" {
			t.Error("not refreshed")
		}
	})
	test("stale for too long", func(_ *testing.T, f *fixture) {
		f.rule.StaleWhileRevalidate = 30 * time.Second
		purge(f)
		time.Sleep(31 * time.Second) // before its TTL
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=stale; stored", 2)
	})
	test("stale if error", func(t *testing.T, f *fixture) {
		f.rule.StaleIfError = 30 * time.Second
		purge(f)
		f.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("no") }
		time.Sleep(10 * time.Second)
		f.expect(f.get(httpcache.Request{}), httpcache.Stale, "fwd=stale; ttl=-10; detail=stale-if-error", 2)
		time.Sleep(21 * time.Second)
		if _, err := f.do(t.Context(), "k", httpcache.Request{}); err == nil {
			t.Error("stale beyond its time")
		}
	})
	test("purged again and for good", func(_ *testing.T, f *fixture) {
		f.rule.StaleWhileRevalidate = 30 * time.Second
		purge(f)
		if _, err := f.memory.PurgeShared(f.t.Context(), cache.Purge{Keys: []string{"k"}}); err != nil {
			f.t.Fatal(err)
		}
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 2)
	})
}

// An answer that is stale in the shared layer alone is as stale as it is here.
func TestSoftPurgeOnOtherInstances(t *testing.T) {
	server := redistest.Start(t)
	a, shared := startShared(t, server)
	a.get(httpcache.Request{})
	written(t, shared, 1)
	if _, err := a.memory.PurgeShared(t.Context(), cache.Purge{Soft: true, Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	failing := func(context.Context) (*httpcache.Response, error) { return nil, errors.New("no") }
	for name, test := range map[string]struct {
		whileRevalidate, ifError time.Duration
		status                   string
	}{
		"while revalidating": {time.Hour, 0, "innatural; hit; ttl=0; detail=stale-while-revalidate"},
		"if error":           {0, time.Hour, "innatural; fwd=stale; ttl=0; detail=stale-if-error"},
		"neither":            {0, 0, "innatural; fwd=stale"},
	} {
		b, _ := startShared(t, server)
		b.rule.StaleWhileRevalidate, b.rule.StaleIfError, b.fetch = test.whileRevalidate, test.ifError, failing
		res, err := b.do(t.Context(), "k", httpcache.Request{})
		if got := header(&res).Get("Cache-Status"); got != test.status || (err != nil) != (name == "neither") {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	c, _ := startShared(t, server)
	c.get(httpcache.Request{})
	if n := c.calls.Load(); n != 1 {
		t.Errorf("made anew %d times", n)
	}
}
