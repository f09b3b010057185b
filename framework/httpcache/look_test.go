package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/httpcache"
)

// look looks for a key as a server does that has not found it in memory.
func (f *fixture) look(key string) (ready httpcache.Ready, looked, ok bool) {
	return f.Look(f.t.Context(), key, &f.rule, &httpcache.Request{Method: http.MethodGet},
		func(*httpcache.Ready) []byte { return []byte("head") })
}

// gets returns how often a server was asked for a value.
func gets(t testing.TB, server *redistest.Server) (n int) {
	t.Helper()
	info, err := server.Client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "cmdstat_get:calls=")
	_, _ = fmt.Sscanf(rest, "%d", &n) // 0 before the first
	return n
}

// share has another instance make the answer of the key k.
func share(t testing.TB, server *redistest.Server) {
	t.Helper()
	a, shared := startShared(t, server)
	a.get(httpcache.Request{})
	written(t, shared, 1)
}

// startSlow returns a cache whose shared layer answers late, and in time.
func startSlow(t testing.TB, server *redistest.Server) *fixture {
	t.Helper()
	f, way := start(t), server.StartSlow(t)
	shared := cache.NewRedis(f.memory, cache.RedisOptions{Addresses: []string{way.Address}, Prefix: "test:", MaxValue: 1 << 20})
	f.memory.Share(shared)
	t.Cleanup(func() {
		if err := errors.Join(f.Close(context.Background()), shared.Close()); err != nil {
			t.Error(err)
		}
	})
	f.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("must not be asked") }
	way.SetDelay(20 * time.Millisecond)
	return f
}

// What Look finds is in memory, with its head, and counts as a hit.
func TestLook(t *testing.T) {
	server := redistest.Start(t)
	share(t, server)
	f, _ := startShared(t, server)
	if _, looked, ok := f.look("other"); !looked || ok {
		t.Errorf("of a key that nobody has: looked %t, found %t", looked, ok)
	}
	ready, looked, ok := f.look("k")
	if !looked || !ok || !ready.Shared || ready.Status != 200 || string(ready.Body) != string(body) || string(ready.Head()) != "head" {
		t.Fatalf("looked %t, found %t: %d, %d bytes, head %q", looked, ok, ready.Status, len(ready.Body), ready.Head())
	}
	if s, m := f.Stats(), f.memory.Stats(); s.Hits != 1 || m.Hits != 0 || m.Misses != 1 {
		t.Errorf("counted %+v, by the layer %+v", s, m)
	}
	again, ok := f.Ready("k", &f.rule, &httpcache.Request{Method: http.MethodGet}, time.Now())
	if !ok || again.Shared || string(again.Head()) != "head" {
		t.Errorf("in memory: %t, shared %t, head %q", ok, again.Shared, again.Head())
	}
	if _, looked, ok := f.look("k"); looked || ok {
		t.Errorf("of what memory holds: looked %t, found %t", looked, ok)
	}
	if _, looked, ok := start(t).look("k"); looked || ok {
		t.Errorf("without a shared layer: looked %t, found %t", looked, ok)
	}
}

// What is stale, purged softly or to be made anew early is for Do, which finds it in memory.
func TestLookLeavesWhatIsNotFresh(t *testing.T) {
	server := redistest.Start(t)
	share(t, server)
	for name, change := range map[string]func(*httpcache.Rule){
		"stale": func(r *httpcache.Rule) { r.TTL, r.StaleWhileRevalidate = time.Nanosecond, time.Minute },
		"early": func(r *httpcache.Rule) { r.EarlyRefresh = 1 },
	} {
		f, _ := startShared(t, server)
		change(&f.rule)
		if _, looked, ok := f.look("k"); !looked || ok || f.memory.Stats().Keys != 1 {
			t.Errorf("%s: looked %t, found %t, %+v", name, looked, ok, f.memory.Stats())
		}
	}
	f, _ := startShared(t, server)
	f.rule.StaleWhileRevalidate = time.Minute
	if _, err := f.memory.PurgeShared(t.Context(), cache.Purge{Keys: []string{"k"}, Soft: true}); err != nil {
		t.Fatal(err)
	}
	if _, looked, ok := f.look("k"); !looked || ok {
		t.Errorf("purged softly: looked %t, found %t", looked, ok)
	}
	if res := f.get(httpcache.Request{Looked: true}); res.Outcome != httpcache.Stale {
		t.Errorf("purged softly: %s", res.Outcome)
	}
}

