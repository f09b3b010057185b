// Package frameworktest starts an app from a policy in a test: on a real socket, on a free loopback port, stopped at the end.
package frameworktest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/innatural/chatbot/framework"
)

// Server is an app that serves for a test.
type Server struct {
	App    *framework.App
	URL    string // http://127.0.0.1:PORT
	Admin  string // the same of the listener for admins; empty where the policy has none
	Client *http.Client

	logs lines
	stop func()
}

// Start serves a policy, given as text, with plugins. The server is stopped at the end of the test, which fails when the
// policy has problems or the stop does not end in order.
func Start(t testing.TB, policy string, plugins ...framework.Plugin) *Server {
	t.Helper()
	return StartWith(t, framework.PolicyText(t.Name()+".toml", policy), plugins...)
}

// StartWith serves what a loader gives, as Start does; the loader is called again at each reload.
func StartWith(t testing.TB, load framework.Loader, plugins ...framework.Plugin) *Server {
	t.Helper()
	s := &Server{}
	var err error
	s.App, err = framework.New(framework.Config{Policy: load, Plugins: plugins, Version: "test", Stdout: &s.logs})
	if err != nil {
		t.Fatalf("start:\n%v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + l.Addr().String()
	on := framework.Listeners{Public: l}
	if s.App.Policy().Server.Admin.Listen != "" {
		if on.Admin, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		s.Admin = "http://" + on.Admin.Addr().String()
	}
	s.Client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.App.Serve(ctx, on) }()
	s.stop = sync.OnceFunc(func() {
		s.Client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// Answer is a response that was read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request, with headers given as names and values in turn, and reads the answer whole. A body that was sent compressed
// is returned so.
func (s *Server) Do(t testing.TB, method, path, body string, header ...string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header, string(b)}
}

// Get asks for a path, as Do does.
func (s *Server) Get(t testing.TB, path string, header ...string) Answer {
	t.Helper()
	return s.Do(t, http.MethodGet, path, "", header...)
}

// Stop stops the server now, as SIGTERM would, and waits until it has stopped.
func (s *Server) Stop() { s.stop() }

// Logs returns what the app has written to its log so far. Lines may follow the answers that they tell of: Stop waits for all of them.
func (s *Server) Logs() string { return s.logs.String() }

// Dial opens a connection to the server, closed at the end of the test, with a deadline of ten seconds.
func (s *Server) Dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// FreeAddress returns an address of this machine on which nobody listens, for a program that has to be told where to listen.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it was only asked for
	return l.Addr().String()
}

// VerifyNoLeaks runs the tests of a package and fails when goroutines of theirs are left. It knows those that fasthttp keeps: one
// for the Date header for as long as the process lives, and idle workers for ten seconds.
func VerifyNoLeaks(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).workerFunc"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// lines collects what is written to it, by any goroutine.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
