package framework_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// slowConnections is how many slow clients there are: SLOW_CONNECTIONS, or what a test has time for.
func slowConnections() int {
	if n, err := strconv.Atoi(os.Getenv("SLOW_CONNECTIONS")); err == nil {
		return n
	}
	return 500
}

// Very many clients that send their header a byte at a time keep nobody else from an answer, and are cut at the deadline.
func TestSlowLoris(t *testing.T) {
	s := frameworktest.Start(t, "version = 1\nserver.read_timeout = \"3s\"\n[[routes]]\npath = \"/\"\nhandler = \"test\"\n",
		plugin("test", framework.Handlers{"test": text("served")}))
	n := slowConnections()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = s.Dial(t)
		if err := conns[i].SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	var cut sync.WaitGroup
	began := time.Now()
	for _, c := range conns {
		cut.Go(func() {
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
				if _, err := c.Read(make([]byte, 1)); err == nil || !os.IsTimeout(err) {
					return // it was answered, or closed
				}
			}
			t.Error("not cut")
		})
	}
	for time.Since(began) < 2*time.Second {
		if a := s.Get(t, "/"); a.Body != "served" {
			t.Fatalf("others get %d %s", a.Status, a.Body)
		}
	}
	cut.Wait()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("cut after %v", took)
	}
	s.Client.CloseIdleConnections()
	for _, c := range conns {
		_ = c.Close()
	}
	eventually(t, "all connections are given back", func() bool { return metric(t, s, "http_server_open_connections") == "0" })
}

func TestConnectionsAreBounded(t *testing.T) {
	const policy = "version = 1\n[server]\nconnections = 5\nconnections_per_client = %d\n%s\n[[routes]]\npath = \"/\"\nhandler = \"test\"\n"
	for _, c := range []struct {
		name, more string
		perClient  int
		open       int
		status     string
	}{
		{"all", "", 0, 5, "503"},
		{"one client's", "", 2, 2, "429"},
		{"a trusted proxy's", "trusted_proxies = [\"127.0.0.1\"]", 2, 5, "503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := frameworktest.Start(t, fmt.Sprintf(policy, c.perClient, c.more), plugin("test", framework.Handlers{"test": text("served")}))
			ask := func(conn net.Conn) string {
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n") // may be closed already
				line, _ := bufio.NewReader(conn).ReadString('\n')
				return line
			}
			var first net.Conn
			for range c.open {
				conn := s.Dial(t)
				if first == nil {
					first = conn
				}
				if line := ask(conn); !strings.Contains(line, "200") {
					t.Fatalf("%q", line)
				}
			}
			if line := ask(s.Dial(t)); !strings.Contains(line, c.status) && line != "" {
				t.Errorf("one more gets %q", line)
			}
			_ = first.Close()
			eventually(t, "there is room again", func() bool { return strings.Contains(ask(s.Dial(t)), "200") })
		})
	}
}

func TestSizesAreBounded(t *testing.T) {
	s := frameworktest.Start(t, basics+"[[routes]]\nmethod = \"*\"\npath = \"/*\"\nhandler = \"test.text\"\n", basicPlugin())
	bomb := func() string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(make([]byte, 10<<20))
		_ = w.Close()
		return b.String()
	}()
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"a long URL", "GET /" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
		{"an endless URL", "GET /" + strings.Repeat("a", 100<<10), 414},
		{"many headers", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X-A: b\r\n", 10_000) + "\r\n", 431},
		{"a large header", "GET / HTTP/1.1\r\nHost: h\r\nX-A: " + strings.Repeat("b", 100<<10) + "\r\n\r\n", 431},
		{"an endless header", "GET / HTTP/1.1\r\nHost: h\r\nX-A: " + strings.Repeat("b", 100<<10), 431},
		{"a large body", "POST /api/json HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n{", 413},
		{"chunks without end", "POST /api/json HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("1000\r\n"+strings.Repeat("a", 4096)+"\r\n", 100), 413},
		{"a decompression bomb", fmt.Sprintf("POST /api/json HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"+
			"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(bomb), bomb), 415},
		{"a body that says it is as it is", "POST /api/json HTTP/1.1\r\nHost: h\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := s.Dial(t)
			go func() { _, _ = io.WriteString(conn, c.request) }() // who is answered early need not be read to the end
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != c.status {
				t.Errorf("%d, want %d", res.StatusCode, c.status)
			}
			if c.status == 415 && res.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("Accept-Encoding: %q", res.Header.Get("Accept-Encoding"))
			}
		})
	}
	if a := s.Get(t, "/text"); a.Status != 200 {
		t.Errorf("others get %d", a.Status)
	}
}

// An upload that dribbles is cut, although it never pauses for long.
func TestAnUploadHasALeastRate(t *testing.T) {
	s := frameworktest.Start(t, `
version = 1
[server]
read_timeout = "500ms"
min_rate = "1KiB"
[[routes]]
method = "POST"
path = "/*"
handler = "test"
`, plugin("test", framework.Handlers{"test": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
		body, _ := r.BodyReader()
		_, err := io.Copy(io.Discard, body)
		return framework.Text("all"), err
	}}, framework.HandlerInfo{Name: "test", Gateway: true}))
	conn, answer := begin(t, s, "Transfer-Encoding: chunked")
	go func() {
		for {
			if _, err := io.WriteString(conn, "1\r\na\r\n"); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	if status, body := answered(t, answer); status != 408 {
		t.Errorf("%d %s", status, body)
	}
}

// A client that is near its limit waits, and its requests hold nothing while they do; one that leaves waits no longer.
func TestSlowDown(t *testing.T) {
	s := frameworktest.Start(t, `
version = 1
[[routes]]
path = "/slow"
handler = "test"
limits = { requests = 10, window = "1h", delay_from = 0.5, delay_max = "30s", in_flight = 1 }
timeout = "60s"
[[routes]]
path = "/stored"
handler = "test"
cache = { ttl = "1h" }
limits = { requests = 2, window = "1h", delay_from = 0.0, delay_max = "1ms" }
`, plugin("test", framework.Handlers{"test": text("served")}))
	for range 5 {
		if a := s.Get(t, "/slow"); a.Status != 200 {
			t.Fatal(a.Status)
		}
	}
	conn := s.Dial(t)
	if _, err := io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is delayed", func() bool { return metric(t, s, "http_server_delayed_requests_total") == "1" })
	_ = conn.Close()
	eventually(t, "who has left waits no longer", func() bool {
		return metric(t, s, `http_server_client_gone_total{http_route="/slow"}`) == "1"
	})
	s.Get(t, "/stored")
	s.Get(t, "/stored") // from the cache
	if got := metric(t, s, "http_server_delayed_requests_total"); got != "2" {
		t.Errorf("%s were delayed, want 2: a stored answer is not", got)
	}
}
