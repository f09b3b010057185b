package cache

import (
	"slices"
	"time"

	"github.com/maypok86/otter/v2"
)

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
	slots, n := m.tagSlots(tags), 0
	for _, it := range m.entries.All() {
		if !m.purgedTag(it) && it.hasTag(slots) {
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

// soften purges softly in memory, and returns how many entries it marked: they are stale from now on. What is being made is not
// stored, as after other purges, so that the next to be stored is younger than the purge.
func (m *Memory) soften(p Purge) int {
	slots := m.tagSlots(p.Tags)
	var at uint64
	m.purge(func(stamp uint64) {
		at = stamp
		if len(p.Selectors) > 0 {
			m.all = stamp
		}
		for _, key := range p.Keys {
			m.keys[m.keySlot(key)] = stamp
		}
		for _, slot := range slots {
			m.soft[slot] = stamp
		}
	})
	now, n := time.Now().UnixNano(), 0
	mark := func(key string) {
		m.entries.ComputeIfPresent(key, func(old *item) (*item, otter.ComputeOp) {
			if uint64(old.made) >= at || old.stale != 0 || m.purgedTag(old) {
				return old, otter.CancelOp
			}
			n++
			marked := *old
			marked.stale = now
			return &marked, otter.WriteOp
		})
	}
	for _, key := range p.Keys {
		mark(key)
	}
	if len(p.Selectors) > 0 || len(slots) > 0 {
		for key, it := range m.entries.All() {
			if it.hasTag(slots) || p.selects(key) {
				mark(key)
			}
		}
	}
	return n
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

// refusedTag reports whether a tag was purged, softly or not, after the item was made. The caller holds purging.
func (m *Memory) refusedTag(it *item) bool {
	return m.purgedTag(it) || slices.ContainsFunc(it.tags, func(slot uint16) bool { return m.soft[slot] > uint64(it.made) })
}

func (it *item) hasTag(slots []uint16) bool {
	return slices.ContainsFunc(it.tags, func(slot uint16) bool { return slices.Contains(slots, slot) })
}

func (m *Memory) tagSlots(tags []string) []uint16 {
	slots := make([]uint16, len(tags))
	for i, tag := range tags {
		slots[i] = m.tagSlot(tag)
	}
	return slots
}
