package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/limit"
)

// server is work that a Gate lets in, in time that does not pass by itself: capacity runs at once take a time each, from half to one and
// a half of what is usual; more take longer in the measure in which there are more, as when they share processors. (Were all alike, they
// would end in step, and a batch of places would become free when few have come to wait.)
type server struct {
	gate     *limit.Gate
	capacity int
	takes    time.Duration
	usual    limit.Usual

	mu      sync.Mutex
	running int
}

func (s *server) ask(p limit.Priority) (waited time.Duration, err error) {
	pass, err := s.gate.Enter(context.Background(), p, time.Now().Add(time.Minute), &s.usual)
	if err != nil {
		return pass.Waited, err
	}
	s.mu.Lock()
	s.running++
	s.mu.Unlock()
	takes := s.takes/2 + rand.N(s.takes)
	step := s.takes / 20
	for done := time.Duration(0); done < takes; {
		time.Sleep(step)
		s.mu.Lock()
		done += step * time.Duration(min(s.capacity, s.running)) / time.Duration(s.running)
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	pass.Leave(true)
	return pass.Waited, nil
}

// load asks at a rate for a time, and returns how long each answer took, by priority, and why others were refused.
func (s *server) load(rate int, lasts time.Duration) (took map[limit.Priority][]time.Duration, refused map[error]int) {
	took, refused = map[limit.Priority][]time.Duration{}, map[error]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range int(lasts.Seconds() * float64(rate)) {
		time.Sleep(time.Second / time.Duration(rate))
		all.Go(func() {
			p, began := limit.Normal, time.Now()
			if n%5 == 0 {
				p = limit.High
			}
			_, err := s.ask(p)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused[err]++
				return
			}
			took[p] = append(took[p], time.Since(began))
		})
	}
	all.Wait()
	return took, refused
}

func newServer() *server {
	return &server{
		gate:     limit.NewGate(limit.GateOptions{InFlight: 1000, Queue: 1000, Wait: 500 * time.Millisecond}),
		capacity: 8, takes: 20 * time.Millisecond, // 400 a second
	}
}

// At ten times its capacity a server does as much as it can, for those who come first, in a time near the usual; and then all is as before.
func TestOverloadIsShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		check := func(when string) {
			t.Helper()
			took, refused := s.load(200, 2*time.Second)
			all := slices.Concat(took[limit.High], took[limit.Normal])
			slices.Sort(all)
			if p95 := all[len(all)*95/100]; len(refused) > 0 || p95 > 40*time.Millisecond {
				t.Errorf("%s: refused %v, P95 %v", when, refused, p95)
			}
		}
		check("before")
		const lasts = 10
		took, refused := s.load(4000, lasts*time.Second)
		high, normal := took[limit.High], took[limit.Normal]
		if rate := (len(high) + len(normal)) / lasts; rate < 360 {
			t.Errorf("%d of 400 a second were answered", rate)
		}
		if len(high) < 15*len(normal) {
			t.Errorf("%d of high priority and %d of normal were answered", len(high), len(normal))
		}
		slices.Sort(high)
		p95, p99 := high[len(high)*95/100], high[len(high)*99/100] // who comes before the queue is known to be one waits for longer
		if p95 > 100*time.Millisecond || p99 > 600*time.Millisecond {
			t.Errorf("P95 is %v, P99 %v", p95, p99)
		}
		if refused[limit.ErrHopeless] == 0 || refused[limit.ErrWaited] == 0 {
			t.Errorf("refused: %v", refused)
		}
		if limit := s.gate.Stats().Limit; limit > 64 {
			t.Errorf("limit %d", limit)
		}
		time.Sleep(time.Second)
		check("after")
		if now := s.gate.Stats(); now.InFlight != 0 || now.Waiting != 0 {
			t.Errorf("left: %+v", now)
		}
	})
}

// Work that takes long because what it waits for does is no overload: hundreds may wait at once, and soon do.
func TestSlowWorkIsNotShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.capacity, s.takes = 10_000, 3*time.Second
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if waited, err := s.ask(limit.Normal); err != nil || waited > 200*time.Millisecond {
					t.Errorf("after %v: %v", waited, err)
				}
			})
		}
		all.Wait()
	})
}

