package cache

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// The log of purges is what instances agree on. It lies in Redis as one sorted set, on one server of a Cluster. Its members are what
// was purged, its scores the stamps of the last purges of each, and four moments: born, when the log was begun; epoch, when
// everything was flushed; clock, when anything was purged; floor, the last purge that the log has forgotten.
//
// A stamp is the server's time in microseconds, or one more than the last stamp if that is greater. The epoch is a part of every
// value's key, so a flush is one small write. A purge is one script that takes a stamp and notes it. No value is touched by it:
// every envelope says what the log showed before its value was made, and a reader, who knows the log, refuses what was purged
// since. So a read is one GET, a write is one SET that needs no check, however late it comes, and any server may hold a value.
//
// Each instance reads on in the log every second, and at once when a message says that there is something. So a lost message
// costs a second at most. A purge that Redis did not take is kept, and what it concerns is not read from Redis before. The last
// purges are kept for a while in any case, and noted again in a server that was away or took another's place: it may have lost them.
const (
	// Of hard purges; the others are in upper case.
	tagMember, selectorMember, keyMember = "t:", "s:", "k:"

	repeatWithin = 10 * time.Second // how long a purge that Redis took is kept, should Redis lose it
	maxOutbox    = 1000             // purges that are kept; more become a flush
	maxMembers   = 20_000           // in the log; beyond it the oldest tenth is forgotten, and all that was made before
	maxPatterns  = 256              // selectors that are tried on every key; more become a flush
	maxName      = 256              // bytes of a key in the log; longer ones go by their hash
)

// purgeLog is what an instance knows of the log.
type purgeLog struct {
	mu                       sync.RWMutex
	born, epoch, seen, floor uint64 // 0 before the first exchange
	hard, soft               marks
	outbox                   []*sent
	unsent                   int // of the outbox

	agreeing sync.Mutex // held during an exchange
}

// sent is a purge of this instance; at is when Redis took it, zero before.
type sent struct {
	purge Purge
	at    time.Time
	told  int // subscribers that got the message
}

// marks are stamps of purges, by what they purged.
type marks struct {
	keys, readable, tags map[string]uint64 // readable: keys without their scope
	patterns             map[Selector]uint64
}

func newMarks() marks {
	return marks{
		keys: map[string]uint64{}, readable: map[string]uint64{}, tags: map[string]uint64{}, patterns: map[Selector]uint64{},
	}
}

// after returns the stamp of a purge of a value that came after a stamp, or 0.
func (m *marks) after(made uint64, key string, tags []string) uint64 {
	last := max(m.keys[logName(key)], m.readable[key], m.readable[readable(key)])
	for _, tag := range tags {
		last = max(last, m.tags[tag])
	}
	for selector, stamp := range m.patterns {
		if stamp > max(made, last) && selector.Matches(key) {
			last = stamp
		}
	}
	if last <= made {
		return 0
	}
	return last
}

// note takes over a purge.
func (m *marks) note(p *Purge, stamp uint64) {
	for _, name := range p.Keys {
		m.keys[name] = stamp
	}
	for _, tag := range p.Tags {
		m.tags[tag] = stamp
	}
	for _, selector := range p.Selectors {
		if selector.Key != "" {
			m.readable[selector.Key] = stamp
		} else {
			m.patterns[selector] = stamp
		}
	}
}

// forget removes what the log has forgotten.
func (m *marks) forget(floor uint64) {
	for _, stamps := range []map[string]uint64{m.keys, m.readable, m.tags} {
		maps.DeleteFunc(stamps, func(_ string, stamp uint64) bool { return stamp <= floor })
	}
	maps.DeleteFunc(m.patterns, func(_ Selector, stamp uint64) bool { return stamp <= floor })
}

// logName is what the log calls a key.
func logName(key string) string {
	if len(key) <= maxName {
		return key
	}
	return hashedName + strconv.FormatUint(xxhash.Sum64String(key), 36)
}

// hashedName begins the names of long keys. No key begins so.
const hashedName = "\x00"

