package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/policies"
)

// These tests are named after what the cache that this one replaced did wrong. Each runs the shop's own policy and plugins,
// with a Redis where one matters.

// past is a shop, with two routes beside its own: /past answers its path, and /past/failing that it can't.
type past struct {
	*frameworktest.Server
	calls *atomic.Int32 // of both
}

// pastRoutes come after the shop's.
const pastRoutes = `
[[routes]]
path = "/past/failing"
handler = "past.failing"
cache = { ttl = "1h", status_ttl = {} }
cache_control = "short"

[[routes]]
path = "/past/:id"
handler = "past"
timeout = "2s"
cache = { ttl = "1h", tags = ["past"] }
cache_control = "short"
`

// startPast starts a shop that shares a Redis, unless it is nil.
func startPast(t *testing.T, redis *redistest.Server) past {
	t.Helper()
	policy := policies.Chatbot + pastRoutes
	if redis != nil {
		policy += "\n[cache.redis]\nhost = \"127.0.0.1\"\nport = " + strconv.Itoa(redis.Port) + "\n"
	}
	calls := &atomic.Int32{}
	plugin := framework.NewPlugin(framework.Info{
		Name: "past", Handlers: []framework.HandlerInfo{{Name: "past"}, {Name: "past.failing"}},
	}, framework.NoOptions{}, func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
		return framework.Handlers{
			"past": func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
				calls.Add(1)
				select { // long enough for others to ask meanwhile
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
				return framework.Text(req.Path()), nil
			},
			"past.failing": func(context.Context, *framework.Request) (*framework.Response, error) {
				calls.Add(1)
				return nil, &framework.Error{Status: http.StatusServiceUnavailable, Code: "away", Message: "not now"}
			},
		}, nil
	})
	return past{frameworktest.Start(t, policy, append(plugins.Standard(), plugin)...), calls}
}

// get asks for a path, which must be answered 200.
func (p past) get(t *testing.T, path string, header ...string) frameworktest.Answer {
	t.Helper()
	a := p.Get(t, path, header...)
	if a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	return a
}

// stats are the statistics that operators see.
func (p past) stats(t *testing.T) cache.Report {
	t.Helper()
	var answer struct{ Cache cache.Report }
	if err := json.Unmarshal([]byte(p.get(t, "/api/cache/stats").Body), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Cache
}

// inRedis says whether an instance would find the answer of a path in Redis.
func (p past) inRedis(t *testing.T, path string) bool {
	t.Helper()
	return strings.Contains(p.get(t, "/api/cache/inspect?url="+path).Body, `"layer":"redis"`)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain until " + what)
		}
	}
}

func TestPastFlushReportedSuccessAndLeftRedisAsItWas(t *testing.T) {
	redis := redistest.Start(t)
	a, b := startPast(t, redis), startPast(t, redis)
	for name, order := range map[string][2]string{
		"flush": {"/api/cache/flush", ""}, "pattern": {"/api/cache/invalidate", `{"pattern":"/past/*"}`},
		"key": {"/api/cache/invalidate", `{"key":"GET@ /past/1"}`}, "tags": {"/api/cache/invalidate", `{"tags":["past"]}`},
	} {
		a.get(t, "/past/1")
		eventually(t, name+": the answer is in Redis", func() bool { return a.inRedis(t, "/past/1") })
		answer := a.Do(t, "POST", order[0], order[1])
		if answer.Status != http.StatusOK || !strings.Contains(answer.Body, `"redis":{"outcome":"purged"`) {
			t.Fatalf("%s: %d %s", name, answer.Status, answer.Body)
		}
		if a.inRedis(t, "/past/1") {
			t.Errorf("%s left the answer in Redis", name)
		}
		eventually(t, name+": the other instance has it from nowhere", func() bool {
			return strings.Contains(b.get(t, "/api/cache/inspect?url=/past/1").Body, `"stored":[]`)
		})
	}
	redis.Kill()
	eventually(t, "a flush that does not reach Redis reports no success", func() bool {
		return a.Do(t, "POST", "/api/cache/flush", "").Status == http.StatusBadGateway
	})
}

