package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

func TestMemoryTakesThePlaceOfRedis(t *testing.T) {
	server := redistest.Start(t)
	s := newRedis(t, server, time.Hour)
	put(t, s, "a", "shared")
	for name, fault := range map[string]struct{ begin, end func() }{
		"hung": {server.Hang, server.Resume},
		"gone": {server.Kill, server.Restart},
	} {
		t.Run(name, func(t *testing.T) {
			key, before := "during "+name, s.taken.Load()
			fault.begin()
			l := lock(t, s, key)
			if err := l.Put(t.Context(), []byte("here")); err != nil {
				t.Error(err)
			}
			l.Release()
			put(t, s, key+" too", "here")
			if got := get(t, s, key); got != "here" {
				t.Errorf("without Redis the value is %q", got)
			}
			if s.Check(t.Context()) == nil {
				t.Error("what is stored is said to be read")
			}
			if s.Delete(t.Context(), "a") == nil {
				t.Error("a deletion is said to be done that Redis did not carry out")
			}
			if s.taken.Load() == before {
				t.Error("nothing was counted")
			}
			fault.end()
			eventually(t, "everything is brought back", func() bool { return s.memory.Len() == 0 })
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			other := newRedis(t, server, time.Hour)
			if a, b := get(t, other, key), get(t, other, key+" too"); a != "here" || b != "here" {
				t.Errorf("another instance reads %q and %q", a, b)
			}
		})
	}
	for _, line := range []string{"Memory of this instance keeps things until Redis answers", "Redis keeps things again"} {
		if n := strings.Count(s.logs.String(), line); n != 2 {
			t.Errorf("%q was logged %d times, want once for each of two faults:\n%s", line, n, s.logs)
		}
	}
}

func TestWhatMemoryTookIsMerged(t *testing.T) {
	server := redistest.Start(t)
	s := newRedis(t, server, time.Hour)
	put(t, s, "a", "before")
	server.Hang()
	l := lock(t, s, "a")
	if l.Value != nil {
		t.Errorf("without Redis there is %q", l.Value)
	}
	if err := l.Put(t.Context(), []byte("during")); err != nil {
		t.Error(err)
	}
	l.Release()
	server.Resume()
	eventually(t, "the value is brought back", func() bool { return s.memory.Len() == 0 })
	if got := get(t, s, "a"); got != "before+during" {
		t.Errorf("the value is %q", got)
	}
}

// An instance that dies leaves its lock, which ends; one that only was away for too long finds that another had it.
func TestFenceKeepsOutWhoLostTheLock(t *testing.T) {
	server := redistest.Start(t)
	s, other := newRedis(t, server, time.Hour), newRedis(t, server, time.Hour)
	l := lock(t, s, "a")
	keys, err := server.Client.Keys(t.Context(), "*:lock").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("locks: %q, %v", keys, err)
	}
	server.Client.Del(t.Context(), keys[0]) // as if it had ended
	l2 := lock(t, other, "a")
	if err := l2.Put(t.Context(), []byte("of the other")); err != nil {
		t.Fatal(err)
	}
	if err := l.Put(t.Context(), []byte("late")); !errors.Is(err, store.ErrLost) {
		t.Errorf("a late Put: %v", err)
	}
	l.Release()
	if n := server.Client.Exists(t.Context(), keys[0]).Val(); n != 1 {
		t.Error("the late one released the lock of the other")
	}
	l2.Release()
	if got := get(t, s, "a"); got != "of the other" {
		t.Errorf("the value is %q", got)
	}
}

