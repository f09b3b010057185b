package cache

import (
	"context"
	"slices"
)

// Purge says what to purge: everything, or all that one of the others names.
type Purge struct {
	All       bool
	Keys      []string // as they are stored
	Selectors []Selector
	Tags      []string
	// Soft leaves values where they are, stale from now on: who reads them may use them while they are made anew, or when that fails.
	Soft bool
}

// everything selects every key.
var everything = Selector{Pattern: "*"}

// Purged says what a purge did.
type Purged struct {
	Matched int // entries in the memory of this instance
	Told    int // other instances that got the message about it; who did not learns of it within a second
}

// PurgeShared purges in memory, at once, and in the shared layer, which takes it to the other instances. The error is that
// of the shared layer, which then makes up for it as soon as it can.
func (m *Memory) PurgeShared(ctx context.Context, p Purge) (Purged, error) {
	m.purges.Add(1)
	if p.All && p.Soft { // an order like any other: everything is there still
		p = Purge{Selectors: []Selector{everything}, Soft: true}
	}
	done := Purged{Matched: m.purgeHere(p)}
	var err error
	if r := m.Shared(); r != nil {
		done.Told, err = r.purge(ctx, p)
	}
	return done, err
}

// purgeHere purges in memory alone.
func (m *Memory) purgeHere(p Purge) (matched int) {
	if p.Soft {
		return m.soften(p)
	}
	if p.All {
		matched = m.entries.EstimatedSize()
		m.Flush()
		return matched
	}
	for _, key := range p.Keys {
		if m.Delete(key) {
			matched++
		}
	}
	if len(p.Selectors) > 0 {
		matched += m.Purge(p.selects)
	}
	if len(p.Tags) > 0 {
		matched += m.CountTags(p.Tags...)
		for _, tag := range p.Tags {
			m.PurgeTag(tag)
		}
	}
	return matched
}

// CountPurge returns how many entries in memory a purge would concern.
func (m *Memory) CountPurge(p Purge) int {
	if p.All {
		return m.entries.EstimatedSize()
	}
	n := m.Count(func(key string) bool { return slices.Contains(p.Keys, key) || p.selects(key) })
	if len(p.Tags) > 0 {
		n += m.CountTags(p.Tags...)
	}
	return n
}

func (p *Purge) selects(key string) bool {
	return slices.ContainsFunc(p.Selectors, func(s Selector) bool { return s.Matches(key) })
}

// concerns reports whether a value is purged.
func (p *Purge) concerns(key string, tags []string) bool {
	return p.All || slices.Contains(p.Keys, key) || p.selects(key) ||
		slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(p.Tags, tag) })
}
