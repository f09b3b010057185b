package cache

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"
)

// entryOverhead is what an entry occupies beyond its key's and its value's own bytes: the hash table's slot, otter's node and
// frequency sketch, the item and the rounding of allocations. TestCostIsWhatTheHeapHolds measures it.
const entryOverhead = 224

// The stamps of purges are kept in tables of a fixed size, indexed by hash. Two names that share a slot are purged
// together, which costs a load and is never wrong.
const (
	keySlots = 1 << 10
	tagSlots = 1 << 13
)

// Stamp is a moment in the order of purges.
type Stamp uint64

// Entry is how a value is stored.
type Entry struct {
	TTL  time.Duration // the entry is gone after it; 0 or less stores nothing
	Cost int           // bytes of the value, without those of the key and the overhead, which are added
	Tags []string
	Made Stamp // Memory.Now before the value was made; a purge since then refuses it
}

// Memory is the layer in process: it holds at most a number of bytes, evicts what is used least (W-TinyLFU, by otter) and
// may be used concurrently. Values are shared by all readers, who must not change them.
type Memory struct {
	entries *otter.Cache[string, *item]
	counter *stats.Counter
	loads   *Flights[[]byte]
	shared  atomic.Pointer[Redis]
	seed    maphash.Seed

	// purging is held shared while a value is stored and exclusively while a purge takes its stamp. So a store is either
	// complete before the purge begins to remove, or sees its stamp.
	purging sync.RWMutex
	now     atomic.Uint64
	all     uint64 // stamp of the last purge that may concern any key
	keys    [keySlots]uint64
	tags    [tagSlots]atomic.Uint64 // read by every hit, without the lock
}

type item struct {
	value   any
	cost    uint32
	tags    []uint16 // slots
	made    Stamp
	expires time.Time
}

// NewMemory returns a layer of at most maxBytes, entries and their overhead. Close it in the end.
func NewMemory(maxBytes int64) (*Memory, error) {
	if maxBytes <= 0 {
		return nil, fmt.Errorf("memory of %d bytes: it must be more than none", maxBytes)
	}
	m := &Memory{counter: stats.NewCounter(), loads: NewFlights[[]byte](), seed: maphash.MakeSeed()}
	entries, err := otter.New(&otter.Options[string, *item]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(key string, it *item) uint32 { return it.cost },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *item]) time.Duration {
			return time.Until(e.Value.expires)
		}),
		StatsRecorder: &evictions{counter: m.counter},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare memory layer: %w", err)
	}
	m.entries = entries
	return m, nil
}

// evictions passes on what only otter knows; hits and misses are counted by Memory, which knows about purged tags.
type evictions struct {
	stats.NoopRecorder
	counter *stats.Counter
}

func (e *evictions) RecordEviction(weight uint32) { e.counter.RecordEviction(weight) }

// Close ends the layer's goroutines. It waits for loads under way until ctx ends, and then cancels them.
func (m *Memory) Close(ctx context.Context) error {
	err := m.loads.Close(ctx)
	m.entries.StopAllGoroutines()
	return err
}

// Share puts a shared layer behind the memory, instead of the one before; nil is none. Neither is closed.
func (m *Memory) Share(r *Redis) { m.shared.Store(r) }

// Shared returns the layer behind the memory, or nil, which serves as a layer that holds nothing.
func (m *Memory) Shared() *Redis { return m.shared.Load() }

// Get returns the value of a key and counts a hit or a miss.
func (m *Memory) Get(key string) (any, bool) {
	it, ok := m.entries.GetIfPresent(key)
	if !ok || m.purgedTag(it) {
		m.counter.RecordMisses(1)
		return nil, false
	}
	m.counter.RecordHits(1)
	return it.value, true
}

// Find returns the value of a key as Get does, and leaves it to the caller to count the hit with CountHit, or to ask again.
func (m *Memory) Find(key string) (any, bool) {
	it, ok := m.entries.GetIfPresent(key)
	if !ok || m.purgedTag(it) {
		return nil, false
	}
	return it.value, true
}

// CountHit counts a hit of a value that Find returned.
func (m *Memory) CountHit() { m.counter.RecordHits(1) }

// Peek returns the value of a key without counting the read.
func (m *Memory) Peek(key string) (any, bool) {
	e, ok := m.entries.GetEntryQuietly(key)
	if !ok || m.purgedTag(e.Value) {
		return nil, false
	}
	return e.Value.value, true
}

// Now returns the present moment in the order of purges. It is taken before a value is made.
func (m *Memory) Now() Stamp { return Stamp(m.now.Load()) }

// Purged returns when a key with these tags was last purged. Who wants a value must not join the making of one that began
// under another stamp: it may be what was purged.
func (m *Memory) Purged(key string, tags []string) Stamp {
	m.purging.RLock()
	defer m.purging.RUnlock()
	last := max(m.all, m.keys[m.keySlot(key)])
	for _, tag := range tags {
		last = max(last, m.tags[m.tagSlot(tag)].Load())
	}
	return Stamp(last)
}

