package framework_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// gatewayServer serves every request with a gateway's handler.
func gatewayServer(t *testing.T, route string, h framework.Handler) *frameworktest.Server {
	t.Helper()
	return frameworktest.Start(t, `
version = 1
[server]
body_limit = "8MiB"
read_timeout = "500ms"
min_rate = "0B"
drain = "3s"
[[routes]]
method = "*"
path = "/*"
handler = "test"
`+route, plugin("test", framework.Handlers{"test": h}, framework.HandlerInfo{Name: "test", Gateway: true}))
}

// begin sends a request's head, and returns the connection with a reader of its answer.
func begin(t *testing.T, s *frameworktest.Server, header string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := s.Dial(t)
	if _, err := fmt.Fprintf(c, "POST /api/x HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", header); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// chunk sends one chunk of a body.
func chunk(t *testing.T, c net.Conn, p string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(p), p); err != nil {
		t.Fatal(err)
	}
}

// answered reads an answer whole.
func answered(t *testing.T, r *bufio.Reader) (status int, body string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestAGatewayGetsABodyAsItArrives(t *testing.T) {
	pieces := make(chan string)
	s := gatewayServer(t, "", func(_ context.Context, req *framework.Request) (*framework.Response, error) {
		body, size := req.BodyReader()
		all := 0
		for p := make([]byte, 1<<10); ; {
			n, err := body.Read(p)
			if n > 0 {
				all += n
				pieces <- string(p[:n])
			}
			if err == io.EOF {
				return framework.Text(fmt.Sprintf("%d of %d", all, size)), nil
			}
			if err != nil {
				return nil, err
			}
		}
	})
	c := s.Dial(t)
	r := bufio.NewReader(c)
	for range 2 { // requests on one connection
		if _, err := io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"first", "second"} {
			chunk(t, c, p)
			if got := <-pieces; got != p {
				t.Errorf("the handler got %q", got)
			}
		}
		if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if status, body := answered(t, r); status != 200 || body != "11 of -1" {
			t.Errorf("%d %q", status, body)
		}
	}
}

func TestABodyThatDoesNotArriveWhole(t *testing.T) {
	ended := make(chan error, 1)
	s := gatewayServer(t, "", func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
		body, _ := req.BodyReader()
		_, err := io.Copy(io.Discard, body)
		if err == nil {
			<-ctx.Done()
		}
		ended <- context.Cause(ctx)
		return nil, err
	})
	for _, c := range []struct {
		name, header string
		send         func(net.Conn)
		status       int
		code         string
	}{
		{"too large, as it says", "Content-Length: 9000000", func(c net.Conn) { _, _ = io.WriteString(c, "x") }, 413, "body_too_large"},
		{"too large, as it turns out", "Transfer-Encoding: chunked", func(c net.Conn) {
			_, _ = io.WriteString(c, strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 130)+"0\r\n\r\n")
		}, 413, "body_too_large"},
		{"silent", "Content-Length: 100000", func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("x", 10000)) }, 408, "slow_request"},
		{"not chunks", "Transfer-Encoding: chunked", func(c net.Conn) { _, _ = io.WriteString(c, "5\r\nhello\r\nzz\r\n") }, 400, "malformed_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, r := begin(t, s, c.header)
			c.send(conn)
			if status, body := answered(t, r); status != c.status || !strings.Contains(body, `"code":"`+c.code+`"`) {
				t.Errorf("%d %s", status, body)
			}
			if _, err := r.ReadByte(); err == nil {
				t.Error("the connection is not closed")
			}
			if !strings.Contains(c.name, "says") {
				if err := <-ended; err == nil {
					t.Error("the handler heard of nothing")
				}
			}
		})
	}
	conn, _ := begin(t, s, "Content-Length: 100000")
	if _, err := io.WriteString(conn, strings.Repeat("x", 20000)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := <-ended; !errors.Is(err, framework.ErrClientGone) {
		t.Errorf("of a client that left the handler heard %v", err)
	}
	eventually(t, "counted", func() bool { return metric(t, s, `http_server_client_gone_total{http_route="/*"}`) == "1" })
}

// A handler that goes on reading after its time finds the end of its body, and never the client's next bytes.
func TestAnAbandonedGatewayReadsNothingMore(t *testing.T) {
	read := make(chan error, 1)
	abandoned := make(chan struct{})
	s := gatewayServer(t, "timeout = \"200ms\"\n", func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
		if req.Method() == http.MethodGet {
			return framework.Text("next"), nil
		}
		body, _ := req.BodyReader()
		<-abandoned
		b, err := io.ReadAll(body)
		if len(b) > 0 {
			err = fmt.Errorf("read %q", b)
		}
		read <- err
		return nil, err
	})
	c, r := begin(t, s, "Transfer-Encoding: chunked")
	chunk(t, c, strings.Repeat("x", 1000))
	if status, _ := answered(t, r); status != http.StatusGatewayTimeout {
		t.Errorf("got %d", status)
	}
	close(abandoned)
	if err := <-read; err == nil || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the handler read on: %v", err)
	}
}

// A client that is still sending gets the answer, and its connection is good for the next request when the body has an end.
func TestAnAnswerBeforeTheEndOfItsRequest(t *testing.T) {
	s := gatewayServer(t, "", func(context.Context, *framework.Request) (*framework.Response, error) {
		return &framework.Response{Status: http.StatusForbidden, Body: []byte("no")}, nil
	})
	c, r := begin(t, s, "Content-Length: 4000000")
	if _, err := io.WriteString(c, strings.Repeat("x", 4_000_000)+"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, body := answered(t, r); status != 403 || body != "no" {
			t.Errorf("%d %q", status, body)
		}
	}
}

