package limit_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/limit"
)

// store is a Redis without the circuit that the cache's layer has.
type store struct{ client *redis.Client }

func connect(t testing.TB, server *redistest.Server) store {
	client := redis.NewClient(&redis.Options{
		Addr: server.Address(), Protocol: 2, DisableIdentity: true, PoolSize: 32, MaxRetries: -1, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	return store{client}
}

func (s store) Do(ctx context.Context, f func(context.Context, redis.UniversalClient) error) error {
	return f(ctx, s.client)
}

func (store) Key(namespace, key, part string) string {
	return strings.Join([]string{namespace, key, part}, ":")
}

// Three instances together admit what the rule says, within 1 %, of a hundred thousand requests; each of them alone knows of a third.
func TestExactOverInstances(t *testing.T) {
	const requests, quota, instances, workers = 100_000, 20_000, 3, 32
	server := redistest.Start(t)
	const window = time.Hour // in which next to nothing comes back
	var admitted, asked, counted atomic.Int64
	var all sync.WaitGroup
	for range instances {
		l := limit.NewShared(limit.New(quota, window), connect(t, server), "GET /")
		for range workers {
			all.Go(func() {
				for asked.Add(1) <= requests {
					d, shared := l.Allow(t.Context(), alice)
					if d.OK {
						admitted.Add(1)
					}
					if shared {
						counted.Add(1)
					}
					if d.OK && !shared {
						t.Error("memory alone has admitted one")
					}
				}
			})
		}
	}
	began := time.Now()
	all.Wait()
	due := float64(quota) * (1 + time.Since(began).Seconds()/window.Seconds())
	if got := float64(admitted.Load()); got < 0.99*due || got > 1.01*due {
		t.Errorf("%v admitted, want %v", got, due)
	}
	t.Logf("%d of %d admitted in %v; Redis was asked %d times", admitted.Load(), requests, time.Since(began).Round(time.Millisecond), counted.Load())
}

// The script agrees with the limiter in memory.
func TestSharedAgreesWithMemory(t *testing.T) {
	server := redistest.Start(t)
	memory := limit.New(4, time.Hour)
	shared := limit.NewShared(limit.New(4, time.Hour), connect(t, server), "GET /")
	for i := range 6 {
		want := memory.Allow(alice)
		got, _ := shared.Allow(t.Context(), alice)
		near := func(a, b time.Duration) bool { return (a - b).Abs() < time.Minute }
		if got.OK != want.OK || got.Limit != want.Limit || got.Remaining != want.Remaining || !near(got.Next, want.Next) ||
			!near(got.Reset, want.Reset) || !near(got.RetryAfter, want.RetryAfter) {
			t.Errorf("request %d: %+v, want %+v", i+1, got, want)
		}
	}
	if d, _ := shared.Allow(t.Context(), bob); !d.OK {
		t.Error("another client pays")
	}
	for _, c := range []string{"2001:db8::1", "2001:db8::2"} { // one subscriber
		for range 2 {
			shared.Allow(t.Context(), netip.MustParseAddr(c))
		}
	}
	if d, _ := shared.Allow(t.Context(), netip.MustParseAddr("2001:db8::3")); d.OK {
		t.Error("a network has more than its quota")
	}
	keys := server.Client.Keys(t.Context(), "*").Val()
	for _, key := range keys {
		if ttl := server.Client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Hour {
			t.Errorf("%s stays for %v", key, ttl)
		}
	}
	if len(keys) != 3 {
		t.Errorf("keys: %v", keys)
	}
}

// A quota comes back evenly, by the server's clock.
func TestSharedQuotaComesBack(t *testing.T) {
	server := redistest.Start(t)
	l := limit.NewShared(limit.New(10, time.Second), connect(t, server), "GET /")
	for range 10 {
		l.Allow(t.Context(), alice)
	}
	d, _ := l.Allow(t.Context(), alice)
	for end := time.Now().Add(10 * time.Second); !d.OK; d, _ = l.Allow(t.Context(), alice) {
		if time.Now().After(end) {
			t.Fatal("it does not come back")
		}
		time.Sleep(d.RetryAfter)
	}
}

// Without Redis each instance goes on from what it knew, by the rule of its own.
func TestMemoryGoesOnAlone(t *testing.T) {
	server := redistest.Start(t)
	l := limit.NewShared(limit.New(10, time.Hour), connect(t, server), "GET /")
	other := limit.NewShared(limit.New(10, time.Hour), connect(t, server), "GET /")
	for range 6 {
		other.Allow(t.Context(), alice)
	}
	l.Allow(t.Context(), alice) // learns of the six
	server.Kill()
	admitted := 0
	for range 10 {
		d, shared := l.Allow(t.Context(), alice)
		if shared {
			t.Error("Redis is away")
		}
		if d.OK {
			admitted++
		}
	}
	if admitted != 3 {
		t.Errorf("%d admitted, want the 3 that were left", admitted)
	}
}

func BenchmarkShared(b *testing.B) {
	server := redistest.Start(b)
	l := limit.NewShared(limit.New(1_000_000_000, time.Hour), connect(b, server), "GET /")
	for b.Loop() {
		l.Allow(b.Context(), alice)
	}
}
