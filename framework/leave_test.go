package framework_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// The promise is 100 ms, for clients of JSON and of streams, whichever way they leave.
func TestALeavingClientIsSeenAtOnce(t *testing.T) { hereAndApart(t, testALeavingClientIsSeenAtOnce) }

func testALeavingClientIsSeenAtOnce(t *testing.T, heeds bool) {
	entered, left := make(chan struct{}), make(chan error, 1)
	wait := func(ctx context.Context) error {
		entered <- struct{}{}
		<-ctx.Done()
		left <- context.Cause(ctx)
		return context.Cause(ctx)
	}
	s := frameworktest.Start(t, `
version = 1
[[routes]]
method = "POST"
path = "/json"
handler = "test"
[[routes]]
method = "POST"
path = "/stream"
handler = "test.stream"
`, pluginThat(heeds, "test", framework.Handlers{
		"test": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) { return nil, wait(ctx) },
		"test.stream": func(context.Context, *framework.Request) (*framework.Response, error) {
			r := framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
				return errors.Join(w.Event("hello"), wait(ctx))
			})
			r.StreamFailed = func(error) []byte { return []byte("data: sorry\n\n") } // which a closed connection may take
			return r, nil
		},
	}, framework.HandlerInfo{Name: "test"}, framework.HandlerInfo{Name: "test.stream", Stream: true}))

	const rounds = 5
	for _, path := range []string{"/json", "/stream"} {
		for name, leave := range map[string]func(*net.TCPConn) error{
			"closes":                  (*net.TCPConn).Close,
			"resets":                  func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
			"closes its sending side": (*net.TCPConn).CloseWrite,
			"asks again and closes": func(c *net.TCPConn) error {
				_, err := io.WriteString(c, "GET /next HTTP/1.1\r\nHost: shop\r\n\r\n")
				return errors.Join(err, c.Close())
			},
		} {
			t.Run(strings.TrimPrefix(path, "/")+" "+name, func(t *testing.T) {
				var took []time.Duration
				for range rounds {
					conn := s.Dial(t).(*net.TCPConn)
					if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n"); err != nil {
						t.Fatal(err)
					}
					<-entered
					began := time.Now()
					if err := leave(conn); err != nil {
						t.Fatal(err)
					}
					if cause := <-left; cause != framework.ErrClientGone { //nolint:errorlint // the cause itself is promised
						t.Fatalf("the cause is %v", cause)
					}
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				if took[rounds/2] > 100*time.Millisecond {
					t.Errorf("it took %v until the handler knew", took)
				}
			})
		}
		route := `{http_route="` + path + `"}`
		eventually(t, "all are counted", func() bool { return metric(t, s, `http_server_client_gone_total`+route) == "20" })
	}
	eventually(t, "logged", func() bool { return strings.Count(s.Logs(), "status=499") == 40 })
	if n := strings.Count(s.Logs(), "code=client_closed_request"); n != 40 {
		t.Errorf("%d lines say client_closed_request", n)
	}
}

// Where the last answer was slow, the client is watched from the start.
func TestALeavingClientIsSeenWhereAnswersAreSlow(t *testing.T) {
	hereAndApart(t, testALeavingClientIsSeenWhereAnswersAreSlow)
}

func testALeavingClientIsSeenWhereAnswersAreSlow(t *testing.T, heeds bool) {
	entered, left := make(chan struct{}), make(chan error, 1)
	s := frameworktest.Start(t, `
version = 1
[[routes]]
method = "GET"
path = "/test"
handler = "test"
`, pluginThat(heeds, "test", framework.Handlers{"test": func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
		if req.Query("answer") != "" {
			time.Sleep(30 * time.Millisecond)
			return framework.Text("late"), nil
		}
		entered <- struct{}{}
		<-ctx.Done()
		left <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}}, framework.HandlerInfo{Name: "test"}))
	for range 2 {
		if r := s.Get(t, "/test?answer=late"); r.Status != 200 {
			t.Fatal(r.Status)
		}
		conn := s.Dial(t)
		if _, err := io.WriteString(conn, "GET /test HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-entered
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if cause := <-left; cause != framework.ErrClientGone { //nolint:errorlint // as above
			t.Fatalf("the cause is %v", cause)
		}
	}
}
