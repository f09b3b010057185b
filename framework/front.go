package framework

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/httpcache"
)

// The front is what a hit costs less by than any handler: between two requests of a connection it looks at the bytes that arrive, and
// when they are requests that the cache's layers can answer, writes those answers and reads on. The server's parser, Fiber and the
// pipeline see only what is left. What the front cannot read at a glance is left, so nothing depends on it but the cost.

// frontListener puts the front before the connections of a listener.
type frontListener struct {
	net.Listener
	app *App
}

// Accept implements net.Listener.
func (l frontListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // the server looks at what it is
	}
	f := &frontConn{Conn: conn, app: l.app, between: true}
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		f.client = addr.AddrPort().Addr().Unmap()
	}
	if t, ok := conn.(*tls.Conn); ok {
		return &frontTLSConn{frontConn: f, tls: t}, nil
	}
	return f, nil
}

// frontConn is a connection with the front before it. Like any connection that is served, one goroutine reads it at a time.
type frontConn struct {
	net.Conn
	app     *App
	client  netip.Addr
	between bool      // the next byte that arrives is the first of a request
	served  bool      // the front has answered here
	armed   time.Time // when the front last set deadlines; zero after the server did
	handed  handed    // of the request that comes next to the server
	large   bool      // the answer that the server writes next does not fit into its buffer
	away    bool      // a stream has left the server with the connection, which is not the server's any more
	back    bool      // it has come back from a stream, and waits for the next request
	held    *[writeBuffer]byte
}

// frontTLSConn is a frontConn that the server knows to be encrypted.
type frontTLSConn struct {
	*frontConn
	tls *tls.Conn
}

// Handshake runs the handshake of TLS.
func (c *frontTLSConn) Handshake() error { return c.tls.Handshake() } //nolint:wrapcheck // the server looks at what it is

