package store

import (
	"github.com/innatural/chatbot/plugins/internal/session"
)

// Memory is a store in the memory of the process: the least recently used values go when there are too many bytes.
type Memory struct {
	local
	values *session.Store[[]byte]
}

// NewMemory returns an empty store.
func NewMemory(limits Limits) *Memory {
	values := session.NewStore(limits.MaxBytes, limits.TTL, func(b []byte) int { return cap(b) })
	return &Memory{local{memoryRecords{values}, &locks{}}, values}
}

// Len returns the number of values held.
func (m *Memory) Len() int { return m.values.Len() }

// Bytes returns what the values hold.
func (m *Memory) Bytes() int64 { return m.values.Bytes() }

type memoryRecords struct{ *session.Store[[]byte] }

func (r memoryRecords) get(key string) ([]byte, error) {
	value, _ := r.Get(key)
	return value, nil
}

func (r memoryRecords) put(key string, value []byte) error {
	r.Update(key, func([]byte, bool) []byte { return value })
	return nil
}

func (r memoryRecords) remove(key string) error {
	r.Delete(key)
	return nil
}
