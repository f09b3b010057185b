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

// standard is a cache in standard mode over an origin.
type standard struct {
	t      *testing.T
	memory *cache.Memory
	*httpcache.Standard
	rule   httpcache.StandardRule
	origin http.Header // of its answers
}

func startStandard(t *testing.T, fields ...string) *standard {
	t.Helper()
	memory, err := cache.NewMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	s := &standard{t: t, memory: memory, Standard: httpcache.NewStandard(memory, "innatural"), origin: http.Header{}}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.Background()), memory.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	s.rule = httpcache.StandardRule{Timeout: time.Second, MaxEntry: 1 << 16, Tags: []string{"site"}}
	for i := 0; i < len(fields); i += 2 {
		s.origin.Set(fields[i], fields[i+1])
	}
	return s
}

func target(fields ...string) *httpcache.StandardRequest {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return &httpcache.StandardRequest{
		Method: http.MethodGet, Key: httpcache.TargetKey("scope", "a.example", "/"),
		Values: func(name string) []string { return h[name] },
	}
}

func (s *standard) get(req *httpcache.StandardRequest) httpcache.Delivery {
	s.t.Helper()
	d, err := s.Do(s.t.Context(), &s.rule, req, func(context.Context, httpcache.Change) (*httpcache.Origin, error) {
		header := s.origin.Clone()
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		return &httpcache.Origin{Status: http.StatusOK, Header: header, Body: []byte("body")}, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if d.Stream != nil {
		if err := d.Stream.Close(); err != nil {
			s.t.Error(err)
		}
	}
	synctest.Wait()
	return d
}

// What Inspect says of a request is what Do then does with it, and looking changes nothing.
func TestInspectForetellsStandardMode(t *testing.T) {
	for name, c := range map[string]struct {
		response []string
		age      time.Duration
		request  []string
		want     string // outcome and the beginning of Cache-Status
		reason   string
	}{
		"nothing stored": {
			[]string{"Cache-Control", "max-age=60"}, -1, nil, "MISS innatural; fwd=uri-miss", "no layer holds an answer",
		},
		"fresh": {
			[]string{"Cache-Control", "max-age=60"}, 59 * time.Second, nil, "HIT innatural; hit; ttl=1", "it is fresh, in memory",
		},
		"stale": {
			[]string{"Cache-Control", "max-age=60"}, 70 * time.Second, nil, "MISS innatural; fwd=stale", "has nothing to ask the origin by",
		},
		"to be validated": {
			[]string{"Cache-Control", "max-age=60", "Etag", `"1"`},
			70 * time.Second, nil,
			"MISS innatural; fwd=stale", "asked whether it still holds",
		},
		"while revalidating": {
			[]string{"Cache-Control", "max-age=60, stale-while-revalidate=60"},
			70 * time.Second, nil,
			"STALE innatural; hit; ttl=-10; detail=stale-while-revalidate", "sent while a new one is made",
		},
		"max-stale": {
			[]string{"Cache-Control", "max-age=60"},
			70 * time.Second,
			[]string{"Cache-Control", "max-stale=20"},
			"STALE innatural; hit; ttl=-10; detail=max-stale", "the request takes it",
		},
		"no-cache": {
			[]string{"Cache-Control", "max-age=60"}, 0, []string{"Cache-Control", "no-cache"}, "MISS innatural; fwd=request", "asks for more",
		},
		"another variant": {
			[]string{"Cache-Control", "max-age=60", "Vary", "Accept-Language"},
			0,
			[]string{"Accept-Language", "ar"},
			"MISS innatural; fwd=vary-miss", "other fields (Vary)",
		},
		"a condition": {
			[]string{"Cache-Control", "max-age=60", "Etag", `"1"`}, 0, []string{"If-None-Match", `"1"`}, "HIT innatural; hit", "fresh",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, req := startStandard(t, c.response...), target(c.request...)
				if c.age >= 0 {
					s.get(target())
					time.Sleep(c.age)
				}
				before := s.memory.Stats()
				said := s.Inspect(t.Context(), &s.rule, req)
				if again := s.Inspect(t.Context(), &s.rule, req); !reflect.DeepEqual(said, again) || s.memory.Stats() != before {
					t.Errorf("looking changed something:\n%+v\n%+v", said, again)
				}
				v := said.Verdict
				if got := string(v.Outcome) + " " + v.CacheStatus; !strings.HasPrefix(got, c.want) || !strings.Contains(v.Reason, c.reason) {
					t.Errorf("it says %+v, want %s, %s", v, c.want, c.reason)
				}
				d := s.get(req)
				status := header(&d.Result).Get("Cache-Status")
				if d.Outcome != v.Outcome || !strings.HasPrefix(status, v.CacheStatus) || v.Status != 0 && v.Status != d.Status {
					t.Errorf("it says %+v; it answered %d %s %s", v, d.Status, d.Outcome, status)
				}
			})
		})
	}
}

func TestInspectShowsWhatIsStoredInStandardMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startStandard(t, "Cache-Control", "max-age=60, stale-if-error=30", "Vary", "Accept-Language, Accept",
			"Etag", `"1"`, "Content-Encoding", "br")
		made := time.Now().UTC()
		s.get(target("Accept-Language", "ar,  fr"))
		time.Sleep(10 * time.Second)
		want := []httpcache.Stored{{
			Layer: "memory", Status: 200, Made: made, Age: 10, TTL: 50, Revalidate: 50, OnError: 80, Vary: "Accept, Accept-Language",
			For: []string{"no Accept", "Accept-Language: ar,fr"}, Tags: []string{"site"},
			Variants: []httpcache.Body{{Encoding: "br", Size: 4, ETag: `"1"`}},
		}}
		if said := s.Inspect(t.Context(), &s.rule, target()); !reflect.DeepEqual(said.Stored, want) {
			t.Errorf("stored is\n%+v, want\n%+v", said.Stored, want)
		}
		only := target("Cache-Control", "only-if-cached")
		if v := s.Inspect(t.Context(), &s.rule, only).Verdict; v.Status != 504 {
			t.Errorf("only-if-cached gets %+v", v)
		}
	})
}

func TestInspectOfStandardModeLooksIntoRedis(t *testing.T) {
	server := redistest.Start(t)
	a, b := startStandard(t, "Cache-Control", "max-age=60"), startStandard(t)
	for _, s := range []*standard{a, b} {
		shared := cache.NewRedis(s.memory, cache.RedisOptions{Addresses: []string{server.Address()}, Prefix: "test:", MaxValue: 1 << 20})
		s.memory.Share(shared)
		t.Cleanup(func() {
			if err := shared.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := a.Do(t.Context(), &a.rule, target(), func(context.Context, httpcache.Change) (*httpcache.Origin, error) {
		return &httpcache.Origin{Status: http.StatusOK, Header: a.origin.Clone(), Body: []byte("body")}, nil
	}); err != nil {
		t.Fatal(err)
	}
	written(t, a.memory.Shared(), 1)
	said := b.Inspect(t.Context(), &b.rule, target())
	if len(said.Stored) != 1 || said.Stored[0].Layer != "redis" || said.Verdict.Outcome != httpcache.Hit {
		t.Errorf("of what is in Redis alone it says %+v", said)
	}
}
