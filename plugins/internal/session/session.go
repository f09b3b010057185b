// Package session keeps what a visit needs between two requests, in memory and within bounds: bytes, and time since the last
// use. The least recently used go first. A cache library would not do: those that weigh their entries refuse new ones that
// are rarely used so far, which every conversation is when it begins.
package session

import (
	"container/list"
	"sync"
	"time"
)

// overhead is what an entry costs beside its id and its value: the list's element, the map's slot and the entry itself.
const overhead = 200

// Store holds values of T by session id. A value is immutable once stored: an update stores a new one. It may be used
// concurrently.
type Store[T any] struct {
	maxBytes int64
	ttl      time.Duration
	size     func(T) int

	mu      sync.Mutex
	bytes   int64
	entries map[string]*list.Element
	recent  *list.List // of *entry[T], the most recently used first, and so in the order in which they expire
}

type entry[T any] struct {
	id    string
	value T
	bytes int64
	used  time.Time
}

// NewStore returns a store that holds at most maxBytes, each value for ttl after its last use. The function size returns the
// bytes that a value holds.
func NewStore[T any](maxBytes int64, ttl time.Duration, size func(T) int) *Store[T] {
	return &Store[T]{maxBytes: maxBytes, ttl: ttl, size: size, entries: map[string]*list.Element{}, recent: list.New()}
}

// Get returns the value of a session, and counts as its use.
func (s *Store[T]) Get(id string) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	if e == nil {
		return value, false
	}
	e.used = time.Now()
	return e.value, true
}

// Update stores what f makes of a session's value, the zero value when there is none. No other update of the store runs
// meanwhile: f must be quick and must not use the store. A value larger than the store takes the session out of it.
func (s *Store[T]) Update(id string, f func(value T, ok bool) T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	if e == nil {
		var zero T
		e = &entry[T]{id: id, value: f(zero, false)}
		s.entries[id] = s.recent.PushFront(e)
	} else {
		e.value = f(e.value, true)
	}
	s.bytes -= e.bytes
	e.bytes = int64(2*len(id) + s.size(e.value) + overhead)
	s.bytes += e.bytes
	e.used = time.Now()
	for s.bytes > s.maxBytes {
		s.remove(s.recent.Back())
	}
}

// Delete removes a session and says whether there was one.
func (s *Store[T]) Delete(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(id) == nil {
		return false
	}
	s.remove(s.entries[id])
	return true
}

// Len returns the number of sessions held.
func (s *Store[T]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return s.recent.Len()
}

// Bytes returns what the sessions hold, overhead included.
func (s *Store[T]) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return s.bytes
}

// Values returns the values of all sessions, the most recently used first. It is no use of them.
func (s *Store[T]) Values() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	values := make([]T, 0, s.recent.Len())
	for at := s.recent.Front(); at != nil; at = at.Next() {
		values = append(values, at.Value.(*entry[T]).value)
	}
	return values
}

// IDs returns the ids of all sessions, the most recently used first. It is no use of them.
func (s *Store[T]) IDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	ids := make([]string, 0, s.recent.Len())
	for at := s.recent.Front(); at != nil; at = at.Next() {
		ids = append(ids, at.Value.(*entry[T]).id)
	}
	return ids
}

// find returns the entry of a session that has not expired, moved to the front.
func (s *Store[T]) find(id string) *entry[T] {
	s.expire()
	at, ok := s.entries[id]
	if !ok {
		return nil
	}
	s.recent.MoveToFront(at)
	return at.Value.(*entry[T])
}

func (s *Store[T]) expire() {
	limit := time.Now().Add(-s.ttl)
	for at := s.recent.Back(); at != nil && at.Value.(*entry[T]).used.Before(limit); at = s.recent.Back() {
		s.remove(at)
	}
}

func (s *Store[T]) remove(at *list.Element) {
	e := s.recent.Remove(at).(*entry[T])
	s.bytes -= e.bytes
	delete(s.entries, e.id)
}
