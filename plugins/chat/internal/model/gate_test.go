package model

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateFollowsTheUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(40)
		pass := func() func(overloaded, good bool) {
			leave, err := g.pass(t.Context(), time.Now().Add(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
		var leave []func(overloaded, good bool)
		for range 40 {
			leave = append(leave, pass())
		}
		time.Sleep(time.Second)
		for _, l := range leave {
			l(true, false) // all at once: one overload
		}
		if limit, inFlight, _ := g.state(); limit != 20 || inFlight != 0 {
			t.Errorf("after an overload %d may go, %d do", limit, inFlight)
		}
		for range 10 {
			l := pass()
			time.Sleep(time.Millisecond)
			l(true, false)
		}
		if limit, _, _ := g.state(); limit != leastConcurrency {
			t.Errorf("after many overloads %d may go, want %d", limit, leastConcurrency)
		}
		for range leastConcurrency * 3 { // a bound that is never reached is not raised
			pass()(false, true)
		}
		if limit, _, _ := g.state(); limit != leastConcurrency {
			t.Errorf("an idle upstream may get %d", limit)
		}
		leave = leave[:0]
		for range leastConcurrency {
			leave = append(leave, pass())
		}
		for _, l := range leave {
			l(false, true)
		}
		if limit, _, _ := g.state(); limit != leastConcurrency+1 {
			t.Errorf("after a clean window %d may go, want %d", limit, leastConcurrency+1)
		}
	})
}

func TestGateKnowsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		take := func(wait time.Duration) (func(overloaded, good bool), error) {
			return g.pass(t.Context(), time.Now().Add(wait))
		}
		leave, _ := take(0)
		time.Sleep(time.Second)
		leave(false, true) // a request takes a second
		leave, _ = take(0)
		began := time.Now()
		if _, err := take(500 * time.Millisecond); !errors.Is(err, errQueueFull) || time.Since(began) > 0 {
			t.Errorf("who would wait too long: %v after %s", err, time.Since(began))
		}
		done := make(chan error)
		go func() {
			l, err := take(1500 * time.Millisecond)
			if err == nil {
				l(false, true)
			}
			done <- err
		}()
		synctest.Wait()
		if _, _, waiting := g.state(); waiting != 1 {
			t.Errorf("%d wait", waiting)
		}
		leave(false, true)
		if err := <-done; err != nil {
			t.Errorf("who had time: %v", err)
		}
		leave, _ = take(0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := g.pass(ctx, time.Now().Add(time.Minute))
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("who left the line: %v", err)
		}
		go func() {
			_, err := take(1100 * time.Millisecond) // nobody leaves in time
			done <- err
		}()
		if err := <-done; !errors.Is(err, errQueueFull) {
			t.Errorf("who waited for nothing: %v", err)
		}
		leave(false, false)
		if _, inFlight, waiting := g.state(); inFlight+waiting != 0 {
			t.Errorf("%d are in, %d wait, and nobody is there", inFlight, waiting)
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		for range mostFailures {
			if ok, _ := b.allow(); !ok || b.state() != "closed" {
				t.Fatal("it opened too early")
			}
			b.done(failed, false)
		}
		if ok, _ := b.allow(); ok || b.state() != "open" {
			t.Error("it did not open")
		}
		time.Sleep(firstPause)
		if ok, tries := b.allow(); !ok || !tries {
			t.Error("nobody may try after the pause")
		}
		if ok, _ := b.allow(); ok {
			t.Error("a second one may try")
		}
		b.done(worked, false) // one that began long ago
		b.done(failed, true)
		if ok, _ := b.allow(); ok {
			t.Error("it closed after a failure")
		}
		time.Sleep(longestPause)
		if ok, tries := b.allow(); !ok || !tries {
			t.Error("nobody may try after the second pause")
		}
		b.done(worked, true)
		if ok, tries := b.allow(); !ok || tries || b.state() != "closed" {
			t.Error("it did not close")
		}
		b.hold(time.Second)
		if ok, _ := b.allow(); ok {
			t.Error("it passes what is held")
		}
		time.Sleep(time.Second)
		if ok, _ := b.allow(); !ok {
			t.Error("it holds for too long")
		}
	})
}