// Set stores a value under a key and reports whether it did: not without a TTL, nor when the key or one of the tags was purged
// after e.Made.
func (m *Memory) Set(key string, value any, e Entry) bool {
	if e.TTL <= 0 {
		return false
	}
	it := &item{value: value, cost: weight(key, e.Cost), made: e.Made, expires: time.Now().Add(e.TTL)}
	for _, tag := range e.Tags {
		it.tags = append(it.tags, m.tagSlot(tag))
	}
	m.purging.RLock()
	defer m.purging.RUnlock()
	if m.all > uint64(e.Made) || m.keys[m.keySlot(key)] > uint64(e.Made) || m.purgedTag(it) {
		return false
	}
	m.entries.Set(key, it)
	return true
}

// Grow adds bytes to the cost of a key's entry, if it still holds that value, which must be a pointer.
func (m *Memory) Grow(key string, value any, bytes int) {
	m.entries.ComputeIfPresent(key, func(old *item) (*item, otter.ComputeOp) {
		if old.value != value {
			return old, otter.CancelOp
		}
		grown := *old
		grown.cost = add(old.cost, bytes)
		return &grown, otter.WriteOp
	})
}

// Drop removes a key's entry, if it still holds that value, which must be a pointer. It is no purge: values that are being
// made for the key are stored.
func (m *Memory) Drop(key string, value any) {
	m.entries.ComputeIfPresent(key, func(old *item) (*item, otter.ComputeOp) {
		if old.value != value {
			return old, otter.CancelOp
		}
		return nil, otter.InvalidateOp
	})
}

// Delete purges a key and reports whether it held a value.
func (m *Memory) Delete(key string) bool {
	m.purge(func(stamp uint64) { m.keys[m.keySlot(key)] = stamp })
	it, ok := m.entries.Invalidate(key)
	return ok && !m.purgedTag(it)
}

// PurgeTag purges every entry of a tag, at once and whatever their number. Their bytes are freed as they are replaced, expire or
// are evicted.
func (m *Memory) PurgeTag(tag string) {
	m.purge(func(stamp uint64) { m.tags[m.tagSlot(tag)].Store(stamp) })
}

// Purge purges every key that match holds of, by going through all of them, and returns how many there were.
func (m *Memory) Purge(match func(key string) bool) int {
	m.purge(func(stamp uint64) { m.all = stamp })
	n := 0
	for key := range m.entries.Keys() {
		if match(key) {
			if _, ok := m.entries.Invalidate(key); ok {
				n++
			}
		}
	}
	return n
}

// Count returns how many keys match holds of, by going through all of them.
func (m *Memory) Count(match func(key string) bool) int {
	n := 0
	for key := range m.entries.Keys() {
		if match(key) {
			n++
		}
	}
	return n
}

// CountTags returns how many entries PurgeTag of all these tags would purge, by going through all of them.
func (m *Memory) CountTags(tags ...string) int {
	slots := make([]uint16, len(tags))
	for i, tag := range tags {
		slots[i] = m.tagSlot(tag)
	}
	n := 0
	for _, it := range m.entries.All() {
		if !m.purgedTag(it) && slices.ContainsFunc(it.tags, func(slot uint16) bool { return slices.Contains(slots, slot) }) {
			n++
		}
	}
	return n
}

// Flush purges everything.
func (m *Memory) Flush() {
	m.purge(func(stamp uint64) { m.all = stamp })
	m.entries.InvalidateAll()
}

// SetMaximum changes how many bytes the layer holds, evicting at once what is too much.
func (m *Memory) SetMaximum(maxBytes int64) { m.entries.SetMaximum(uint64(max(maxBytes, 0))) }

// Stats is the state of a layer. Hits, misses and evictions count since it was made.
type Stats struct {
	Keys, Bytes, MaxBytes   int64
	Hits, Misses, Evictions int64
}

// HitRate returns the share of hits in all reads, 0 to 1; 0 before the first.
func (s Stats) HitRate() float64 {
	if s.Hits+s.Misses == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// Stats returns the state of the layer.
func (m *Memory) Stats() Stats {
	m.entries.CleanUp()
	counted := m.counter.Snapshot()
	return Stats{
		Keys:      int64(m.entries.EstimatedSize()),
		Bytes:     int64(m.entries.WeightedSize()),
		MaxBytes:  int64(m.entries.GetMaximum()),
		Hits:      int64(counted.Hits),
		Misses:    int64(counted.Misses),
		Evictions: int64(counted.Evictions),
	}
}

// purge takes the next stamp and records it. A later stamp is never overwritten by an earlier one, and who sees it with Now
// finds it recorded.
func (m *Memory) purge(record func(stamp uint64)) {
	m.purging.Lock()
	defer m.purging.Unlock()
	stamp := m.now.Load() + 1
	record(stamp)
	m.now.Store(stamp)
}

func (m *Memory) purgedTag(it *item) bool {
	for _, slot := range it.tags {
		if m.tags[slot].Load() > uint64(it.made) {
			return true
		}
	}
	return false
}

func (m *Memory) keySlot(key string) uint64 { return maphash.String(m.seed, key) % keySlots }

func (m *Memory) tagSlot(tag string) uint16 { return uint16(maphash.String(m.seed, tag) % tagSlots) }

func weight(key string, cost int) uint32 { return add(entryOverhead, len(key)+max(cost, 0)) }

func add(cost uint32, bytes int) uint32 { return uint32(min(int64(cost)+int64(bytes), math.MaxUint32)) }
