package telemetry

import (
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework/policy"
)

// An Objective counts how the promise of a route is kept, exactly: not from the buckets of a histogram, whose bounds are not the
// promise's. Every answered request counts. It breaches the promise of latency when it took longer than that, whatever it was
// answered; of errors, when it was answered 5xx or 408. It may be used concurrently.
//
// What was counted is kept for the promise's window in slots of bounded number: half minutes for the last six hours, and hundredths
// of the window. So a rate is of a time that is up to one slot longer than its name.
type Objective struct {
	slo     policy.SLO
	latency time.Duration // 0 promises none

	requests, slow, failed atomic.Uint64

	mu     sync.Mutex
	seen   tally // what is in the slots
	recent slots
	window slots
}

// Windows are those over which burn rates are computed, as alerts on several windows need them (Google, The Site Reliability Workbook,
// chapter 5).
func Windows() []time.Duration {
	return []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour}
}

const (
	recentStep  = KeepEvery
	recentSlots = int(6*time.Hour/recentStep) + 1
	windowSlots = 101
)

// NewObjective returns the Objective of a route that promises something, from now on.
func NewObjective(slo policy.SLO, now time.Time) *Objective {
	return &Objective{
		slo: slo, latency: slo.Latency.D(),
		recent: slots{step: recentStep, ring: make([]tally, recentSlots), from: now},
		window: slots{step: max(slo.Window.D()/(windowSlots-1), recentStep), ring: make([]tally, windowSlots), from: now},
	}
}

// Count counts an answered request.
func (o *Objective) Count(status int, took time.Duration) {
	o.requests.Add(1)
	if o.latency > 0 && took > o.latency {
		o.slow.Add(1)
	}
	if status >= http.StatusInternalServerError || status == http.StatusRequestTimeout {
		o.failed.Add(1)
	}
}

// Export exports what is counted for a route, until remove is called.
func (o *Objective) Export(r *Registry, method, path string) (remove func()) {
	labels := []string{LabelRoute, path, LabelMethod, method}
	read := func(n *atomic.Uint64) func() float64 { return func() float64 { return float64(n.Load()) } }
	removes := []func(){r.CounterFunc(SLORequests, SLORequestsHelp, read(&o.requests), labels...)}
	for objective, breaches := range map[string]*atomic.Uint64{objectiveLatency: &o.slow, objectiveErrors: &o.failed} {
		if budgetOf(o.slo, objective) > 0 {
			removes = append(removes, r.CounterFunc(SLOBreaches, SLOBreachesHelp, read(breaches), append(labels, LabelObjective, objective)...))
		}
	}
	return func() {
		for _, remove := range removes {
			remove()
		}
	}
}

// The values of LabelObjective.
const (
	objectiveLatency = "latency"
	objectiveErrors  = "errors"
)

// budgetOf returns the share of requests that may breach a promise; 0 is no promise.
func budgetOf(slo policy.SLO, objective string) float64 {
	switch {
	case objective == objectiveErrors:
		return slo.Errors
	case slo.Latency > 0:
		return math.Round((1-slo.Quantile)*1e9) / 1e9 // not 0.050000000000000044
	}
	return 0
}

// KeepEvery is how often Keep is to be called.
const KeepEvery = 30 * time.Second

// Keep puts what was counted so far into the slots.
func (o *Objective) Keep(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keep(now)
}

func (o *Objective) keep(now time.Time) {
	is := tally{o.requests.Load(), o.slow.Load(), o.failed.Load()}
	more := tally{is.requests - o.seen.requests, is.slow - o.seen.slow, is.failed - o.seen.failed}
	o.seen = is
	o.recent.add(now, more)
	o.window.add(now, more)
}

// Kept is how a promise was kept over a time. A share without requests is 0.
type Kept struct {
	Requests uint64
	Slow     float64 // share that took longer than promised
	Errors   float64 // share answered 5xx or 408
}

// Over returns how the promise was kept in the time up to now, and since the Objective was made if that is less: at most six hours, or
// the promise's window.
func (o *Objective) Over(span time.Duration, now time.Time) Kept {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keep(now)
	from := &o.recent
	if span > time.Duration(recentSlots-1)*recentStep {
		from = &o.window
	}
	t := from.sum(now, span)
	if t.requests == 0 {
		return Kept{}
	}
	n := float64(t.requests)
	return Kept{t.requests, float64(t.slow) / n, float64(t.failed) / n}
}

// BurnRates returns how fast the budgets of latency and errors are spent, given how the promise was kept: at 1 they last for exactly
// the promise's window. What is not promised does not burn.
func (o *Objective) BurnRates(k Kept) (latency, errors float64) {
	rate := func(share float64, objective string) float64 {
		if budget := budgetOf(o.slo, objective); budget > 0 {
			return share / budget
		}
		return 0
	}
	return rate(k.Slow, objectiveLatency), rate(k.Errors, objectiveErrors)
}

// tally is a number of requests, and of those that breach a promise.
type tally struct{ requests, slow, failed uint64 }

// slots are tallies of times of one length, the latest of which is under way.
type slots struct {
	step time.Duration
	ring []tally
	from time.Time // when slot 0 began
	last int64     // number of the latest slot
}

// add counts into the slot of a time, which clears those that came to an end unused.
func (s *slots) add(now time.Time, t tally) {
	at := max(int64(now.Sub(s.from)/s.step), s.last)
	for i := max(s.last+1, at-int64(len(s.ring))+1); i <= at; i++ {
		s.ring[i%int64(len(s.ring))] = tally{}
	}
	s.last = at
	in := &s.ring[at%int64(len(s.ring))]
	in.requests, in.slow, in.failed = in.requests+t.requests, in.slow+t.slow, in.failed+t.failed
}

// sum adds up the slots that lie in a time up to now, at least in part.
func (s *slots) sum(now time.Time, span time.Duration) (t tally) {
	first := int64(max(now.Sub(s.from)-span, 0) / s.step)
	for i := max(first, s.last-int64(len(s.ring))+1, 0); i <= s.last; i++ {
		in := s.ring[i%int64(len(s.ring))]
		t.requests, t.slow, t.failed = t.requests+in.requests, t.slow+in.slow, t.failed+in.failed
	}
	return t
}
