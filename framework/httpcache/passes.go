package httpcache

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

const (
	// passFor is how long a key is remembered whose answer could not be stored. The next answer that can be ends it.
	passFor = 2 * time.Minute
	// passSlots bounds how many keys are remembered. Keys that share a slot forget each other, which costs a wait.
	passSlots = 1 << 12
)

// pass is how requests for a key of which nothing is stored go to the handler.
type pass uint32

const (
	together pass = iota // in one flight, of all instances
	here                 // in one flight of this instance: the others could not read what it brings
	alone                // each by itself: what one brings is for nobody else
)

// passes remembers the keys whose answers turned out to be unstorable ("hit-for-miss" in Varnish), so that their requests need
// not wait for each other in vain. It is a table of a fixed size and may be used concurrently.
type passes struct {
	seed  maphash.Seed
	began time.Time
	slots [passSlots]atomic.Uint64 // the upper half of the key's hash, 30 bits of seconds since began, 2 bits of pass
}

func newPasses() *passes { return &passes{seed: maphash.MakeSeed(), began: time.Now()} }

func (p *passes) slot(key string) (slot *atomic.Uint64, hash uint64) {
	hash = maphash.String(p.seed, key)
	return &p.slots[hash%passSlots], hash &^ lowerHalf
}

const lowerHalf = 1<<32 - 1 // the half of a slot that is not the hash

func (p *passes) seconds() uint64 { return uint64(time.Since(p.began) / time.Second) }

// note remembers how requests for a key go, for passFor.
func (p *passes) note(key string, how pass) {
	slot, hash := p.slot(key)
	slot.Store(hash | (p.seconds()+uint64(passFor/time.Second))<<2 | uint64(how))
}

// forget ends what is remembered of a key.
func (p *passes) forget(key string) {
	slot, hash := p.slot(key)
	if old := slot.Load(); old&^lowerHalf == hash {
		slot.CompareAndSwap(old, 0)
	}
}

// of returns how requests for a key go.
func (p *passes) of(key string) pass {
	slot, hash := p.slot(key)
	noted := slot.Load()
	if noted == 0 || noted&^lowerHalf != hash || noted&lowerHalf>>2 < p.seconds() {
		return together
	}
	return pass(noted & 3)
}
