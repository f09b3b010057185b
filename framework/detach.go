package framework

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/telemetry"
)

// call is one run of a handler, on its own copy of the request. Most run apart, on a goroutine of their own, for which the goroutine that
// serves the connection waits no longer than the route allows: past that the call is abandoned, and its result goes nowhere. Those that
// heed their context run here, on the goroutine of the connection. It is the handler's context too: the deadline is told without a timer
// of its own.
type call struct {
	context.Context
	cancel   context.CancelCauseFunc
	deadline time.Time // zero for a stream and a gateway, whose first piece is timed
	app      *App
	route    *route
	span     trace.Span
	err      error // in which the handler ended
	req      Request
	upload   *upload       // the rest of its body; nil for others
	result   result        // set before answered
	answered chan struct{} // takes one
	state    atomic.Int32
	pass     limit.Pass  // among the handlers that run
	left     atomic.Bool // the pass was given back
}

// Deadline implements context.Context.
func (c *call) Deadline() (time.Time, bool) {
	if parent, ok := c.Context.Deadline(); ok && (c.deadline.IsZero() || parent.Before(c.deadline)) {
		return parent, true
	}
	return c.deadline, !c.deadline.IsZero()
}

// States of a call. Only the first change from running counts.
const (
	running int32 = iota
	finished
	abandoned
)

// result is what a handler returned. A streamed answer comes with its stream, which already runs.
type result struct {
	response *Response
	stream   *Stream
	err      error
}

// start prepares a run of the route's handler, once there is a place for it: apart or here must follow. It refuses when too many
// abandoned handlers still run, and when the server is overloaded; never critical work, by which somebody finds out what is wrong. The
// request is copied only when it is let in.
func (a *App) start(ctx context.Context, rt *route, request func() Request) (*call, error) {
	if rt.priority != limit.Critical && a.abandoned.Load() >= int64(rt.gen.policy.Server.MaxAbandoned) {
		rt.refused(rejectedAbandoned)
		return nil, errBusy
	}
	pass, err := a.enter(ctx, rt)
	if err != nil {
		return nil, err
	}
	c := &call{app: a, route: rt, req: request(), answered: make(chan struct{}, 1), pass: pass}
	c.upload = c.req.upload
	ctx, c.span = telemetry.Span(ctx, rt.policy.Handler, trace.SpanKindInternal)
	c.Context, c.cancel = context.WithCancelCause(ctx)
	if !rt.info.Stream && !rt.info.Gateway {
		c.deadline = time.Now().Add(rt.policy.Timeout.D())
	}
	rt.gen.hold()
	if c.upload != nil {
		c.upload.begin(func(err error) { c.cancel(unreadable(err, &rt.gen.policy.Server)) })
	}
	return c, nil
}

// errExited is the outcome of a handler that calls runtime.Goexit, as a failing assertion of a test does.
var errExited = errors.New("handler ended its goroutine")

// apart runs the handler on a goroutine of its own, and waits for it: see wait.
func (c *call) apart(conn net.Conn, deadline time.Time) (r result, first []byte, stop func(), err error) {
	go c.run(nil)
	return c.wait(conn, deadline, func() {})
}

// here runs the handler on the goroutine of the connection, and returns what wait does. Of one that answers with a stream, the stream runs
// apart.
func (c *call) here(conn net.Conn, deadline time.Time) (r result, first []byte, stop func(), err error) {
	a := c.attend(conn, deadline)
	letOthersIn()
	response, err := c.handle()
	if stop = a.dismiss(); stop == nil {
		stop = func() {}
	} else {
		conn = nil // it is watched already
	}
	if err == nil && (response.Stream != nil || response.Upgrade != nil) {
		go c.run(response)
		return c.wait(conn, deadline, stop)
	}
	c.route.slow.Store(time.Since(a.began) > watchDelay)
	c.leave(err == nil)
	c.err = err
	err = c.outcome(err)
	c.finish()
	c.route.gen.release()
	return result{response: response}, nil, stop, err
}

// attendant ends the context of a call that runs here when its time is over, or its client has left.
type attendant struct {
	*call
	conn  net.Conn
	began time.Time
	due   time.Time

	mu    sync.Mutex
	timer *time.Timer
	stop  func() // of the watch; nil before it
	over  bool
}

