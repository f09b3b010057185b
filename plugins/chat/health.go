package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

const (
	probeEvery  = time.Second            // at most: each one waits for the disk
	probeWithin = 900 * time.Millisecond // as Host.AddCheck asks for
	failureTold = time.Minute            // a full disk takes a probe and refuses what is larger
)

// watch tells health whether conversations and tickets can be kept. It writes to find out, so a shop learns of a full disk before a
// customer's complaint is lost.
type watch struct {
	kind    string
	tickets store.Store
	log     *slog.Logger
	run     func(func(context.Context)) // on a goroutine of the generation
	failed  atomic.Int64                // when an operation failed last, in Unix nanoseconds

	mu      sync.Mutex
	last    *probe
	failing bool
}

// probe is one attempt to write.
type probe struct {
	began time.Time
	ended chan struct{}
	took  time.Duration // once it has ended, as err
	err   error
}

var errProbeSlow = errors.New("it does not answer in time")

// failure takes note of an operation that failed.
func (w *watch) failure(err error) {
	if !errors.Is(err, store.ErrBusy) {
		w.failed.Store(time.Now().UnixNano())
	}
}

// check is degraded while nothing can be kept, and no worse: customers are answered all the same.
func (w *watch) check(ctx context.Context) framework.Check {
	p := w.probe()
	slow := time.NewTimer(probeWithin)
	defer slow.Stop()
	var err error
	var took time.Duration
	select {
	case <-p.ended:
		err, took = p.err, p.took
	case <-slow.C:
		err, took = errProbeSlow, time.Since(p.began)
	case <-ctx.Done():
		err, took = context.Cause(ctx), time.Since(p.began)
	}
	if ctx.Err() == nil {
		w.tell(ctx, err)
	}
	status := "healthy"
	if err != nil || time.Since(time.Unix(0, w.failed.Load())) < failureTold {
		status = "degraded"
	}
	return framework.Check{Status: status, Fields: map[string]any{
		"kind": w.kind, "latencyMs": float64(took.Microseconds()) / 1000, //nolint:mnd // in a millisecond
	}}
}

// probe returns the probe under way, or one that has just ended, or a new one.
func (w *watch) probe() *probe {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last != nil {
		select {
		case <-w.last.ended:
			if time.Since(w.last.began) < probeEvery {
				return w.last
			}
		default:
			return w.last
		}
	}
	p := &probe{began: time.Now(), ended: make(chan struct{})}
	w.last = p
	w.run(func(ctx context.Context) {
		p.err = w.tickets.Probe(ctx)
		p.took = time.Since(p.began)
		close(p.ended)
	})
	return p
}

// tell logs when the store begins to fail a probe, and when it no longer does.
func (w *watch) tell(ctx context.Context, err error) {
	w.mu.Lock()
	changed := w.failing != (err != nil)
	w.failing = err != nil
	w.mu.Unlock()
	switch {
	case changed && err != nil:
		w.log.WarnContext(ctx, "The chat's store can't be written", "store", w.kind, "error", err)
	case changed:
		w.log.InfoContext(ctx, "The chat's store is written again", "store", w.kind)
	}
}
