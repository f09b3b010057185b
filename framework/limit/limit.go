// Package limit bounds what is asked of a service: requests of one client over time, by one instance or by all together, what
// handlers take on at once, and connections.
package limit

import (
	"hash/maphash"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

const (
	shards   = 64
	ways     = 8          // neighbouring slots that a client may be in
	minSlots = 2 * ways   // of a shard, at first
	maxSlots = 256 * ways // of a shard, at most
)

// MaxClients is how many clients a Limiter remembers, in at most 2 MiB.
const MaxClients = shards * maxSlots

// A Limiter admits a number of requests per window for each client. A client that has been quiet may make all of them at
// once; they come back one by one, evenly over the window, so that in any span of time t it makes at most
// requests × (1 + t/window). This is the generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A):
// one time stamp a client, no timers, no clean-up.
//
// Memory is bounded: past MaxClients, or when the slots that a client may use are taken, the client is forgotten whose quota
// is nearest to being whole again. So an attack from very many addresses can get a client admitted too often, and never
// refused wrongly. An IPv6 client is its /64 network, which is what one subscriber holds (RFC 6177).
//
// A Limiter may be used concurrently. Time stamps are whole nanoseconds, which is exact to 0.1 % up to a million requests a
// second and client.
type Limiter struct {
	requests int
	interval int64 // nanoseconds between requests at the even rate
	burst    int64 // that all requests of a window take at the even rate
	policy   string
	start    time.Time
	seed     maphash.Seed
	shards   [shards]shard
}

type shard struct {
	mu    sync.Mutex
	slots []slot // in sets of ways
}

// slot remembers a client by the hash of its address; two clients share a hash once in 2⁶⁴.
type slot struct {
	client uint64 // 0 is nobody
	due    int64  // when the next request would arrive at the even rate, in nanoseconds since start
}

// New returns a Limiter of a number of requests, at least 1, in each window of at least that many nanoseconds.
func New(requests int, window time.Duration) *Limiter {
	interval := max(1, int64(window)/int64(requests))
	return &Limiter{
		requests: requests,
		interval: interval,
		burst:    interval * int64(requests),
		policy:   `"default";q=` + strconv.Itoa(requests) + ";w=" + seconds(window),
		start:    time.Now(),
		seed:     maphash.MakeSeed(),
	}
}

// A Decision says whether a request is admitted, and where its client stands.
type Decision struct {
	OK         bool
	Limit      int           // requests in each window
	Remaining  int           // requests that the client may make at once now
	Next       time.Duration // until it may make one more than Remaining
	Reset      time.Duration // until it may make Limit again
	RetryAfter time.Duration // until it may make one, when this one was refused
	used       float64       // share of Limit, 0 to 1
	policy     string
}

// Delay returns how long an admitted request should wait so that its client slows down before it is refused: not at all up to a share
// of the quota, and from there ever longer, up to longest for the last one.
func (d Decision) Delay(from float64, longest time.Duration) time.Duration {
	if d.used <= from || longest == 0 {
		return 0
	}
	return time.Duration(float64(longest) * (d.used - from) / (1 - from))
}

// Allow decides on a request of a client, and counts it when it admits it. It does not allocate, save while the table of
// clients grows.
func (l *Limiter) Allow(client netip.Addr) Decision { return l.allow(l.hash(client)) }

// AllowName is Allow for a client that is known by a name.
func (l *Limiter) AllowName(client string) Decision {
	return l.allow(max(1, maphash.String(l.seed, client)))
}

func (l *Limiter) allow(hash uint64) Decision {
	s := &l.shards[hash%shards]
	s.mu.Lock()
	now := l.now()
	slot := s.find(hash, now)
	due := max(slot.due, now)
	ok := due+l.interval-now <= l.burst
	if ok {
		due += l.interval
		slot.client, slot.due = hash, due
	}
	s.mu.Unlock()
	return l.decision(ok, due-now)
}

// peek decides as allow does, and counts nothing.
func (l *Limiter) peek(hash uint64) Decision {
	s := &l.shards[hash%shards]
	s.mu.Lock()
	now := l.now()
	due := max(s.find(hash, now).due, now)
	s.mu.Unlock()
	return l.decision(due+l.interval-now <= l.burst, due-now)
}

// learn takes over when somebody else knows a client's next request to be due, unless it is due later here.
func (l *Limiter) learn(hash uint64, due int64) {
	s := &l.shards[hash%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot := s.find(hash, l.now()); due > slot.due {
		slot.client, slot.due = hash, due
	}
}

// now is the time in nanoseconds since the start.
func (l *Limiter) now() int64 { return int64(time.Since(l.start)) }

// decision describes a client whose quota is whole again in so many nanoseconds.
func (l *Limiter) decision(ok bool, whole int64) Decision {
	free := max(0, l.burst-whole)
	if !ok {
		free = min(free, l.interval-1)
	}
	d := Decision{
		OK: ok, Limit: l.requests, Remaining: int(free / l.interval), Next: time.Duration(l.interval - free%l.interval),
		Reset: time.Duration(whole), used: float64(whole) / float64(l.burst), policy: l.policy,
	}
	if !ok {
		d.RetryAfter = d.Next
	}
	return d
}

// find returns the slot of a client, or one that it may take: a free one, or the one whose client loses least.
func (s *shard) find(client uint64, now int64) *slot {
	if s.slots == nil {
		s.slots = make([]slot, minSlots)
	}
	for {
		set := s.set(client)
		found := &set[0]
		for i := range set {
			if set[i].client == client {
				return &set[i]
			}
			if set[i].due < found.due {
				found = &set[i]
			}
		}
		if found.due > now && len(s.slots) < maxSlots {
			s.grow(now)
			continue
		}
		*found = slot{}
		return found
	}
}

// set returns the slots that a client may be in.
func (s *shard) set(client uint64) []slot {
	i := int(client/shards) % (len(s.slots) / ways) * ways
	return s.slots[i : i+ways]
}

// grow doubles the table, keeping the clients whose quota is not whole.
func (s *shard) grow(now int64) {
	old := s.slots
	s.slots = make([]slot, 2*len(old))
	for _, one := range old {
		if one.due <= now {
			continue
		}
		set := s.set(one.client)
		for i := range set { // there is room: a set is split over two
			if set[i].client == 0 {
				set[i] = one
				break
			}
		}
	}
}

// hash returns the client as a number other than 0 that an attacker cannot choose.
func (l *Limiter) hash(client netip.Addr) uint64 {
	address := subscriber(client)
	return max(1, maphash.Bytes(l.seed, address[:]))
}

// subscriber returns the address of whoever an address belongs to.
func subscriber(client netip.Addr) [16]byte {
	address := client.As16()
	if client.Is6() && !client.Is4In6() {
		clear(address[8:])
	}
	return address
}

// fieldNames are RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11), and the three fields of that draft's sixth
// version for older clients.
var fieldNames = [...]string{"RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}

// Fields is how many header fields tell a client where it stands.
const Fields = len(fieldNames)

// AppendField returns the name of the i-th field that tells the client where it stands, and its value, appended to b.
func (d Decision) AppendField(b []byte, i int) (name string, value []byte) {
	switch i {
	case 0:
		b = strconv.AppendInt(append(b, `"default";r=`...), int64(d.Remaining), 10)
		b = appendSeconds(append(b, ";t="...), d.Next)
	case 1:
		b = append(b, d.policy...)
	case 2:
		b = strconv.AppendInt(b, int64(d.Limit), 10)
	case 3:
		b = strconv.AppendInt(b, int64(d.Remaining), 10)
	case 4:
		b = appendSeconds(b, d.Reset)
	}
	return fieldNames[i], b
}

// seconds writes a time span in whole seconds, rounded up, so that whoever waits that long does not come too early.
func seconds(d time.Duration) string { return string(appendSeconds(nil, d)) }

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendInt(b, int64((d+time.Second-1)/time.Second), 10)
}
