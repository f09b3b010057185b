package redistest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Slow stands in front of a server and delays what it says.
type Slow struct {
	Address string
	Port    int

	listener net.Listener
	mu       sync.Mutex
	delay    time.Duration
	conns    []net.Conn
	active   sync.WaitGroup
}

// StartSlow returns a way to the server that has no delay yet. It is closed at the end of the test.
func (s *Server) StartSlow(t testing.TB) *Slow {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Slow{Address: l.Addr().String(), Port: l.Addr().(*net.TCPAddr).Port, listener: l}
	p.active.Go(func() { p.accept(s.Address()) })
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.active.Wait()
	})
	return p
}

// SetDelay makes every piece of an answer wait for a time.
func (p *Slow) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *Slow) accept(target string) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.active.Go(func() { p.copy(server, client, false) })
		p.active.Go(func() { p.copy(client, server, true) })
	}
}

func (p *Slow) copy(to, from net.Conn, slow bool) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if slow {
			p.mu.Lock()
			d := p.delay
			p.mu.Unlock()
			time.Sleep(d)
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
