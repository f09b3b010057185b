package framework_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// metric returns the value of a series in the app's metrics.
func metric(t *testing.T, s *frameworktest.Server, series string) string {
	t.Helper()
	_, body, err := s.App.Metrics().WriteMetrics("")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(body), "\n") {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return value
		}
	}
	return ""
}

func TestTimeoutOfHandlersThatIgnoreTheirContext(t *testing.T) {
	const clients, timeout = 1000, 600 * time.Millisecond
	release := make(chan struct{})
	var cancelled atomic.Int64
	s := frameworktest.Start(t, `
version = 1
server.overload.in_flight = 0 # all at once
[log]
level = "error"
[log.access]
enabled = false
[[routes]]
path = "/slow/:id"
handler = "test"
timeout = "600ms"
[[routes]]
path = "/fast/:id"
handler = "test.fast"
`, plugin("test", framework.Handlers{
		"test": func(ctx context.Context, r *framework.Request) (*framework.Response, error) {
			<-release                                                           // ignores ctx
			if ctx.Err() != nil && context.Cause(ctx) == framework.ErrTimeout { //nolint:errorlint // the cause itself is promised
				cancelled.Add(1)
			}
			return framework.Text("late " + r.Param("id")), nil
		},
		"test.fast": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
			return framework.Text(r.Param("id")), nil
		},
	}))
	goroutines, heap := runtime.NumGoroutine(), heapBytes()
	// No handler ends before every client has its answer: a 408 that waited for its handler would not come.
	took := make([]time.Duration, clients)
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			a := s.Get(t, fmt.Sprintf("/slow/%d", i))
			if a.Status != http.StatusRequestTimeout || strings.Contains(a.Body, "late") {
				t.Errorf("client %d: %d %s", i, a.Status, a.Body)
			}
			d, err := time.ParseDuration(a.Header.Get("X-Response-Time"))
			if err != nil || d < timeout {
				t.Errorf("client %d: 408 after %v, before its deadline: %v", i, d, err)
			}
			took[i] = d
			if a := s.Get(t, fmt.Sprintf("/fast/%d", i)); a.Body != fmt.Sprint(i) {
				t.Errorf("client %d: the next answer on the connection is %q", i, a.Body)
			}
		})
	}
	wait.Wait()
	t.Logf("the latest of %d answers 408 came %v after its deadline", clients, slices.Max(took)-timeout)
	if got := metric(t, s, "http_server_abandoned_handlers"); got != fmt.Sprint(clients) {
		t.Errorf("abandoned handlers: %s, want %d", got, clients)
	}
	close(release)
	eventually(t, "abandoned handlers end", func() bool { return metric(t, s, "http_server_abandoned_handlers") == "0" })
	if cancelled.Load() != clients {
		t.Errorf("%d of %d handlers saw their context end", cancelled.Load(), clients)
	}
	s.Client.CloseIdleConnections()
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	eventually(t, "the heap is what it was", func() bool { return heapBytes() < heap+8<<20 })
	if got := metric(t, s, `http_server_request_timeouts_total{http_route="/slow/:id"}`); got != fmt.Sprint(clients) {
		t.Errorf("timeouts counted: %s", got)
	}
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAbandonedHandlersAreBounded(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := frameworktest.Start(t, `
version = 1
[server]
max_abandoned = 3
[[routes]]
path = "/"
handler = "test"
timeout = "10ms"
[[routes]]
path = "/prompt"
handler = "test.prompt"
[[routes]]
path = "/admin"
handler = "test.prompt"
audience = "admin"
`, plugin("test", framework.Handlers{
		"test": func(context.Context, *framework.Request) (*framework.Response, error) {
			<-release
			return framework.Text("late"), nil
		},
		"test.prompt": text("hello"),
	}))
	for _, request := range []struct {
		path string
		want int
	}{{"/", 408}, {"/", 408}, {"/prompt", 200}, {"/", 408}, {"/", 503}, {"/prompt", 503}, {"/admin", 200}} {
		if a := s.Get(t, request.path); a.Status != request.want {
			t.Errorf("%s: %d, want %d", request.path, a.Status, request.want)
		}
	}
}

func TestTheLogSaysTimeoutAndSlow(t *testing.T) {
	s := frameworktest.Start(t, `
version = 1
[[routes]]
path = "/never"
handler = "test"
timeout = "20ms"
slow = "20ms"
[[routes]]
path = "/slow"
handler = "test.slow"
slow = "1ms"
`, plugin("test", framework.Handlers{
		"test": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"test.slow": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
			return framework.Text("done"), nil
		},
	}))
	if a := s.Get(t, "/never", "X-Request-Id", "the-id"); a.Status != 408 {
		t.Errorf("got %d", a.Status)
	}
	s.Get(t, "/slow")
	for _, want := range []string{"Request timeout", "Slow endpoint detected", "the-id", "threshold=", "path=/slow"} {
		eventually(t, "log has "+want, func() bool { return strings.Contains(s.Logs(), want) })
	}
	if got := metric(t, s, `http_server_slow_requests_total{http_route="/slow"}`); got != "1" {
		t.Errorf("slow requests: %s", got)
	}
}

