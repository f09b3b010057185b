package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// ErrClosed is the answer to who asks for a value after the cache was closed.
var ErrClosed = errors.New("the cache is closed")

// PanicError is what a call gives that panicked.
type PanicError struct {
	Value any    // of the panic
	Stack []byte // of its goroutine
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Flights makes at most one call for a key at a time and gives its outcome to everybody who asks meanwhile. A call belongs to
// nobody who waits for it: it has a deadline of its own and goes on when they leave. It may be used concurrently.
//
// It is golang.org/x/sync/singleflight with three differences that the cache needs: a panic reaches those who wait, where
// DoChan ends the process; Close waits for the calls; a call can be started without waiting for it.
type Flights[T any] struct {
	stopped context.Context // ends when Close gives up waiting
	stop    context.CancelFunc

	mu     sync.Mutex
	calls  map[string]*call[T]
	closed bool
	active sync.WaitGroup
}

type call[T any] struct {
	done  chan struct{} // closed once value and err are set
	value T
	err   error
}

// NewFlights returns Flights without calls. Close them in the end.
func NewFlights[T any]() *Flights[T] {
	stopped, stop := context.WithCancel(context.Background())
	return &Flights[T]{stopped: stopped, stop: stop, calls: map[string]*call[T]{}}
}

// Do returns what fn gives for the key: by calling it, or, when joined, by waiting for a call under way. It waits until ctx
// ends. The context of fn holds the values of ctx, outlives it, and ends after timeout.
func (f *Flights[T]) Do(
	ctx context.Context, key string, timeout time.Duration, fn func(context.Context) (T, error),
) (value T, joined bool, err error) {
	return f.Find(ctx, key, timeout, nil, fn)
}

// Find does as Do does, with a look on the caller's own goroutine before fn: what that finds is the outcome of the call. It is for
// looks that take a moment, as their callers wait for them whatever ctx says; most then need no goroutine.
func (f *Flights[T]) Find(
	ctx context.Context, key string, timeout time.Duration, look func(context.Context) (T, bool),
	fn func(context.Context) (T, error),
) (value T, joined bool, err error) {
	c, joined := f.begin(key)
	if c == nil {
		return value, false, ErrClosed
	}
	if !joined && (look == nil || !f.look(ctx, key, c, look)) {
		go f.run(ctx, key, timeout, c, fn)
	}
	select {
	case <-c.done:
		return c.value, joined, c.err
	case <-ctx.Done():
		return value, joined, context.Cause(ctx)
	}
}

// Start begins a call as Do does, unless one is under way for the key, and does not wait for it. It reports
// whether it began one.
func (f *Flights[T]) Start(
	ctx context.Context, key string, timeout time.Duration, fn func(context.Context) (T, error),
) bool {
	c, joined := f.begin(key)
	if c == nil || joined {
		return false
	}
	go f.run(ctx, key, timeout, c, fn)
	return true
}

// Underway reports whether a call is under way for a key.
func (f *Flights[T]) Underway(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.calls[key]
	return ok
}

// begin returns the call under way for a key, or a new one, which the caller must end; nil after Close.
func (f *Flights[T]) begin(key string) (c *call[T], joined bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c, ok := f.calls[key]; ok {
		return c, true
	}
	if f.closed {
		return nil, false
	}
	c = &call[T]{done: make(chan struct{})}
	f.calls[key] = c
	f.active.Add(1)
	return c, false
}

// look ends a call with what a look finds, and reports whether it did. One that panics has found nothing.
func (f *Flights[T]) look(ctx context.Context, key string, c *call[T], look func(context.Context) (T, bool)) (found bool) {
	defer func() {
		if recover() != nil {
			found = false
		}
		if found {
			f.end(key, c)
		}
	}()
	c.value, found = look(ctx)
	return found
}

func (f *Flights[T]) run(
	ctx context.Context, key string, timeout time.Duration, c *call[T], fn func(context.Context) (T, error),
) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer context.AfterFunc(f.stopped, cancel)()
	defer cancel()
	c.err = errors.New("the call ended its goroutine") // unless fn returns or panics, below
	defer func() {
		if v := recover(); v != nil {
			c.err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		f.end(key, c)
	}()
	c.value, c.err = fn(ctx)
}

// end tells everybody the outcome of a call.
func (f *Flights[T]) end(key string, c *call[T]) {
	f.mu.Lock()
	delete(f.calls, key)
	f.mu.Unlock()
	close(c.done)
	f.active.Done()
}

// Close lets no further call begin and waits for those under way. When ctx ends first, it cancels their contexts and returns
// without waiting for them.
func (f *Flights[T]) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		f.active.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		f.stop()
		return nil
	case <-ctx.Done():
		f.stop()
		return fmt.Errorf("wait for loads under way: %w", ctx.Err())
	}
}
