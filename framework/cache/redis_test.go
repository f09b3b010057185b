package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

const prefix = "test:"

// instance is what one process has: a memory with the shared layer behind it.
type instance struct {
	*cache.Memory
	*cache.Cache
	shared  *cache.Redis
	changes chan error // what the layer told about the server
	stopped bool
}

func newInstance(t testing.TB, address string) *instance {
	t.Helper()
	return newInstanceOn(t, cache.RedisOptions{Addresses: []string{address}})
}

func newInstanceOn(t testing.TB, o cache.RedisOptions) *instance {
	t.Helper()
	m := newMemory(t, 64<<20)
	i := &instance{Memory: m, Cache: m.Cache("p"), changes: make(chan error, 100)}
	o.Prefix, o.MaxValue, o.Changed = prefix, 1<<20, func(err error) { i.changes <- err }
	i.shared = cache.NewRedis(m, o)
	m.Share(i.shared)
	t.Cleanup(func() { i.stop(t) })
	return i
}

// stop closes the shared layer, once.
func (i *instance) stop(t testing.TB) {
	if i.Share(nil); i.stopped {
		return
	}
	i.stopped = true
	if err := i.shared.Close(); err != nil {
		t.Error(err)
	}
}

// eventually waits until a condition holds, for ten seconds at most.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not come about: %s", what)
		}
	}
}

// set stores a value and waits until Redis has it.
func (i *instance) set(t testing.TB, key, value string) {
	t.Helper()
	before := i.shared.Stats().Written
	if err := i.Cache.Set(t.Context(), key, value, time.Hour); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the write of "+key, func() bool { return i.shared.Stats().Written > before })
}

func (i *instance) get(key string) string {
	var value string
	if !i.Cache.Get(context.Background(), key, &value) {
		return "absent"
	}
	return value
}

func TestInstancesShareValues(t *testing.T) {
	server := redistest.Start(t)
	a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
	a.set(t, "k", "v")
	if got := b.get("k"); got != "v" {
		t.Fatalf("the other instance reads %s", got)
	}
	if s := b.shared.Stats(); s.Hits != 1 || s.Misses != 0 || !s.Available || s.Circuit != "closed" || s.Keys == 0 {
		t.Errorf("%+v", s)
	}
	if got := b.get("k"); got != "v" || b.shared.Stats().Hits != 1 {
		t.Errorf("read %s, and not from memory", got)
	}
	if b.get("other") != "absent" || b.shared.Stats().Misses != 1 {
		t.Errorf("%+v", b.shared.Stats())
	}
	got, err := cache.Load(t.Context(), newInstance(t, server.Address()).Cache, "k", time.Hour, func(context.Context) (string, error) {
		return "made again", nil
	})
	if err != nil || got != "v" {
		t.Errorf("Load: %s, %v", got, err)
	}
}

