package proxy

import (
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// conn is a connection to a target, of which it is known what net/http does not tell: how much was written, and whether it is
// truly idle.
//
// net/http puts a connection back as soon as an answer has ended, before it looks whether more bytes follow. A request that
// takes it in between would be answered with those: perhaps an answer that was meant for somebody else. So a request on a used
// connection waits until net/http reads from the connection itself, which it does only when it has nothing buffered; with
// something buffered, and no request under way, it closes the connection.
type conn struct {
	net.Conn
	target  *target
	written atomic.Int64

	mu      sync.Mutex
	changed sync.Cond
	reading bool
	closed  bool
}

func newConn(c net.Conn, t *target) *conn {
	own := &conn{Conn: c, target: t}
	own.changed.L = &own.mu
	t.connections.Add(1)
	return own
}

func (c *conn) Read(p []byte) (int, error) {
	c.set(&c.reading, true)
	n, err := c.Conn.Read(p)
	c.set(&c.reading, false)
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func (c *conn) Close() error {
	if c.set(&c.closed, true) {
		c.target.connections.Add(-1)
	}
	return c.Conn.Close()
}

// set sets a flag and says whether that changed it.
func (c *conn) set(flag *bool, value bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := *flag != value
	*flag = value
	c.changed.Broadcast()
	return changed
}

// awaitIdle waits until nothing is left of the answer before, or the connection is closed.
func (c *conn) awaitIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.reading && !c.closed {
		c.changed.Wait()
	}
}

// attempt is what is known of one request to a target.
type attempt struct {
	conn  *conn // nil when none was made
	start int64 // what had been written to it before
}

func (a *attempt) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		raw := info.Conn
		if t, ok := raw.(*tls.Conn); ok {
			raw = t.NetConn()
		}
		a.conn, _ = raw.(*conn)
		if info.Reused {
			a.conn.awaitIdle()
		}
		a.start = a.conn.written.Load()
	}}
}

// sent says whether anything of the request was written.
func (a *attempt) sent() bool { return a.conn != nil && a.conn.written.Load() > a.start }
