package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/cache"
)

type product struct {
	Name     string
	Concerns []string
}

func TestGetAndSet(t *testing.T) {
	ctx := t.Context()
	m := newMemory(t, 1<<20)
	c, other := m.Cache("catalog"), m.Cache("faq")
	want := product{"Huile d'argan", []string{"dry"}}
	if err := c.Set(ctx, "p", want, time.Hour); err != nil {
		t.Fatal(err)
	}
	want.Concerns[0] = "changed by the writer"

	var got product
	if !c.Get(ctx, "p", &got) || got.Name != "Huile d'argan" || !slices.Equal(got.Concerns, []string{"dry"}) {
		t.Errorf("read %+v", got)
	}
	got.Concerns[0] = "changed by a reader"
	var again product
	if !c.Get(ctx, "p", &again) || again.Concerns[0] != "dry" {
		t.Errorf("after a reader changed its value: %+v", again)
	}
	if other.Get(ctx, "p", &got) {
		t.Error("read by another plugin")
	}
	if !m.Cache("catalog").Get(ctx, "p", &got) {
		t.Error("not there for the next generation of the plugin")
	}
	var number int
	if c.Get(ctx, "p", &number) {
		t.Error("a product was read as a number")
	}

	raw := []byte{0, 1, 2, 255}
	if err := c.Set(ctx, "raw", raw, time.Hour); err != nil {
		t.Fatal(err)
	}
	raw[0] = 9
	var bytes []byte
	if !c.Get(ctx, "raw", &bytes) || !slices.Equal(bytes, []byte{0, 1, 2, 255}) {
		t.Errorf("read %v", bytes)
	}
	if err := c.Set(ctx, "none", 1, 0); err != nil || c.Get(ctx, "none", &number) {
		t.Error("a TTL of 0 stores")
	}
	if err := c.Set(ctx, "f", func() {}, time.Hour); err == nil || !strings.Contains(err.Error(), "store f: ") {
		t.Errorf("a value that can't be encoded: %v", err)
	}
}

func TestDeleteAndFlushKeepToTheirNamespace(t *testing.T) {
	ctx := t.Context()
	m := newMemory(t, 1<<20)
	c, other := m.Cache("a"), m.Cache("a\x00b") // a name can't reach into another
	for _, each := range []*cache.Cache{c, other} {
		for _, key := range []string{"x", "y"} {
			if err := each.Set(ctx, key, 1, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	there := func(c *cache.Cache, key string) bool { var n int; return c.Get(ctx, key, &n) }
	if err := c.Delete(ctx, "x"); err != nil || there(c, "x") || !there(c, "y") || !there(other, "x") {
		t.Error("Delete removes another key or not its own", err)
	}
	if err := c.Flush(ctx); err != nil || there(c, "y") || !there(other, "x") || !there(other, "y") {
		t.Error("Flush removes another namespace or not its own", err)
	}
	if c.Stats().Keys != 2 {
		t.Errorf("%+v", c.Stats())
	}
}

func TestLoadRunsOnce(t *testing.T) {
	m := newMemory(t, 1<<20)
	c := m.Cache("p")
	var calls atomic.Int32
	var wait sync.WaitGroup
	start := make(chan struct{})
	for range 1000 {
		wait.Go(func() {
			<-start
			got, err := cache.Load(t.Context(), c, "expensive", time.Hour, func(context.Context) (product, error) {
				calls.Add(1)
				return product{Name: "made"}, nil
			})
			if err != nil || got.Name != "made" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	close(start)
	wait.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

type requestID struct{}

func TestLoadOutlivesItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemory(t, 1<<20).Cache("p")
		load := func(ctx context.Context) (string, error) {
			return cache.Load(ctx, c, "k", time.Hour, func(ctx context.Context) (string, error) {
				select {
				case <-time.After(time.Second):
					return "made for " + ctx.Value(requestID{}).(string), nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			})
		}
		leader, leave := context.WithCancel(context.WithValue(t.Context(), requestID{}, "leader"))
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := load(leader); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader, who left, got %v", err)
			}
		})
		synctest.Wait()
		for range 9 {
			wait.Go(func() {
				if got, err := load(t.Context()); err != nil || got != "made for leader" {
					t.Errorf("a follower got %q, %v", got, err)
				}
			})
		}
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			before := time.Now()
			if _, err := load(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != 100*time.Millisecond {
				t.Errorf("a follower with its own deadline got %v after %v", err, time.Since(before))
			}
		})
		synctest.Wait()
		leave()
		wait.Wait()
	})
}

func TestLoadEndsAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemory(t, 1<<20).Cache("p")
		before := time.Now()
		_, err := cache.Load(t.Context(), c, "k", time.Hour, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(before))
		}
	})
}

