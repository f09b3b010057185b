// Package store keeps what the chat has to remember, by key and for a time after it was last written: in the memory of the process,
// in a file, or in Redis, which instances share. A key has a lock, which holds wherever its value does.
//
// A lock is fenced (M. Kleppmann, "How to do distributed locking", 2016): what its holder writes is refused once another one has
// had the lock, and once the value was deleted, so that nothing that was erased comes back with the end of an answer under way.
package store

import (
	"context"
	"errors"
	"time"
)

// Why an operation was not carried out. Any other error says that the store can't read or write now.
var (
	ErrBusy = errors.New("somebody else has the lock")
	ErrLost = errors.New("the lock was lost, or the value deleted meanwhile")
)

// Store keeps values by key. It may be used concurrently. Values must not be changed, neither those given to it nor those got.
type Store interface {
	// Get returns the value of a key, or nil.
	Get(ctx context.Context, key string) ([]byte, error)
	// Check returns an error while Get may miss what is stored: it is for those who must not take that for nothing.
	Check(ctx context.Context) error
	// Probe writes something under a key of its own, and returns why that can't be kept.
	Probe(ctx context.Context) error
	// Put stores the value of a key that nobody locks.
	Put(ctx context.Context, key string, value []byte) error
	// Delete removes the value of a key, whoever has its lock. What that one writes later is refused.
	Delete(ctx context.Context, key string) error
	// Lock waits for the lock of a key until ctx ends or for the time given, then for ErrBusy. Those who wait in one process get it in
	// the order in which they came. The lock has to be released.
	Lock(ctx context.Context, key string, wait time.Duration) (*Lock, error)
}

// probeKey is the key of what a probe writes. No conversation and no ticket has it.
const probeKey = ":probe"

// Limits bound what a store holds.
type Limits struct {
	TTL      time.Duration // how long a value is kept after it was last written
	MaxBytes int64         // of all values, keys and overhead included; Redis has a limit of its own (maxmemory)
}

// Lock is the right to be the only one who changes a value. It is not for concurrent use.
type Lock struct {
	Value   []byte // when the lock was taken; nil without one
	put     func(ctx context.Context, value []byte) error
	release func()
}

// Put stores the value. ErrLost says that it was not stored, because the lock is another one's by now or the value was deleted.
func (l *Lock) Put(ctx context.Context, value []byte) error { return l.put(ctx, value) }

// Release gives the lock to the next one.
func (l *Lock) Release() { l.release() }
