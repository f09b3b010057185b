package budget

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect returns an instance's layer on a Redis server.
func connect(t *testing.T, server *redistest.Server) *cache.Redis {
	t.Helper()
	memory, err := cache.NewMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	r := cache.NewRedis(memory, cache.RedisOptions{Addresses: []string{server.Address()}, Prefix: "test:"})
	t.Cleanup(func() { _ = errors.Join(r.Close(), memory.Close(context.Background())) })
	return r
}

func TestReserveAndSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Limits{Window: time.Hour, Customer: 100, Total: 150})
		take := func(customer string, tokens int, want error) *Reservation {
			t.Helper()
			r, err := l.Reserve(t.Context(), customer, tokens)
			if !errors.Is(err, want) {
				t.Fatalf("%d tokens for %s: %v, want %v", tokens, customer, err, want)
			}
			return r
		}
		spent := func(want int64) {
			t.Helper()
			if got := l.Spent(); got != want {
				t.Fatalf("%d tokens are spent, want %d", got, want)
			}
		}
		a := take("a", 80, nil)
		take("a", 21, ErrCustomer)
		spent(80)
		b := take("b", 70, nil)
		take("c", 1, ErrTotal)
		a.Settle(t.Context(), 30) // less than reserved: the rest comes back
		spent(100)
		take("a", 50, nil).Settle(t.Context(), 60)
		take("a", 11, ErrCustomer) // more than reserved counts too
		b.Settle(t.Context(), 0)
		c := take("c", 60, nil)
		time.Sleep(time.Hour)
		spent(0)
		take("d", 100, nil) // a new window
		spent(100)
		c.Settle(t.Context(), 0)
		take("e", 51, ErrTotal) // in which the old one does not count
		take("e", 50, nil)
	})
	free := New(Limits{Window: time.Hour})
	r, err := free.Reserve(t.Context(), "a", 1<<40)
	if err != nil {
		t.Error(err)
	}
	r.Settle(t.Context(), 1)
}

// A thousand requests at once, for a budget of a hundred: on one instance, and on two that share Redis.
func TestConcurrencyDoesNotPassTheBudget(t *testing.T) {
	const tokens, budget = 7, 700
	limits := Limits{Window: 100 * 24 * time.Hour, Total: budget}
	admitted := func(atOnce int, ledgers ...*Ledger) int {
		var admitted atomic.Int64
		var all errgroup.Group
		all.SetLimit(atOnce)
		for i := range 1000 {
			all.Go(func() error {
				if _, err := ledgers[i%len(ledgers)].Reserve(context.Background(), fmt.Sprint(i), tokens); err == nil {
					admitted.Add(1)
				}
				return nil
			})
		}
		_ = all.Wait()
		return int(admitted.Load())
	}
	if n := admitted(1000, New(limits)); n != budget/tokens {
		t.Errorf("memory: %d requests of %d tokens were admitted, want %d", n, tokens, budget/tokens)
	}
	// Where Redis does not answer in its time each instance counts for itself: on a busy machine, fewer come at once.
	for atOnce := 64; atOnce > 1; atOnce /= 2 {
		server := redistest.Start(t)
		shared := []*cache.Redis{connect(t, server), connect(t, server)}
		two := []*Ledger{New(limits), New(limits)}
		for i, l := range two {
			l.Use(shared[i])
		}
		n := admitted(atOnce, two...)
		if shared[0].Stats().Errors+shared[1].Stats().Errors > 0 {
			continue
		}
		if n != budget/tokens {
			t.Errorf("redis: %d requests of %d tokens, %d at once, were admitted, want %d", n, tokens, atOnce, budget/tokens)
		}
		return
	}
	t.Error("Redis never answered all in time")
}

func TestInstancesShareABudget(t *testing.T) {
	server := redistest.Start(t)
	limits := Limits{Window: 100 * 24 * time.Hour, Customer: 100}
	here, there := New(limits), New(limits)
	here.Use(connect(t, server))
	there.Use(connect(t, server))
	reserve := func(l *Ledger, tokens int, want error) *Reservation {
		t.Helper()
		r, err := l.Reserve(t.Context(), "a", tokens)
		if !errors.Is(err, want) {
			t.Fatalf("%d tokens: %v, want %v", tokens, err, want)
		}
		return r
	}
	r := reserve(here, 90, nil)
	reserve(there, 11, ErrCustomer)
	r.Settle(t.Context(), 40)
	reserve(there, 60, nil)
	reserve(there, 1, ErrCustomer)
	server.Kill() // each instance counts for itself: this one knows of 40 of its own
	reserve(here, 61, ErrCustomer)
	reserve(here, 60, nil)
	reserve(there, 41, ErrCustomer)
}

func TestCustomersWithoutAnAccountShareOne(t *testing.T) {
	l := New(Limits{Window: 100 * 24 * time.Hour, Customer: 10})
	for i := range maxCustomers {
		if _, err := l.Reserve(t.Context(), fmt.Sprint(i), 10); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Reserve(t.Context(), "one more", 10); err != nil {
		t.Error(err)
	}
	if _, err := l.Reserve(t.Context(), "and one more", 10); !errors.Is(err, ErrCustomer) {
		t.Errorf("the accounts grow without bound: %v", err)
	}
}
