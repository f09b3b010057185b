package search

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var options = Options{
	Latency: time.Second, Quantile: 0.95, Errors: 0.01, Start: 10, Max: 10_000, Control: 5, Step: 100 * time.Millisecond, Precision: 1.1,
}

// plans runs a plan against a service that holds its promise up to a rate.
func plans(o Options, holds func(rate float64) bool) (Result, int) {
	p := newPlan(o)
	steps := 0
	for ; p.result == nil && steps < 1000; steps++ {
		p.judged(holds(p.rate))
	}
	if p.result == nil {
		return Result{}, steps
	}
	return *p.result, steps
}

func TestPlanFindsTheHighestRate(t *testing.T) {
	for _, capacity := range []float64{0.3, 3, 7, 11, 100, 777, 9999} {
		o := options
		o.Control = 0.1
		got, steps := plans(o, func(rate float64) bool { return rate <= capacity })
		if got.Reason != Found || got.Rate > capacity || got.Upper <= capacity || got.Upper/got.Rate > o.Precision {
			t.Errorf("capacity %v: %+v", capacity, got)
		}
		if steps > 60 {
			t.Errorf("capacity %v took %d steps", capacity, steps)
		}
	}
}

func TestPlanEnds(t *testing.T) {
	if got, _ := plans(options, func(float64) bool { return true }); got.Reason != Unlimited || got.Rate != options.Max || !math.IsInf(got.Upper, 1) {
		t.Errorf("a service without limit: %+v", got)
	}
	if got, _ := plans(options, func(float64) bool { return false }); got.Reason != NoneHeld || got.Rate != 0 {
		t.Errorf("a service that never holds: %+v", got)
	}
	broken := false
	if got, _ := plans(options, func(rate float64) bool { broken = broken || rate > 50; return !broken }); got.Reason != NotRecovered || got.Rate != 40 {
		t.Errorf("a service that breaks for good: %+v", got)
	}
	seen := map[float64]bool{}
	lucky := func(rate float64) bool { // every rate holds once
		held := rate == options.Control || rate < 50 && !seen[rate]
		seen[rate] = true
		return held
	}
	if got, _ := plans(options, lucky); got.Rate >= 40 {
		t.Errorf("a service that holds by luck: %+v", got)
	}
}

// A hundred users take part in one search of a service with a known capacity: two at once, 4 ms each, is 500 a second.
func TestSearchOfAService(t *testing.T) { synctest.Test(t, searchOfAService) }

func searchOfAService(t *testing.T) {
	room := make(chan struct{}, 2)
	var done atomic.Int64
	o := options
	o.Start, o.Control, o.Latency, o.Step, o.Precision = 100, 50, 100*time.Millisecond, 10*time.Second, 1.05
	var steps []Step
	s := New(o, func(step Step) { steps = append(steps, step) })
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for {
				turn, ok := s.Next(t.Context())
				if !ok {
					return
				}
				start := time.Now()
				room <- struct{}{}
				time.Sleep(4 * time.Millisecond)
				<-room
				done.Add(1)
				s.Done(turn, time.Since(start), time.Since(turn.Due), true)
			}
		})
	}
	wg.Wait()
	result, all, ended := s.Result()
	if !ended || result.Reason != Found || result.Rate < 450 || result.Rate > 510 || result.Upper < 470 || result.Upper > 525 {
		t.Errorf("%+v after %d turns, %+v", result, done.Load(), all)
	}
	if len(all) != len(steps) || !all[0].Control {
		t.Errorf("%d steps, %d told", len(all), len(steps))
	}
	for n, step := range all {
		if !step.Control && (n == 0 || !all[n-1].Control || !all[n-1].Held) {
			t.Errorf("step %d follows no control step that held: %+v", n, step)
		}
	}
}

func TestSearchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := New(options, func(Step) {})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for {
				if _, ok := s.Next(ctx); !ok {
					return
				}
			}
		})
	}
	cancel()
	wg.Wait()
}

func TestOptions(t *testing.T) {
	if err := options.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Options){
		"slo": func(o *Options) { o.Latency = 0 }, "start": func(o *Options) { o.Start = 0 }, "max": func(o *Options) { o.Max = 1 },
		"control": func(o *Options) { o.Control = 11 }, "step": func(o *Options) { o.Step = 1 }, "precision": func(o *Options) { o.Precision = 1 },
	} {
		o := options
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s is not checked", name)
		}
	}
}