func TestLoadErrorsAreNotStored(t *testing.T) {
	c := newMemory(t, 1<<20).Cache("p")
	wrong := errors.New("the shop is closed")
	for _, test := range []struct {
		fn   func(context.Context) (int, error)
		want string
	}{
		{func(context.Context) (int, error) { return 1, wrong }, "load k: the shop is closed"},
		{func(context.Context) (int, error) { panic("out of oil") }, "load k: panic: out of oil"},
		{func(context.Context) (int, error) { return 7, nil }, ""},
		{func(context.Context) (int, error) { return 8, wrong }, ""}, // stored by now
	} {
		got, err := cache.Load(t.Context(), c, "k", time.Hour, test.fn)
		if test.want == "" && (err != nil || got != 7) || test.want != "" && (err == nil || err.Error() != test.want || got != 0) {
			t.Errorf("%d, %v; want error %q", got, err, test.want)
		}
	}
	_, err := cache.Load(t.Context(), c, "k2", time.Hour, func(context.Context) (int, error) { panic(42) })
	var panicked *cache.PanicError
	if !errors.As(err, &panicked) || panicked.Value != 42 || !strings.Contains(string(panicked.Stack), "cache_test.go") {
		t.Errorf("a panic became %#v", err)
	}
	if _, err := cache.Load(t.Context(), c, "k3", time.Hour, func(context.Context) (func(), error) { return nil, nil }); err == nil {
		t.Error("a value that can't be encoded was loaded")
	}
}

func TestLoadReplacesWhatDoesNotFit(t *testing.T) {
	c := newMemory(t, 1<<20).Cache("p")
	if err := c.Set(t.Context(), "k", "a text of an older version", time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := cache.Load(t.Context(), c, "k", time.Hour, func(context.Context) (int, error) { return 5, nil })
		if err != nil || got != 5 {
			t.Errorf("%d, %v", got, err)
		}
	}
}

func TestLoadWithoutTTLIsNotStored(t *testing.T) {
	c := newMemory(t, 1<<20).Cache("p")
	for want := 1; want <= 2; want++ {
		if got, err := cache.Load(t.Context(), c, "k", 0, func(context.Context) (int, error) { return want, nil }); got != want {
			t.Errorf("%d, %v", got, err)
		}
	}
}

// A load that a purge overtakes is not stored, and nobody who asks after the purge gets what it brings.
func TestPurgeDuringLoad(t *testing.T) {
	for name, purge := range map[string]func(context.Context, *cache.Memory, *cache.Cache) error{
		"key":       func(ctx context.Context, _ *cache.Memory, c *cache.Cache) error { return c.Delete(ctx, "k") },
		"namespace": func(ctx context.Context, _ *cache.Memory, c *cache.Cache) error { return c.Flush(ctx) },
		"all":       func(_ context.Context, m *cache.Memory, _ *cache.Cache) error { m.Flush(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(t, 1<<20)
				c := m.Cache("p")
				var source atomic.Value
				source.Store("old")
				load := func() string {
					got, err := cache.Load(t.Context(), c, "k", time.Hour, func(context.Context) (string, error) {
						read := source.Load().(string)
						time.Sleep(time.Second)
						return read, nil
					})
					if err != nil {
						t.Error(err)
					}
					return got
				}
				var wait sync.WaitGroup
				wait.Go(func() { load() })
				synctest.Wait()
				source.Store("new")
				if err := purge(t.Context(), m, c); err != nil {
					t.Error(err)
				}
				if got := load(); got != "new" { // while the first is under way
					t.Errorf("after the purge: %q", got)
				}
				wait.Wait()
				if got := load(); got != "new" {
					t.Errorf("stored: %q", got)
				}
			})
		})
	}
}

func TestCloseWaitsForLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := cache.NewMemory(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		c := m.Cache("p")
		ended := make(chan error, 1)
		begin := func(key string) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // nobody waits
			_, err := cache.Load(ctx, c, key, time.Hour, func(ctx context.Context) (int, error) {
				select {
				case <-time.After(10 * time.Second):
				case <-ctx.Done():
				}
				ended <- ctx.Err()
				return 1, nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		begin("a")
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Close(hurried); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed while a load was under way: %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the load was not cancelled: %v", err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		_, err = cache.Load(t.Context(), c, "b", time.Hour, func(context.Context) (int, error) { return 1, nil })
		if !errors.Is(err, cache.ErrClosed) {
			t.Errorf("a load after Close: %v", err)
		}
	})
}

func BenchmarkLoadHit(b *testing.B) {
	c := newMemory(b, 1<<20).Cache("p")
	b.ReportAllocs()
	for b.Loop() {
		got, err := cache.Load(b.Context(), c, "k", time.Hour, func(context.Context) (product, error) {
			return product{"Huile d'argan", []string{"dry", "frizz"}}, nil
		})
		if err != nil || got.Name == "" {
			b.Fatal(fmt.Sprint(got, err))
		}
	}
}