func TestValuesLiveAsLongAsTheirTTL(t *testing.T) {
	server := redistest.Start(t)
	a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
	began := time.Now()
	if err := a.Cache.Set(t.Context(), "k", "v", 700*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the write", func() bool { return a.shared.Stats().Written == 1 })
	if got := b.get("k"); got != "v" {
		t.Fatal(got)
	}
	eventually(t, "the end of the value in both", func() bool { return a.get("k") == "absent" && b.get("k") == "absent" })
	if lived := time.Since(began); lived < 700*time.Millisecond {
		t.Errorf("gone after %v", lived)
	}
}

// shared is the key of a plugin's value as it is stored.
func stored(key string) string { return "plugin\x00p\x00" + key }

func TestPurgesReachEveryInstance(t *testing.T) {
	server := redistest.Start(t)
	for name, purge := range map[string]func(ctx context.Context, i *instance) error{
		"delete":    func(ctx context.Context, i *instance) error { return i.Cache.Delete(ctx, "k") },
		"namespace": func(ctx context.Context, i *instance) error { return i.Cache.Flush(ctx) },
		"all": func(ctx context.Context, i *instance) error {
			_, err := i.PurgeShared(ctx, cache.Purge{All: true})
			return err
		},
		"pattern": func(ctx context.Context, i *instance) error {
			_, err := i.PurgeShared(ctx, cache.Purge{Selectors: []cache.Selector{{Pattern: "p?k"}}})
			return err
		},
		"key": func(ctx context.Context, i *instance) error {
			_, err := i.PurgeShared(ctx, cache.Purge{Selectors: []cache.Selector{{Key: stored("k")}}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
			a.set(t, "k", "old")
			if b.get("k") != "old" {
				t.Fatal("not shared")
			}
			if err := purge(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if got := a.get("k"); got != "absent" {
				t.Errorf("the instance that purged reads %s", got)
			}
			if got := newInstance(t, server.Address()).get("k"); got != "absent" {
				t.Errorf("a new instance reads %s", got)
			}
			eventually(t, "the purge on the other instance", func() bool { return b.get("k") == "absent" })
			b.set(t, "k", "new")
			if a.get("k") != "new" {
				t.Errorf("made again: %s", a.get("k"))
			}
		})
	}
}

func TestTagsReachEveryInstance(t *testing.T) {
	server := redistest.Start(t)
	a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
	put := func(i *instance, key string, tags ...string) {
		before := i.shared.Stats().Written
		i.shared.Set(t.Context(), key, []byte("v"), time.Hour, tags, i.shared.Now())
		eventually(t, "the write", func() bool { return i.shared.Stats().Written > before })
	}
	there := func(i *instance, key string) bool { _, ok := i.shared.Get(t.Context(), key); return ok }
	put(a, "1", "x", "y")
	put(a, "2", "z")
	b.Memory.Set("1", "in memory", cache.Entry{TTL: time.Hour, Tags: []string{"y"}, Made: b.Now()})
	if !there(b, "1") || !there(b, "2") {
		t.Fatal("not shared")
	}
	if _, err := a.PurgeShared(t.Context(), cache.Purge{Tags: []string{"y", "w"}}); err != nil {
		t.Fatal(err)
	}
	if there(a, "1") || !there(a, "2") {
		t.Error("purged wrongly where it was asked for")
	}
	eventually(t, "the purge on the other instance", func() bool { _, _, ok := b.Peek("1"); return !ok && !there(b, "1") })
	if !there(b, "2") {
		t.Error("another tag was purged")
	}
	put(b, "1", "y")
	eventually(t, "the value made again", func() bool { return there(a, "1") })
}

// What was begun before a purge never arrives after it, wherever either happened.
func TestLateWritesAreRefused(t *testing.T) {
	server := redistest.Start(t)
	for name, purge := range map[string]cache.Purge{
		"key": {Keys: []string{"k"}}, "tag": {Tags: []string{"t"}}, "selector": {Selectors: []cache.Selector{{Key: "k"}}}, "all": {All: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
			began := a.shared.Now()
			if _, err := b.PurgeShared(t.Context(), purge); err != nil {
				t.Fatal(err)
			}
			a.shared.Set(t.Context(), "k", []byte("old"), time.Hour, []string{"t"}, began)
			eventually(t, "the end of the write", func() bool { s := a.shared.Stats(); return s.Written+s.Dropped == 1 })
			absent := func() bool { _, ok := a.shared.Get(t.Context(), "k"); return !ok }
			eventually(t, "the purge where the write came from", absent)
			for _, i := range []*instance{b, newInstance(t, server.Address())} {
				if found, ok := i.shared.Get(t.Context(), "k"); ok {
					t.Errorf("read %s", found.Value)
				}
			}
		})
	}
}

// A message that is lost costs a second: the log says it all.
func TestALostMessageHeals(t *testing.T) {
	server := redistest.Start(t)
	a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
	a.set(t, "k", "v")
	if b.get("k") != "v" {
		t.Fatal("not shared")
	}
	// Nobody listens: every subscriber's connection is gone.
	if err := server.Client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if err := a.Cache.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the purge without its message", func() bool { return b.get("k") == "absent" })
}

func TestDamagedAndForeignValuesAreMisses(t *testing.T) {
	server := redistest.Start(t)
	ctx := t.Context()
	a := newInstance(t, server.Address())
	a.set(t, "k", "v")
	a.set(t, "other", "w")
	keys, err := server.Client.Keys(ctx, prefix+"*:plugin*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	key, other := keys[0], keys[1]
	if strings.HasSuffix(key, "other") {
		key, other = other, key
	}
	whole, err := server.Client.Get(ctx, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := server.Client.Get(ctx, other).Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"empty": "", "text": "v", "cut": whole[:len(whole)-1], "longer": whole + "x", "of another key": foreign,
		"damaged": whole[:len(whole)/2] + "\xff" + whole[len(whole)/2+1:], "newer version": strings.Replace(whole, "icv\x01", "icv\x02", 1),
	} {
		if err := server.Client.Set(ctx, key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got := newInstance(t, server.Address()).get("k"); got != "absent" {
			t.Errorf("%s: read %q", name, got)
		}
	}
	if err := server.Client.Del(ctx, key).Err(); err != nil {
		t.Fatal(err)
	}
	if err := server.Client.LPush(ctx, key, "a list").Err(); err != nil {
		t.Fatal(err)
	}
	b := newInstance(t, server.Address())
	if got := b.get("k"); got != "absent" || !b.shared.Stats().Available {
		t.Errorf("a list: read %q, %+v", got, b.shared.Stats())
	}
	if err := server.Client.Set(ctx, key, whole, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got := newInstance(t, server.Address()).get("k"); got != "v" {
		t.Errorf("whole again: %q", got)
	}
}

// The server is away in every way that there is. Nobody gets an error, nobody waits once the circuit is open, and the layer is back
// soon after the server.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]struct {
		begin, end func(s *redistest.Server, p *redistest.Slow)
	}{
		"killed, restarted empty": {
			func(s *redistest.Server, _ *redistest.Slow) { s.Kill() },
			func(s *redistest.Server, _ *redistest.Slow) { s.Restart() },
		},
		"hung": {
			func(s *redistest.Server, _ *redistest.Slow) { s.Hang() },
			func(s *redistest.Server, _ *redistest.Slow) { s.Resume() },
		},
		"slow": {
			func(_ *redistest.Server, p *redistest.Slow) { p.SetDelay(200 * time.Millisecond) },
			func(_ *redistest.Server, p *redistest.Slow) { p.SetDelay(0) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			proxy := server.StartSlow(t)
			a, b := newInstance(t, proxy.Address), newInstance(t, proxy.Address)
			if err := <-a.changes; err != nil {
				t.Fatal(err)
			}
			load := func(key string) string {
				got, err := cache.Load(t.Context(), a.Cache, key, time.Hour, func(context.Context) (string, error) { return "made", nil })
				if err != nil {
					t.Errorf("%s: %v", key, err)
				}
				return got
			}
			load("kept")
			for _, key := range []string{"deleted", "kept too"} {
				b.set(t, key, "old")
			}
			fault.begin(server, proxy)
			n := 0
			eventually(t, "the circuit opens", func() bool { n++; load(fmt.Sprint("cold ", n)); return !a.shared.Stats().Available })
			if n > 6 {
				t.Errorf("it took %d loads", n)
			}
			var slowest time.Duration
			for i := range 1000 {
				began := time.Now()
				if load("kept") != "made" || load(fmt.Sprint("away ", i)) != "made" {
					t.Error("a wrong value")
				}
				slowest = max(slowest, time.Since(began))
			}
			t.Logf("slowest pair of a hit and a miss with the circuit open: %v", slowest)
			if slowest > 100*time.Millisecond {
				t.Errorf("somebody waited for Redis: %v", slowest)
			}
			// A purge is not claimed to have happened there, and happens before anything is read from there again.
			if err := a.Cache.Delete(t.Context(), "deleted"); err == nil {
				t.Error("a purge with Redis away claims success")
			}
			select {
			case err := <-a.changes:
				if err == nil {
					t.Error("told that all is well")
				}
			case <-time.After(time.Second):
				t.Error("nothing was told")
			}

			fault.end(server, proxy)
			began := time.Now()
			eventually(t, "the circuit closes", func() bool { return a.shared.Stats().Available })
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("back after %v", took)
			}
			if got := a.get("deleted"); got != "absent" {
				t.Errorf("purged while Redis was away, and read again: %s", got)
			}
			eventually(t, "the purge on the other instance", func() bool { return b.get("deleted") == "absent" })
			eventually(t, "the other instance is back", func() bool { return b.shared.Stats().Available })
			if got := b.get("kept too"); got != "old" {
				t.Errorf("what was not purged: %s", got)
			}
			b.set(t, "after", "v")
			if got := a.get("after"); got != "v" {
				t.Errorf("not shared again: %s", got)
			}
			if err := <-a.changes; err != nil {
				t.Errorf("told of the return: %v", err)
			}
			if len(a.changes) > 0 {
				t.Errorf("told more than once: %v", <-a.changes)
			}
		})
	}
}

func TestAServerThatComesLate(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	a := newInstance(t, server.Address())
	if err := <-a.changes; err == nil {
		t.Error("not told that Redis is away")
	}
	if err := a.Cache.Set(t.Context(), "k", "v", time.Hour); err != nil || a.get("k") != "v" {
		t.Errorf("memory does not serve alone: %v", err)
	}
	server.Restart()
	eventually(t, "the layer", func() bool { return a.shared.Stats().Available })
	a.set(t, "k2", "v")
	if got := newInstance(t, server.Address()).get("k2"); got != "v" {
		t.Error(got)
	}
}

// A purge that Redis took and lost, before the other instance could ask for it, is given to it again.
func TestAPurgeSurvivesTheServer(t *testing.T) {
	server := redistest.Start(t)
	proxy := server.StartSlow(t)
	a, b := newInstance(t, server.Address()), newInstance(t, proxy.Address)
	a.set(t, "k", "v")
	if b.get("k") != "v" {
		t.Fatal("not shared")
	}
	proxy.SetDelay(time.Second)
	eventually(t, "the circuit of the other opens", func() bool { b.get("cold"); return !b.shared.Stats().Available })
	if err := a.Cache.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if b.get("k") != "v" {
		t.Fatal("the other instance knows of it: this tests nothing")
	}
	server.Restart()
	proxy.SetDelay(0)
	eventually(t, "the purge", func() bool { return b.get("k") == "absent" })
}

// Three thousand loads on three instances run fn once.
func TestOneLoadInTheCluster(t *testing.T) {
	server := redistest.Start(t)
	var calls atomic.Int32
	var wait sync.WaitGroup
	start := make(chan struct{})
	for range 3 {
		i := newInstance(t, server.Address())
		for range 1000 {
			wait.Go(func() {
				<-start
				got, err := cache.Load(t.Context(), i.Cache, "k", time.Hour, func(context.Context) (string, error) {
					calls.Add(1)
					time.Sleep(300 * time.Millisecond)
					return "made", nil
				})
				if err != nil || got != "made" {
					t.Errorf("%s, %v", got, err)
				}
			})
		}
	}
	close(start)
	wait.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

// A lock whose holder died delays the others no longer than it lasts; one that is held is prolonged.
func TestADeadLeaderDelaysNobodyForLong(t *testing.T) {
	server := redistest.Start(t)
	a, dead := newInstance(t, server.Address()), newInstance(t, server.Address())
	never := func(cache.Found) bool { return false }
	_ = dead.shared.Lead(t.Context(), stored("k"), never)
	dead.stop(t)
	began := time.Now()
	got, err := cache.Load(t.Context(), a.Cache, "k", time.Hour, func(context.Context) (string, error) { return "made", nil })
	if took := time.Since(began); err != nil || got != "made" || took < time.Second || took > 4*time.Second {
		t.Errorf("%s, %v after %v", got, err, took)
	}
	locked := func() bool { return len(server.Client.Keys(t.Context(), prefix+"lock:*:long").Val()) == 1 }
	done := a.shared.Lead(t.Context(), "long", never)
	time.Sleep(2500 * time.Millisecond) // longer than the lock lasts
	if !locked() {
		t.Error("a lock was not prolonged")
	}
	done()
	eventually(t, "the release", func() bool { return !locked() })
}

func TestTooLargeValuesAreDropped(t *testing.T) {
	server := redistest.Start(t)
	a := newInstance(t, server.Address())
	a.shared.Set(t.Context(), "k", make([]byte, 1<<20+1), time.Hour, nil, a.shared.Now())
	if s := a.shared.Stats(); s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
}

// Writes that Redis can't take are dropped, not piled up.
func TestWritesAreBounded(t *testing.T) {
	server := redistest.Start(t)
	a := newInstance(t, server.Address())
	made := a.shared.Now()
	server.Hang()
	defer server.Resume()
	began := time.Now()
	for n := range 200 {
		a.shared.Set(t.Context(), fmt.Sprint(n), make([]byte, 1<<20), time.Hour, nil, made)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("who writes waits: %v", took)
	}
	if s := a.shared.Stats(); s.Dropped < 150 {
		t.Errorf("%+v", s)
	}
}

func TestRefusedWritesAreNoOutage(t *testing.T) {
	server := redistest.Start(t)
	a := newInstance(t, server.Address())
	a.set(t, "k", "v")
	if err := server.Client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if err := a.Cache.Set(t.Context(), fmt.Sprint(n), "v", time.Hour); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the refusals", func() bool { return a.shared.Stats().Dropped == 10 })
	if s := a.shared.Stats(); !s.Available || s.Errors == 0 {
		t.Errorf("out of memory: %+v", s)
	}
}

func TestSelectors(t *testing.T) {
	for _, c := range []struct {
		selector cache.Selector
		stored   string
		want     bool
	}{
		{cache.Selector{Key: "GET@ /a"}, "scope GET@ /a", true},
		{cache.Selector{Key: "GET@ /a"}, "scope GET@ /ab", false},
		{cache.Selector{Key: "k"}, "k", true},
		{cache.Selector{Pattern: "products"}, "GET@ /api/products?x=1", true},
		{cache.Selector{Pattern: "/api/*/1"}, "GET@ /api/pages/1", true},
		{cache.Selector{Pattern: "/api/*/1"}, "GET@ /api/pages/2", false},
		{cache.Selector{Pattern: "a?c"}, "xxabcxx", true},
		{cache.Selector{Pattern: "a?c"}, "xxacxx", false},
		{cache.Selector{Pattern: "a*b*c"}, "a1b2b3", false},
		{cache.Selector{Pattern: "*"}, "", true},
		{cache.Selector{Pattern: "scope"}, "scope GET@ /a", false},
		{cache.Selector{Pattern: "plugin"}, "plugin\x00chat\x00a b", true},
		{cache.Selector{Key: "b"}, "plugin\x00chat\x00a b", false},
		{cache.Selector{Prefix: "p\x00"}, "p\x00k", true},
		{cache.Selector{Prefix: "p\x00"}, "q\x00k", false},
		{cache.Selector{}, "anything", false},
	} {
		if got := c.selector.Matches(c.stored); got != c.want {
			t.Errorf("%+v of %q: %v", c.selector, c.stored, got)
		}
	}
	slow := cache.Selector{Pattern: strings.Repeat("*a", 300) + "b"}
	began := time.Now()
	if slow.Matches(strings.Repeat("a", 10_000)) || time.Since(began) > time.Second {
		t.Errorf("a hostile pattern takes %v", time.Since(began))
	}
}

func BenchmarkRedis(b *testing.B) {
	server := redistest.Start(b)
	i := newInstance(b, server.Address())
	i.shared.Set(b.Context(), "k", make([]byte, 10_000), time.Hour, []string{"a", "b"}, i.shared.Now())
	eventually(b, "the write", func() bool { return i.shared.Stats().Written == 1 })
	if err := server.Client.Set(b.Context(), "bare", make([]byte, 10_100), 0).Err(); err != nil {
		b.Fatal(err)
	}
	b.Run("layer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := i.shared.Get(b.Context(), "k"); !ok {
				b.Fatal("miss")
			}
		}
	})
	b.Run("bare GET", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := server.Client.Get(b.Context(), "bare").Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
