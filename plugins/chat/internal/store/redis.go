package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/innatural/chatbot/framework/cache"
)

const (
	lockTTL   = 3 * time.Second // after which that of an instance that died is free
	lockRenew = lockTTL / 3
	lockPoll  = 20 * time.Millisecond

	unlockTries = 3
	voidFor     = 10 * time.Minute // that a deleted value's fence stays: longer than any answer takes
	bringBack   = time.Second      // how often what memory took is tried to be brought to Redis
)

// A value is a hash: d is its data, f the fence, the number of the lock that was given last. KEYS: the hash, the lock.
var (
	acquire = redis.NewScript(`
local left = redis.call('PTTL', KEYS[2])
if left ~= -2 then return {0, left} end
local fence = redis.call('HINCRBY', KEYS[1], 'f', 1)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
redis.call('SET', KEYS[2], fence, 'PX', ARGV[1])
return {fence, redis.call('HGET', KEYS[1], 'd')}`)
	// A fence that is gone was lost by the server, with everything else: nobody was there since.
	write = redis.NewScript(`
local fence = redis.call('HGET', KEYS[1], 'f')
if ARGV[3] ~= '' and fence and fence ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'd', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)
	remove = redis.NewScript(`
redis.call('HDEL', KEYS[1], 'd')
redis.call('HINCRBY', KEYS[1], 'f', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('DEL', KEYS[2])`)
	prolong = redis.NewScript(`
if redis.call('GET', KEYS[2]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 0`)
	unlock = redis.NewScript(`
if redis.call('GET', KEYS[2]) == ARGV[1] then return redis.call('DEL', KEYS[2]) end
return 0`)
)

// Redis is a store that instances share. While Redis does not answer, this instance's memory takes its place: values begin anew there,
// and are brought to Redis when it is back.
type Redis struct {
	client *cache.Redis
	name   string
	ttl    time.Duration
	memory *Memory
	merge  func(shared, here []byte) []byte
	log    *slog.Logger
	count  func()
	away   atomic.Bool
}

// RedisOptions say how a store in Redis behaves.
type RedisOptions struct {
	Name string        // of the store, in its keys
	TTL  time.Duration // how long a value is kept after it was last written
	// Memory takes the place of Redis while that is away. It is of this store alone.
	Memory *Memory
	// Merge makes one value of what Redis has and what memory took while Redis was away. Either is not nil.
	Merge func(shared, here []byte) []byte
	Log   *slog.Logger // told when Redis goes and when it is back
	Count func()       // called for each operation that memory took
}

// NewRedis returns a store in Redis. Somebody has to call BringBack.
func NewRedis(client *cache.Redis, o RedisOptions) *Redis {
	return &Redis{client: client, name: o.Name, ttl: o.TTL, memory: o.Memory, merge: o.Merge, log: o.Log, count: o.Count}
}

// Get implements Store.
func (r *Redis) Get(ctx context.Context, key string) (value []byte, err error) {
	err = r.client.Do(ctx, func(ctx context.Context, client redis.UniversalClient) error {
		value, err = client.HGet(ctx, r.keys(key)[0], "d").Bytes()
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return err
	})
	if err != nil {
		r.count()
	}
	if value == nil {
		return r.memory.Get(ctx, key)
	}
	return value, nil
}

// Check implements Store.
func (r *Redis) Check(ctx context.Context) error {
	return r.client.Do(ctx, func(ctx context.Context, client redis.UniversalClient) error { return client.Ping(ctx).Err() })
}

// Probe implements Store. What memory takes the place of Redis for is kept by this instance alone, until it ends.
func (r *Redis) Probe(ctx context.Context) error {
	return r.client.Do(ctx, func(ctx context.Context, client redis.UniversalClient) error {
		return client.Set(ctx, r.keys(probeKey)[0], "", lockTTL).Err()
	})
}

// Put implements Store.
func (r *Redis) Put(ctx context.Context, key string, value []byte) error {
	return r.put(ctx, key, value, "", r.memory.Put)
}

// put stores a value under a fence, or instead.
func (r *Redis) put(
	ctx context.Context, key string, value []byte, fence string, instead func(context.Context, string, []byte) error,
) error {
	// The end of a request is no reason to lose what it led to.
	stored, err := r.run(context.WithoutCancel(ctx), write, key, value, r.ttl.Milliseconds(), fence)
	switch {
	case r.failed(ctx, err):
		return instead(ctx, key, value)
	case stored == int64(0):
		return ErrLost
	}
	return nil
}

// Delete implements Store. An error says that Redis still has the value.
func (r *Redis) Delete(ctx context.Context, key string) error {
	if err := r.memory.Delete(ctx, key); err != nil {
		return err
	}
	_, err := r.run(ctx, remove, key, voidFor.Milliseconds())
	return err
}

// Lock implements Store.
func (r *Redis) Lock(ctx context.Context, key string, wait time.Duration) (*Lock, error) {
	end := time.Now().Add(wait)
	here, err := r.memory.Lock(ctx, key, wait) // those of this instance need not ask Redis in turn
	if err != nil {
		return nil, err
	}
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		given, err := r.run(ctx, acquire, key, lockTTL.Milliseconds(), r.ttl.Milliseconds())
		if ctx.Err() != nil {
			here.Release()
			return nil, context.Cause(ctx)
		}
		if r.failed(ctx, err) {
			return here, nil
		}
		if answer := given.([]any); answer[0] != int64(0) {
			shared, _ := answer[1].(string)
			return r.locked(ctx, key, here, fmt.Sprint(answer[0]), []byte(shared)), nil
		}
		if !time.Now().Before(end) {
			here.Release()
			return nil, ErrBusy
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
		}
	}
}

// locked is a lock of Redis, with that of the key in this process. What memory took while Redis was away is brought back first.
func (r *Redis) locked(ctx context.Context, key string, here *Lock, fence string, shared []byte) *Lock {
	value := shared
	if len(shared) == 0 {
		value = nil
	}
	if here.Value != nil {
		if value == nil {
			value = here.Value
		} else {
			value = r.merge(value, here.Value)
		}
		if stored, err := r.run(ctx, write, key, value, r.ttl.Milliseconds(), fence); err == nil && stored == int64(1) {
			r.memory.values.Delete(key)
		}
	}
	stop := r.renew(key, fence)
	instead := func(ctx context.Context, _ string, value []byte) error { return here.Put(ctx, value) }
	return &Lock{
		Value: value,
		put:   func(ctx context.Context, value []byte) error { return r.put(ctx, key, value, fence, instead) },
		release: func() {
			stop()
			for range unlockTries { // else it ends by itself, and the next message waits for that
				if _, err := r.run(context.WithoutCancel(ctx), unlock, key, fence); err == nil {
					break
				}
			}
			here.Release()
		},
	}
}

// renew prolongs a lock until the function that it returns is called. Most are given back before that begins.
func (r *Redis) renew(key, fence string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	first := time.AfterFunc(lockRenew, func() {
		defer close(ended)
		tick := time.NewTicker(lockRenew)
		defer tick.Stop()
		for ctx.Err() == nil {
			_, _ = r.run(ctx, prolong, key, fence, lockTTL.Milliseconds()) // else the fence keeps others' values
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		if !first.Stop() {
			<-ended
		}
	}
}

// BringBack brings what memory took while Redis was away to Redis, until ctx ends.
func (r *Redis) BringBack(ctx context.Context) {
	tick := time.NewTicker(bringBack)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !r.client.Stats().Available {
			continue
		}
		for _, key := range r.memory.values.IDs() {
			lock, err := r.Lock(ctx, key, lockTTL) // which brings it back
			if err == nil {
				lock.Release()
			}
			if ctx.Err() != nil || r.away.Load() {
				break
			}
		}
	}
}

// keys returns the names of what a key has in Redis.
func (r *Redis) keys(key string) []string {
	namespace := "chat:" + r.name
	return []string{r.client.Key(namespace, key, "value"), r.client.Key(namespace, key, "lock")}
}

func (r *Redis) run(ctx context.Context, script *redis.Script, key string, args ...any) (answer any, err error) {
	err = r.client.Do(ctx, func(ctx context.Context, client redis.UniversalClient) error {
		answer, err = script.Run(ctx, client, r.keys(key), args...).Result()
		return err
	})
	return answer, err
}

// failed says whether memory has to do what Redis did not, counts that, and tells when it begins and ends.
func (r *Redis) failed(ctx context.Context, err error) bool {
	if err == nil {
		if r.away.CompareAndSwap(true, false) {
			r.log.InfoContext(ctx, "Redis keeps "+r.name+" again")
		}
		return false
	}
	r.count()
	if r.away.CompareAndSwap(false, true) {
		r.log.WarnContext(ctx, "Memory of this instance keeps "+r.name+" until Redis answers", "error", err)
	}
	return true
}
