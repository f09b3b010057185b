package search

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	minTurns = 40   // judged in a step
	maxGrow  = 4    // times a step may be longer to have them
	settle   = 0.25 // of a step passes before its turns are judged
	restFor  = 0.5  // of a step's length is that of a control step
)

// Turn is one turn that is due.
type Turn struct {
	Due     time.Time
	Rate    float64 // of its step
	Control bool
	step    int
	judged  bool // it is past the time in which its step settles
}

// Step is a finished step.
type Step struct {
	Rate     float64
	Control  bool
	Start    time.Time
	Turns    int  // judged ones
	Late     int  // of them, ended after the promised time or failed
	Failed   int  // of them, failed or shed
	Starved  int  // of them, late for want of a free user only
	Held     bool // the promise
	Aborted  bool // ended early, as nothing could save it
	Duration time.Duration
}

// Search hands out turns at the rate of its current step and judges the steps. Its methods may be called from any goroutine.
type Search struct {
	o Options

	mu      sync.Mutex
	rng     *rand.Rand
	plan    *plan
	step    Step
	number  int       // of the step
	end     time.Time // of the step's last arrival
	due     time.Time // of the next arrival
	out     int       // turns handed out that have not ended
	steps   []Step
	onStep  func(Step)
	changed chan struct{} // closed when a step ends
}

// New returns a search whose first step begins with the first turn asked for. onStep is called with each finished step.
func New(o Options, onStep func(Step)) *Search {
	return &Search{
		o: o, plan: newPlan(o), rng: rand.New(rand.NewPCG(o.Seed, 1)), // #nosec G404 -- a load profile needs no secrets
		onStep: onStep, changed: make(chan struct{}),
	}
}

// Next waits for a turn and returns when it is due, or later when no user was free. It returns false when the search or ctx
// ended.
func (s *Search) Next(ctx context.Context) (Turn, bool) {
	for {
		s.mu.Lock()
		now := time.Now()
		if s.number == 0 {
			s.begin(now)
		}
		if s.plan.result != nil {
			s.mu.Unlock()
			return Turn{}, false
		}
		if !s.due.After(s.end) && !s.step.Aborted {
			t := Turn{Due: s.due, Rate: s.step.Rate, Control: s.step.Control, step: s.number}
			t.judged = t.Due.Sub(s.step.Start) >= time.Duration(settle*float64(s.step.Duration))
			s.out++
			s.due = s.due.Add(s.gap())
			s.mu.Unlock()
			return t, wait(ctx, time.Until(t.Due))
		}
		if s.out == 0 { // the last turn of the step ended before its time was over
			if rest := time.Until(s.end); rest > 0 && !s.step.Aborted {
				changed := s.changed
				s.mu.Unlock()
				select {
				case <-changed:
				case <-time.After(rest):
				case <-ctx.Done():
					return Turn{}, false
				}
				continue
			}
			s.finish(now)
			s.mu.Unlock()
			continue
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Turn{}, false
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Done takes how a turn ended: how long it took since it was sent, and since it was due.
func (s *Search) Done(t Turn, service, sinceDue time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out--
	if t.judged {
		s.step.Turns++
		if !ok {
			s.step.Failed++
		}
		if !ok || sinceDue > s.o.Latency {
			s.step.Late++
		}
		if ok && sinceDue > s.o.Latency && service <= s.o.Latency {
			s.step.Starved++
		}
		expected := s.step.Rate * s.step.Duration.Seconds() * (1 - settle)
		if !s.step.Control && float64(s.step.Late) > 1.5*(1-s.o.Quantile)*expected+5 {
			s.step.Aborted = true
		}
	}
	if s.out == 0 && (s.step.Aborted || s.due.After(s.end)) {
		if s.step.Aborted || !time.Now().Before(s.end) {
			s.finish(time.Now())
			return
		}
		s.wake() // somebody has to wait for the end
	}
}

func (s *Search) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// begin starts the step that the plan asks for.
func (s *Search) begin(now time.Time) {
	s.number++
	length := s.o.Step
	if s.plan.control {
		length = time.Duration(restFor * float64(length))
	}
	enough := time.Duration(minTurns / (1 - settle) / s.plan.rate * float64(time.Second))
	length = min(max(length, enough), maxGrow*length)
	s.step = Step{Rate: s.plan.rate, Control: s.plan.control, Start: now, Duration: length}
	s.end = now.Add(length)
	s.due = now.Add(s.gap())
}

// gap is the time to the next arrival. People come independently of each other, so it is exponential.
func (s *Search) gap() time.Duration {
	return time.Duration(s.rng.ExpFloat64() / s.step.Rate * float64(time.Second))
}

func (s *Search) finish(now time.Time) {
	st := &s.step
	n := float64(st.Turns)
	fast := float64(st.Late) <= n-math.Ceil(s.o.Quantile*n-1e-9)
	st.Held = !st.Aborted && st.Turns > 0 && fast && float64(st.Failed) <= s.o.Errors*n
	st.Duration = now.Sub(st.Start)
	s.steps = append(s.steps, *st)
	s.onStep(*st)
	s.plan.judged(st.Held)
	if s.plan.result == nil {
		s.begin(now)
	}
	s.wake()
}

// Result returns the outcome, and false while the search goes on. steps are those that ended.
func (s *Search) Result() (result Result, steps []Step, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	steps = append(steps, s.steps...)
	if s.plan.result == nil {
		return Result{Rate: s.plan.low, Upper: s.plan.high}, steps, false
	}
	return *s.plan.result, steps, true
}
