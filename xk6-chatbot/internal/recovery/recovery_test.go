package recovery

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const ms = time.Millisecond

var promise = Promise{Latency: 100 * ms, Quantile: 0.95}

func TestRecoveryOfEachSpike(t *testing.T) {
	tracker := New(promise, []Phase{{10 * time.Second, 40 * time.Second}, {60 * time.Second, 90 * time.Second}})
	if _, ok := tracker.Observe(9*time.Second, ms, true); ok {
		t.Error("a turn before the first spike's end counts")
	}
	run := func(from, until, slowUntil time.Duration) (at, after time.Duration) {
		for end := from; end < until; end += 100 * ms {
			took := 20 * ms
			if end < slowUntil {
				took = 500 * ms
			}
			if r, ok := tracker.Observe(end, took, true); ok && r.Now {
				at, after = end, r.After
			}
		}
		return at, after
	}
	// The window is 5 s: 50 turns, of which 2 may be slow.
	at, after := run(10*time.Second, 40*time.Second, 13*time.Second)
	if want := 2900 * ms; after < want-200*ms || after > want || at-after != 15*time.Second {
		t.Errorf("the first spike took %v, seen at %v; want about %v, seen a window later", after, at, want)
	}
	at, after = run(60*time.Second, 90*time.Second, 60*time.Second)
	if after > 100*ms || at != 65*time.Second {
		t.Errorf("a spike without consequences took %v, seen at %v", after, at)
	}
	if r, _ := tracker.Observe(70*time.Second, ms, true); r.Worst < 2500*ms || !r.Recovered {
		t.Errorf("the worst of both is %v", r.Worst)
	}
	if open := tracker.Open(); len(open) != 0 {
		t.Errorf("open: %+v", open)
	}
}

func TestNeverRecovered(t *testing.T) {
	tracker := New(promise, []Phase{{0, 60 * time.Second}})
	var last Result
	for end := time.Duration(0); end < 60*time.Second; end += 200 * ms {
		last, _ = tracker.Observe(end, ms, false)
	}
	if last.Recovered || last.Worst < 59*time.Second {
		t.Errorf("turns that fail fast: %+v", last)
	}
	if open := tracker.Open(); len(open) != 1 || open[0].After != last.After {
		t.Errorf("open: %+v", open)
	}
}

// Where the baseline was slower than the promise, recovered is what the baseline showed and a quarter more.
func TestSlowBaseline(t *testing.T) {
	for took, want := range map[time.Duration]bool{240 * ms: true, 260 * ms: false} {
		tracker := New(promise, []Phase{{10 * time.Second, 40 * time.Second}})
		for range 100 {
			tracker.Baseline(200 * ms)
		}
		var r Result
		for end := 10 * time.Second; end < 30*time.Second; end += 100 * ms {
			r, _ = tracker.Observe(end, took, true)
		}
		if r.Recovered != want {
			t.Errorf("%v after a baseline of 200 ms: recovered is %v", took, r.Recovered)
		}
	}
}

// Turns that come out of order and in great number leave the tracker bounded.
func TestBounds(t *testing.T) {
	tracker := New(promise, []Phase{{0, time.Hour}})
	for range 5 * maxTurns {
		tracker.Observe(time.Duration(rand.N(int64(time.Second))), time.Hour, true)
	}
	if n := len(tracker.spikes[0].turns); n > 2*maxTurns+1 {
		t.Errorf("%d turns are kept", n)
	}
}

// All users of a scenario tell one tracker of their turns.
func TestFromManyGoroutines(t *testing.T) {
	tracker := New(promise, []Phase{{10 * time.Second, 40 * time.Second}})
	var users sync.WaitGroup
	var shown atomic.Int32
	for range 8 {
		users.Go(func() {
			for n := range 3000 {
				tracker.Baseline(ms)
				if r, _ := tracker.Observe(time.Duration(n+1)*10*ms, ms, true); r.Now {
					shown.Add(1)
				}
				tracker.Open()
			}
		})
	}
	users.Wait()
	if open := tracker.Open(); shown.Load() != 1 || len(open) != 0 {
		t.Errorf("%d turns showed that it has recovered, and open is %+v", shown.Load(), open)
	}
}
