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
// CockroachDB's admission control), and only so long.
//
// At first, and after a calm, the limit is small, so that little of a burst is let in before it is known for one. It doubles then, up to
// a number that a slow server behind one route does not use, unless goroutines that could run do not: how late runs are does not matter
// so long, as those of that one route would have the others refused. Afterwards it falls only when more than half of it is used.
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
	excess           float64   // sum of how many times the time they may take the runs took
	soonest          float64   // that a run may take of those that began since one ended; 0 when nothing is known of any
	asked            time.Time // when the first of them began
	opening          bool      // the limit doubles still
	calm             int       // spans in a row in which places were not short
	runnable         [1]metrics.Sample
}

const (
	paceSpan     = 100 * time.Millisecond
	paceLongest  = time.Second           // that a span waits for enough runs to judge by
	paceRuns     = 8                     // are enough
	paceQuick    = 20 * time.Millisecond // that a span lasts in which places are short and no run ends
	paceFirst    = 32                    // limit at first
	paceOpen     = 64                    // limit up to which it does not matter how late runs are
	paceCalm     = 10                    // spans without a shortage of places are a calm
	paceRunnable = 8                     // goroutines that could run, for each processor, are too many
	slack        = 10 * time.Millisecond
	tolerance    = 2
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
	p.now, p.since, p.opening = paceFirst, now, true
	p.runnable[0].Name = "/sched/goroutines/runnable:goroutines"
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
func (p *pace) began(now time.Time, u *Usual, inFlight int) (quiet bool) {
	p.peak = max(p.peak, inFlight)
	switch {
	case u.runs == 0:
	case p.soonest == 0:
		p.soonest, p.asked = u.may(), now
	default:
		p.soonest = min(p.soonest, u.may())
	}
	return p.few(inFlight)
}

// may is how long a run may take before it is late, in nanoseconds.
func (u *Usual) may() float64 { return max(tolerance*u.time, u.time+float64(slack)) }

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
	ratio := t / u.may()
	p.judged++
	p.excess += min(ratio, 4)
	if ratio > 1 {
		p.late++
	}
}

// length is how long the span lasts at least, the way it is.
func (p *pace) length(waited bool) time.Duration {
	if waited && p.ended == 0 && (p.soonest == 0 || p.soonest >= float64(paceSpan)) {
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
	used := waited || p.peak >= int(p.now)
	silent := now.Sub(p.asked)
	overdue := p.ended == 0 && p.soonest > 0 && p.soonest < float64(silent) && silent < paceLongest
	p.calm++
	if used {
		p.calm = 0
	}
	if p.calm == paceCalm {
		p.now, p.opening = min(p.most, max(p.now, paceFirst)), true
	}
	p.opening = p.opening && !starved && (p.now < paceOpen || !used)
	switch {
	case overdue: // late, and it is not known yet by how much
	case p.opening:
		if p.now < paceOpen && (waited || float64(p.peak) > p.now/2) {
			p.now = min(p.most, 2*p.now)
		}
	case 2*p.late > p.judged:
		if float64(p.peak) > p.now/2 { // else it is not for how many there are
			p.now = max(p.least, p.now*min(0.9, max(0.5, float64(p.judged)/p.excess)))
		}
	case used && p.judged > 0:
		p.now = min(p.most, p.now+max(1, p.now/4))
	case used && !starved:
		p.now = min(p.most, 2*p.now)
	}
	if p.ended > 0 {
		p.soonest = 0
	}
	p.since, p.peak, p.ended, p.judged, p.late, p.excess = now, inFlight, 0, 0, 0, 0
	p.span++
	return p.now > limit
}

// starved says whether so many goroutines that could run do not that one waits for longer than a span of the scheduler (10 ms) or so.
func (p *pace) starved() bool {
	metrics.Read(p.runnable[:])
	return p.runnable[0].Value.Kind() == metrics.KindUint64 && p.runnable[0].Value.Uint64() >= paceRunnable*uint64(runtime.GOMAXPROCS(0)) //nolint:gosec // positive
}
