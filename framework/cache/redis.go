package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"
)

// The limits of the shared layer. Whoever waits for Redis waits no longer than answerWithin.
const (
	answerWithin  = 100 * time.Millisecond // for one read or write of a value
	dialWithin    = 200 * time.Millisecond
	agreeWithin   = 2 * time.Second        // for one exchange of purges
	agreeEvery    = time.Second            // how often purges are asked for, beside the messages about them
	probeEvery    = 250 * time.Millisecond // while the circuit is open
	failuresToCut = 3                      // in a row open the circuit; a refused connection does so alone
	writers       = 4
	maxWrites     = 1024     // that wait, for each writer
	maxWriteBytes = 32 << 20 // of all the writes that wait
)

// errSlow says that a server answers too late to be of use.
var errSlow = fmt.Errorf("the server takes longer than %v to answer", answerWithin)

// RedisOptions says where the shared layer is.
type RedisOptions struct {
	Address  string // host:port
	Password string
	Prefix   string // of every key and of the channel, so that others may use the same server
	MaxValue int    // largest value that is stored, in bytes
	// Changed is called when the layer stops answering, with the reason, and with nil when it answers again.
	Changed func(err error)
}

// Redis is the layer that instances share, behind a Memory. It may be used concurrently; a nil *Redis is a layer that holds nothing.
//
// No read waits for a server that does not answer: a circuit opens after a few failures, reads are misses and writes are dropped
// while it is open, and a goroutine of the layer, not a reader, tries whether the server is back. Writes happen behind the
// answer, in a bounded queue. What it knows of purges is in purgeLog.
type Redis struct {
	options RedisOptions
	memory  *Memory
	values  redis.UniversalClient // one node, Sentinel or Cluster: nothing here depends on which
	control redis.UniversalClient // purges and messages, with longer timeouts

	stopped context.Context
	stop    context.CancelFunc
	mu      sync.Mutex // guards closed, and owned against a late Go
	closed  bool
	owned   sync.WaitGroup

	circuit  atomic.Int32
	failures atomic.Int32
	wake     chan struct{} // asks the keeper to exchange purges now

	writes [writers]chan write
	queued atomic.Int64 // bytes in them
	log    purgeLog

	hits, misses, errors, written, dropped, keys, latency atomic.Int64
}

const (
	circuitOpen int32 = iota
	circuitHalfOpen
	circuitClosed
)

// write is what a writer does for a key: store a value, or release a lock.
type write struct {
	key, token string // of a lock, if a token is given
	envelope   *envelope
}

// NewRedis returns the layer behind a memory, whose entries it purges when other instances ask for it. A server that does
// not answer is no error: the layer waits for it, and begins to serve when it comes. Close it in the end.
func NewRedis(memory *Memory, options RedisOptions) *Redis {
	r := &Redis{options: options, memory: memory, wake: make(chan struct{}, 1)}
	r.stopped, r.stop = context.WithCancel(context.Background())
	client := func(timeout time.Duration, size int) redis.UniversalClient {
		return redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: []string{options.Address}, Password: options.Password,
			Protocol: 2, DisableIdentity: true, // nothing of RESP3 is used: one message less at each connection
			ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: dialWithin, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout / 2,
			PoolSize: size,
		})
	}
	r.values, r.control = client(answerWithin, 64), client(agreeWithin, 4)
	if err := r.try(); err != nil { // usually the server is there: then so is the layer, before the first request
		r.tell(err)
	}
	r.start(r.keeper)
	r.start(r.listen)
	for i := range r.writes {
		r.writes[i] = make(chan write, maxWrites)
		r.start(func() { r.writer(r.writes[i]) })
	}
	return r
}

// start runs f on a goroutine that Close waits for, unless the layer is closed.
func (r *Redis) start(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.owned.Go(f)
	}
	return !r.closed
}

// Close ends the layer's goroutines and connections. Writes that still wait are dropped.
func (r *Redis) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.circuit.Store(circuitOpen)
	r.stop()
	r.owned.Wait()
	if err := errors.Join(r.values.Close(), r.control.Close()); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// Found is a value of the shared layer. Its bytes belong to the caller.
