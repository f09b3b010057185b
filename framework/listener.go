package framework

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// frontListener puts the front before the connections of a listener, and bounds how many there are.
type frontListener struct {
	net.Listener
	app *App
}

// Why connections are closed at once.
const (
	closedTotal  = "total"
	closedClient = "client"
)

// What a client of a connection too many gets, as far as it can be sent at once.
const (
	tooManyConnections = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	tooManyOfClient    = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

// Accept implements net.Listener.
func (l frontListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.accept()
		if err != nil {
			return nil, err
		}
		f := &frontConn{Conn: conn, app: l.app, between: true}
		if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			f.peer = addr.AddrPort().Addr().Unmap()
		}
		g := l.app.current.Load()
		perClient := g.policy.Server.PerClient
		if g.trusts(f.peer) {
			perClient = 0
		}
		ok, clientHasMost := l.app.connections.Open(f.peer, min(g.policy.Server.Connections, l.app.descriptors), perClient)
		if !ok {
			l.refuse(conn, clientHasMost)
			continue
		}
		f.counted = &counted{app: l.app, peer: f.peer}
		if t, ok := conn.(*tls.Conn); ok {
			return &frontTLSConn{frontConn: f, tls: t}, nil
		}
		return f, nil
	}
}

// accept waits when the process, or the system, has no descriptor left: the server would take that for the end of the listener.
func (l frontListener) accept() (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := l.Listener.Accept()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return conn, err //nolint:wrapcheck // the server looks at what it is
		}
		l.app.Log().Error("No connection can be accepted", "error", err)
		select {
		case <-time.After(wait):
		case <-l.app.closing:
			return nil, io.EOF
		}
	}
}

// refuse closes a connection that is one too many.
func (l frontListener) refuse(conn net.Conn, clientHasMost bool) {
	reason, answer := closedTotal, tooManyConnections
	if clientHasMost {
		reason, answer = closedClient, tooManyOfClient
	}
	l.app.closed.With(reason).Inc()
	if _, encrypted := conn.(*tls.Conn); !encrypted {
		_, _ = io.WriteString(conn, answer) // into the empty buffer of a new connection: it does not wait
	}
	_ = conn.Close()
}

// counted is a connection among those that are open.
type counted struct {
	app  *App
	peer netip.Addr
	once sync.Once
}

func (c *counted) end() { c.once.Do(func() { c.app.connections.Close(c.peer) }) }