// The time of an answer begins when its request is there.
func TestALongUploadIsNotLate(t *testing.T) {
	s := gatewayServer(t, "timeout = \"300ms\"\n", func(_ context.Context, req *framework.Request) (*framework.Response, error) {
		body, _ := req.BodyReader()
		n, err := io.Copy(io.Discard, body)
		return framework.Text(fmt.Sprint(n)), err
	})
	c, r := begin(t, s, "Transfer-Encoding: chunked")
	for range 6 {
		chunk(t, c, "x")
		time.Sleep(100 * time.Millisecond) // what is tested: an upload that takes longer than an answer may
	}
	if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, body := answered(t, r); status != 200 || body != "6" {
		t.Errorf("%d %s", status, body)
	}
}

// upgrading answers 101 and gives its connection to f.
func upgrading(f func(context.Context, net.Conn) error) framework.Handler {
	return func(context.Context, *framework.Request) (*framework.Response, error) {
		r := &framework.Response{Status: http.StatusSwitchingProtocols, Upgrade: f}
		return r.Set("Connection", "Upgrade").Set("Upgrade", "echo"), nil
	}
}

func TestAConnectionIsTakenOver(t *testing.T) {
	ended := make(chan error, 1)
	f := func(ctx context.Context, c net.Conn) error {
		_, err := io.Copy(c, c)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		ended <- err
		return err
	}
	open := func(t *testing.T, s *frameworktest.Server) (net.Conn, *bufio.Reader) {
		c := s.Dial(t)
		if _, err := io.WriteString(c, "GET /api/x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" || res.Header.Get("Date") == "" {
			t.Fatalf("%v %v", res, err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "early" {
			t.Fatalf("%q, %v", got, err)
		}
		return c, r
	}
	closed := func(t *testing.T, r *bufio.Reader) {
		if _, err := r.ReadByte(); err == nil {
			t.Error("the connection is open")
		}
	}
	t.Run("until the client ends it", func(t *testing.T) {
		s := gatewayServer(t, "", upgrading(f))
		c, r := open(t, s)
		if n := metric(t, s, "http_server_open_streams"); n != "1" {
			t.Errorf("%s open streams", n)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the handler heard %v", err)
		}
		closed(t, r)
		eventually(t, "closed", func() bool { return metric(t, s, "http_server_open_streams") == "0" })
	})
	t.Run("until it is silent for too long", func(t *testing.T) {
		_, r := open(t, gatewayServer(t, "stream = { idle = \"100ms\" }\n", upgrading(f)))
		if err := <-ended; !errors.Is(err, framework.ErrStreamIdle) {
			t.Errorf("the handler heard %v", err)
		}
		closed(t, r)
	})
	t.Run("until its time is over", func(t *testing.T) {
		c, r := open(t, gatewayServer(t, "stream = { idle = \"200ms\", max = \"500ms\" }\n", upgrading(f)))
		go func() {
			for err := error(nil); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(20 * time.Millisecond)
			}
		}()
		if err := <-ended; !errors.Is(err, framework.ErrStreamMax) {
			t.Errorf("the handler heard %v", err)
		}
		_, _ = io.Copy(io.Discard, r)
		closed(t, r)
	})
	t.Run("until the server stops", func(t *testing.T) {
		s := gatewayServer(t, "", upgrading(f))
		_, r := open(t, s)
		s.Stop()
		if err := <-ended; !errors.Is(err, framework.ErrStopping) {
			t.Errorf("the handler heard %v", err)
		}
		closed(t, r)
	})
	t.Run("a handler that panics", func(t *testing.T) {
		s := gatewayServer(t, "", upgrading(func(_ context.Context, c net.Conn) error {
			_, _ = io.CopyN(c, c, 5)
			panic("oops")
		}))
		_, r := open(t, s)
		closed(t, r)
		eventually(t, "closed", func() bool { return metric(t, s, "http_server_open_streams") == "0" })
	})
}

// Whoever opened a connection behind an upgrade can give it up also when the client never hears of it.
func TestAnUpgradeThatNobodyTakes(t *testing.T) {
	ended, slow := make(chan error, 1), make(chan struct{})
	s := gatewayServer(t, "timeout = \"100ms\"\n", func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
		context.AfterFunc(ctx, func() { ended <- context.Cause(ctx) })
		<-slow
		return upgrading(nil)(ctx, nil)
	})
	if a := s.Get(t, "/"); a.Status != http.StatusGatewayTimeout {
		t.Errorf("got %d", a.Status)
	}
	close(slow)
	if err := <-ended; !errors.Is(err, framework.ErrTimeout) {
		t.Errorf("the handler heard %v", err)
	}
}

// A stream keeps the size that its header says, and may be neither shorter nor longer.
func TestAStreamOfAKnownSize(t *testing.T) {
	s := gatewayServer(t, "", func(_ context.Context, req *framework.Request) (*framework.Response, error) {
		r := &framework.Response{Stream: func(_ context.Context, w *framework.Stream) error {
			if err := w.Start(); err != nil {
				return err
			}
			_, err := io.WriteString(w, strings.TrimPrefix(req.Path(), "/"))
			return err
		}}
		return r.Set("Content-Length", "5").Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), nil
	})
	for range 2 {
		res, err := s.Client.Get(s.URL + "/hello")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != "hello" || res.ContentLength != 5 || res.Header.Get("Date") != "Thu, 01 Jan 1970 00:00:00 GMT" {
			t.Errorf("%q %v, %v", body, res, err)
		}
	}
	for _, path := range []string{"/shrt", "/longer"} {
		res, err := s.Client.Get(s.URL + path)
		if err != nil {
			continue // broken before its body
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil {
			t.Errorf("%s: a whole answer of %q", path, body)
		}
	}
}
