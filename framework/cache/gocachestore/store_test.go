package gocachestore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocache "github.com/eko/gocache/lib/v4/cache"
	"github.com/eko/gocache/lib/v4/store"
	redisstore "github.com/eko/gocache/store/redis/v4"
	"go.uber.org/goleak"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/cache/gocachestore"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type node struct {
	*gocachestore.Store
	memory *cache.Memory
	shared *cache.Redis
}

// startNode returns a store over a memory with a Redis behind it.
func startNode(t *testing.T, server *redistest.Server, defaults ...store.Option) *node {
	t.Helper()
	memory, err := cache.NewMemory(8 << 20)
	if err != nil {
		t.Fatal(err)
	}
	shared := cache.NewRedis(memory, cache.RedisOptions{Addresses: []string{server.Address()}, Prefix: "test:", MaxValue: 1 << 20})
	memory.Share(shared)
	t.Cleanup(func() {
		if err := errors.Join(shared.Close(), memory.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return &node{gocachestore.New(memory.Cache("shop"), defaults...), memory, shared}
}

// written waits until a value is in Redis.
func (n *node) written(t *testing.T, values int64) {
	t.Helper()
	eventually(t, "the writes", func() bool { return n.shared.Stats().Written == values })
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not come about: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestValuesComeBackFromEveryLayer(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server), startNode(t, server)
	ctx := t.Context()
	must(t, gocache.New[[]byte](a).Set(ctx, "bytes", []byte("b"), store.WithExpiration(time.Hour)))
	must(t, gocache.New[string](a).Set(ctx, "text", "t"))
	a.written(t, 2)
	for name, n := range map[string]*node{"memory": a, "Redis": b} {
		if v, err := gocache.New[[]byte](n).Get(ctx, "bytes"); err != nil || string(v) != "b" {
			t.Errorf("%s: %q, %v", name, v, err)
		}
		if v, err := gocache.New[string](n).Get(ctx, "text"); err != nil || v != "t" {
			t.Errorf("%s: %q, %v", name, v, err)
		}
		_, left, err := gocache.New[[]byte](n).GetWithTTL(ctx, "bytes")
		if err != nil || left > time.Hour || left < time.Hour-time.Minute {
			t.Errorf("%s: %v are left, %v", name, left, err)
		}
		if _, left, err := n.GetWithTTL(ctx, "text"); err != nil || left > gocachestore.DefaultTTL || left < gocachestore.DefaultTTL-time.Minute {
			t.Errorf("%s: %v are left, %v", name, left, err)
		}
		if _, err := n.Get(ctx, "absent"); !errors.Is(err, store.NotFound{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.GetType() != gocachestore.Type {
		t.Error(b.GetType())
	}
}

// Less than a second is not rounded to none, which is forever.
func TestValuesExpireTogether(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server), startNode(t, server, store.WithExpiration(time.Minute))
	must(t, a.Set(t.Context(), "k", "v", store.WithExpiration(700*time.Millisecond)))
	a.written(t, 1)
	if _, left, err := b.GetWithTTL(t.Context(), "k"); err != nil || left > 700*time.Millisecond {
		t.Errorf("%v are left, %v", left, err)
	}
	eventually(t, "its end", func() bool {
		_, here := a.Get(t.Context(), "k")
		_, there := b.Get(t.Context(), "k")
		return here != nil && there != nil
	})
	must(t, b.Set(t.Context(), "k", "v"))
	if _, left, err := b.GetWithTTL(t.Context(), "k"); err != nil || left > time.Minute {
		t.Errorf("the store's default: %v, %v", left, err)
	}
}

func TestWhatItDoesNotTake(t *testing.T) {
	s := startNode(t, redistest.Start(t))
	for name, err := range map[string]error{
		"a key":        s.Set(t.Context(), 1, "v"),
		"a value":      s.Set(t.Context(), "k", 1),
		"a past":       s.Set(t.Context(), "k", "v", store.WithExpiration(-1)),
		"key, get":     func() error { _, err := s.Get(t.Context(), 1); return err }(),
		"key, deleted": s.Delete(t.Context(), 1),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.NotFound{}) {
		t.Errorf("stored: %v", err)
	}
	must(t, s.Invalidate(t.Context()))
}

// Deleting, invalidating and clearing reach every layer and instance, and nothing that is not meant.
func TestPurges(t *testing.T) {
	server := redistest.Start(t)
	for name, purge := range map[string]func(ctx context.Context, s *node) error{
		"delete": func(ctx context.Context, s *node) error { return s.Delete(ctx, "k") },
		"invalidate": func(ctx context.Context, s *node) error {
			return s.Invalidate(ctx, store.WithInvalidateTags([]string{"t"}))
		},
		"clear": func(ctx context.Context, s *node) error { return s.Clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := startNode(t, server), startNode(t, server)
			other := gocachestore.New(a.memory.Cache("other"))
			must(t, other.Set(t.Context(), "k", "v", store.WithTags([]string{"t"})))
			must(t, a.Set(t.Context(), "k", "v", store.WithTags([]string{"t", "u"})))
			must(t, server.Client.Set(t.Context(), "not ours", "v", 0).Err())
			a.written(t, 2)
			if _, err := b.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			must(t, purge(t.Context(), a))
			for _, n := range []*node{a, startNode(t, server)} {
				if _, err := n.Get(t.Context(), "k"); err == nil {
					t.Error("it is there")
				}
			}
			eventually(t, "the purge on the other instance", func() bool { _, err := b.Get(t.Context(), "k"); return err != nil })
			if _, err := other.Get(t.Context(), "k"); err != nil {
				t.Errorf("another namespace: %v", err)
			}
			if err := server.Client.Get(t.Context(), "not ours").Err(); err != nil {
				t.Errorf("another program's: %v", err)
			}
		})
	}
	// Writers never escape a purge: each writes what the source says, and purges when that changes.
	n := startNode(t, server)
	tag := store.WithTags([]string{"all"})
	var writers sync.WaitGroup
	for i := range 300 {
		writers.Go(func() { _ = n.Set(context.Background(), fmt.Sprint(i), "old", tag) })
	}
	writers.Wait()
	must(t, n.Invalidate(t.Context(), store.WithInvalidateTags([]string{"all"})))
	for i := range 300 {
		if _, err := n.Get(t.Context(), fmt.Sprint(i)); err == nil {
			t.Fatalf("%d of 300 escaped", i)
		}
	}
}

func TestRedisAway(t *testing.T) {
	server := redistest.Start(t)
	s := startNode(t, server)
	must(t, s.Set(t.Context(), "k", "v"))
	s.written(t, 1)
	server.Kill()
	must(t, s.Set(t.Context(), "more", "v"))
	if _, err := s.Get(t.Context(), "k"); err != nil {
		t.Errorf("memory: %v", err)
	}
	for name, err := range map[string]error{
		"delete": s.Delete(t.Context(), "k"), "clear": s.Clear(t.Context()),
		"invalidate": s.Invalidate(t.Context(), store.WithInvalidateTags([]string{"t"})),
	} {
		if err == nil || !strings.Contains(err.Error(), "redis") {
			t.Errorf("%s claims success: %v", name, err)
		}
	}
	if _, err := s.Get(t.Context(), "k"); err == nil {
		t.Error("deleted, and there")
	}
}

func TestLoadable(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server), startNode(t, server)
	var loads atomic.Int32
	load := func(context.Context, any) (string, []store.Option, error) {
		loads.Add(1)
		return "loaded", []store.Option{store.WithExpiration(time.Hour)}, nil
	}
	for _, s := range []*node{a, a, b} {
		loadable := gocache.NewLoadable(load, gocache.New[string](s))
		if v, err := loadable.Get(t.Context(), "k"); err != nil || v != "loaded" {
			t.Errorf("%q, %v", v, err)
		}
		must(t, loadable.Close())
		a.written(t, 1)
	}
	if loads.Load() != 1 {
		t.Errorf("loaded %d times", loads.Load())
	}
}

// Before another store, and behind one.
func TestChain(t *testing.T) {
	server := redistest.Start(t)
	s := startNode(t, server)
	redis := redisstore.NewRedis(server.Client)
	chain := gocache.NewChain[string](gocache.New[string](s), gocache.New[string](redis))
	must(t, server.Client.Set(t.Context(), "k", "v", time.Minute).Err())
	if v, err := chain.Get(t.Context(), "k"); err != nil || v != "v" {
		t.Errorf("%q, %v", v, err)
	}
	must(t, chain.Close())
	if v, left, err := s.GetWithTTL(t.Context(), "k"); err != nil || string(v.([]byte)) != "v" || left > time.Minute {
		t.Errorf("not kept by the first: %v, %v, %v", v, left, err)
	}
	behind := gocache.NewChain[string](gocache.New[string](redis), gocache.New[string](s))
	must(t, s.Set(t.Context(), "ours", "v", store.WithExpiration(time.Minute)))
	if v, err := behind.Get(t.Context(), "ours"); err != nil || v != "v" {
		t.Errorf("%q, %v", v, err)
	}
	must(t, behind.Close())
	if left, err := server.Client.TTL(t.Context(), "ours").Result(); err != nil || left <= 0 || left > time.Minute {
		t.Errorf("in the other store for %v, %v", left, err)
	}
}
