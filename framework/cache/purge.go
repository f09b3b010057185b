package cache

import (
	"context"
	"slices"
	"strings"
)

// Purge says what to purge: everything, or all that one of the others names.
type Purge struct {
	All       bool
	Keys      []string // as they are stored
	Selectors []Selector
	Tags      []string
}

// Selector chooses stored keys by one of its fields.
type Selector struct {
	Key     string // as people write it: without the scope, which is the first word of a stored key
	Pattern string // part of a key, with * for any bytes and ? for one
	Prefix  string // beginning of a stored key
}

// Matches reports whether the selector means a stored key.
func (s Selector) Matches(stored string) bool {
	switch {
	case s.Key != "":
		_, readable, _ := strings.Cut(stored, " ")
		return readable == s.Key || stored == s.Key
	case s.Pattern != "":
		return matches("*"+s.Pattern+"*", stored)
	default:
		return s.Prefix != "" && strings.HasPrefix(stored, s.Prefix)
	}
}

// matches reports whether a pattern with * and ? means the whole of s, in time proportional to the product of their lengths
// at worst: a star takes as little as it can, and only the last one is ever tried again.
func matches(pattern, s string) bool {
	p, i, star, retry := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// PurgeShared purges in memory, at once, and in the shared layer, which takes it to the other instances. It returns how
// many entries there were in memory. The error is that of the shared layer, which then makes up for it as soon as it can.
func (m *Memory) PurgeShared(ctx context.Context, p Purge) (matched int, err error) {
	matched = m.purgeHere(p)
	if r := m.Shared(); r != nil {
		err = r.purge(ctx, p)
	}
	return matched, err
}

// purgeHere purges in memory alone.
func (m *Memory) purgeHere(p Purge) (matched int) {
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

// CountPurge returns how many entries in memory a purge would remove.
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
