// Package recovery tells how long a service took to keep its promise again after a spike.
package recovery

import (
	"math"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	tolerance = 1.25    // what the baseline's quantile may grow by when it is what bounds recovery
	maxTurns  = 1 << 16 // turns kept of a window; of a busier one the oldest are forgotten
)

// Promise is what has to hold again: the quantile of turns ends well within latency.
type Promise struct {
	Latency  time.Duration
	Quantile float64
}

// Tracker follows one scenario. A spike has been recovered from at the start of the first window after its end in which the
// promise held, or, where the baseline was slower than that, what the baseline showed with a quarter on top. Its methods may be
// called from any goroutine.
type Tracker struct {
	mu       sync.Mutex
	promise  Promise
	baseline *hdrhistogram.Histogram // µs
	spikes   []spike
	limit    time.Duration // of a good turn; 0 until the first spike ended
}

type spike struct {
	start, end time.Duration // of its recovery phase, since the scenario's start
	window     time.Duration
	turns      []turn // those that ended within the window, from head on
	head, bad  int
	after      time.Duration // the spike's end: how long it took so far, or took
	done       bool
	seen       bool
}

type turn struct {
	end time.Duration
	bad bool
}

// Phase is the part of a scenario that follows a spike, since the scenario's start.
type Phase struct{ Start, End time.Duration }

// New returns a tracker of the spikes of a scenario.
func New(promise Promise, recoveries []Phase) *Tracker {
	t := &Tracker{promise: promise, baseline: hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)}
	for _, r := range recoveries {
		t.spikes = append(t.spikes, spike{start: r.Start, end: r.End, window: Window(r)})
	}
	return t
}

// Window returns how long the promise has to hold: 5 s, or a sixth of a phase shorter than half a minute.
func Window(p Phase) time.Duration { return min(5*time.Second, (p.End-p.Start)/6) }

// Baseline takes a turn of the baseline that went well.
func (t *Tracker) Baseline(duration time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.baseline.RecordValue(min(max(1, duration.Microseconds()), t.baseline.HighestTrackableValue()))
}

// Result is where a spike stands.
type Result struct {
	Spike     int           // 1, 2, …
	After     time.Duration // from the spike's end until the service was well, or until now
	Worst     time.Duration // the longest of all spikes so far
	Recovered bool
	Now       bool // this turn showed it
}

// Observe takes a turn by its end since the scenario's start. It says where the spike it comes after stands, and false when it
// comes after none.
func (t *Tracker) Observe(end, duration time.Duration, ok bool) (Result, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := -1
	for i := range t.spikes {
		if end >= t.spikes[i].start && end < t.spikes[i].end {
			n = i
		}
	}
	if n < 0 {
		return Result{}, false
	}
	if t.limit == 0 {
		t.limit = max(t.promise.Latency,
			time.Duration(float64(t.baseline.ValueAtQuantile(t.promise.Quantile*100))*tolerance)*time.Microsecond)
	}
	s := &t.spikes[n]
	s.seen = true
	result := Result{Spike: n + 1}
	if !s.done {
		s.add(turn{end, !ok || duration > t.limit})
		s.after = max(s.after, end-s.start)
		if s.after >= s.window && s.good(t.promise.Quantile) {
			s.done, result.Now = true, true
			s.after -= s.window
			s.turns = nil
		}
	}
	result.After, result.Recovered = s.after, s.done
	for i := range t.spikes[:n+1] {
		result.Worst = max(result.Worst, t.spikes[i].after)
	}
	return result, true
}

func (s *spike) add(t turn) {
	s.turns = append(s.turns, t)
	if t.bad {
		s.bad++
	}
	from := max(s.after, t.end-s.start) - s.window + s.start
	for s.head < len(s.turns) && (s.turns[s.head].end <= from || len(s.turns)-s.head > maxTurns) {
		if s.turns[s.head].bad {
			s.bad--
		}
		s.head++
	}
	if s.head > len(s.turns)/2 {
		s.turns = append(s.turns[:0], s.turns[s.head:]...)
		s.head = 0
	}
}

// good says whether the quantile of the window's turns is good, by the nearest-rank definition.
func (s *spike) good(quantile float64) bool {
	n := len(s.turns) - s.head
	return n > 0 && s.bad <= n-int(math.Ceil(quantile*float64(n)-1e-9))
}

// Open returns the spikes that the service has not recovered from, with the time since their end.
func (t *Tracker) Open() []Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	var open []Result
	for i, s := range t.spikes {
		if s.seen && !s.done {
			open = append(open, Result{Spike: i + 1, After: s.after})
		}
	}
	return open
}
