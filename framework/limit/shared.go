package limit

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/redis/go-redis/v9"
)

// Store is the Redis that instances share.
type Store interface {
	// Do calls f with a client, or fails at once while the servers do not answer. It bounds how long f may take.
	Do(ctx context.Context, f func(ctx context.Context, client redis.UniversalClient) error) error
	// Key names a key of a namespace that is made of parts.
	Key(namespace, key, part string) string
}

// Shared is a Limiter whose requests are counted by all instances together, in Redis. Each request is one call of one script, by the
// server's clock, so the number admitted is exact however many instances ask. What is learnt from Redis is kept in memory too: a
// client that is known to be beyond its quota is refused without asking, and when Redis does not answer the Limiter in memory goes
// on from there alone. It may be used concurrently.
type Shared struct {
	local *Limiter
	store Store
	rule  string // tells it from other rules in the same store
}

// NewShared returns a limiter that counts the requests of a rule, named alike by all instances, in a store, and in local when that
// does not answer.
func NewShared(local *Limiter, store Store, rule string) *Shared {
	return &Shared{local: local, store: store, rule: fmt.Sprintf("%s %d %d", rule, local.requests, local.interval)}
}

// rate is the generic cell rate algorithm of Limiter in microseconds, since 2025 so that a double holds fractions of them: ARGV are
// the interval and the burst. It returns whether the request is admitted, and how long until the quota is whole. A clock that was set
// back makes nobody wait for longer than a window.
var rate = redis.NewScript(`
local time = redis.call('TIME')
local now = (time[1] - 1735689600) * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = tonumber(redis.call('GET', KEYS[1]) or now)
due = math.min(math.max(due, now), now + burst)
local ok = 0
if due + interval - now <= burst + 0.001 then
	ok, due = 1, due + interval
	redis.call('SET', KEYS[1], string.format('%.3f', due), 'PX', math.ceil((due - now) / 1000))
end
return {ok, math.floor(due - now)}`)

// Allow decides on a request of a client, as Limiter.Allow does, and says whether the store has decided. It waits for Redis no longer
// than the store does.
func (s *Shared) Allow(ctx context.Context, client netip.Addr) (d Decision, shared bool) {
	l, hash := s.local, s.local.hash(client)
	if d := l.peek(hash); !d.OK {
		return d, false
	}
	address := subscriber(client)
	key := s.store.Key("rate", s.rule+" "+netip.AddrFrom16(address).Unmap().String(), "due")
	var reply []int64
	before := l.now()
	err := s.store.Do(ctx, func(ctx context.Context, client redis.UniversalClient) (err error) {
		reply, err = rate.Run(ctx, client, []string{key}, float64(l.interval)/1e3, float64(l.burst)/1e3).Int64Slice()
		return err
	})
	if err != nil || len(reply) != 2 {
		return l.allow(hash), false
	}
	whole := reply[1] * 1e3
	l.learn(hash, before+whole) // at the latest: the server's clock stood at some moment after before
	return l.decision(reply[0] == 1, whole), true
}
