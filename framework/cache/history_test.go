package cache_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

const (
	historyKeys = 12
	// othersWithin is when a purge that Redis took is known on every instance that Redis answers: a second if its message is lost, and
	// time for a busy machine.
	othersWithin = 3 * time.Second
)

// history is what instances that share a Redis did: which version of each key there is at the source, and which one each purge was
// for. The source's version goes up before the purge, as data changes before it is purged.
type history struct {
	t      *testing.T
	source [historyKeys]atomic.Int64
	here   [3][historyKeys]atomic.Int64 // by instance: of the last purge that it made
	mu     sync.Mutex
	known  [historyKeys]int64 // that every instance must know of by now
	wait   []announced
	calm   time.Time // when Redis last came back; zero while it is away
}

type announced struct {
	at      time.Time
	key     int
	version int64
}

func historyKey(i int) string { return fmt.Sprint("scope key ", i) }

func historyTags(i int) []string { return []string{fmt.Sprint("mod2 ", i%2), fmt.Sprint("mod3 ", i%3)} }

// purge makes a purge of a random kind, softly or not.
func (h *history) purge(random *rand.Rand, n int, in *instance) {
	i, p := random.IntN(historyKeys), cache.Purge{Soft: random.IntN(2) == 0}
	concerns := func(k int) bool { return k == i }
	switch random.IntN(6) {
	case 0:
		p.Keys = []string{historyKey(i)}
	case 1:
		p.Tags = historyTags(i)[:1]
		concerns = func(k int) bool { return k%2 == i%2 }
	case 2:
		p.Tags = historyTags(i)
		concerns = func(k int) bool { return k%2 == i%2 || k%3 == i%3 }
	case 3:
		p.Selectors = []cache.Selector{{Key: fmt.Sprint("key ", i)}}
	case 4:
		p.Selectors = []cache.Selector{{Pattern: "key *"}}
		concerns = func(int) bool { return true }
	case 5:
		p.All = true
		concerns = func(int) bool { return true }
	}
	versions := map[int]int64{}
	for k := range historyKeys {
		if concerns(k) {
			versions[k] = h.source[k].Add(1)
		}
	}
	_, err := in.PurgeShared(h.t.Context(), p)
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, version := range versions {
		raise(&h.here[n][k], version)
		if err == nil {
			h.wait = append(h.wait, announced{time.Now(), k, version})
		}
	}
}

func raise(n *atomic.Int64, to int64) {
	for old := n.Load(); old < to && !n.CompareAndSwap(old, to); old = n.Load() {
	}
}

// least returns the oldest version of a key that an instance may read from now on.
func (h *history) least(n, key int) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.calm.IsZero() && time.Since(h.calm) > othersWithin {
		late := h.wait[:0]
		for _, a := range h.wait {
			if time.Since(a.at) > othersWithin {
				h.known[a.key] = max(h.known[a.key], a.version)
			} else {
				late = append(late, a)
			}
		}
		h.wait = late
	}
	return max(h.known[key], h.here[n][key].Load())
}

// read reads a key through the layers as the response cache does, and checks what it gets.
func (h *history) read(random *rand.Rand, n int, in *instance, key int) int64 {
	least := h.least(n, key)
	got, from := h.get(random, in, key)
	if k, version := got>>32, got&0xffffffff; int(k) != key || version < least {
		h.t.Errorf("instance %d read version %d of key %d from %s as key %d, after the purge for version %d", n, version, k, from, key, least)
	}
	return got & 0xffffffff
}

func (h *history) get(random *rand.Rand, in *instance, key int) (value int64, from string) {
	name := historyKey(key)
	if v, stale, ok := in.Lookup(name); ok && stale.IsZero() {
		return v.(int64), "memory"
	}
	began, made := in.Now(), in.shared.Now()
	if found, ok := in.shared.Get(context.Background(), name); ok && found.Stale.IsZero() {
		value = int64(binary.BigEndian.Uint64(found.Value))
		in.Memory.Set(name, value, cache.Entry{TTL: time.Until(found.Expires), Tags: found.Tags, Made: began})
		return value, "Redis"
	}
	value = int64(key)<<32 | h.source[key].Load()
	time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond) // making takes a while
	if in.Memory.Set(name, value, cache.Entry{TTL: time.Hour, Tags: historyTags(key), Made: began}) || random.IntN(2) == 0 {
		in.shared.Set(context.Background(), name, binary.BigEndian.AppendUint64(nil, uint64(value)), time.Hour, historyTags(key), made)
	}
	return value, "the source"
}

// fault lets Redis fail and come back.
func (h *history) fault(random *rand.Rand, server *redistest.Server, nodes []*instance) {
	h.mu.Lock()
	h.calm = time.Time{}
	h.mu.Unlock()
	away := time.Duration(random.IntN(600)) * time.Millisecond
	if random.IntN(2) == 0 {
		server.Hang()
		time.Sleep(away)
		server.Resume()
	} else {
		server.Kill()
		time.Sleep(away)
		server.Restart()
	}
	for _, in := range nodes {
		eventually(h.t, "Redis is back", func() bool { return in.shared.Stats().Available })
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calm = time.Now()
}

// Three instances read and purge the same keys at random, by every kind of purge, softly and for good, while Redis fails and comes back.
// No read gives a version older than that of a purge that had returned when the read began: on the instance that purged, whatever
// Redis does; on the others, within a bound while Redis answers. No read gives another key's value. HISTORY_SEED repeats a run.
func TestNoReadReturnsWhatWasPurged(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("HISTORY_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("HISTORY_SEED=%d", seed)
	server := redistest.Start(t)
	h := &history{t: t, calm: time.Now()}
	var nodes []*instance
	for range h.here {
		nodes = append(nodes, newInstance(t, server.Address()))
	}
	var stop atomic.Bool
	var workers sync.WaitGroup
	for n, in := range nodes {
		for w := range 2 {
			workers.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(10*n+w)))
				for !stop.Load() && !t.Failed() {
					h.read(random, n, in, random.IntN(historyKeys))
				}
			})
		}
		workers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(100+n)))
			for !stop.Load() && !t.Failed() {
				h.purge(random, n, in)
				time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, 1000))
	for range 4 {
		time.Sleep(time.Duration(200+random.IntN(300)) * time.Millisecond)
		h.fault(random, server, nodes)
	}
	time.Sleep(othersWithin + time.Second) // now the bound holds for the others
	stop.Store(true)
	workers.Wait()
	if _, err := nodes[0].PurgeShared(t.Context(), cache.Purge{All: true}); err != nil { // the last word on each key
		t.Error(err)
	}
	for n, in := range nodes {
		for key := range historyKeys {
			eventually(t, "the last version everywhere", func() bool { return h.read(random, n, in, key) == h.source[key].Load() })
		}
	}
}
