// Package redistest runs a real Redis server for a test, on a free loopback port and in a folder of its own, and lets it fail in the
// ways that servers do.
package redistest

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a Redis server that a test started. Its data is lost when it ends.
type Server struct {
	Port   int
	Client *redis.Client // of the test itself, patient

	t       testing.TB
	program string
	command *exec.Cmd
}

// Start starts a server, which is killed at the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("this test needs redis-server: apt-get install redis-server")
	}
	s := &Server{Port: freePort(t), t: t, program: program}
	s.Client = redis.NewClient(&redis.Options{Addr: s.Address(), Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		_ = s.Client.Close()
		s.Kill()
	})
	s.Restart()
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Address returns host and port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Restart starts the server again, empty, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.command = exec.Command(s.program, "--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.t.TempDir(), "--loglevel", "warning")
	if err := s.command.Start(); err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
	for end := time.Now().Add(10 * time.Second); s.Client.Ping(context.Background()).Err() != nil; {
		if time.Now().After(end) {
			s.t.Fatal("redis-server does not answer")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Kill ends the server as a power cut would.
func (s *Server) Kill() {
	if s.command != nil {
		_ = s.command.Process.Kill()
		_ = s.command.Wait() // it says that it was killed
		s.command = nil
	}
}

// Hang makes the server hold its connections open and answer nothing, until Resume.
func (s *Server) Hang() { s.signal(syscall.SIGSTOP) }

// Resume ends what Hang began.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Slow stands in front of a server and delays what it says.
type Slow struct {
	Address string

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
	p := &Slow{Address: l.Addr().String(), listener: l}
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
