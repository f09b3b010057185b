package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	circuitOpen int32 = iota
	circuitHalfOpen
	circuitClosed
)

// failuresToCut failures open the circuit when none is further than failuresWithin from the next. That others succeed does not
// matter: in a Cluster they reach other servers.
const (
	failuresToCut  = 3
	failuresWithin = time.Second
	// lateBy is how much later than its deadline an operation ends in a process that gets too little time to run: then the deadline
	// says nothing about the server.
	lateBy = answerWithin / 10
)

// errSlow says that a server answers too late to be of use.
var errSlow = fmt.Errorf("the server takes longer than %v to answer", answerWithin)

// answered takes note of how the server answered an operation that ctx, the caller's, allowed.
func (r *Redis) answered(ctx context.Context, began time.Time, err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	if ctx.Err() != nil { // the caller's time was over, or the layer is closed
		return
	}
	r.errors.Add(1)
	switch reply, isReply := errors.AsType[redis.Error](err); {
	case isReply && servesNot(reply), isRefused(err):
		r.cut(err)
	case isReply && !isElsewhere(reply), // it answers, if only that it can't: no memory left, a replica, not a value of ours
		errors.Is(err, redis.ErrPoolTimeout), // too many ask at once; those who have a connection tell how the server does
		time.Since(began) > answerWithin+lateBy:
	default:
		r.fail(err)
	}
}

// servesNot reports whether a server says that it serves nobody: it reads its data, or a part of its Cluster is away.
func servesNot(reply redis.Error) bool {
	return redis.HasErrorPrefix(reply, "LOADING") || redis.HasErrorPrefix(reply, "CLUSTERDOWN") ||
		redis.HasErrorPrefix(reply, "MASTERDOWN")
}

// isElsewhere reports whether a Cluster redirects once more than the client follows.
func isElsewhere(reply redis.Error) bool {
	return redis.HasErrorPrefix(reply, "MOVED") || redis.HasErrorPrefix(reply, "ASK") || redis.HasErrorPrefix(reply, "TRYAGAIN")
}

func isRefused(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return ok && dial.Op == "dial" && !dial.Timeout()
}

// fail counts a failure.
func (r *Redis) fail(err error) {
	now := time.Now().UnixNano()
	if now-r.failed.Swap(now) > int64(failuresWithin) {
		r.failures.Store(0)
	}
	if r.failures.Add(1) >= failuresToCut {
		r.cut(err)
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
	if _, err := r.agree(r.stopped, nil); err != nil && r.stopped.Err() == nil {
		r.cut(err)
		return
	}
	r.count()
}

// try closes the circuit if the servers answer in time and take and give the purges that were missed. Only the keeper calls it.
func (r *Redis) try() error {
	r.circuit.Store(circuitHalfOpen)
	err := r.probe()
	if err == nil {
		r.log.repeat() // a server that took another's place may not have got the last ones
		_, err = r.agree(r.stopped, nil)
	}
	if err != nil || r.stopped.Err() != nil {
		r.circuit.Store(circuitOpen)
		return err
	}
	r.failures.Store(0)
	r.circuit.Store(circuitClosed)
	r.tell(nil)
	r.count()
	if len(r.log.pending()) > 0 { // they came when it was too late to send them along
		r.rouse()
	}
	return nil
}

// probe asks every server whether it answers in time.
func (r *Redis) probe() error {
	if err := r.knock(); err != nil {
		return err
	}
	for _, client := range []redis.UniversalClient{r.values, r.control} {
		if err := r.ping(client); err != nil { // it may have to connect
			return err
		}
		began := time.Now()
		if err := r.ping(client); err != nil {
			return err
		}
		if time.Since(began) > answerWithin {
			return errSlow
		}
	}
	return nil
}

func (r *Redis) ping(client redis.UniversalClient) error {
	ctx, cancel := context.WithTimeout(r.stopped, answerWithin+dialWithin)
	defer cancel()
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return client.Ping(ctx).Err()
	}
	// This reads anew which servers there are.
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.Ping(ctx).Err() })
}

// knock opens a connection to any of the addresses and closes it again. A client is not to be asked before that succeeds: after many
// refusals it tries only once in a second.
func (r *Redis) knock() (err error) {
	for _, address := range r.options.Addresses {
		var conn net.Conn
		if conn, err = (&net.Dialer{Timeout: dialWithin}).DialContext(r.stopped, "tcp", address); err == nil {
			return conn.Close()
		}
	}
	return err
}

// count asks how many keys there are.
func (r *Redis) count() {
	ctx, cancel := context.WithTimeout(r.stopped, agreeWithin)
	defer cancel()
	if n, err := r.control.DBSize(ctx).Result(); err == nil {
		r.keys.Store(n)
	}
}
