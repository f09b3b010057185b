package httpcache_test

import (
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/httpcache"
)

// Hit answers as Do does, when there is a fresh answer and only then.
func TestHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleWhileRevalidate = time.Minute
		get := httpcache.Request{Method: http.MethodGet, AcceptEncoding: "gzip"}
		if _, ok := f.Hit("k", &f.rule, &get); ok {
			t.Error("a hit before anything is stored")
		}
		f.get(get)
		before := f.Stats()
		res, ok := f.Hit("k", &f.rule, &get)
		again := f.get(get)
		if !ok || res.Outcome != httpcache.Hit || string(res.Body) != string(again.Body) ||
			!maps.EqualFunc(header(&res), header(&again), func(a, b []string) bool { return len(a) == len(b) && a[0] == b[0] }) {
			t.Errorf("%v %v, Do says %v", ok, header(&res), header(&again))
		}
		if after := f.Stats(); after.Hits != before.Hits+2 {
			t.Errorf("hits counted: %d, want %d", after.Hits, before.Hits+2)
		}
		if _, ok := f.Hit("k", &f.rule, &httpcache.Request{Method: http.MethodPost}); ok {
			t.Error("a hit for POST")
		}
		time.Sleep(f.rule.TTL)
		if _, ok := f.Hit("k", &f.rule, &get); ok {
			t.Error("a hit when the answer is stale")
		}
	})
}
