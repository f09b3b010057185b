package cache

import (
	"context"
	"errors"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
)

// The bounds of what waits to be written.
const (
	writers       = 4
	maxWrites     = 1024     // that wait, for each writer
	maxWriteBytes = 32 << 20 // of all the writes that wait
)

// Found is a value of the shared layer. Its bytes belong to the caller.
type Found struct {
	Value            []byte
	Tags             []string
	Created, Expires time.Time
	Stale            time.Time // when it was purged softly; zero when it was not
}

// Get reads the value of a key, in one round trip. What is damaged, foreign, expired or purged, and whatever a server
// that does not answer may hold, is absent.
func (r *Redis) Get(ctx context.Context, key string) (Found, bool) {
	if r == nil {
		return Found{}, false
	}
	found, ok := r.peek(ctx, key)
	if ok {
		r.hits.Add(1)
	} else {
		r.misses.Add(1)
	}
	return found, ok
}

// Peek reads the value of a key as Get does, without counting the read.
func (r *Redis) Peek(ctx context.Context, key string) (Found, bool) {
	if r == nil {
		return Found{}, false
	}
	return r.peek(ctx, key)
}

// peek reads without counting.
func (r *Redis) peek(ctx context.Context, key string) (Found, bool) {
	if r.circuit.Load() != circuitClosed {
		return Found{}, false
	}
	epoch := r.log.now().epoch
	began := time.Now()
	op := until{ctx, began.Add(answerWithin)}
	b, err := r.values.Get(op, r.valueKey(epoch, key)).Bytes()
	if r.answered(ctx, began, err); err != nil {
		return Found{}, false
	}
	return r.open(key, epoch, b)
}

// until is a context with a deadline and no timer: a client looks at the deadline before it reads from a connection.
type until struct {
	context.Context
	deadline time.Time
}

func (u until) Deadline() (time.Time, bool) {
	if of, ok := u.Context.Deadline(); ok && of.Before(u.deadline) {
		return of, true
	}
	return u.deadline, true
}

// open takes a value out of its envelope, unless it is damaged, foreign, expired or purged.
func (r *Redis) open(key string, epoch uint64, b []byte) (Found, bool) {
	e, err := decodeEnvelope(key, b)
	if err != nil || e.epoch != epoch || !time.Now().Before(e.expires) {
		return Found{}, false
	}
	found := Found{Value: e.value, Tags: e.tags, Created: e.created, Expires: e.expires}
	purged, stale := r.log.purged(key, &e)
	if stale != 0 {
		found.Stale = time.UnixMicro(int64(stale))
	}
	return found, !purged
}

// Moment is a moment in the order of the shared layer's purges. The zero one stores nothing.
type Moment struct {
	layer       *Redis
	epoch, seen uint64
}

// Now returns the present moment. It is taken before a value is made.
func (r *Redis) Now() Moment {
	if r == nil || r.circuit.Load() != circuitClosed {
		return Moment{}
	}
	m := r.log.now()
	m.layer = r
	return m
}

// write is what a writer does for a key: store a value, or release a lock.
type write struct {
	key, token string // of a lock, if a token is given
	envelope   *envelope
	span       trace.Span // that it belongs to
}

// Set stores a value for a time, behind the caller's back: of ctx it takes the trace alone. No reader takes it if something of it was
// purged since made. The value must not change any more.
func (r *Redis) Set(ctx context.Context, key string, value []byte, ttl time.Duration, tags []string, made Moment) {
	if r == nil || ttl <= 0 {
		return
	}
	if made.layer != r || r.circuit.Load() != circuitClosed || len(value) > r.options.MaxValue {
		r.dropped.Add(1)
		return
	}
	now := time.Now()
	r.enqueue(write{key: key, span: trace.SpanFromContext(ctx), envelope: &envelope{
		epoch: made.epoch, made: made.seen, created: now, expires: now.Add(ttl), tags: tags, value: value,
	}})
}

// enqueue hands a write to the writer of its key, so that writes of one key stay in order. It drops what is too much.
func (r *Redis) enqueue(w write) {
	size := w.size()
	if r.queued.Add(size) <= maxWriteBytes {
		select {
		case r.writes[xxhash.Sum64String(w.key)%writers] <- w:
			return
		default:
		}
	}
	r.queued.Add(-size)
	r.dropped.Add(1)
}

func (w *write) size() int64 {
	if w.envelope == nil {
		return 0
	}
	return int64(len(w.envelope.value))
}

func (r *Redis) writer(queue <-chan write) {
	for {
		select {
		case <-r.stopped.Done():
			return
		case w := <-queue:
			r.queued.Add(-w.size())
			r.do(w)
		}
	}
}

func (r *Redis) do(w write) {
	if r.circuit.Load() != circuitClosed {
		r.dropped.Add(1)
		return
	}
	ctx, cancel := context.WithTimeout(trace.ContextWithSpan(r.stopped, w.span), storedWithin)
	defer cancel()
	if w.token != "" {
		r.answered(r.stopped, time.Now(), unlock.Run(ctx, r.values, []string{r.lockKey(w.key)}, w.token).Err())
		return
	}
	e := w.envelope
	ttl := time.Until(e.expires).Truncate(time.Millisecond)
	if ttl <= 0 {
		return
	}
	if purged, _ := r.log.purged(w.key, e); purged { // readers would see it, too
		r.dropped.Add(1)
		return
	}
	if err := r.store(ctx, r.valueKey(e.epoch, w.key), e.encode(w.key), ttl); err != nil {
		r.dropped.Add(1)
	} else {
		r.written.Add(1)
	}
}

// store writes a value. It tries until ctx ends, as a process that gets little time to run lets a try expire: other instances wait for
// what this one has made, and nobody waits for the write.
func (r *Redis) store(ctx context.Context, key string, encoded []byte, ttl time.Duration) error {
	for {
		began := time.Now()
		err := r.values.Set(ctx, key, encoded, ttl).Err()
		if err == nil {
			return nil
		}
		r.answered(r.stopped, began, err)
		if _, isReply := errors.AsType[redis.Error](err); isReply || r.circuit.Load() != circuitClosed {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockPoll):
		}
	}
}
