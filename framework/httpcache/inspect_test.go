package httpcache_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/httpcache"
)

// What Inspect says of a request is what Do then does with it, and looking changes nothing.
func TestInspectForetellsTheAnswer(t *testing.T) {
	requests := map[string]httpcache.Request{
		"plain": {}, "gzip": {AcceptEncoding: "gzip"}, "refused": {AcceptEncoding: "gzip", NoCompression: true},
		"part": {Range: "bytes=1-2"}, "none": {Range: "bytes=999999-"}, "304": {IfNoneMatch: "*"},
		"HEAD": {Method: "HEAD"}, "POST": {Method: "POST"},
	}
	for name, c := range map[string]struct {
		stored  bool
		age     time.Duration
		outcome httpcache.Outcome
	}{
		"nothing stored":        {false, 0, httpcache.Miss},
		"fresh":                 {true, 59 * time.Second, httpcache.Hit},
		"stale":                 {true, 61 * time.Second, httpcache.Stale},
		"stale but for errors":  {true, 121 * time.Second, httpcache.Miss},
		"too old for all":       {true, 181 * time.Second, httpcache.Miss},
		"the last second of it": {true, 119 * time.Second, httpcache.Stale},
	} {
		for kind, req := range requests {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := start(t)
					f.rule.StaleWhileRevalidate, f.rule.StaleIfError = time.Minute, 2*time.Minute
					if req.Method == "" {
						req.Method = http.MethodGet
					}
					if c.stored {
						f.get(httpcache.Request{})
						time.Sleep(c.age)
					}
					counted := f.Stats()
					said := f.Inspect(t.Context(), "k", &f.rule, &req)
					if again := f.Inspect(t.Context(), "k", &f.rule, &req); !reflect.DeepEqual(said, again) || f.Stats() != counted {
						t.Errorf("looking changed something:\n%+v\n%+v\n%+v, before %+v", said, again, f.Stats(), counted)
					}
					res := f.get(req)
					h, want := header(&res), c.outcome
					if req.Method == "POST" {
						want = httpcache.Bypass
					}
					v := said.Verdict
					if v.Outcome != want || v.Outcome != res.Outcome || v.Reason == "" {
						t.Errorf("it says %+v; it answered %s, want %s", v, res.Outcome, want)
					}
					if v.Status == 0 { // the handler's to say
						if v.Outcome == httpcache.Hit || v.Outcome == httpcache.Stale {
							t.Errorf("no status in %+v", v)
						}
						return
					}
					encoding := h.Get("Content-Encoding")
					if encoding == "" && res.Body != nil {
						encoding = "identity"
					}
					if v.CacheStatus != h.Get("Cache-Status") || v.Status != res.Status || v.Encoding != encoding {
						t.Errorf("it says %+v; it answered %d %v", v, res.Status, h)
					}
				})
			})
		}
	}
}

// What the state of a key alone does not tell is foretold too.
func TestInspectForetellsTheExceptions(t *testing.T) {
	failing := func(context.Context) (*httpcache.Response, error) { return nil, errors.New("no") }
	for name, prepare := range map[string]func(f *fixture){
		"early refresh": func(f *fixture) {
			f.rule.EarlyRefresh = 0.5
			f.get(httpcache.Request{})
			time.Sleep(45 * time.Second)
		},
		"a handler that failed is left alone": func(f *fixture) {
			f.rule.StaleIfError = time.Hour
			f.get(httpcache.Request{})
			time.Sleep(70 * time.Second)
			f.fetch = failing
			f.get(httpcache.Request{})
		},
		"a stored error": func(f *fixture) {
			f.rule.StatusTTL = map[int]time.Duration{404: time.Minute}
			f.rule.ErrorStatus = func(error) int { return 404 }
			f.fetch = failing
			_, _ = f.do(f.t.Context(), "k", httpcache.Request{}) // it is stored
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t)
				prepare(f)
				req := httpcache.Request{Method: http.MethodGet}
				v := f.Inspect(t.Context(), "k", &f.rule, &req).Verdict
				res, err := f.do(t.Context(), "k", req)
				if v.Outcome != res.Outcome || v.CacheStatus != header(&res).Get("Cache-Status") || v.Status == 0 ||
					err == nil && v.Status != res.Status || err != nil && v.Status != 404 {
					t.Errorf("it says %+v; it answered %d %v, %v", v, res.Status, header(&res), err)
				}
				synctest.Wait()
			})
		})
	}
	f := start(t)
	f.fetch = func(context.Context) (*httpcache.Response, error) { return answer(200, "Set-Cookie", "a=1"), nil }
	req := httpcache.Request{Method: http.MethodGet}
	f.get(req)
	if v := f.Inspect(t.Context(), "k", &f.rule, &req).Verdict; !strings.Contains(v.Reason, "could not be shared lately") {
		t.Errorf("of a key whose answers are personal it says %+v", v)
	}
	if v := f.Inspect(t.Context(), strings.Repeat("k", 2000), &f.rule, &req).Verdict; v.Outcome != httpcache.Bypass {
		t.Errorf("of a key that is too long it says %+v", v)
	}
}

func TestInspectOfASoftPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		req := httpcache.Request{Method: http.MethodGet}
		f.get(req)
		time.Sleep(5 * time.Second)
		if _, err := f.memory.PurgeShared(t.Context(), cache.Purge{Keys: []string{"k"}, Soft: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		f.rule.StaleIfError = time.Minute
		said := f.Inspect(t.Context(), "k", &f.rule, &req)
		want := "the stored answer is stale, and sent only if no new one can be made (stale_if_error)"
		if s := said.Stored[0]; said.Verdict.Outcome != httpcache.Miss || said.Verdict.Reason != want || !s.SoftlyPurged || s.TTL != -2 {
			t.Errorf("without stale_while_revalidate it says %+v", said)
		}
		f.rule.StaleWhileRevalidate = time.Minute
		said = f.Inspect(t.Context(), "k", &f.rule, &req)
		res := f.get(req)
		if v := said.Verdict; v.Outcome != httpcache.Stale || !strings.Contains(v.Reason, "stale since a soft purge") ||
			v.CacheStatus != header(&res).Get("Cache-Status") {
			t.Errorf("with it it says %+v; it answered %v", v, header(&res))
		}
	})
}

func TestInspectShowsWhatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleWhileRevalidate, f.rule.StaleIfError, f.rule.Tags = time.Minute, 2*time.Minute, []string{"products"}
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			r := answer(200, "Last-Modified", lastModified)
			r.Tags = []string{"own"}
			return r, nil
		}
		req := httpcache.Request{Method: http.MethodGet}
		if said := f.Inspect(t.Context(), "k", &f.rule, &req); len(said.Stored) != 0 {
			t.Errorf("nothing is stored: %+v", said.Stored)
		}
		made := time.Now().UTC()
		plain, gzip := f.get(httpcache.Request{}), f.get(httpcache.Request{AcceptEncoding: "gzip"})
		time.Sleep(70 * time.Second)
		want := []httpcache.Stored{{
			Layer: "memory", Status: 200, Made: made, Age: 70, TTL: -10, Revalidate: 50, OnError: 110,
			LastModified: lastModified, Vary: "Accept-Encoding", Tags: []string{"products", "own"},
			Variants: []httpcache.Body{
				{Encoding: "identity", Size: len(plain.Body), ETag: header(&plain).Get("ETag")},
				{Encoding: "gzip", Size: len(gzip.Body), ETag: header(&gzip).Get("ETag")},
			},
		}}
		if said := f.Inspect(t.Context(), "k", &f.rule, &req); !reflect.DeepEqual(said.Stored, want) {
			t.Errorf("stored is\n%+v, want\n%+v", said.Stored, want)
		}
	})
}

func TestInspectLooksIntoRedis(t *testing.T) {
	server := redistest.Start(t)
	a, shared := startShared(t, server)
	b, _ := startShared(t, server)
	b.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("must not be asked") }
	a.get(httpcache.Request{})
	written(t, shared, 1)
	req := httpcache.Request{Method: http.MethodGet}
	said := b.Inspect(t.Context(), "k", &b.rule, &req)
	if len(said.Stored) != 1 || said.Stored[0].Layer != "redis" || said.Stored[0].Variants[0].Size != len(body) {
		t.Errorf("stored is %+v", said.Stored)
	}
	res := b.get(httpcache.Request{})
	if v := said.Verdict; v.Outcome != httpcache.Hit || v.CacheStatus != header(&res).Get("Cache-Status") {
		t.Errorf("it says %+v; it answered %v", v, header(&res))
	}
	if said = a.Inspect(t.Context(), "k", &a.rule, &req); len(said.Stored) != 2 {
		t.Errorf("stored in both layers is %+v", said.Stored)
	}
	server.Kill()
	for end := time.Now().Add(10 * time.Second); shared.Stats().Available; shared.Peek(t.Context(), "k") {
		if time.Now().After(end) {
			t.Fatal("the circuit does not open")
		}
	}
	said = a.Inspect(t.Context(), "other", &a.rule, &req)
	if want := "memory holds no answer under this key, and Redis does not answer"; said.Verdict.Reason != want {
		t.Errorf("with Redis away it says %+v", said.Verdict)
	}
}
