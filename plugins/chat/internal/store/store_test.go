package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

// redisStore is a store in Redis as one instance has it.
type redisStore struct {
	*store.Redis
	memory *store.Memory
	client *cache.Redis
	taken  atomic.Int32 // operations that memory took
	logs   *lines
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newRedis(t testing.TB, server *redistest.Server, ttl time.Duration) *redisStore {
	t.Helper()
	return newRedisOn(t, cache.RedisOptions{Addresses: []string{server.Address()}}, ttl)
}

func newRedisOn(t testing.TB, o cache.RedisOptions, ttl time.Duration) *redisStore {
	t.Helper()
	o.Prefix, o.MaxValue = "test:", 1<<20
	layers, err := cache.NewMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	r := &redisStore{memory: store.NewMemory(store.Limits{TTL: ttl, MaxBytes: 1 << 20}), logs: &lines{}}
	r.client = cache.NewRedis(layers, o)
	r.Redis = store.NewRedis(r.client, store.RedisOptions{
		Name: "things", TTL: ttl, Memory: r.memory, Log: slog.New(slog.NewTextHandler(r.logs, nil)),
		Merge: func(shared, here []byte) []byte { return []byte(string(shared) + "+" + string(here)) },
		Count: func() { r.taken.Add(1) },
	})
	ctx, stop := context.WithCancel(context.Background())
	var back sync.WaitGroup
	back.Go(func() { r.BringBack(ctx) })
	t.Cleanup(func() {
		stop()
		back.Wait()
		if err := errors.Join(r.client.Close(), layers.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the circuit is closed", func() bool { return r.client.Stats().Available })
	return r
}

func openFile(t testing.TB, path string, limits store.Limits) store.Store {
	t.Helper()
	f, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := f.Space("things", limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
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

// each runs a test for every kind of store, with a second view of the same values: another instance's, for Redis.
func each(t *testing.T, ttl time.Duration, test func(t *testing.T, s, other store.Store)) {
	limits := store.Limits{TTL: ttl, MaxBytes: 1 << 20}
	t.Run("memory", func(t *testing.T) {
		m := store.NewMemory(limits)
		test(t, m, m)
	})
	t.Run("file", func(t *testing.T) {
		s := openFile(t, filepath.Join(t.TempDir(), "chat.db"), limits)
		test(t, s, s)
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t)
		test(t, newRedis(t, server, ttl), newRedis(t, server, ttl))
	})
}

func get(t testing.TB, s store.Store, key string) string {
	t.Helper()
	value, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func put(t testing.TB, s store.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func lock(t testing.TB, s store.Store, key string) *store.Lock {
	t.Helper()
	l, err := s.Lock(t.Context(), key, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestValues(t *testing.T) {
	each(t, time.Hour, func(t *testing.T, s, other store.Store) {
		if got := get(t, s, "a"); got != "" {
			t.Errorf("an empty store has %q", got)
		}
		put(t, s, "a", "one")
		put(t, s, "a", "two")
		put(t, s, "b", "three")
		if a, b := get(t, other, "a"), get(t, other, "b"); a != "two" || b != "three" {
			t.Errorf("a is %q, b is %q", a, b)
		}
		for range 2 {
			if err := other.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		if got := get(t, s, "a"); got != "" {
			t.Errorf("after its deletion a is %q", got)
		}
	})
}

// Keys may be of any bytes, and none is taken for another.
func TestHostileKeys(t *testing.T) {
	each(t, time.Hour, func(t *testing.T, s, other store.Store) {
		keys := []string{
			"a", "a:value", "a:lock", "{a}", "}a{", "a}{b", "*", "../a", "a\x00", "\xff\xfe", " ", "'; DROP", "ä", strings.Repeat("k", 1000),
		}
		for _, key := range keys {
			l := lock(t, s, key)
			if l.Value != nil {
				t.Errorf("%.20q has the value %q of another key", key, l.Value)
			}
			if err := l.Put(t.Context(), []byte("of "+key)); err != nil {
				t.Errorf("%.20q: %v", key, err)
			}
			defer l.Release() // every lock is one of its own
		}
		for _, key := range keys {
			if got := get(t, other, key); got != "of "+key {
				t.Errorf("%.20q is %.20q", key, got)
			}
		}
	})
}

func TestValuesExpire(t *testing.T) {
	each(t, 100*time.Millisecond, func(t *testing.T, s, _ store.Store) {
		put(t, s, "a", "one")
		time.Sleep(150 * time.Millisecond)
		if got := get(t, s, "a"); got != "" {
			t.Errorf("%q is there after its time", got)
		}
	})
}

func TestLockLetsOneChangeAValueAtATime(t *testing.T) {
	each(t, time.Hour, func(t *testing.T, s, other store.Store) {
		var all sync.WaitGroup
		const each = 25
		for _, s := range []store.Store{s, other, s, other} {
			all.Go(func() {
				for range each {
					l, err := s.Lock(t.Context(), "a", 20*time.Second)
					if err == nil {
						err = l.Put(t.Context(), []byte(string(l.Value)+"x"))
						l.Release()
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		if got := len(get(t, s, "a")); got != 4*each {
			t.Errorf("%d of %d changes are left", got, 4*each)
		}
	})
}

func TestLockIsRefusedWhileAnotherHasIt(t *testing.T) {
	each(t, time.Hour, func(t *testing.T, s, other store.Store) {
		l := lock(t, s, "a")
		if _, err := other.Lock(t.Context(), "a", 50*time.Millisecond); !errors.Is(err, store.ErrBusy) {
			t.Errorf("a second lock: %v", err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := other.Lock(gone, "a", time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("a lock for somebody who left: %v", err)
		}
		lock(t, other, "b").Release() // another key is free
		l.Release()
		lock(t, other, "a").Release()
	})
}

func TestDeletedValueDoesNotComeBack(t *testing.T) {
	each(t, time.Hour, func(t *testing.T, s, other store.Store) {
		put(t, s, "a", "one")
		l := lock(t, s, "a")
		if err := other.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := l.Put(t.Context(), []byte("one and two")); !errors.Is(err, store.ErrLost) {
			t.Errorf("Put after the deletion: %v", err)
		}
		l.Release()
		if got := get(t, s, "a"); got != "" {
			t.Errorf("after its deletion the value is %q", got)
		}
		l = lock(t, other, "a")
		if err := l.Put(t.Context(), []byte("new")); err != nil || l.Value != nil {
			t.Errorf("a new value: %v; before it %q", err, l.Value)
		}
		l.Release()
	})
}

func TestBoundsHold(t *testing.T) {
	limits := store.Limits{TTL: time.Hour, MaxBytes: 10_000}
	for name, s := range map[string]store.Store{
		"memory": store.NewMemory(limits), "file": openFile(t, filepath.Join(t.TempDir(), "chat.db"), limits),
	} {
		t.Run(name, func(t *testing.T) {
			value := strings.Repeat("x", 1000)
			for i := range 50 {
				put(t, s, fmt.Sprint("k", i%30), value)
			}
			held := 0
			for i := range 30 {
				held += len(get(t, s, fmt.Sprint("k", i)))
			}
			if held == 0 || held > 10_000 {
				t.Errorf("%d bytes are held, of at most 10,000", held)
			}
			if get(t, s, "k19") == "" || get(t, s, "k20") != "" {
				t.Error("not the value that was written first went")
			}
		})
	}
}

func TestFileOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	f, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Space("things", store.Limits{TTL: time.Hour, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "one")
	if _, err := store.OpenFile(path); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("a second one opens the file: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, openFile(t, path, store.Limits{TTL: time.Hour, MaxBytes: 1 << 20}), "a"); got != "one" {
		t.Errorf("the file holds %q", got)
	}
}

func TestProbe(t *testing.T) {
	each(t, time.Hour, func(t *testing.T, s, other store.Store) {
		put(t, s, "probe", "kept")
		for range 2 {
			if err := s.Probe(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := get(t, other, "probe"); got != "kept" {
			t.Errorf("a probe wrote over a value: %q", got)
		}
	})
}

func TestProbeOfRedisThatTakesNothing(t *testing.T) {
	server := redistest.Start(t)
	s := newRedis(t, server, time.Hour)
	config := func(name, value string) {
		if err := server.Client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	config("min-replicas-to-write", "1") // it answers, and refuses to write
	if s.Probe(t.Context()) == nil {
		t.Error("a server that refuses to write is said to keep what it is given")
	}
	config("min-replicas-to-write", "0")
	eventually(t, "it writes again", func() bool { return s.Probe(t.Context()) == nil })
	server.Hang()
	if s.Probe(t.Context()) == nil {
		t.Error("a server that hangs is said to keep what it is given")
	}
	server.Resume()
	eventually(t, "it answers again", func() bool { return s.Probe(t.Context()) == nil })
}