func TestDisconnectEndsTheHandlersContext(t *testing.T) {
	hereAndApart(t, testDisconnectEndsTheHandlersContext)
}

func testDisconnectEndsTheHandlersContext(t *testing.T, heeds bool) {
	for _, kind := range []string{"plain", "stream", "stream before its first piece"} {
		t.Run(kind, func(t *testing.T) {
			entered, left := make(chan struct{}), make(chan error, 1)
			wait := func(ctx context.Context) {
				close(entered)
				<-ctx.Done()
				left <- context.Cause(ctx)
			}
			s := frameworktest.Start(t, "version = 1\n[[routes]]\npath = \"/\"\nhandler = \"test\"\n",
				pluginThat(heeds, "test", framework.Handlers{"test": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
					if kind == "plain" {
						wait(ctx)
						return framework.Text("nobody"), nil
					}
					return framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
						if kind == "stream" {
							if err := w.Event("hello"); err != nil {
								return err
							}
						}
						wait(ctx)
						return nil
					}), nil
				}}, framework.HandlerInfo{Name: "test", Stream: kind != "plain"}))
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			<-entered
			conn.Close()
			select {
			case cause := <-left:
				if cause != framework.ErrClientGone { //nolint:errorlint // the cause itself is promised
					t.Errorf("the cause is %v", cause)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the handler's context did not end")
			}
			eventually(t, "counted", func() bool { return metric(t, s, `http_server_client_gone_total{http_route="/"}`) == "1" })
		})
	}
}

func TestKeepAliveRequestsAreNotCancelled(t *testing.T) {
	hereAndApart(t, testKeepAliveRequestsAreNotCancelled)
}

func testKeepAliveRequestsAreNotCancelled(t *testing.T, heeds bool) {
	var cancelled atomic.Int64
	s := frameworktest.Start(t, `
version = 1
[server]
read_timeout = "5s"
idle_timeout = "5s"
[log.access]
enabled = false
[[routes]]
path = "/"
handler = "test"
[[routes]]
path = "/watched"
handler = "test.watched"
`, pluginThat(heeds, "test", framework.Handlers{
		"test": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
			if ctx.Err() != nil {
				cancelled.Add(1)
			}
			return framework.Text("ok"), nil
		},
		"test.watched": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
			select { // longer than it takes until the connection is watched
			case <-ctx.Done():
				cancelled.Add(1)
			case <-time.After(15 * time.Millisecond):
			}
			return framework.Text("ok"), nil
		},
	}))
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			for i := range 500 {
				path := "/"
				if i%10 == 0 {
					path = "/watched"
				}
				if a := s.Get(t, path); a.Status != 200 {
					t.Errorf("got %d", a.Status)
					return
				}
			}
		})
	}
	wait.Wait()
	if n := cancelled.Load(); n != 0 {
		t.Errorf("%d of 10,000 requests were cancelled although their clients were there", n)
	}
}

func TestPipelinedRequestsAreNotCancelled(t *testing.T) {
	hereAndApart(t, testPipelinedRequestsAreNotCancelled)
}

func testPipelinedRequestsAreNotCancelled(t *testing.T, heeds bool) {
	s := frameworktest.Start(t, "version = 1\n[[routes]]\npath = \"/\"\nhandler = \"test\"\n",
		pluginThat(heeds, "test", framework.Handlers{"test": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(20 * time.Millisecond):
			}
			return framework.Text("ok"), nil
		}}))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 5
	if _, err := conn.Write([]byte(strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", n-1) +
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(all), "HTTP/1.1 200 OK"); got != n {
		t.Errorf("%d of %d answers: %s", got, n, all)
	}
}

func TestServerTimeoutsHoldAfterAWatch(t *testing.T) {
	s := frameworktest.Start(t, `
version = 1
[server]
read_timeout = "300ms"
idle_timeout = "300ms"
[[routes]]
path = "/"
handler = "test"
`, plugin("test", framework.Handlers{"test": func(context.Context, *framework.Request) (*framework.Response, error) {
		time.Sleep(20 * time.Millisecond) // so that the connection is watched
		return framework.Text("ok"), nil
	}}))
	for name, second := range map[string]string{"idle": "", "half a request": "GET / HTTP/1.1\r\nHos"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(second)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("%s: the server did not close the connection: %v", name, err)
		}
		conn.Close()
	}
}
