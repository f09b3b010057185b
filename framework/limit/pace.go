package limit

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// pace finds how many runs may be under way at once. What limits them, processors, a pool, a server behind, need not be known: past the
// number that it can take, more runs at once do not get more done, each takes longer. So runs are compared with what their kind takes
// when few are under way. In each short span of time: when most took more than twice as long, the limit falls in the measure in which
// they did; when places were short and most did not, it grows by a quarter. That is the gradient of Netflix's concurrency-limits
// (https://github.com/Netflix/concurrency-limits, Gradient2Limit) with the usual time measured per kind and at rest instead of as one
// long average, which the kinds that happen to be asked for would move, and a long overload would teach that it is normal.
//
// Before any run has ended, its time says nothing: then the limit doubles as long as goroutines that could run do run (the measure of
// CockroachDB's admission control, /sched/latencies of runtime/metrics), and only so long.
//
// The limit falls only when more than half of it is used, and begins at a number that a slow server behind one route does not use half
// of: with a smaller one, an overload that comes at once would be answered sooner, and some of those who ask other routes be refused.
//
// A server behind that becomes slow looks like overload until the limit has fallen to the least: what is measured there is the usual
// time, and the limit grows again.
type pace struct {
	now, least, most float64
	since            time.Time // of the span
	span             uint64
	peak             int // under way at once in the span
	ended            int // in the span
	judged, late     int
	excess           float64 // sum of how many times the time they may take the runs took
	sched            [1]metrics.Sample
	before           []uint64 // of the histogram
}

const (
	paceSpan    = 100 * time.Millisecond
	paceLongest = time.Second           // that a span waits for enough runs to judge by
	paceRuns    = 8                     // are enough
	paceQuick   = 20 * time.Millisecond // that a span lasts in which places are short and no run ends
	paceFirst   = 128                   // limit at first
	slack       = 10 * time.Millisecond
	tolerance   = 2
)

// Usual is how long a kind of run takes when few are under way: a moving average. It belongs to one Gate. The zero value knows nothing
// yet.
type Usual struct {
	time float64 // nanoseconds
	runs float64

	span uint64 // of pace, that the following are of
	sum  float64
	n    float64
}

func (p *pace) reset(now time.Time) {
	p.now, p.since = paceFirst, now
	p.sched[0].Name = "/sched/latencies:seconds"
}

func (p *pace) bound(most int) {
	p.most = float64(most)
	if most == 0 {
		p.most = math.MaxInt32
	}
	p.least = min(p.most, float64(max(4, 2*runtime.GOMAXPROCS(0))))
	p.now = min(p.now, p.most)
}

func (p *pace) limit() int {
	if p.most == math.MaxInt32 {
		return math.MaxInt32
	}
	return int(p.now)
}

// began takes note of a run, and says whether few are under way with it.
func (p *pace) began(inFlight int) (quiet bool) {
	p.peak = max(p.peak, inFlight)
	return p.few(inFlight)
}

// few says whether so few are under way that none makes another late.
func (p *pace) few(inFlight int) bool { return inFlight <= int(p.least) }

// end takes note of how long a run took.
func (p *pace) end(u *Usual, took time.Duration, quiet bool) {
	p.ended++
	t := float64(took)
	if u.span != p.span { // runs that took less on average, however many were under way, show what is usual
		if u.n >= paceRuns && u.sum/u.n < u.time {
			u.time += (u.sum/u.n - u.time) / 4
		}
		u.span, u.sum, u.n = p.span, 0, 0
	}
	u.sum, u.n = u.sum+t, u.n+1
	if quiet {
		u.runs = min(u.runs+1, 32)
		u.time += (t - u.time) / u.runs
	}
	if u.runs == 0 {
		return
	}
	ratio := t / max(tolerance*u.time, u.time+float64(slack))
	p.judged++
	p.excess += min(ratio, 4)
	if ratio > 1 {
		p.late++
	}
}

// length is how long the span lasts at least, the way it is.
func (p *pace) length(waited bool) time.Duration {
	if waited && p.ended == 0 {
		return paceQuick
	}
	return paceSpan
}

// adjust ends the span when it has lasted long enough, and says whether the limit has grown.
func (p *pace) adjust(now time.Time, inFlight int, waited bool) (grown bool) {
	lasted := now.Sub(p.since)
	if lasted < p.length(waited) || p.judged > 0 && p.judged < paceRuns && lasted < paceLongest {
		return false
	}
	limit, starved := p.now, p.starved()
	switch used := waited || p.peak >= int(p.now); {
	case 2*p.late > p.judged:
		if float64(p.peak) > p.now/2 { // else it is not for how many there are
			p.now = max(p.least, p.now*min(0.9, max(0.5, float64(p.judged)/p.excess)))
		}
	case used && p.judged > 0:
		p.now = min(p.most, p.now+max(1, p.now/4))
	case used && !starved:
		p.now = min(p.most, 2*p.now)
	}
	p.since, p.peak, p.ended, p.judged, p.late, p.excess = now, inFlight, 0, 0, 0, 0
	p.span++
	return p.now > limit
}

// starved says whether half of the goroutines that could run in the span waited longer for it than the slack.
func (p *pace) starved() bool {
	metrics.Read(p.sched[:])
	if p.sched[0].Value.Kind() != metrics.KindFloat64Histogram {
		return false
	}
	h := p.sched[0].Value.Float64Histogram()
	var all, waited uint64
	for i, n := range h.Counts {
		if p.before != nil {
			n -= p.before[i]
		}
		all += n
		if h.Buckets[i] >= slack.Seconds() {
			waited += n
		}
	}
	p.before = append(p.before[:0], h.Counts...)
	return 2*waited > all
}
