package framework

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// upgrade sends the head of the answer and gives the connection to the handler.
func (x *exchange) upgrade() {
	head, b := bytes.Clone(x.http.Response.Header.Header()), x.stream
	x.http.HijackSetNoResponse(true) // a head that cannot be written would leave the handler alone
	x.http.Hijack(func(conn net.Conn) { b.end(b.carry(conn, head)) })
}

// carry lets the handler have a connection until it ends, a limit is passed or the app stops. It returns how many bytes were
// sent to the client.
func (b *streamBody) carry(conn net.Conn, head []byte) (int64, error) {
	u := &upgraded{Conn: conn, ctx: b.ctx, limits: b.limits}
	u.idle = time.AfterFunc(b.limits.idle, func() { b.cancel(ErrStreamIdle) })
	defer u.idle.Stop()
	if _, err := u.Write(head); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrClientGone, err)
	}
	whole := time.AfterFunc(b.limits.max, func() { b.cancel(ErrStreamMax) })
	defer whole.Stop()
	b.Stream.conn <- u
	select {
	case err := <-b.ended:
		return u.written.Load(), err
	case <-b.ctx.Done():
	}
	_ = u.Close() // wakes the handler
	select {
	case err := <-b.ended:
		return u.written.Load(), err
	case <-time.After(lastWords):
		return u.written.Load(), context.Cause(b.ctx)
	}
}

// upgraded is a connection in a handler's hands. The server closes it when the handler is done.
type upgraded struct {
	net.Conn
	ctx     context.Context
	limits  streamLimits
	idle    *time.Timer
	written atomic.Int64
}

func (u *upgraded) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	if n > 0 {
		u.idle.Reset(u.limits.idle)
	}
	return n, err
}

func (u *upgraded) Write(p []byte) (int, error) {
	if err := u.SetWriteDeadline(time.Now().Add(u.limits.write)); err != nil {
		return 0, err
	}
	if u.ctx.Err() != nil { // after the deadline, which Close sets again
		return 0, net.ErrClosed
	}
	n, err := u.Conn.Write(p)
	u.written.Add(int64(n))
	if n > 0 {
		u.idle.Reset(u.limits.idle)
	}
	return n, err
}

// Close makes reads and writes fail.
func (u *upgraded) Close() error { return u.SetDeadline(time.Unix(1, 0)) }
