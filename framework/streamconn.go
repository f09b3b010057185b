package framework

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// A stream may last for minutes, in which the server's buffers for its connection, and the stack of the goroutine that serves it, would
// lie idle: more than all else that an open stream takes. So it leaves the server with the connection, and brings it back for the
// next request.

// leave takes the connection away from the server, with the stream. It returns false where that cannot be: behind another server, and
// while the rest of the request is still to come.
func (x *exchange) leave() bool {
	conn := x.http.Conn()
	at := frontOf(conn)
	if at == nil || x.upload != nil || !x.http.Request.Header.IsHTTP11() {
		return false
	}
	a, b, header := x.app(), x.stream, &x.http.Response.Header
	keep := !x.http.Request.Header.ConnectionClose() && !header.ConnectionClose() && !a.leaving.Load()
	if !keep {
		header.SetConnectionClose()
	}
	header.SetContentLength(-1) // chunks
	w := &chunks{conn: conn, head: bytes.Clone(header.Header())}
	x.http.HijackSetNoResponse(true)
	x.http.Hijack(func(taken net.Conn) { // which has what the server read beyond this request, until this returns
		at.away = true
		var next [1]byte
		n, _ := taken.Read(next[:]) // without such a byte it is an error
		// A client that has sent its next request already sends it again, on another connection (RFC 9112, section 9.3.2).
		a.carried.Add(1)
		d := &delivery{app: a, body: b, w: w, keep: keep && n == 0}
		if b.first == nil {
			go d.carry()
			return
		}
		d.begin()
		d.handlerEnded()
	})
	return true
}

// delivery is a stream on its way to a connection that has left the server, written to by the handler's own goroutine. One that waits
// for pieces would be another stack for each open stream, and two changes of goroutine for each piece.
type delivery struct {
	app  *App
	body *streamBody
	w    *chunks
	keep bool // the connection, for the next request

	mu      sync.Mutex // held while a piece is written
	written int64
	ended   bool
	idle    *time.Timer
	stop    []func() bool // what waits beside idle
}

// carry delivers a stream that has no piece yet, for which its handler does not wait.
func (d *delivery) carry() {
	var err error
	d.written, err = d.body.deliver(d.w)
	d.end(err)
}

// begin sends the first piece, for which the handler waits, and leaves the rest to the handler.
func (d *delivery) begin() {
	b := d.body
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.send(b.first)
	b.first = nil
	if err != nil {
		b.acks <- err
		d.end(err)
		return
	}
	d.idle = time.AfterFunc(b.limits.idle, func() { b.cancel(ErrStreamIdle) })
	whole := time.AfterFunc(b.limits.max, func() { b.cancel(ErrStreamMax) })
	d.stop = []func() bool{d.idle.Stop, whole.Stop, context.AfterFunc(b.ctx, d.contextEnded)}
	b.alone.Store(d)
	b.acks <- nil
}

func (d *delivery) send(p []byte) error { return d.body.send(d.w, p, &d.written) }

// write sends a piece. The client may take its time for it, in which the stream is not idle.
func (d *delivery) write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return 0, errStreamClosed
	}
	d.idle.Stop()
	if err := d.send(p); err != nil {
		d.end(err)
		return 0, fmt.Errorf("write stream: %w", err)
	}
	d.idle.Reset(d.body.limits.idle)
	return len(p), nil
}

// handlerEnded ends the stream, once, as its handler did, if it has.
func (d *delivery) handlerEnded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	var err error
	select {
	case err = <-d.body.ended:
	default: // it has not
		return
	}
	switch {
	case context.Cause(d.body.ctx) == ErrClientGone: //nolint:errorlint // set by this package, never wrapped
		err = ErrClientGone
	case err != nil:
		err = d.body.tell(d.send, err)
	}
	d.end(err)
}

// contextEnded leaves the handler time for last words, unless nobody would read them.
func (d *delivery) contextEnded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	cause := context.Cause(d.body.ctx)
	if cause == ErrClientGone { //nolint:errorlint // as above
		d.end(cause)
		return
	}
	last := time.AfterFunc(lastWords, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.ended {
			d.end(d.body.tell(d.send, cause))
		}
	})
	d.stop = append(d.stop, last.Stop)
}

// end ends the answer, which has failed with an error or is whole, and goes on with its connection.
func (d *delivery) end(err error) {
	d.ended = true
	for _, stop := range d.stop {
		stop()
	}
	if err == nil {
		err = d.w.end(d.body.limits.write)
	}
	d.body.end(d.written, err)
	next := again(d.w.conn)
	if err != nil || !d.keep || !d.app.returned.add(next) {
		_ = next.Close()
		d.app.carried.Add(-1)
		return
	}
	go d.app.serveAgain(next)
}

// serveAgain serves a connection that is back from a stream.
func (a *App) serveAgain(conn net.Conn) {
	defer a.carried.Add(-1)
	defer a.returned.remove(conn)
	if err := a.server.ServeConn(conn); err != nil {
		a.server.Logger.Printf("error when serving a connection after a stream: %v", err)
	}
}

// again returns a connection with a new front before it, for the server to take it for another one.
func again(conn net.Conn) net.Conn {
	switch c := conn.(type) {
	case *frontTLSConn:
		return &frontTLSConn{frontConn: c.again(), tls: c.tls}
	case *frontConn:
		return c.again()
	}
	return conn
}

func (c *frontConn) again() *frontConn {
	return &frontConn{Conn: c.Conn, app: c.app, peer: c.peer, counted: c.counted, between: true, served: true, back: true}
}

// chunks writes pieces as chunks (RFC 9112, section 7.1), the first together with the head of the answer, each in one call.
type chunks struct {
	conn net.Conn
	head []byte
}

// chunkBuffers are few: each serves one call.
var chunkBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Write implements io.Writer. An empty piece is the head alone.
func (c *chunks) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.send()
	}
	var size [16]byte
	return len(p), c.send(strconv.AppendInt(size[:0], int64(len(p)), 16), []byte("\r\n"), p, []byte("\r\n"))
}

// end writes the chunk that ends the answer.
func (c *chunks) end(limit time.Duration) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	return c.send([]byte("0\r\n\r\n"))
}

func (c *chunks) send(parts ...[]byte) error {
	buffer := chunkBuffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	defer chunkBuffers.Put(buffer)
	*buffer = append((*buffer)[:0], c.head...)
	c.head = nil
	for _, part := range parts {
		*buffer = append(*buffer, part...)
	}
	_, err := c.conn.Write(*buffer)
	return err
}

// returned are the connections that came back to the server from a stream.
type returned struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	stopped bool
}

// add refuses once the server stops.
func (r *returned) add(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		r.conns = map[net.Conn]struct{}{}
	}
	if !r.stopped {
		r.conns[conn] = struct{}{}
	}
	return !r.stopped
}

func (r *returned) remove(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, conn)
}

// stop ends those that wait for a request: the server takes them for new, and would wait on.
func (r *returned) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for conn := range r.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // one that fails is closed already
	}
}

// close closes those that are left.
func (r *returned) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = conn.Close()
	}
}
