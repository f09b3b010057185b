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
	c, joined := f.begin(ctx, key, timeout, fn)
	if c == nil {
		return value, false, ErrClosed
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
	c, joined := f.begin(ctx, key, timeout, fn)
	return c != nil && !joined
}

// begin returns the call under way for a key, or a new one; nil after Close.
func (f *Flights[T]) begin(
	ctx context.Context, key string, timeout time.Duration, fn func(context.Context) (T, error),
) (c *call[T], joined bool) {
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
	f.active.Go(func() { f.run(ctx, key, timeout, c, fn) })
	return c, false
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
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(c.done)
	}()
	c.value, c.err = fn(ctx)
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
