package chatbot

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"

	"github.com/innatural/chatbot/xk6-chatbot/internal/pace"
	"github.com/innatural/chatbot/xk6-chatbot/internal/phase"
	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
	"github.com/innatural/chatbot/xk6-chatbot/internal/recovery"
)

// running is a scenario of k6 that has started. Its methods may be called from any goroutine.
type running struct {
	name     string
	start    time.Time
	profile  phase.Profile
	arrivals pace.Arrivals // nil in a closed model

	once    sync.Once
	tracker *recovery.Tracker

	mu      sync.Mutex
	dropped int64     // arrivals that k6 has left out
	since   time.Time // the last time a look was taken
	least   time.Duration
}

// running returns the scenario that runs in a context.
func (i *instance) running(ctx context.Context) (*running, error) {
	state := lib.GetScenarioState(ctx)
	if state == nil {
		return nil, errors.New("conversations are held in scenarios, not in setup, teardown or handleSummary")
	}
	if i.current != nil && i.current.name == state.Name {
		return i.current, nil
	}
	r := i.root
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scenarios[state.Name] == nil {
		s := newRunning(state, i.vu.State().Options.Scenarios[state.Name])
		r.scenarios[state.Name] = s
		declared := make([]record.Phase, 0, len(s.profile))
		for _, p := range s.profile {
			declared = append(declared, record.Phase{Scenario: s.name, Name: p.Name, Start: s.start.Add(p.Start), Duration: p.End - p.Start})
		}
		if len(declared) > 1 {
			r.recorder.Declare(declared...)
		}
	}
	i.current = r.scenarios[state.Name]
	return i.current, nil
}

func newRunning(state *lib.ScenarioState, config lib.ExecutorConfig) *running {
	r := &running{name: state.Name, start: state.StartTime, profile: phase.Single()}
	stages := func(start int64, stages []executor.Stage, unit time.Duration) {
		profile := make([]phase.Stage, len(stages))
		arrivals := make([]pace.Stage, len(stages))
		rate := func(n int64) float64 { return float64(n) / unit.Seconds() }
		for i, s := range stages {
			profile[i] = phase.Stage{Duration: s.Duration.TimeDuration(), Target: s.Target.Int64}
			arrivals[i] = pace.Stage{Duration: s.Duration.TimeDuration(), Rate: rate(s.Target.Int64)}
		}
		r.profile, r.arrivals = phase.Of(start, profile), pace.NewArrivals(rate(start), arrivals)
	}
	switch c := config.(type) {
	case executor.RampingVUsConfig:
		stages(c.StartVUs.Int64, c.Stages, time.Second)
		r.arrivals = nil
	case *executor.RampingArrivalRateConfig:
		stages(c.StartRate.Int64, c.Stages, c.TimeUnit.TimeDuration())
	case *executor.ConstantArrivalRateConfig:
		rate := float64(c.Rate.Int64) / c.TimeUnit.TimeDuration().Seconds()
		r.arrivals = pace.NewArrivals(rate, []pace.Stage{{Duration: c.Duration.TimeDuration(), Rate: rate}})
	}
	return r
}

// due returns when the iteration that starts now should have started, by its number in the scenario.
//
// k6 leaves arrivals out for which it has no user, and tells nobody which. Without those the numbers would run behind the schedule
// for ever, so when no start of the last second was less late than the next arrival, what lies between was left out.
func (r *running) due(number uint64, now time.Time) time.Time {
	if r.arrivals == nil {
		return now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int64(number) + r.dropped //nolint:gosec // a count of iterations
	at, ok := r.arrivals.Due(n)
	if !ok {
		return now
	}
	lag := now.Sub(r.start) - at
	if r.since.IsZero() || now.Sub(r.since) > time.Second {
		for !r.since.IsZero() {
			next, ok := r.arrivals.Due(n + 1)
			if !ok || next-at > min(r.least, lag) {
				break
			}
			n++
			r.dropped++
			r.least -= next - at
			lag -= next - at
			at = next
		}
		r.since, r.least = now, lag
	}
	r.least = min(r.least, lag)
	if lag < 0 { // k6 and we round differently
		return now
	}
	return r.start.Add(at)
}

// phase returns the phase of a moment.
func (r *running) phase(at time.Time) phase.Phase { return r.profile.At(at.Sub(r.start)) }

// spikes returns the tracker of the scenario's spikes, nil when it has none. The first caller's promise holds.
func (r *running) spikes(promise recovery.Promise) *recovery.Tracker {
	r.once.Do(func() {
		var after []recovery.Phase
		for _, p := range r.profile.Spikes() {
			after = append(after, recovery.Phase{Start: p.Start, End: p.End})
		}
		if after != nil {
			r.tracker = recovery.New(promise, after)
		}
	})
	return r.tracker
}