// ConnectionState returns what was agreed on in the handshake.
func (c *frontTLSConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// writeBuffer is the size of the server's buffer for each connection.
const writeBuffer = 4 << 10

// fullBuffers are those that wait for the rest of their answer.
var fullBuffers = sync.Pool{New: func() any { return new([writeBuffer]byte) }}

// Write sends what the server writes. The beginning of a large answer, a full buffer, waits for its rest, so that both take one system call
// instead of two; the server itself does so only on a connection of the system's.
func (c *frontConn) Write(p []byte) (int, error) {
	if c.held == nil {
		if !c.large || len(p) != writeBuffer {
			return c.Conn.Write(p) //nolint:wrapcheck // the server looks at what it is
		}
		c.large, c.held = false, fullBuffers.Get().(*[writeBuffer]byte) //nolint:forcetypeassert // the pool holds nothing else
		return copy(c.held[:], p), nil
	}
	both := net.Buffers{c.held[:], p}
	_, err := both.WriteTo(c.Conn)
	fullBuffers.Put(c.held)
	c.held = nil
	if err != nil {
		return 0, err //nolint:wrapcheck // as above
	}
	return len(p), nil
}

// Close closes the connection, unless a stream has left with it.
func (c *frontConn) Close() error {
	if c.away {
		return nil
	}
	return c.Conn.Close() //nolint:wrapcheck // the server looks at what it is
}

// NetConn returns the connection behind the front.
func (c *frontConn) NetConn() net.Conn { return c.Conn }

// turned notes what the server does with a connection (fasthttp.Server.ConnState). It is called between reads, by who reads.
func turned(conn net.Conn, state fasthttp.ConnState) {
	f := frontOf(conn)
	if f == nil {
		return
	}
	if state == fasthttp.StateHijacked || state == fasthttp.StateClosed { // somebody else reads, or nobody
		return
	}
	if f.between = state == fasthttp.StateNew || state == fasthttp.StateIdle; !f.between {
		f.armed = time.Time{}
	}
}

// frontOf returns the front of a connection, or nil.
func frontOf(conn net.Conn) *frontConn {
	switch c := conn.(type) {
	case *frontConn:
		return c
	case *frontTLSConn:
		return c.frontConn
	}
	return nil
}

// Read answers what it can and reads the rest. It is called between requests only when the server has read all that came before:
// then nothing of an earlier request, nor of an earlier answer, is under way.
func (c *frontConn) Read(p []byte) (int, error) {
	if c.away {
		return 0, net.ErrClosed
	}
	if c.back { // the server takes it for a new connection, which it gives less time
		c.back = false
		if err := c.SetReadDeadline(time.Now().Add(c.app.server.IdleTimeout)); err != nil {
			return 0, err //nolint:wrapcheck // the server looks at what it is
		}
	}
	for {
		n, err := c.Conn.Read(p)
		if !c.between || n == 0 || err != nil {
			if c.between && c.served && errors.Is(err, os.ErrDeadlineExceeded) {
				err = io.EOF // a connection that is not used any more, and not a request that does not come
			}
			return n, err //nolint:wrapcheck // the server looks at what it is
		}
		left, err := c.answer(p[:n])
		if err != nil {
			return 0, err
		}
		if left == 0 {
			continue
		}
		if c.served { // the server takes this for the first request, whose deadline it has set long ago
			err = c.SetReadDeadline(time.Now().Add(c.app.server.ReadTimeout))
		}
		return left, err //nolint:wrapcheck // as above
	}
}

// answer answers the requests that p begins with, and moves what is left to its beginning.
func (c *frontConn) answer(p []byte) (left int, err error) {
	g := c.app.current.Load()
	if c.app.draining.Load() || !g.acquire() {
		return len(p), nil
	}
	defer g.release()
	a := answers.Get().(*answering) //nolint:forcetypeassert // the pool holds nothing else
	defer answers.Put(a)
	a.out = a.out[:0]
	rest, start := p, time.Time{}
	for len(rest) > 0 {
		start = time.Now()
		size, ok := a.request.parse(rest)
		if !ok {
			break
		}
		body, ok := g.hit(a, c.client, start)
		if !ok && a.missed != nil {
			if err := c.flush(a, start); err != nil { // it does not wait for another layer
				return 0, err
			}
			body, c.handed, ok = g.hitShared(a, c.client, start)
		}
		if !ok {
			c.handed.chosen, c.handed.sampled = true, a.sampled
			break
		}
		if err := c.send(a, body, start, len(rest) == size); err != nil {
			return 0, err
		}
		rest = rest[size:]
	}
	return copy(p, rest), c.flush(a, start)
}

// answering is what answering takes, and one request after another reuses.
type answering struct {
	request rawRequest
	key     httpcache.Key
	text    []byte // of the key
	missed  *route // of a request for which memory has nothing
	sampled bool   // the request is traced
	out     []byte // what is to be sent
	vector  [2][]byte
	buffers net.Buffers
}

// answers are few: each serves the requests that one read brought.
var answers = sync.Pool{New: func() any { return &answering{out: make([]byte, 0, 8<<10)} }}

const (
	maxCopied   = 16 << 10 // of a body that is sent together with its head; a larger one is sent from where it lies
	maxBuffered = 64 << 10 // of answers that wait for the end of what was read
)

// send puts a body behind the head that waits in a.out, and sends both when it is the last of what was read, or large.
func (c *frontConn) send(a *answering, body []byte, now time.Time, last bool) error {
	if len(body) <= maxCopied {
		a.out = append(a.out, body...)
		if !last && len(a.out) < maxBuffered {
			return nil
		}
		body = nil
	}
	if body == nil {
		return c.flush(a, now)
	}
	if err := c.arm(now); err != nil {
		return err
	}
	a.vector = [2][]byte{a.out, body}
	a.buffers = a.vector[:]
	_, err := a.buffers.WriteTo(c.Conn)
	a.vector, a.out = [2][]byte{}, a.out[:0]
	return err //nolint:wrapcheck // the server looks at what it is
}

func (c *frontConn) flush(a *answering, now time.Time) error {
	if len(a.out) == 0 {
		return nil
	}
	if err := c.arm(now); err != nil {
		return err
	}
	_, err := c.Conn.Write(a.out)
	a.out = a.out[:0]
	return err //nolint:wrapcheck // the server looks at what it is
}

// arm gives the answer and the next request their time. It is not exact: to set a deadline costs as much as to find an answer.
func (c *frontConn) arm(now time.Time) error {
	c.served = true
	s := c.app.server
	if now.Sub(c.armed) < min(s.IdleTimeout, s.WriteTimeout)/8 {
		return nil
	}
	c.armed = now
	return errors.Join(c.SetReadDeadline(now.Add(s.IdleTimeout)), c.SetWriteDeadline(now.Add(s.WriteTimeout)))
}