// A server behind one route that becomes slow keeps more runs under way than usual, and is no reason to refuse other routes.
func TestSlowWorkOfOneKindDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := limit.NewGate(limit.GateOptions{InFlight: 1000, Queue: 1000, Wait: 500 * time.Millisecond})
		var slow, quick limit.Usual
		run := func(of *limit.Usual, takes time.Duration) {
			pass, err := g.Enter(t.Context(), limit.Normal, time.Now().Add(time.Minute), of)
			if err != nil || pass.Waited > 0 {
				t.Errorf("after %v: %v", pass.Waited, err)
			}
			time.Sleep(takes)
			pass.Leave(err == nil)
		}
		var all sync.WaitGroup
		for n := range 300 {
			takes := time.Millisecond
			if n > 100 {
				takes = 2400 * time.Millisecond
			}
			all.Go(func() { run(&slow, takes) })
			all.Go(func() { run(&quick, time.Millisecond) })
			time.Sleep(50 * time.Millisecond)
		}
		all.Wait()
	})
}

// A server behind one route that answers no more keeps all places only for a moment.
func TestHungWorkOfOneKindDelaysNoOtherForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := limit.NewGate(limit.GateOptions{InFlight: 1000, Queue: 1000, Wait: 500 * time.Millisecond})
		var hung, quick limit.Usual
		run := func(of *limit.Usual, takes time.Duration) error {
			pass, err := g.Enter(t.Context(), limit.Normal, time.Now().Add(time.Minute), of)
			if err != nil {
				return err
			}
			time.Sleep(takes)
			pass.Leave(true)
			return nil
		}
		for range 100 {
			if err := errors.Join(run(&hung, time.Millisecond), run(&quick, time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { _ = run(&hung, 10*time.Second) })
		}
		time.Sleep(1200 * time.Millisecond)
		for n := range 100 {
			if err := run(&quick, time.Millisecond); err != nil {
				t.Errorf("%d: %v", n, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		all.Wait()
	})
}

// What became slower for good is the new usual time once the limit is at its least.
func TestTheUsualTimeIsLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.capacity = 10_000
		s.load(1000, 2*time.Second)
		s.takes = 400 * time.Millisecond // 400 at once
		s.load(1000, 20*time.Second)
		if _, refused := s.load(1000, 5*time.Second); len(refused) > 0 {
			t.Errorf("refused for good: %v; %+v", refused, s.gate.Stats())
		}
	})
}

// full returns a gate of one place, which is taken, and what gives it back.
func full(t *testing.T, options limit.GateOptions) (g *limit.Gate, leave func()) {
	t.Helper()
	options.InFlight = 1
	g = limit.NewGate(options)
	pass, err := g.Enter(t.Context(), limit.Low, time.Now().Add(time.Hour), &limit.Usual{})
	if err != nil {
		t.Fatal(err)
	}
	return g, func() { pass.Leave(false) }
}

