// Package redistest runs a real Redis server for a test, on a free loopback port and in a folder of its own, and lets it fail in the
// ways that servers do.
package redistest

import (
	"context"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
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
	args    []string
	command *exec.Cmd
}

// Start starts a server, with further arguments, which is killed at the end of the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("this test needs redis-server: apt-get install redis-server")
	}
	s := &Server{Port: freePort(t), t: t, program: program, args: args}
	s.Client = redis.NewClient(&redis.Options{Addr: s.Address(), Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		_ = s.Client.Close()
		s.Kill()
	})
	s.Restart()
	return s
}

// freePort returns a free port, below those from which the bus of a Cluster's node, 10,000 above it, would not be one.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if port < 1<<16-10_000 {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// Address returns host and port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// ReplicateFrom makes the server a read-only copy of another one.
func (s *Server) ReplicateFrom(master *Server) {
	s.t.Helper()
	if err := s.Client.ReplicaOf(context.Background(), "127.0.0.1", strconv.Itoa(master.Port)).Err(); err != nil {
		s.t.Fatal(err)
	}
	s.await("it replicates", func() bool {
		info, _ := s.Client.Info(context.Background(), "replication").Result()
		return strings.Contains(info, "master_link_status:up")
	})
}

// Promote makes a replica a server of its own again.
func (s *Server) Promote() {
	s.t.Helper()
	if err := s.Client.ReplicaOf(context.Background(), "no", "one").Err(); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until a condition holds, for thirty seconds at most.
func (s *Server) await(what string, condition func() bool) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("redis-server at %s: %s: did not come about", s.Address(), what)
		}
	}
}

// Restart starts the server again, empty, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	// The first of the arguments may be a configuration file.
	s.command = exec.Command(s.program, append(slices.Clone(s.args), "--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", s.t.TempDir(), "--loglevel", "warning")...)
	if err := s.command.Start(); err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
	s.await("it answers", func() bool { return s.Client.Ping(context.Background()).Err() == nil })
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