func (c *call) attend(conn net.Conn, due time.Time) *attendant {
	a := &attendant{call: c, conn: conn, began: time.Now(), due: due}
	first := min(watchDelay, due.Sub(a.began))
	if c.route.slow.Load() {
		a.watch()
		first = due.Sub(a.began)
	}
	a.mu.Lock() // until the timer is there
	defer a.mu.Unlock()
	a.timer = time.AfterFunc(first, a.look)
	return a
}

func (a *attendant) watch() {
	a.stop = a.app.watchers.watch(a.conn, func() { a.cancel(ErrClientGone) })
}

func (a *attendant) look() {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over:
	case !time.Now().Before(a.due):
		a.cancel(ErrTimeout)
	default:
		if a.stop == nil {
			a.watch()
		}
		a.timer.Reset(time.Until(a.due))
	}
}

// dismiss ends the attendance, and returns what stops the watch, nil where there is none.
func (a *attendant) dismiss() (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.timer.Stop()
	return a.stop
}

// letOthersIn lets those come as far as the gate who wait for a processor: they would be a queue that the gate does not see, as the
// scheduler runs each handler to its end before it lets the next request begin.
func letOthersIn() { runtime.Gosched() }

// run runs the handler, unless it has returned its response already, and its stream.
func (c *call) run(response *Response) {
	defer c.route.gen.release()
	defer c.finish()
	var s *Stream
	answered, end := false, errExited
	defer func() {
		if c.err = end; answered && s == nil {
			c.err = c.result.err
		}
		switch {
		case !answered:
			c.answer(result{err: end})
		case s != nil:
			s.end(end)
		}
	}()
	var err error
	if response == nil {
		letOthersIn()
		response, err = c.handle()
	}
	answered = true
	if err != nil || response.Stream == nil && response.Upgrade == nil {
		c.answer(result{response: response, err: err})
		return
	}
	s = newStream()
	c.answer(result{response: response, stream: s})
	if response.Upgrade != nil {
		end = c.upgrade(response, s)
		return
	}
	end = c.stream(response, s)
}

func (c *call) answer(r result) {
	if r.stream == nil || r.response.Upgrade != nil {
		c.leave(r.err == nil)
	}
	c.result = r
	c.answered <- struct{}{}
}

// handle runs the handler and turns a panic into an error.
func (c *call) handle() (response *Response, err error) {
	defer c.caught(&err)
	response, err = c.route.handler(c, &c.req)
	if err == nil && response == nil {
		err = fmt.Errorf("handler %s returned neither an answer nor an error", c.route.policy.Handler)
	}
	return response, err
}

func (c *call) stream(response *Response, s *Stream) (err error) {
	defer c.caught(&err)
	return response.Stream(c, s)
}

// upgrade runs the handler's other protocol, once the connection is there.
func (c *call) upgrade(response *Response, s *Stream) (err error) {
	defer c.caught(&err)
	select {
	case conn := <-s.conn:
		return response.Upgrade(c, conn)
	case <-s.gone:
		return errStreamClosed
	case <-c.Done():
		return context.Cause(c)
	}
}

// caught turns a panic into an error. It is deferred directly.
func (c *call) caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("handler panicked: %v", p)
		c.route.metrics.Panics.Inc()
		c.route.gen.log.ErrorContext(c, "Handler panicked", "route", c.route.policy.Path, "panic", fmt.Sprint(p),
			"stack", string(debug.Stack()))
	}
}

// finish ends the call's context, so that nothing derived from it outlives the handler.
func (c *call) finish() {
	if !c.state.CompareAndSwap(running, finished) {
		c.app.abandoned.Add(-1)
	}
	c.leave(false)
	c.cancel(context.Canceled)
	endSpan(c.span, c.err)
}

// abandon ends the call's context and leaves the handler alone.
func (c *call) abandon(cause error) {
	if c.state.CompareAndSwap(running, abandoned) {
		c.app.abandoned.Add(1)
	}
	c.leave(errors.Is(cause, ErrTimeout))
	c.cancel(cause)
}

