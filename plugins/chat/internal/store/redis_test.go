package store_test

import (
	"errors"
	"fmt"
	"strings"
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
			if s.Delete(t.Context(), "a") == nil {
				t.Error("a deletion is said to be done that Redis did not carry out")
			}
			if s.taken.Load() == before {
				t.Error("nothing was counted")
			}
			fault.end()
			eventually(t, "everything is brought back", func() bool { return s.memory.Len() == 0 })
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