func TestWhoWaits(t *testing.T) {
	options := limit.GateOptions{Queue: 3, Wait: time.Second}
	enter := func(ctx context.Context, g *limit.Gate, p limit.Priority, longest time.Duration) error {
		pass, err := g.Enter(ctx, p, time.Now().Add(longest), &limit.Usual{})
		if err == nil {
			pass.Leave(false)
		}
		return err
	}
	t.Run("the highest priority goes first, then who came first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, leave := full(t, options)
			var order []string
			var all sync.WaitGroup
			for i, p := range []limit.Priority{limit.Low, limit.Normal, limit.Normal} {
				all.Go(func() {
					pass, err := g.Enter(t.Context(), p, time.Now().Add(time.Hour), &limit.Usual{})
					if err != nil {
						t.Error(err)
						return
					}
					order = append(order, fmt.Sprintf("%s%d", p, i)) // one at a time: there is one place, left after it
					pass.Leave(false)
				})
				synctest.Wait()
			}
			leave()
			all.Wait()
			if want := []string{"normal1", "normal2", "low0"}; !slices.Equal(order, want) {
				t.Errorf("%v, want %v", order, want)
			}
		})
	})
	t.Run("critical work does not wait", func(t *testing.T) {
		g, leave := full(t, options)
		defer leave()
		if err := enter(t.Context(), g, limit.Critical, time.Hour); err != nil {
			t.Error(err)
		}
	})
	t.Run("nobody waits for longer than the policy says, or the deadline, or while nobody listens", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, leave := full(t, options)
			defer leave()
			gone, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("gone")
			time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
			for _, c := range []struct {
				ctx     context.Context
				longest time.Duration
				err     error
				after   time.Duration
			}{
				{t.Context(), time.Hour, limit.ErrWaited, time.Second},
				{t.Context(), 200 * time.Millisecond, limit.ErrWaited, 200 * time.Millisecond},
				{gone, time.Hour, cause, 0},
			} {
				began := time.Now()
				if err := enter(c.ctx, g, limit.Normal, c.longest); !errors.Is(err, c.err) || time.Since(began) != c.after {
					t.Errorf("%v after %v, want %v after %v", err, time.Since(began), c.err, c.after)
				}
			}
			if s := g.Stats(); s.Waiting != 0 {
				t.Errorf("%d wait", s.Waiting)
			}
		})
	})
	t.Run("a full queue refuses the lowest priority", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, leave := full(t, options)
			lowest := make(chan error, 3)
			for range 3 {
				go func() { lowest <- enter(t.Context(), g, limit.Low, time.Hour) }()
				synctest.Wait()
			}
			if err := enter(t.Context(), g, limit.Low, time.Hour); !errors.Is(err, limit.ErrQueueFull) {
				t.Errorf("one more: %v", err)
			}
			high := make(chan error, 1)
			go func() { high <- enter(t.Context(), g, limit.High, time.Hour) }()
			if err := <-lowest; !errors.Is(err, limit.ErrQueueFull) {
				t.Errorf("displaced: %v", err)
			}
			leave()
			if err := <-high; err != nil {
				t.Error(err)
			}
			synctest.Wait()
		})
	})
	t.Run("a limit that is lifted lets all in", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, leave := full(t, options)
			defer leave()
			waiting := make(chan error, 1)
			go func() { waiting <- enter(t.Context(), g, limit.Normal, time.Hour) }()
			synctest.Wait()
			g.Configure(limit.GateOptions{})
			if err := <-waiting; err != nil {
				t.Error(err)
			}
			if s := g.Stats(); s.Limit != 0 {
				t.Errorf("%+v", s)
			}
		})
	})
}

// While the queue does not empty, the latest go first and nobody waits for long.
func TestACrowdedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := limit.NewGate(limit.GateOptions{InFlight: 1, Queue: 1000, Wait: 500 * time.Millisecond})
		var mu sync.Mutex
		var waited []time.Duration
		var all sync.WaitGroup
		for range 3000 { // 10 come in the time of one
			time.Sleep(time.Millisecond)
			all.Go(func() {
				pass, err := g.Enter(t.Context(), limit.Normal, time.Now().Add(time.Hour), &limit.Usual{})
				if err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
				pass.Leave(true)
				mu.Lock()
				defer mu.Unlock()
				waited = append(waited, pass.Waited)
			})
		}
		all.Wait()
		if len(waited) < 280 {
			t.Errorf("%d of 300 got a place", len(waited))
		}
		late := waited[len(waited)/2:]
		if longest := slices.Max(late); longest > 25*time.Millisecond {
			t.Errorf("waited for %v", longest)
		}
	})
}

func BenchmarkGate(b *testing.B) {
	g, usual := limit.NewGate(limit.GateOptions{InFlight: 1000, Queue: 1000, Wait: time.Second}), &limit.Usual{}
	deadline := time.Now().Add(time.Hour)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if pass, err := g.Enter(b.Context(), limit.Normal, deadline, usual); err == nil {
				pass.Leave(true)
			}
		}
	})
}