// All who miss a key at once are answered by one look.
func TestLooksAtOneKeyAreShared(t *testing.T) {
	const clients = 50
	server := redistest.Start(t)
	share(t, server)
	f := startSlow(t, server)
	before := gets(t, server)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if _, _, ok := f.look("k"); ok {
				return
			}
			if _, ok := f.Hit("k", &f.rule, &httpcache.Request{Method: http.MethodGet}); !ok { // it came too late to join
				t.Error("found neither in the shared layer nor in memory")
			}
		})
	}
	all.Wait()
	if n := gets(t, server) - before; n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

// Who asks while an answer is made waits for that, and asks no other instance.
func TestNobodyLooksWhileAnAnswerIsMade(t *testing.T) {
	server := redistest.Start(t)
	f, _ := startShared(t, server)
	begun, end := make(chan struct{}), make(chan struct{})
	f.fetch = func(context.Context) (*httpcache.Response, error) {
		close(begun)
		<-end
		return answer(200), nil
	}
	var made sync.WaitGroup
	made.Go(func() { f.get(httpcache.Request{}) })
	<-begun
	before := gets(t, server)
	if _, looked, ok := f.look("k"); looked || ok {
		t.Errorf("looked %t, found %t", looked, ok)
	}
	if n := gets(t, server) - before; n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	close(end)
	made.Wait()
}

// What was purged during a look is not kept, and who asks after the purge does not join the look.
func TestAPurgeOvertakesALook(t *testing.T) {
	server := redistest.Start(t)
	share(t, server)
	f := startSlow(t, server)
	for _, again := range []bool{false, true} {
		before := gets(t, server)
		var first sync.WaitGroup
		first.Go(func() { f.look("k") })
		for end := time.Now().Add(10 * time.Second); gets(t, server) == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody asked")
			}
		}
		f.memory.Flush()
		if again {
			f.look("k")
			if n := gets(t, server) - before; n != 2 {
				t.Errorf("the server was asked %d times", n)
			}
		}
		first.Wait()
		if _, ok := f.Hit("k", &f.rule, &httpcache.Request{Method: http.MethodGet}); ok && !again {
			t.Error("what was purged came back")
		}
		f.memory.Flush()
	}
	if _, err := f.memory.PurgeShared(t.Context(), cache.Purge{Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	if _, looked, ok := f.look("k"); !looked || ok {
		t.Errorf("after a purge of all instances: looked %t, found %t", looked, ok)
	}
}

// A miss that has looked is as many commands as one that has not.
func TestAMissLooksOnce(t *testing.T) {
	server := redistest.Start(t)
	f, shared := startShared(t, server)
	for i, looks := range []bool{false, true} {
		key, before := fmt.Sprint("key", i), gets(t, server)
		req := httpcache.Request{Method: http.MethodGet}
		if looks {
			if _, req.Looked, _ = f.look(key); !req.Looked {
				t.Fatal("nobody looked")
			}
		}
		if _, err := f.Do(t.Context(), key, &f.rule, &req, f.fetch); err != nil {
			t.Fatal(err)
		}
		written(t, shared, int64(i+1))
		for end := time.Now().Add(10 * time.Second); len(server.Client.Keys(t.Context(), "*lock*").Val()) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the lock stays")
			}
		}
		const alone, lock, value, unlock = 1, 1, 1, 1
		if n := gets(t, server) - before; n != alone+lock+value+unlock {
			t.Errorf("looks %t: the server was asked %d times", looks, n)
		}
	}
}
