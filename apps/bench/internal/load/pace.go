//go:build linux

package load

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// job is a request that is due.
type job struct {
	kind int
	due  time.Time
}

// maxWaiting bounds the requests that are due and wait for a connection. What is due beyond it is dropped, which makes the run
// invalid.
const maxWaiting = 1 << 16

// open hands every request to a connection when it is due, and opens more connections when all are busy.
func (g *Generator) open(ctx context.Context, start time.Time, rec *Recording) {
	jobs := make(chan job, maxWaiting)
	var free atomic.Int64 // connections that wait for a job
	var senders sync.WaitGroup
	defer senders.Wait()
	defer close(jobs)
	end := rec.Started.Add(rec.Duration)
	connections := 0
	add := func() {
		connections++
		free.Add(1)
		senders.Go(func() { g.serve(ctx, jobs, &free, rec) })
	}
	for range min(g.plan.Connections, 16) {
		add()
	}
	// The thread is given back afterwards. It must not end: servers that were started from it would end with it (PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack(1)
	defer slack(0)
	next := schedule(g.plan, g.arrivals)
	for turn := 0; ; turn++ {
		due := start.Add(next())
		if !due.Before(end) || !g.wait(ctx, due) {
			break
		}
		if free.Load() <= int64(len(jobs)) && connections < g.plan.Connections {
			add()
		}
		kind := g.deck[turn%len(g.deck)]
		select {
		case jobs <- job{kind, due}:
		default:
			rec.drop(due)
		}
	}
	rec.Exhausted = connections == g.plan.Connections && free.Load() <= int64(len(jobs))
}

// schedule returns a function that tells when, from the start, the next request is due.
func schedule(p Plan, random *rand.Rand) func() time.Duration {
	interval, after, n := float64(time.Second)/p.Rate, 0.0, 0
	return func() time.Duration {
		if p.Even {
			n++
			return time.Duration(float64(n-1) * interval)
		}
		after += random.ExpFloat64() * interval
		return time.Duration(after)
	}
}

// serve sends jobs over one connection. Those that still wait when the run has been over for the time of a request are dropped.
func (g *Generator) serve(ctx context.Context, jobs <-chan job, free *atomic.Int64, rec *Recording) {
	c := g.take()
	defer g.give(c)
	last := rec.Started.Add(rec.Duration + g.plan.Timeout)
	for j := range jobs {
		free.Add(-1)
		if sent := time.Now(); ctx.Err() != nil || sent.After(last) {
			rec.drop(j.due)
		} else {
			rec.add(j.kind, j.due, sent, c.ask(j.kind, sent))
		}
		free.Add(1)
	}
}

// slack says by how many nanoseconds the kernel may wake this thread later than it wants to be woken; 0 is as at first, 50 µs.
func slack(nanoseconds uintptr) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0) // without it the lag is a little larger, and is measured
}

// coarse is how long before a time Go's timers give way to the kernel's.
const coarse = 3 * time.Millisecond

// waitUntil waits until a time, and reports whether ctx has not ended.
func waitUntil(ctx context.Context, due time.Time) bool {
	for {
		left := time.Until(due)
		if left <= 0 {
			return ctx.Err() == nil
		}
		if left > 2*coarse {
			select {
			case <-ctx.Done():
				return false
			case <-time.After(left - coarse):
			}
			continue
		}
		t := unix.NsecToTimespec(int64(left))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil) // a signal may end it early
	}
}
