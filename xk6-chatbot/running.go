package chatbot

import (
	"context"
	"errors"
	"fmt"
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

	first    int64                      // number of the first arrival
	ramps    bool                       // k6 counts from when its users are ready
	progress func() (float64, []string) // k6's progress bar

	mu      sync.Mutex
	dropped int64         // arrivals that k6 has left out
	full    bool          // the latest start left no user free
	ready   time.Duration // when users were
	since   time.Time     // the last time a look was taken
	least   time.Duration
}

// running returns the scenario that runs in a context.
func (i *instance) running(ctx context.Context) (*running, error) {
	state := lib.GetScenarioState(ctx)
	if state == nil {
		return nil, errors.New("conversations are held in scenarios, not in setup, teardown or handleSummary")
	}
	defer func() { i.attend(ctx, i.current) }()
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
			declared = append(declared, record.Phase{
				Scenario: s.name, Name: p.Name, Start: s.start.Add(p.Start), Duration: p.End - p.Start,
			})
		}
		if len(declared) > 1 {
			r.recorder.Declare(declared...)
		}
	}
	i.current, i.arrived = r.scenarios[state.Name], 0
	return i.current, nil
}

func newRunning(state *lib.ScenarioState, config lib.ExecutorConfig) *running {
	r := &running{name: state.Name, start: state.StartTime, profile: phase.Single(), progress: state.ProgressFn}
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
		r.ramps = true
	case *executor.ConstantArrivalRateConfig:
		// The first comes at once, and between two are whole nanoseconds.
		rate := 1 / (c.TimeUnit.TimeDuration() / time.Duration(c.Rate.Int64)).Seconds()
		r.arrivals, r.first = pace.NewArrivals(rate, []pace.Stage{{Duration: c.Duration.TimeDuration(), Rate: rate}}), -1
	}
	return r
}

// due returns when the iteration of an open model that starts now should have started, by its number in the scenario. full says
// whether that leaves no user free.
//
// k6 leaves arrivals out for which it has no user, tells nobody which, and numbers those that it starts. While a user was free it
// left none out, so a start is late because k6 is. When none was, it is taken for the latest arrival that is due. Since users may
// have been free again by the time they were looked at: when no start of the last second was less late than the next arrival,
// what lies between was left out as well.
func (r *running) due(number uint64, now time.Time, full bool) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int64(number) + r.first + r.dropped // #nosec G115 -- a count of iterations
	at, ok := r.arrivals.Due(n)
	if !ok {
		return now
	}
	elapsed := now.Sub(r.start) - r.ready
	if r.ramps && (r.since.IsZero() || r.dropped == 0 && elapsed < at) { // nothing starts before it is due
		r.ready, elapsed = r.ready+elapsed-at, at
	}
	for r.dropped > 0 && at > elapsed+time.Millisecond { // fewer were left out than it seemed
		n--
		r.dropped--
		at, _ = r.arrivals.Due(n)
	}
	skip := func(late time.Duration) {
		for next, ok := r.arrivals.Due(n + 1); ok && next-at <= late; next, ok = r.arrivals.Due(n + 1) {
			n++
			r.dropped++
			late -= next - at
			at = next
		}
	}
	switch {
	case r.since.IsZero():
		r.since, r.least = now, elapsed-at
	case r.full:
		skip(elapsed - at)
	case now.Sub(r.since) > time.Second:
		skip(min(r.least, elapsed-at))
		r.since, r.least = now, elapsed-at
	}
	r.full = full
	r.least = min(r.least, elapsed-at)
	if at > elapsed { // k6 and we round differently
		return now
	}
	return r.start.Add(r.ready + at)
}

// busy says whether all users are in an iteration. Of all that k6 shows, only the progress bar has that: "07/10 VUs".
func (r *running) busy() bool {
	_, shown := r.progress()
	var running, all int
	_, err := fmt.Sscanf(shown[0], "%d/%d VUs", &running, &all)
	return err == nil && running >= all
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
