package chat

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

// probed is a store that can be written or not.
type probed struct {
	store.Store
	err    error
	probes atomic.Int32
	hung   chan struct{} // nil when it answers
}

func (p *probed) Probe(context.Context) error {
	p.probes.Add(1)
	if p.hung != nil {
		<-p.hung
	}
	return p.err
}

func TestHealthOfTheStore(t *testing.T) {
	b := newBot(t)
	disk := &probed{}
	b.watch.kind, b.watch.tickets = "bbolt", disk
	health := func(want string) {
		t.Helper()
		if c := b.watch.check(t.Context()); c.Status != want || c.Fields["kind"] != "bbolt" || c.Fields["latencyMs"].(float64) < 0 {
			t.Errorf("health is %+v, want %s", c, want)
		}
	}
	again := func() { b.watch.last.began = time.Now().Add(-2 * probeEvery) }
	health("healthy")
	health("healthy")
	if n := disk.probes.Load(); n != 1 {
		t.Errorf("%d writes for two questions", n)
	}
	for range 2 {
		again()
		disk.err = errDisk
		health("degraded")
		again()
		health("degraded")
		again()
		disk.err = nil
		health("healthy")
	}
	for line, want := range map[string]int{"store can't be written": 2, "store is written again": 2} {
		if n := strings.Count(b.logs.String(), line); n != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", line, n, want, b.logs)
		}
	}

	// What is larger than a probe may fail where that does not.
	b.notKept(t.Context(), "cache", errDisk)
	b.notKept(t.Context(), "tickets", store.ErrBusy)
	health("healthy")
	b.notKept(t.Context(), "tickets", errDisk)
	health("degraded")
	b.watch.failed.Add(-int64(failureTold))
	health("healthy")
}

func TestHealthOfAStoreThatHangs(t *testing.T) {
	b := newBot(t)
	disk := &probed{hung: make(chan struct{})}
	var probes sync.WaitGroup
	b.watch.tickets, b.watch.run = disk, func(f func(context.Context)) { probes.Go(func() { f(context.Background()) }) }
	began := time.Now()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if c := b.watch.check(t.Context()); c.Status != "degraded" {
				t.Errorf("health is %+v", c)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < probeWithin || took > 5*time.Second {
		t.Errorf("it took %v, and Host.AddCheck allows a second", took)
	}
	if n := disk.probes.Load(); n != 1 {
		t.Errorf("%d writes wait for a disk that does not answer", n)
	}
	ctx, leave := context.WithCancelCause(t.Context())
	leave(errors.New("the client left"))
	if b.watch.check(ctx); strings.Contains(b.logs.String(), "the client left") {
		t.Error("a client that leaves is taken for a fault of the store")
	}
	close(disk.hung)
	probes.Wait()
	if c := b.watch.check(t.Context()); c.Status != "healthy" {
		t.Errorf("once it answers health is %+v", c)
	}
}
