package limit

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Priority says who goes first. The zero value is the highest.
type Priority int

// The priorities. Critical work is never made to wait, nor refused.
const (
	Critical Priority = iota
	High
	Normal
	Low
)

// Priorities are the names of all priorities, in their order.
var Priorities = [...]string{"critical", "high", "normal", "low"}

// String returns the name.
func (p Priority) String() string { return Priorities[p] }

// Why a Gate refuses.
var (
	ErrQueueFull = errors.New("too many wait")
	ErrWaited    = errors.New("waited for too long")
	ErrHopeless  = errors.New("those who wait already take all the time that there is")
)

// GateOptions bound a Gate.
type GateOptions struct {
	InFlight int           // most that run at once; 0 is no limit
	Queue    int           // most that wait
	Wait     time.Duration // longest wait
}

// Gate bounds how many runs are under way at once, of all kinds together. How many that may be it finds itself (see pace), between a
// few and GateOptions.InFlight. Who comes when all places are taken waits: the highest priority goes first.
//
// While the queue empties now and then, those of one priority go in the order in which they came, and wait as long as GateOptions.Wait.
// A queue that has not been empty for that long would only make everybody late: then the latest go first, and nobody waits for more than
// a twentieth of it. Those are the controlled delay and the adaptive LIFO of B. Maurer, "Fail at Scale" (ACM Queue 13(8), 2015), after
// K. Nichols and V. Jacobson, "Controlling Queue Delay" (ACM Queue 10(5), 2012). Who cannot get a place in time, by the pace at which
// places become free, is refused at once.
//
// A Gate may be used concurrently. It has no goroutine, and a timer only while somebody waits.
type Gate struct {
	mu       sync.Mutex
	options  GateOptions
	pace     pace
	inFlight int
	waiting  int
	queues   [len(Priorities)]list.List // of *waiter
	emptied  time.Time                  // when nobody waited last
	crowded  time.Time                  // when the queue had not been empty for long last
	granted  time.Time                  // when who waited got a place last; zero since the queue was empty
	every    time.Duration              // that a place becomes free, on average
	ticking  bool                       // the limit is looked at again though nobody comes or leaves
}

// crowded is the part of the longest wait that is left to each while the queue does not empty.
const crowded = 20

type waiter struct {
	ready    chan error // takes one
	priority Priority
	place    *list.Element
}

// NewGate returns a Gate.
func NewGate(options GateOptions) *Gate {
	g := &Gate{}
	g.pace.reset(time.Now())
	g.Configure(options)
	return g
}

// Configure changes the bounds, for those who come from now on.
func (g *Gate) Configure(options GateOptions) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.options = options
	g.pace.bound(options.InFlight)
	g.grant(time.Now())
}

// Pass is the place of one run.
type Pass struct {
	Waited time.Duration // for it, or until it was refused

	gate  *Gate
	usual *Usual
	start time.Time
	quiet bool // few were under way when it began
}

// Enter takes a place for a run of a kind that usually takes its time, or waits for one until its context ends, the deadline or a limit
// of the Gate. A Pass is left once.
func (g *Gate) Enter(ctx context.Context, p Priority, deadline time.Time, usual *Usual) (Pass, error) {
	now := time.Now()
	g.mu.Lock()
	g.adjust(now)
	if p == Critical || g.inFlight < g.pace.limit() && g.ahead(p) == 0 {
		pass := g.admit(now, usual)
		g.mu.Unlock()
		return pass, nil
	}
	w, longest, err := g.queue(now, p, deadline)
	g.mu.Unlock()
	if err != nil {
		return Pass{}, err
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case err = <-w.ready:
	case <-timer.C:
		err = g.leaveQueue(w, ErrWaited)
	case <-ctx.Done():
		err = g.leaveQueue(w, context.Cause(ctx))
	}
	waited := time.Since(now)
	if err != nil {
		return Pass{Waited: waited}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	pass := g.pass(now.Add(waited), usual)
	pass.Waited = waited
	return pass, nil
}

// queue puts a waiter into the queue and says how long it may wait.
func (g *Gate) queue(now time.Time, p Priority, deadline time.Time) (*waiter, time.Duration, error) {
	longest := min(g.options.Wait, deadline.Sub(now))
	if g.waiting == 0 {
		g.emptied, g.granted = now, time.Time{}
	}
	first := g.ahead(p)
	if g.isCrowded(now) {
		longest = min(longest, g.options.Wait/crowded)
		first = g.ahead(p - 1)
	}
	if time.Duration(first)*g.every > longest && !g.granted.IsZero() {
		return nil, 0, ErrHopeless
	}
	if g.waiting >= g.options.Queue && !g.displace(p) {
		return nil, 0, ErrQueueFull
	}
	w := &waiter{ready: make(chan error, 1), priority: p}
	w.place = g.queues[p].PushBack(w)
	g.waiting++
	g.tick()
	return w, longest, nil
}

// tick has the limit looked at again in a moment, as long as somebody waits: all places may be taken by what takes long.
func (g *Gate) tick() {
	if g.ticking || g.waiting == 0 {
		return
	}
	g.ticking = true
	time.AfterFunc(g.pace.length(true), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ticking = false
		g.adjust(time.Now())
		g.tick()
	})
}