func TestPastETagChangedAtEveryAnswer(t *testing.T) {
	redis := redistest.Start(t)
	a, b := startPast(t, redis), startPast(t, redis)
	const path = "/api/products?language=fr"
	for _, encoding := range []string{"identity", "gzip", "br", "zstd"} {
		first := a.get(t, path, "Accept-Encoding", encoding).Header.Get("ETag")
		if first == "" {
			t.Fatalf("%s: no ETag", encoding)
		}
		for name, next := range map[string]func() frameworktest.Answer{
			"a hit":   func() frameworktest.Answer { return a.get(t, path, "Accept-Encoding", encoding) },
			"a HEAD":  func() frameworktest.Answer { return a.Do(t, "HEAD", path, "", "Accept-Encoding", encoding) },
			"another": func() frameworktest.Answer { return b.get(t, path, "Accept-Encoding", encoding) },
			"a 304": func() frameworktest.Answer {
				return a.Get(t, path, "Accept-Encoding", encoding, "If-None-Match", first)
			},
			"made new": func() frameworktest.Answer {
				a.Do(t, "POST", "/api/cache/flush", "")
				return a.get(t, path, "Accept-Encoding", encoding)
			},
		} {
			if got := next(); got.Header.Get("ETag") != first || (got.Status == http.StatusNotModified) != (name == "a 304") {
				t.Errorf("%s, %s: %d with %s, want %s", encoding, name, got.Status, got.Header.Get("ETag"), first)
			}
		}
	}
}

func TestPastStatisticsIgnoredRedis(t *testing.T) {
	redis := redistest.Start(t)
	a, b := startPast(t, redis), startPast(t, redis)
	a.get(t, "/past/1")
	eventually(t, "the answer is in Redis", func() bool { return a.inRedis(t, "/past/1") })
	before := b.stats(t).Redis
	b.get(t, "/past/1") // a hit in Redis
	b.get(t, "/past/2") // a miss there
	after := b.stats(t).Redis
	if after.Hits != before.Hits+1 || after.Misses != before.Misses+1 {
		t.Errorf("a hit and a miss in Redis made %+v of %+v", after, before)
	}
	eventually(t, "the keys of Redis are counted", func() bool { return b.stats(t).Redis.Keys > 0 })
	if !after.Available || after.Circuit != "closed" || after.LatencyMS <= 0 {
		t.Errorf("Redis answers, and the statistics say %+v", after)
	}
	redis.Kill()
	eventually(t, "the statistics say that Redis is away", func() bool { return !b.stats(t).Redis.Available })
}

func TestPast64ColdRequestsMade64Calls(t *testing.T) {
	shops := []past{startPast(t, nil)}
	redis := redistest.Start(t)
	two := []past{startPast(t, redis), startPast(t, redis)}
	for name, shops := range map[string][]past{"alone": shops, "two that share a Redis": two} {
		var asking sync.WaitGroup
		for i := range 64 {
			asking.Go(func() {
				if a := shops[i%len(shops)].Get(t, "/past/cold"); a.Status != http.StatusOK || a.Body != "/past/cold" {
					t.Errorf("%s: %d %s", name, a.Status, a.Body)
				}
			})
		}
		asking.Wait()
		calls := int32(0)
		for _, s := range shops {
			calls += s.calls.Load()
		}
		if calls > int32(len(shops)) { // at most one each, should Redis be too slow to keep them together
			t.Errorf("%s: 64 cold requests made %d calls", name, calls)
		}
	}
}

func TestPast300JunkQueryValuesFilledTheCache(t *testing.T) {
	s := startPast(t, nil)
	s.get(t, "/past/1")
	s.get(t, "/api/products?language=fr")
	before := s.stats(t).Memory
	for i := range 300 {
		if a := s.get(t, fmt.Sprintf("/past/1?utm=%d&x%d=1", i, i)); a.Header.Get("X-Cache") != "HIT" {
			t.Fatalf("an undeclared parameter is in the key: %v", a.Header)
		}
		if a := s.get(t, fmt.Sprintf("/api/products?fbclid=%d&language=fr&_=%d", i, i)); a.Header.Get("X-Cache") != "HIT" {
			t.Fatalf("an undeclared parameter is in the key: %v", a.Header)
		}
		// The language is in the key, and what is none is refused.
		if a := s.Get(t, fmt.Sprintf("/api/products?language=junk%d", i)); a.Status != http.StatusBadRequest {
			t.Fatalf("a language that is none: %d", a.Status)
		}
	}
	if after := s.stats(t).Memory; after.Keys != before.Keys || after.Evictions != 0 {
		t.Errorf("900 requests with junk made %d keys of %d", after.Keys, before.Keys)
	}
	if n := s.calls.Load(); n != 1 {
		t.Errorf("the handler ran %d times", n)
	}
}

