package framework_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

const streamsAndOthers = `
version = 1
[[routes]]
path = "/stream"
handler = "test.stream"
[[routes]]
path = "/cached"
handler = "test"
cache = { ttl = "1h" }
[[routes]]
path = "/plain"
handler = "test"
`

func streamsPlugin(calls *atomic.Int64) framework.Plugin {
	return plugin("test", framework.Handlers{
		"test": func(context.Context, *framework.Request) (*framework.Response, error) {
			calls.Add(1)
			return framework.Text("hello"), nil
		},
		"test.stream": func(context.Context, *framework.Request) (*framework.Response, error) {
			return framework.EventStream(func(_ context.Context, w *framework.Stream) error {
				for i := range 3 {
					if err := w.Event(i); err != nil {
						return err
					}
				}
				return nil
			}), nil
		},
	}, framework.HandlerInfo{Name: "test"}, framework.HandlerInfo{Name: "test.stream", Stream: true})
}

// next reads an answer of a connection.
func next(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// A connection serves streams and other requests in any order, and what is promised of connections holds after a stream too.
func TestAConnectionComesBackFromAStream(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, streamsAndOthers+"[server]\nread_timeout = \"1h\"\nidle_timeout = \"300ms\"\n", streamsPlugin(&calls))
	conn := s.Dial(t)
	r := bufio.NewReader(conn)
	for _, path := range []string{"/stream", "/plain", "/stream", "/stream", "/cached", "/cached", "/stream", "/cached"} {
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		want := "hello"
		if path == "/stream" {
			want = "data: 0\n\ndata: 1\n\ndata: 2\n\n"
		}
		if resp, body := next(t, r); resp.StatusCode != 200 || body != want || resp.Close {
			t.Fatalf("%s answers %d %q, %v", path, resp.StatusCode, body, resp.Header)
		}
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the handler ran %d times: hits are not answered after a stream", n)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 { // ends within Dial's deadline
		t.Errorf("an idle connection ends with %q, %v", rest, err)
	}
}

func TestAConnectionIsClosedAfterAStreamWhereTheClientSaysSo(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, streamsAndOthers, streamsPlugin(&calls))
	for name, request := range map[string]string{
		"close":     "GET /stream HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
		"pipelined": "GET /stream HTTP/1.1\r\nHost: shop\r\n\r\nGET /plain HTTP/1.1\r\nHost: shop\r\n\r\n", // to be sent again
	} {
		conn := s.Dial(t)
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if resp, body := next(t, r); resp.StatusCode != 200 || len(body) != 27 || resp.Close != (name == "close") {
			t.Errorf("%s: %d %q %v", name, resp.StatusCode, body, resp.Header)
		}
		if _, err := r.ReadByte(); err == nil {
			t.Errorf("%s: the connection goes on", name)
		}
	}
	if calls.Load() != 0 {
		t.Error("a request was answered on a connection that was closed")
	}
}

// Connections that wait for a request after a stream do not hold up a stop. That none outlives it, VerifyNoLeaks sees.
func TestAStopAfterStreams(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, streamsAndOthers+"[server]\nidle_timeout = \"1h\"\n", streamsPlugin(&calls))
	var conns []net.Conn
	for range 10 {
		conn := s.Dial(t)
		if _, err := io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		next(t, bufio.NewReader(conn))
		conns = append(conns, conn)
	}
	s.Stop()
	for _, conn := range conns {
		if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
			t.Errorf("a connection ends with %q, %v", rest, err)
		}
	}
}

// What an open stream takes is its handler's goroutine, and no other one: stacks are most of what thousands of them take.
func TestAnOpenStreamIsOneGoroutine(t *testing.T) {
	s := frameworktest.Start(t, "version = 1\n[[routes]]\npath = \"/stream\"\nhandler = \"test.stream\"\n",
		plugin("test", framework.Handlers{
			"test.stream": func(context.Context, *framework.Request) (*framework.Response, error) {
				return framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
					if err := w.Event("open"); err != nil {
						return err
					}
					<-ctx.Done()
					return context.Cause(ctx)
				}), nil
			},
		}, framework.HandlerInfo{Name: "test.stream", Stream: true}))
	open := func() {
		conn := s.Dial(t)
		if _, err := io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReaderSize(conn, 512)
		for line := ""; line != "data: \"open\"\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	open() // what the first one starts stays
	const streams, few = 50, 10
	before := runtime.NumGoroutine()
	for range streams {
		open()
	}
	eventually(t, "no others are left", func() bool { return runtime.NumGoroutine()-before <= streams+few })
}