func TestLockIsProlonged(t *testing.T) {
	server := redistest.Start(t)
	s := newRedis(t, server, time.Hour)
	l := lock(t, s, "a")
	keys, _ := server.Client.Keys(t.Context(), "*:lock").Result()
	if len(keys) != 1 {
		t.Fatalf("locks: %q", keys)
	}
	eventually(t, "the lock nears its end", func() bool { return server.Client.PTTL(t.Context(), keys[0]).Val() < 2500*time.Millisecond })
	eventually(t, "the lock is prolonged", func() bool { return server.Client.PTTL(t.Context(), keys[0]).Val() > 2500*time.Millisecond })
	l.Release()
	if n := server.Client.Exists(t.Context(), keys[0]).Val(); n != 0 {
		t.Error("a lock that was given back is there")
	}
}

// In a Cluster the parts of a value are on one of the nodes, and values on all.
func TestCluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	s := newRedisOn(t, cache.RedisOptions{Addresses: cluster.Addresses(), Cluster: true}, time.Hour)
	for i := range 50 {
		key := fmt.Sprint("key", i)
		l := lock(t, s, key)
		if err := l.Put(t.Context(), []byte(key)); err != nil {
			t.Error(err)
		}
		l.Release()
		if got := get(t, s, key); got != key {
			t.Errorf("%s is %q", key, got)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if n := s.taken.Load(); n > 0 {
		t.Errorf("memory took %d operations", n)
	}
}

// Replicas follow their master without it waiting for them: what it took in its last moment may be lost with it, and nothing else.
func TestSentinelsFailOver(t *testing.T) {
	sentinels := redistest.StartSentinels(t)
	options := cache.RedisOptions{Addresses: sentinels.Addresses(), Master: redistest.MasterName}
	const keys, lastMoment = 4, time.Second
	type entry struct {
		key, text string
		at        time.Time
	}
	var mu sync.Mutex
	var kept []entry // what was said to be kept
	said := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(kept)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	instances := []*redisStore{newRedisOn(t, options, time.Hour), newRedisOn(t, options, time.Hour)}
	for number, s := range instances {
		for k := range keys {
			key := fmt.Sprint("key", k)
			writers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
					l, err := s.Lock(t.Context(), key, 10*time.Second)
					if err != nil {
						t.Errorf("lock: %v", err)
						return
					}
					e := entry{key: key, text: fmt.Sprintf("%s/%d/%d", key, number, n)}
					err = l.Put(t.Context(), []byte(string(l.Value)+"+"+e.text))
					l.Release()
					if e.at = time.Now(); err == nil {
						mu.Lock()
						kept = append(kept, e)
						mu.Unlock()
					} else if !errors.Is(err, store.ErrLost) { // told, not lost
						t.Errorf("put: %v", err)
					}
				}
			})
		}
	}
	more := func(n int) {
		t.Helper()
		before := said()
		eventually(t, "more is written", func() bool { return said() >= before+n })
	}
	more(50 * keys)
	killed := time.Now()
	sentinels.Master.Kill()
	more(10 * keys) // in memory
	sentinels.Await(t)
	for _, s := range instances {
		eventually(t, "the new master serves", func() bool { return s.client.Stats().Available })
	}
	more(10 * keys)
	close(stop)
	writers.Wait()
	for _, s := range instances {
		eventually(t, "everything is brought back", func() bool { return s.memory.Len() == 0 })
		if s.taken.Load() == 0 {
			t.Error("memory took nothing")
		}
	}
	other := newRedisOn(t, options, time.Hour)
	values := map[string][]string{}
	for k := range keys {
		key := fmt.Sprint("key", k)
		values[key] = strings.Split(get(t, other, key), "+")
		for _, text := range values[key] {
			if text != "" && !strings.HasPrefix(text, key+"/") {
				t.Errorf("%s has %q, which is another one's", key, text)
			}
		}
	}
	lost := 0
	for _, e := range kept {
		if slices.Contains(values[e.key], e.text) {
			continue
		}
		if lost++; e.at.After(killed) || killed.Sub(e.at) > lastMoment {
			t.Errorf("%s is lost, which was kept %v before the master died", e.text, killed.Sub(e.at))
		}
	}
	t.Logf("%d values were kept, %d of the master's last moment are lost", len(kept), lost)
}