// members returns what a purge is in the log.
func (p *Purge) members() (members []any) {
	add := func(kind, name string) {
		if p.Soft {
			kind = strings.ToUpper(kind)
		}
		members = append(members, kind+name)
	}
	for _, key := range p.Keys {
		add(keyMember, logName(key))
	}
	for _, tag := range p.Tags {
		add(tagMember, tag)
	}
	for _, selector := range p.Selectors {
		add(selectorMember, selector.text())
	}
	return members
}

// parseMember is the inverse of members, for one. A moment is an empty purge.
func parseMember(member string) (p Purge) {
	if len(member) < len(keyMember) {
		return p
	}
	kind, name := member[:len(keyMember)], member[len(keyMember):]
	lower := strings.ToLower(kind)
	p.Soft = lower != kind
	switch lower {
	case keyMember:
		p.Keys = []string{name}
	case tagMember:
		p.Tags = []string{name}
	case selectorMember:
		p.Selectors = []Selector{parseSelector(name)}
	}
	return p
}

// merge adds another purge of the same kind.
func (p *Purge) merge(other *Purge) {
	p.Soft = other.Soft
	p.Keys = append(p.Keys, other.Keys...)
	p.Tags = append(p.Tags, other.Tags...)
	p.Selectors = append(p.Selectors, other.Selectors...)
}

// resolve makes selectors of the keys that the log names by their hash.
func (p *Purge) resolve() {
	p.Keys = slices.DeleteFunc(p.Keys, func(name string) bool {
		hashed := strings.HasPrefix(name, hashedName)
		if hashed {
			p.Selectors = append(p.Selectors, Selector{hashed: name})
		}
		return hashed
	})
}

func (l *purgeLog) now() Moment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return Moment{epoch: l.epoch, seen: l.seen}
}

// purged reports whether a value was purged after its making began, and the stamp of a soft purge since then, or 0.
func (l *purgeLog) purged(key string, e *envelope) (hard bool, soft uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case e.epoch != l.epoch || e.made < l.floor || l.unsent > 0 && l.waits(key, e.tags):
		return true, 0
	case e.made >= l.seen: // as most
		return false, 0
	}
	return l.hard.after(e.made, key, e.tags) != 0, l.soft.after(e.made, key, e.tags)
}

// waits reports whether Redis has not taken a purge of a value yet.
func (l *purgeLog) waits(key string, tags []string) bool {
	return slices.ContainsFunc(l.outbox, func(s *sent) bool { return s.at.IsZero() && s.purge.concerns(key, tags) })
}

// add puts a purge into the outbox.
func (l *purgeLog) add(p Purge) *sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	patterns := len(l.hard.patterns) + len(l.soft.patterns)
	for _, selector := range p.Selectors {
		if selector.Key == "" && l.hard.patterns[selector] == 0 && l.soft.patterns[selector] == 0 {
			patterns++
		}
	}
	if len(l.outbox) >= maxOutbox || patterns > maxPatterns {
		l.outbox, l.unsent, p = nil, 0, Purge{All: true}
	}
	s := &sent{purge: p}
	l.outbox = append(l.outbox, s)
	l.unsent++
	return s
}

// pending returns the purges that Redis has not taken.
func (l *purgeLog) pending() (pending []*sent) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.outbox {
		if s.at.IsZero() {
			pending = append(pending, s)
		}
	}
	return pending
}

// repeat makes the last purges pending again.
func (l *purgeLog) repeat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim()
	l.forgetTaken()
	l.unsent = len(l.outbox)
}

func (l *purgeLog) forgetTaken() {
	for _, s := range l.outbox {
		s.at = time.Time{}
	}
}

// trim drops what was kept for long enough, and brings unsent up to date.
func (l *purgeLog) trim() {
	kept := l.outbox[:0]
	l.unsent = 0
	for _, s := range l.outbox {
		if s.at.IsZero() {
			l.unsent++
		} else if time.Since(s.at) > repeatWithin {
			continue
		}
		kept = append(kept, s)
	}
	clear(l.outbox[len(kept):])
	l.outbox = kept
}
