package model

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	defaultConcurrency = 100
	leastConcurrency   = 5
	decrease           = 0.5 // of the limit, when the upstream is overloaded
	smoothing          = 0.1 // of a new service time in the mean
)

// gate bounds the requests under way at one upstream, to what it takes: an overload halves the bound, and as many good answers in
// a row as the bound has raise it by one (additive increase, multiplicative decrease: D.-M. Chiu and R. Jain, 1989). Who finds it
// full waits in line, unless the line is longer than the time that they have. It may be used concurrently.
type gate struct {
	mu        sync.Mutex
	limit     float64
	least     float64
	most      float64
	inFlight  int
	clean     int       // good answers since the limit changed
	full      bool      // the limit was reached since it changed
	decreased time.Time // requests that began before say nothing more
	service   float64   // mean seconds of a request
	line      list.List // of *waiter
}

type waiter struct {
	admitted chan struct{}
	at       *list.Element
}

var errQueueFull = errors.New("too many wait already")

func newGate(most int) *gate {
	g := &gate{limit: float64(most), most: float64(most), least: float64(min(most, leastConcurrency))}
	g.line.Init()
	return g
}

// pass waits for a place until a time, and returns what gives it back. It refuses at once who would wait longer.
func (g *gate) pass(ctx context.Context, until time.Time) (leave func(overloaded, good bool), err error) {
	g.mu.Lock()
	if g.inFlight < int(g.limit) && g.line.Len() == 0 {
		g.enter()
		g.mu.Unlock()
		return g.leaver(), nil
	}
	g.full = true
	wait := time.Duration(float64(g.line.Len()+1) / g.limit * g.service * float64(time.Second))
	if left := time.Until(until); left <= 0 || wait > left {
		g.mu.Unlock()
		return nil, errQueueFull
	}
	w := &waiter{admitted: make(chan struct{})}
	w.at = g.line.PushBack(w)
	g.mu.Unlock()

	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-w.admitted:
		return g.leaver(), nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = errQueueFull
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.admitted: // just then
		g.inFlight--
		g.admit()
	default:
		g.line.Remove(w.at)
	}
	return nil, err
}

func (g *gate) enter() {
	g.inFlight++
	g.full = g.full || g.inFlight >= int(g.limit)
}

// admit lets those in for whom there is room.
func (g *gate) admit() {
	for g.inFlight < int(g.limit) && g.line.Len() > 0 {
		w := g.line.Remove(g.line.Front()).(*waiter) //nolint:forcetypeassert // of nothing else
		g.enter()
		close(w.admitted)
	}
}

func (g *gate) leaver() func(overloaded, good bool) {
	began := time.Now()
	return func(overloaded, good bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inFlight--
		switch {
		case overloaded && began.After(g.decreased):
			g.limit = max(g.least, g.limit*decrease)
			g.decreased, g.clean, g.full = time.Now(), 0, false
		case good:
			took := time.Since(began).Seconds()
			if g.service == 0 {
				g.service = took
			}
			g.service += smoothing * (took - g.service)
			if g.clean++; g.clean >= int(g.limit) {
				if g.full {
					g.limit = min(g.most, g.limit+1)
				}
				g.clean, g.full = 0, false
			}
		}
		g.admit()
	}
}

// state returns the bound, the requests under way and those that wait.
func (g *gate) state() (limit, inFlight, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(g.limit), g.inFlight, g.line.Len()
}
