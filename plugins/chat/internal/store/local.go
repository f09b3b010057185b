package store

import (
	"context"
	"sync"
	"time"
)

// local is a store within one process: records, and the locks of their keys.
type local struct {
	records records
	locks   *locks
}

// records keep values by key. They may be used concurrently.
type records interface {
	get(key string) ([]byte, error)
	put(key string, value []byte) error
	remove(key string) error
}

func (l *local) Get(_ context.Context, key string) ([]byte, error) { return l.records.get(key) }

func (l *local) Check(context.Context) error { return nil }

func (l *local) Probe(context.Context) error { return l.records.put(probeKey, nil) }

func (l *local) Put(_ context.Context, key string, value []byte) error {
	return l.records.put(key, value)
}

func (l *local) Delete(_ context.Context, key string) error {
	return l.locks.void(key, func() error { return l.records.remove(key) })
}

func (l *local) Lock(ctx context.Context, key string, wait time.Duration) (*Lock, error) {
	h, err := l.locks.lock(ctx, key, wait)
	if err != nil {
		return nil, err
	}
	value, err := l.records.get(key)
	if err != nil {
		h.release()
		return nil, err
	}
	return &Lock{
		Value: value,
		put: func(_ context.Context, value []byte) error {
			return h.do(func() error { return l.records.put(key, value) })
		},
		release: h.release,
	}, nil
}

// locks are locks by key. The zero value is ready.
type locks struct {
	mu   sync.Mutex
	keys map[string]*keyLock // those that somebody has or waits for
}

type keyLock struct {
	turn  chan struct{} // holds one while somebody has the lock; channels serve in order
	users int           // who have it or wait; guarded by locks.mu

	mu     sync.Mutex
	holder *holder // nil when nobody has it, or when it was taken away
}

// holder is who has a lock.
type holder struct {
	locks *locks
	key   string
	of    *keyLock
}

func (l *locks) lock(ctx context.Context, key string, wait time.Duration) (*holder, error) {
	k := l.enter(key)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case k.turn <- struct{}{}:
	case <-timer.C:
		l.leave(key, k)
		return nil, ErrBusy
	case <-ctx.Done():
		l.leave(key, k)
		return nil, context.Cause(ctx)
	}
	h := &holder{l, key, k}
	k.mu.Lock()
	k.holder = h
	k.mu.Unlock()
	return h, nil
}

// enter counts a user of a key's lock, until leave.
func (l *locks) enter(key string) *keyLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.keys[key]
	if k == nil {
		if l.keys == nil {
			l.keys = map[string]*keyLock{}
		}
		k = &keyLock{turn: make(chan struct{}, 1)}
		l.keys[key] = k
	}
	k.users++
	return k
}

func (l *locks) leave(key string, k *keyLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.keys, key)
	}
}

// void runs f, and takes the right to write away from who has the lock of a key.
func (l *locks) void(key string, f func() error) error {
	k := l.enter(key)
	defer l.leave(key, k)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holder = nil
	return f()
}

// do runs f unless the lock was taken away, which waits for f.
func (h *holder) do(f func() error) error {
	h.of.mu.Lock()
	defer h.of.mu.Unlock()
	if h.of.holder != h {
		return ErrLost
	}
	return f()
}

func (h *holder) release() {
	h.of.mu.Lock()
	h.of.holder = nil
	h.of.mu.Unlock()
	<-h.of.turn
	h.locks.leave(h.key, h.of)
}