func TestPastA503WasCachedAsPublic(t *testing.T) {
	s := startPast(t, nil)
	for n := range int32(3) {
		a := s.Get(t, "/past/failing")
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Cache") == "HIT" {
			t.Errorf("%d %v", a.Status, a.Header)
		}
		if s.calls.Load() != n+1 {
			t.Errorf("request %d: the handler ran %d times", n+1, s.calls.Load())
		}
	}
	if keys := s.stats(t).Memory.Keys; keys != 0 {
		t.Errorf("%d answers are stored", keys)
	}
}

// A hit in Redis was slower than a miss, as it took several round trips. What costs is counted here by the server itself.
func TestPastARedisHitWasSlowerThanAMiss(t *testing.T) {
	redis := redistest.Start(t)
	a, b := startPast(t, redis), startPast(t, redis)
	const hits = 20
	for i := range hits {
		path := "/past/" + strconv.Itoa(i)
		a.get(t, path)
	}
	eventually(t, "the answers are in Redis", func() bool { return a.inRedis(t, "/past/"+strconv.Itoa(hits-1)) })
	for i := range hits {
		eventually(t, "all of them", func() bool { return a.inRedis(t, "/past/"+strconv.Itoa(i)) })
	}
	before := commands(t, redis)
	for i := range hits {
		if got := b.get(t, "/past/"+strconv.Itoa(i)).Header.Get("Cache-Status"); !strings.Contains(got, "; hit; ") {
			t.Fatalf("no hit: %s", got)
		}
	}
	for command, n := range commands(t, redis) {
		n -= before[command]
		switch command {
		case "get":
			if n != hits {
				t.Errorf("%d hits in Redis took %d GET", hits, n)
			}
		case "set", "setnx", "mget", "exists", "ttl", "pttl", "pexpire", "expire", "del", "unlink", "smembers", "scan", "keys",
			"hget", "strlen":
			if n != 0 {
				t.Errorf("%d hits in Redis took %d %s", hits, n, strings.ToUpper(command))
			}
		}
	}
	if n := b.calls.Load(); n != 0 {
		t.Errorf("the handler ran %d times", n)
	}
}

// commands returns how often each command was called.
func commands(t *testing.T, redis *redistest.Server) map[string]int {
	t.Helper()
	text, err := redis.Client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		count, _, _ := strings.Cut(rest, ",")
		if calls[name], err = strconv.Atoi(count); err != nil {
			t.Fatal(err)
		}
	}
	return calls
}

// A request hung for 30 s, and Redis was never asked again. The route's timeout, which would answer 408, is 2 s.
func TestPastAStoppedRedisHungRequestsAndNeverReconnected(t *testing.T) {
	redis := redistest.Start(t)
	a, b := startPast(t, redis), startPast(t, redis)
	path := func(kind string, i int) string { return fmt.Sprintf("/past/%s-%d", kind, i) }
	shares := func(kind string) {
		t.Helper()
		for i := 0; ; i++ { // while the circuit closes, an answer may stay unshared
			before := b.calls.Load()
			a.get(t, path(kind, i))
			end := time.Now().Add(time.Second)
			for !b.inRedis(t, path(kind, i)) && time.Now().Before(end) {
				time.Sleep(5 * time.Millisecond)
			}
			if b.get(t, path(kind, i)); b.calls.Load() == before {
				return
			}
			if i == 20 {
				t.Fatalf("%s: the instances do not share answers", kind)
			}
		}
	}
	serves := func(kind string) {
		t.Helper()
		for i := range 5 {
			a.get(t, path(kind, i))
			if got := a.get(t, path(kind, i)); got.Header.Get("X-Cache") != "HIT" {
				t.Errorf("%s: memory does not serve: %v", kind, got.Header)
			}
		}
	}
	shares("first")
	redis.Hang()
	serves("hung")
	redis.Resume()
	shares("resumed")
	redis.Kill()
	serves("killed")
	redis.Restart()
	shares("restarted")
}