// leave gives the call's place among the handlers that run to another one.
func (c *call) leave(tells bool) {
	if c.left.CompareAndSwap(false, true) {
		c.pass.Leave(tells)
	}
}

// watchDelay is how long a handler may take before its client is watched: an answer that is faster than a person can
// leave does not pay for the watch. Where the last answer took longer, so will this one, most likely: then the client is watched at
// once, as to wake up for it later costs more than the watch.
const watchDelay = 10 * time.Millisecond

// uploadCheck is how often the end of an upload is looked for, to watch its client from then on.
const uploadCheck = 100 * time.Millisecond

// timers are reused: each request that runs a handler needs one.
var timers = sync.Pool{New: func() any { return time.NewTimer(time.Hour) }}

// wait waits for the handler's answer, for a stream with its first piece, and watches conn meanwhile; nil is not to be watched, or is
// already, which unwatch stops. The returned stop ends the watch and is never nil; a stream calls it at its end.
func (c *call) wait(conn net.Conn, deadline time.Time, unwatch func()) (r result, first []byte, stop func(), err error) {
	stop = unwatch
	timer := timers.Get().(*time.Timer) //nolint:forcetypeassert // the pool holds nothing else
	defer timers.Put(timer)
	timeout := c.route.policy.Timeout.D()
	began := time.Now()
	watch := func() {
		stop = c.app.watchers.watch(conn, func() { c.cancel(ErrClientGone) })
		conn = nil
	}
	timed := func() { c.route.slow.Store(time.Since(began) > watchDelay) }
	longest := deadline.Sub(began)
	if conn != nil && c.upload == nil && c.route.slow.Load() {
		watch()
	} else if conn != nil {
		longest = min(longest, watchDelay)
	}
	timer.Reset(longest)
	defer timer.Stop()
	answered := c.answered
	var pieces chan []byte
	var ended chan error
	for {
		select {
		case <-answered:
			if r = c.result; r.stream == nil || r.response.Upgrade != nil {
				timed()
				return r, nil, stop, c.outcome(r.err)
			}
			c.result = result{} // a stream may last for minutes, and needs its header no more
			answered, pieces, ended = nil, r.stream.pieces, r.stream.ended
		case first = <-pieces: // what a stream does from now on is wait
			c.leave(true)
			timed()
			c.upload.finish(c.route.policy.Stream.Idle.D())
			if conn != nil {
				watch()
			}
			return r, first, stop, nil
		case err = <-ended:
			r.stream.ended <- err // for whoever carries the stream
			return r, nil, stop, c.outcome(err)
		case <-c.Done():
			cause := context.Cause(c)
			if cause == context.Canceled { //nolint:errorlint // the call has ended: its answer is there, and so is its stream's end
				if answered != nil {
					<-answered
					r = c.result
				}
				if r.stream == nil {
					return r, nil, stop, r.err
				}
				err = <-r.stream.ended
				r.stream.ended <- err
				return r, nil, stop, err
			}
			c.abandonStream(r)
			c.abandon(cause)
			return r, nil, stop, cause
		case now := <-timer.C:
			due := c.upload.due(deadline, timeout)
			if !now.Before(due) {
				c.abandonStream(r)
				c.abandon(ErrTimeout)
				return r, nil, stop, ErrTimeout
			}
			if c.upload.active() { // which notices itself when the client leaves
				timer.Reset(min(time.Until(due), uploadCheck))
				continue
			}
			if conn != nil {
				watch()
			}
			timer.Reset(time.Until(due))
		}
	}
}

// outcome returns what a handler's end means. That its client has left stands above all else, and why its context ended above
// what the handler makes of that, unless it chose an answer.
func (c *call) outcome(err error) error {
	cause := context.Cause(c)
	if errors.Is(cause, ErrClientGone) {
		return ErrClientGone
	}
	if _, chosen := errors.AsType[*Error](err); err == nil || chosen || cause == nil || errors.Is(cause, context.Canceled) {
		return err
	}
	return cause
}

// abandonStream lets a stream go that has not begun: its writes fail from now on.
func (c *call) abandonStream(r result) {
	if r.stream != nil {
		r.stream.close()
	}
}
