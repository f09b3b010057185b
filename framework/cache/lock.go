package cache

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/redis/go-redis/v9"
)

// A lock makes one instance the one that makes the value of a key. It lasts for lockTTL and is prolonged while the work goes on, so
// one whose holder died delays nobody for longer. It is not what keeps old values out: that is the log of purges.
const (
	lockTTL   = 2 * time.Second
	lockRenew = lockTTL / 4
	lockPoll  = 20 * time.Millisecond // how often those who wait look for the value
)

// unlock and prolong touch a lock only while it is the caller's.
var (
	unlock = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
	prolong = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)
)

// Lead makes the caller the one who makes the value of a key among all instances, or waits for the instance that is, calling look
// with what it finds until that is good enough. It returns at once when the layer does not answer, and no later than the
// other instance ends or half of the time is over that ctx leaves. Whoever returns without a value that look took makes it. The
// function that it returns must be called when that is done, after Set.
func (r *Redis) Lead(ctx context.Context, key string, look func(Found) bool) (done func()) {
	done = func() {}
	if r == nil || r.circuit.Load() != circuitClosed {
		return done
	}
	if deadline, ok := ctx.Deadline(); ok {
		half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
		ctx = half
	}
	token := rand.Text()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	var until time.Time // the end of the lock of another instance, if nobody prolongs it; zero before there was one
	for r.circuit.Load() == circuitClosed && ctx.Err() == nil {
		// One that is gone before its end was released, by an instance that has nothing to share. One that ended was that
		// of a dead instance: another has to take its place.
		now := time.Now()
		take := until.IsZero() || !now.Before(until)
		lock, ok := r.lock(ctx, key, token, take)
		if ok && lock.holder == token {
			done = r.prolong(key, token)
		}
		if lock.found != nil && look(*lock.found) {
			r.hits.Add(1)
			return done
		}
		if ok && lock.holder == token {
			return done
		}
		if ok && lock.holder == "" { // released, or the server takes no lock
			return done
		}
		if ok {
			until = now.Add(lock.left)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
		}
	}
	return done
}

// lockState is who has a lock, for how long without being prolonged, and what the value of its key is.
type lockState struct {
	holder string
	left   time.Duration
	found  *Found
}

// lock takes a lock, unless it is not to or another instance has it, and then reads the value: it may have come since the caller
// looked, and comes before a lock goes. It reports whether the server answered.
func (r *Redis) lock(ctx context.Context, key, token string, take bool) (lock lockState, ok bool) {
	epoch := r.log.now().epoch
	op, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	began := time.Now()
	pipe := r.values.Pipeline()
	if take {
		pipe.SetArgs(op, r.lockKey(key), token, redis.SetArgs{Mode: "NX", TTL: lockTTL})
	}
	holder, left, value := pipe.Get(op, r.lockKey(key)), pipe.PTTL(op, r.lockKey(key)), pipe.Get(op, r.valueKey(epoch, key))
	_, err := pipe.Exec(op)
	if r.answered(ctx, began, err); left.Err() != nil {
		return lock, false
	}
	lock.holder, lock.left = holder.Val(), left.Val()
	if b, err := value.Bytes(); err == nil {
		if found, ok := r.open(key, epoch, b); ok {
			lock.found = &found
		}
	}
	return lock, true
}

// prolong keeps a lock until the function that it returns is called, which leaves its release to the key's writer.
func (r *Redis) prolong(key, token string) (done func()) {
	ctx, stop := context.WithCancel(r.stopped)
	began := r.start(func() {
		tick := time.NewTicker(lockRenew)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			op, cancel := context.WithTimeout(ctx, answerWithin)
			r.answered(ctx, time.Now(), prolong.Run(op, r.values, []string{r.lockKey(key)}, token, lockTTL.Milliseconds()).Err())
			cancel()
		}
	})
	return func() {
		stop()
		if began {
			r.enqueue(write{key: key, token: token})
		}
	}
}