// isCrowded says whether the queue has not been empty for long. That it was empty for a moment since does not end it.
func (g *Gate) isCrowded(now time.Time) bool {
	if g.waiting > 0 && now.Sub(g.emptied) > g.options.Wait {
		g.crowded = now
	}
	return now.Sub(g.crowded) < 2*g.options.Wait
}

// ahead returns how many of a priority or a higher one wait.
func (g *Gate) ahead(p Priority) (n int) {
	for q := range p + 1 {
		n += g.queues[q].Len()
	}
	return n
}

// displace refuses the longest waiting of the lowest priority below p, and says whether there was one.
func (g *Gate) displace(p Priority) bool {
	for lowest := Low; lowest > p; lowest-- {
		if place := g.queues[lowest].Front(); place != nil {
			g.remove(place).ready <- ErrQueueFull
			return true
		}
	}
	return false
}

func (g *Gate) remove(place *list.Element) *waiter {
	w := place.Value.(*waiter) //nolint:forcetypeassert // nothing else is queued
	g.queues[w.priority].Remove(place)
	g.waiting--
	w.place = nil
	return w
}

// leaveQueue gives up waiting, unless the waiter has been told meanwhile.
func (g *Gate) leaveQueue(w *waiter, cause error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place == nil {
		return <-w.ready
	}
	g.remove(w.place)
	return cause
}

// grant gives free places to those who wait.
func (g *Gate) grant(now time.Time) {
	for p := High; g.waiting > 0 && g.inFlight < g.pace.limit() && p <= Low; {
		place := g.queues[p].Front()
		if g.isCrowded(now) {
			place = g.queues[p].Back()
		}
		if place == nil {
			p++
			continue
		}
		if !g.granted.IsZero() {
			g.every += (now.Sub(g.granted) - g.every) / 8
		}
		g.granted = now
		g.inFlight++
		g.remove(place).ready <- nil
	}
}

func (g *Gate) admit(now time.Time, usual *Usual) Pass {
	g.inFlight++
	return g.pass(now, usual)
}

func (g *Gate) pass(now time.Time, usual *Usual) Pass {
	return Pass{gate: g, usual: usual, start: now, quiet: g.pace.began(now, usual, g.inFlight)}
}

// Leave gives the place back. A run tells how long its kind takes unless it has failed early, which says nothing about that. Leaving
// the zero Pass does nothing.
func (p Pass) Leave(tells bool) {
	g := p.gate
	if g == nil {
		return
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	quiet := p.quiet && g.pace.few(g.inFlight) // as when an overload begins, many may have come meanwhile
	g.inFlight--
	if tells {
		g.pace.end(p.usual, now.Sub(p.start), quiet)
	}
	g.adjust(now)
	g.grant(now)
}

func (g *Gate) adjust(now time.Time) {
	if g.pace.adjust(now, g.inFlight, g.waiting > 0) {
		g.grant(now)
	}
}

// GateStats is the state of a Gate.
type GateStats struct{ Limit, InFlight, Waiting int }

// Stats returns the state now. A Limit of 0 is none.
func (g *Gate) Stats() GateStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := GateStats{InFlight: g.inFlight, Waiting: g.waiting}
	if g.options.InFlight > 0 {
		s.Limit = g.pace.limit()
	}
	return s
}