type Found struct {
	Value            []byte
	Tags             []string
	Created, Expires time.Time
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

// peek reads without counting.
func (r *Redis) peek(ctx context.Context, key string) (Found, bool) {
	if r.circuit.Load() != circuitClosed {
		return Found{}, false
	}
	epoch := r.log.now().epoch
	op, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	b, err := r.values.Get(op, r.valueKey(epoch, key)).Bytes()
	if r.answered(ctx, err); err != nil {
		return Found{}, false
	}
	return r.open(key, epoch, b)
}

// open takes a value out of its envelope, unless it is damaged, foreign, expired or purged.
func (r *Redis) open(key string, epoch uint64, b []byte) (Found, bool) {
	e, err := decodeEnvelope(key, b)
	if err != nil || e.epoch != epoch || !time.Now().Before(e.expires) || r.log.purged(key, e) {
		return Found{}, false
	}
	return Found{Value: e.value, Tags: e.tags, Created: e.created, Expires: e.expires}, true
}

// Moment is a moment in the order of the shared layer's purges. The zero one stores nothing.
type Moment struct {
	layer       *Redis
	epoch, seen uint64
	at          time.Time
}

// Now returns the present moment. It is taken before a value is made.
func (r *Redis) Now() Moment {
	if r == nil || r.circuit.Load() != circuitClosed {
		return Moment{}
	}
	m := r.log.now()
	m.layer, m.at = r, time.Now()
	return m
}

// Set stores a value for a time, behind the caller's back, unless something of it was purged since made. The value must not
// change any more.
func (r *Redis) Set(key string, value []byte, ttl time.Duration, tags []string, made Moment) {
	if r == nil || ttl <= 0 {
		return
	}
	age := time.Since(made.at)
	if made.layer != r || r.circuit.Load() != circuitClosed || len(value) > r.options.MaxValue || age > keysKept/2 {
		r.dropped.Add(1)
		return
	}
	now := time.Now()
	r.enqueue(write{key: key, envelope: &envelope{
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
	ctx, cancel := context.WithTimeout(r.stopped, answerWithin)
	defer cancel()
	if w.token != "" {
		r.answered(r.stopped, unlock.Run(ctx, r.values, []string{r.lockKey(w.key)}, w.token).Err())
		return
	}
	e := w.envelope
	ttl := time.Until(e.expires).Milliseconds()
	if ttl <= 0 {
		return
	}
	args := []any{e.epoch, e.made, e.encode(w.key), ttl, keyMember + w.key}
	for _, tag := range e.tags {
		args = append(args, tagMember+tag)
	}
	keys := []string{r.logKey(), r.deletedKey(), r.valueKey(e.epoch, w.key)}
	stored, err := store.Run(ctx, r.values, keys, args...).Int()
	r.answered(r.stopped, err)
	if err == nil && stored == 1 {
		r.written.Add(1)
	} else {
		r.dropped.Add(1)
	}
}

// answered takes note of how the server answered an operation that ctx, the caller's, allowed.
func (r *Redis) answered(ctx context.Context, err error) {
	var reply redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		if r.failures.Load() != 0 {
			r.failures.Store(0)
		}
	case ctx.Err() != nil: // the caller's time was over, or the layer is closed
	case errors.As(err, &reply), // it answers, if only that it can't
		errors.Is(err, redis.ErrPoolTimeout): // too many ask at once; those who have a connection tell how the server does
		r.errors.Add(1)
	default:
		r.errors.Add(1)
		var dial *net.OpError
		if r.failures.Add(1) >= failuresToCut || errors.As(err, &dial) && dial.Op == "dial" {
			r.cut(err)
		}
	}
}

// cut opens the circuit.
func (r *Redis) cut(err error) {
	if r.circuit.CompareAndSwap(circuitClosed, circuitOpen) {
		r.tell(err)
		r.rouse()
	}
}

func (r *Redis) tell(err error) {
	if r.options.Changed != nil {
		r.options.Changed(err)
	}
}

func (r *Redis) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// keeper exchanges purges as long as the circuit is closed, and closes it when the server is back.
func (r *Redis) keeper() {
	for {
		wait := agreeEvery
		if r.circuit.Load() != circuitClosed {
			wait = probeEvery
		}
		select {
		case <-r.stopped.Done():
			return
		case <-r.wake:
		case <-time.After(wait):
		}
		r.keep()
	}
}

// keep does what a closed circuit needs, or tries to close an open one.
func (r *Redis) keep() {
	if r.circuit.Load() != circuitClosed {
		_ = r.try() // told when the circuit opened
		return
	}
	if err := r.agree(); err != nil && r.stopped.Err() == nil {
		r.cut(err)
	}
}

// try closes the circuit if the server answers in time and takes and gives the purges that were missed. Only the keeper calls it.
func (r *Redis) try() error {
	r.circuit.Store(circuitHalfOpen)
	ctx, cancel := context.WithTimeout(r.stopped, answerWithin+dialWithin)
	defer cancel()
	err := r.knock(ctx)
	if err == nil {
		err = r.values.Ping(ctx).Err()
	}
	if began := time.Now(); err == nil { // once more, now that there is a connection
		if err = r.values.Ping(ctx).Err(); err == nil && time.Since(began) > answerWithin {
			err = errSlow
		}
	}
	if err == nil {
		err = r.agree()
	}
	if err != nil || r.stopped.Err() != nil {
		r.circuit.Store(circuitOpen)
		return err
	}
	r.failures.Store(0)
	r.circuit.Store(circuitClosed)
	r.tell(nil)
	if len(r.log.pending()) > 0 { // they came when it was too late to send them along
		r.rouse()
	}
	return nil
}

// knock opens a connection and closes it again. A client is not to be asked before that succeeds: after many refusals it tries
// only once in a second, and it tells each on stderr.
func (r *Redis) knock(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, "tcp", r.options.Address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// RedisStats is the state of the shared layer, counted since it was made. Errors are operations that failed; Dropped are writes that
// were given up: too many, too large, purged meanwhile, or the server away.
type RedisStats struct {
	Available                              bool
	Circuit                                string // "closed", "half-open", "open", or "disabled" when there is no layer
	Keys                                   int64  // of the server's database, others' included
	Hits, Misses, Errors, Written, Dropped int64
	Latency                                time.Duration // of the last exchange with the server
}

// Stats returns the state of the layer.
func (r *Redis) Stats() RedisStats {
	if r == nil {
		return RedisStats{Circuit: "disabled"}
	}
	circuit := r.circuit.Load()
	return RedisStats{
		Available: circuit == circuitClosed, Circuit: [...]string{"open", "half-open", "closed"}[circuit],
		Keys: r.keys.Load(), Hits: r.hits.Load(), Misses: r.misses.Load(), Errors: r.errors.Load(),
		Written: r.written.Load(), Dropped: r.dropped.Load(), Latency: time.Duration(r.latency.Load()),
	}
}

func (r *Redis) logKey() string     { return r.options.Prefix + "log" }
func (r *Redis) deletedKey() string { return r.options.Prefix + "deleted" }
func (r *Redis) channel() string    { return r.options.Prefix + "purges" }

func (r *Redis) lockKey(key string) string { return r.options.Prefix + "lock:" + key }

func (r *Redis) valueKey(epoch uint64, key string) string {
	return r.options.Prefix + strconv.FormatUint(epoch, 36) + ":" + key
}
