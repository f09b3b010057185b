package cache

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"
)

// entryOverhead is what an entry occupies beyond its key's and its value's own bytes: the hash table's slot, otter's node and
// frequency sketch, the item and the rounding of allocations. TestCostIsWhatTheHeapHolds measures it.
const entryOverhead = 224

// One byte in garbageShare of what an entry is charged is for what the garbage collector has not collected yet: in a layer that is full
// and changes, memory is occupied beyond the entries that are there. The smaller that part is, the more often the collector goes
// through all of them.
const garbageShare = 6

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
	// Stale is when the value was purged softly, before it came here; zero when it was not.
	Stale time.Time
}

// Memory is the layer in process: it holds at most a number of bytes, evicts what is used least (W-TinyLFU, by otter) and
// may be used concurrently. Values are shared by all readers, who must not change them.
type Memory struct {
	entries *otter.Cache[string, *item]
	counter *stats.Counter
	loads   *Flights[[]byte]
	shared  atomic.Pointer[Redis]
	purges  atomic.Int64
	seed    maphash.Seed

	// purging is held shared while a value is stored and exclusively while a purge takes its stamp. So a store is either
	// complete before the purge begins to remove, or sees its stamp.
	purging sync.RWMutex
	now     atomic.Uint64
	all     uint64 // stamp of the last purge that may concern any key
	keys    [keySlots]uint64
	tags    [tagSlots]atomic.Uint64 // read by every hit, without the lock
	soft    [tagSlots]uint64        // of soft purges, which mark what is stored and refuse what is being made
}

// item is immutable: to change one is to store another.
type item struct {
	value   any
	cost    uint32
	tags    []uint16 // slots
	made    Stamp
	expires int64 // Unix nanoseconds
	stale   int64 // when it was purged softly, in Unix nanoseconds; 0 when it was not
}

// NewMemory returns a layer of at most maxBytes: entries, their overhead, and a sixth for the garbage collector, which has to be told
// to keep to it. Close it in the end.
func NewMemory(maxBytes int64) (*Memory, error) {
	if maxBytes <= 0 {
		return nil, fmt.Errorf("memory of %d bytes: it must be more than none", maxBytes)
	}
	m := &Memory{counter: stats.NewCounter(), loads: NewFlights[[]byte](), seed: maphash.MakeSeed()}
	entries, err := otter.New(&otter.Options[string, *item]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(key string, it *item) uint32 { return it.cost },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *item]) time.Duration {
			return time.Until(time.Unix(0, e.Value.expires))
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

// Get returns the value of a key and counts a hit or a miss. A value that was purged softly is a miss.
func (m *Memory) Get(key string) (any, bool) {
	value, ok := m.Find(key)
	if !ok {
		m.counter.RecordMisses(1)
		return nil, false
	}
	m.counter.RecordHits(1)
	return value, true
}

// Find returns the value of a key as Get does, and leaves it to the caller to count the hit with CountHit, or to ask again.
func (m *Memory) Find(key string) (any, bool) {
	it, ok := m.entries.GetIfPresent(key)
	if !ok || it.stale != 0 || m.purgedTag(it) {
		return nil, false
	}
	return it.value, true
}

// CountHit counts a hit of a value that Find returned.
func (m *Memory) CountHit() { m.counter.RecordHits(1) }

// CountMiss counts a miss that Find or Peek told of.
func (m *Memory) CountMiss() { m.counter.RecordMisses(1) }

// Lookup returns the value of a key and counts a hit or a miss. A value that was purged softly counts as a hit and comes with the
// time since when it is stale; that of others is zero.
func (m *Memory) Lookup(key string) (value any, stale time.Time, ok bool) {
	it, ok := m.entries.GetIfPresent(key)
	if !ok || m.purgedTag(it) {
		m.counter.RecordMisses(1)
		return nil, time.Time{}, false
	}
	m.counter.RecordHits(1)
	return it.value, it.staleSince(), true
}

// Peek returns the value of a key as Lookup does, without counting the read.
func (m *Memory) Peek(key string) (value any, stale time.Time, ok bool) {
	e, ok := m.entries.GetEntryQuietly(key)
	if !ok || m.purgedTag(e.Value) {
		return nil, time.Time{}, false
	}
	return e.Value.value, e.Value.staleSince(), true
}

func (it *item) staleSince() time.Time {
	if it.stale == 0 {
		return time.Time{}
	}
	return time.Unix(0, it.stale)
}

// Now returns the present moment in the order of purges. It is taken before a value is made.
func (m *Memory) Now() Stamp { return Stamp(m.now.Load()) }

// Purged returns when a key with these tags was last purged, softly or not. Who wants a value must not join the making of one that began
// under another stamp: it may be what was purged.
func (m *Memory) Purged(key string, tags []string) Stamp {
	m.purging.RLock()
	defer m.purging.RUnlock()
	last := max(m.all, m.keys[m.keySlot(key)])
	for _, tag := range tags {
		slot := m.tagSlot(tag)
		last = max(last, m.tags[slot].Load(), m.soft[slot])
	}
	return Stamp(last)
}

// Set stores a value under a key and reports whether it did: not without a TTL, nor when the key or one of the tags was purged,
// softly or not, after e.Made.
func (m *Memory) Set(key string, value any, e Entry) bool {
	if e.TTL <= 0 {
		return false
	}
	it := &item{value: value, cost: weight(key, e.Cost), made: e.Made, expires: time.Now().Add(e.TTL).UnixNano()}
	if !e.Stale.IsZero() {
		it.stale = e.Stale.UnixNano()
	}
	for _, tag := range e.Tags {
		it.tags = append(it.tags, m.tagSlot(tag))
	}
	m.purging.RLock()
	defer m.purging.RUnlock()
	if m.all > uint64(e.Made) || m.keys[m.keySlot(key)] > uint64(e.Made) || m.refusedTag(it) {
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
		grown.cost = add(old.cost, charged(bytes))
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

// SetMaximum changes how many bytes the layer holds, evicting at once what is too much.
func (m *Memory) SetMaximum(maxBytes int64) { m.entries.SetMaximum(uint64(max(maxBytes, 0))) }

// Stats is the state of a layer. Hits, misses and evictions count since it was made.
type Stats struct {
	Keys, Bytes, MaxBytes   int64
	Hits, Misses, Evictions int64
	Purges                  int64 // that were asked for here
}

// Live returns the bytes that the entries themselves occupy: Bytes without the part that is left to the garbage collector.
func (s Stats) Live() int64 { return s.Bytes - s.Bytes/garbageShare }

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
		Purges:    m.purges.Load(),
	}
}

func (m *Memory) keySlot(key string) uint64 { return maphash.String(m.seed, key) % keySlots }

func (m *Memory) tagSlot(tag string) uint16 { return uint16(maphash.String(m.seed, tag) % tagSlots) }

func weight(key string, cost int) uint32 { return add(0, charged(entryOverhead+len(key)+max(cost, 0))) }

// charged returns what bytes that are occupied are charged.
func charged(bytes int) int { return bytes + bytes/(garbageShare-1) }

func add(cost uint32, bytes int) uint32 { return uint32(min(int64(cost)+int64(bytes), math.MaxUint32)) }
