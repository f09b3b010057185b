package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"
)

// The limits of the shared layer. Whoever waits for Redis waits no longer than answerWithin.
const (
	answerWithin = 100 * time.Millisecond // for one read of a value
	storedWithin = time.Second            // for one write of a value, for which nobody waits
	dialWithin   = 200 * time.Millisecond
	agreeWithin  = 2 * time.Second        // for one exchange of purges
	agreeEvery   = time.Second            // how often purges are asked for, beside the messages about them
	probeEvery   = 250 * time.Millisecond // while the circuit is open
	connections  = 64                     // to each server, for values
)

// RedisOptions says where the shared layer is.
type RedisOptions struct {
	Addresses []string // host:port of the server, of Sentinels, or of nodes of a Cluster
	Master    string   // name by which Sentinels know the master
	Cluster   bool     // the addresses are those of a Cluster's nodes; it tells about the others
	Username  string
	Password  string
	TLS       *tls.Config // nil is plain TCP
	Prefix    string      // of every key and of the channel, so that others may use the same server; without braces
	MaxValue  int         // largest value that is stored, in bytes
	// Changed is called when the layer stops answering, with the reason, and with nil when it answers again.
	Changed func(err error)
}

// Redis is the layer that instances share, behind a Memory: one server, the master that Sentinels name, or a Cluster. It may be
// used concurrently; a nil *Redis is a layer that holds nothing.
//
// No read waits for a server that does not answer: a circuit opens after a few failures, reads are misses and writes are dropped
// while it is open, and a goroutine of the layer, not a reader, tries whether the server is back. Writes happen behind the
// answer, in a bounded queue. What it knows of purges is in purgeLog.
type Redis struct {
	options RedisOptions
	memory  *Memory
	values  redis.UniversalClient
	control redis.UniversalClient // purges and messages

	stopped context.Context
	stop    context.CancelFunc
	mu      sync.Mutex // guards closed, and owned against a late Go
	closed  bool
	owned   sync.WaitGroup

	circuit   atomic.Int32
	failures  atomic.Int32  // that count, the last of them at failed
	failed    atomic.Int64  // Unix nanoseconds
	wake      chan struct{} // asks the keeper to exchange purges now
	listening atomic.Bool

	writes [writers]chan write
	queued atomic.Int64 // bytes in them
	log    purgeLog

	hits, misses, errors, written, dropped, keys, latency atomic.Int64
}

// NewRedis returns the layer behind a memory, whose entries it purges when other instances ask for it. A server that does
// not answer is no error: the layer waits for it, and begins to serve when it comes. Close it in the end.
func NewRedis(memory *Memory, options RedisOptions) *Redis {
	r := &Redis{options: options, memory: memory, wake: make(chan struct{}, 1)}
	r.stopped, r.stop = context.WithCancel(context.Background())
	r.values, r.control = r.client(answerWithin/2, connections), r.client(agreeWithin/2, 4)
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

// client returns a client whose operations last as long as their contexts, and wait for a connection that others use.
func (r *Redis) client(wait time.Duration, size int) redis.UniversalClient {
	o := r.options
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: o.Addresses, MasterName: o.Master, IsClusterMode: o.Cluster,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		Protocol: 2, DisableIdentity: true, // nothing of RESP3 is used: one message less at each connection
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: dialWithin, ReadTimeout: agreeWithin, WriteTimeout: agreeWithin, PoolTimeout: wait,
		PoolSize: size, PipelinePoolSize: -1,
		// A Cluster may redirect twice: to where a slot went, and to where a key of it is already.
		MaxRedirects: 2, MinRetryBackoff: -1, MaxRetryBackoff: -1,
	})
	client.AddHook(spans{})
	return client
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

// RedisStats is the state of the shared layer, counted since it was made. Errors are operations that failed; Dropped are writes that
// were given up: too many, too large, purged meanwhile, or the server away.
type RedisStats struct {
	Available                              bool
	Circuit                                string // "closed", "half-open", "open", or "disabled" when there is no layer
	Keys                                   int64  // of the servers' databases, others' included
	Hits, Misses, Errors, Written, Dropped int64
	Latency                                time.Duration // of the last exchange with the server
	Used, Idle                             uint32        // connections
	Waited, Unserved                       uint32        // operations that waited for a connection, and that got none in time
}

// Stats returns the state of the layer.
func (r *Redis) Stats() RedisStats {
	if r == nil {
		return RedisStats{Circuit: "disabled"}
	}
	circuit, pool := r.circuit.Load(), r.values.PoolStats()
	return RedisStats{
		Used: pool.TotalConns - min(pool.IdleConns, pool.TotalConns), Idle: pool.IdleConns,
		Waited: pool.WaitCount, Unserved: pool.Timeouts,

		Available: circuit == circuitClosed, Circuit: [...]string{"open", "half-open", "closed"}[circuit],
		Keys: r.keys.Load(), Hits: r.hits.Load(), Misses: r.misses.Load(), Errors: r.errors.Load(),
		Written: r.written.Load(), Dropped: r.dropped.Load(), Latency: time.Duration(r.latency.Load()),
	}
}

// ErrAway says that the servers do not answer now.
var ErrAway = errors.New("redis does not answer")

// Do lets f use the servers for what is no value of the layer, under keys that Key names. While the circuit is open it returns ErrAway
// at once; else the context of f ends after 100 ms, and how the servers answer counts for the circuit.
func (r *Redis) Do(ctx context.Context, f func(ctx context.Context, client redis.UniversalClient) error) error {
	if r.circuit.Load() != circuitClosed {
		return ErrAway
	}
	op, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	began := time.Now()
	err := f(op, r.values)
	r.answered(ctx, began, err)
	return err
}

// Key returns the name of a key of a namespace. Parts of one key, told apart by their names, are on the same server of a Cluster, so
// that a script may use them together.
func (r *Redis) Key(namespace, key, part string) string {
	return r.name([]byte(namespace), key) + ":" + part
}

// A Cluster puts names with the same text in braces on the same server: the log and its channel, and a value and its lock. Hashes
// spread the values, whatever braces their keys have.

func (r *Redis) logKey() string  { return r.options.Prefix + "{log}" }
func (r *Redis) channel() string { return r.options.Prefix + "{log}:purges" }

func (r *Redis) valueKey(epoch uint64, key string) string {
	var space [32]byte
	return r.name(strconv.AppendUint(space[:0], epoch, 36), key)
}

func (r *Redis) lockKey(key string) string {
	var space [32]byte
	return r.name(append(space[:0], "lock"...), key)
}

// name returns the name of what is kept for a key, of a kind.
func (r *Redis) name(kind []byte, key string) string {
	b := append(kind, ":{"...)
	b = strconv.AppendUint(b, xxhash.Sum64String(key), 36)
	b = append(b, "}:"...)
	var name strings.Builder
	name.Grow(len(r.options.Prefix) + len(b) + len(key))
	name.WriteString(r.options.Prefix)
	name.Write(b)
	name.WriteString(key)
	return name.String()
}
