package framework_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// What a handler does, it does the same on the goroutine of its connection as on one of its own.
func TestAHandlerThatHeedsItsContext(t *testing.T) {
	hereAndApart(t, func(t *testing.T, heeds bool) {
		s := frameworktest.Start(t, `
version = 1
[[routes]]
path = "/:kind"
handler = "test"
timeout = "200ms"
`, pluginThat(heeds, "test", framework.Handlers{"test": func(ctx context.Context, r *framework.Request) (*framework.Response, error) {
			switch r.Param("kind") {
			case "where":
				stack := make([]byte, 64<<10)
				return framework.Text(string(stack[:runtime.Stack(stack, false)])), nil
			case "panic":
				panic("oops")
			case "error":
				return nil, framework.NotFound("no such thing")
			case "nothing":
				return nil, nil
			case "late":
				<-ctx.Done()
				return nil, context.Cause(ctx)
			case "late-answer":
				<-ctx.Done()
				return nil, &framework.Error{Status: http.StatusGatewayTimeout, Code: "model_timeout", Message: "its own words", Err: context.Cause(ctx)}
			}
			return framework.Text("hello"), nil
		}}))
		if here := strings.Contains(s.Get(t, "/where").Body, "serveConn"); here != heeds {
			t.Errorf("on the goroutine of the connection: %v", here)
		}
		conn := s.Dial(t)
		answers := bufio.NewReader(conn)
		for _, c := range []struct {
			path   string
			status int
			body   string
		}{
			{"/panic", 500, "internal"},
			{"/text", 200, "hello"},
			{"/error", 404, "no such thing"},
			{"/nothing", 500, "internal"},
			{"/late", 408, "took too long"},
			{"/text", 200, "hello"},
			{"/late", 408, "took too long"},
		} {
			began := time.Now()
			if _, err := io.WriteString(conn, "GET "+c.path+" HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("%s: %v", c.path, err)
			}
			body, err := io.ReadAll(res.Body)
			if err = errors.Join(err, res.Body.Close()); err != nil {
				t.Fatalf("%s: %v", c.path, err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(body), c.body) {
				t.Errorf("%s: %d %s", c.path, res.StatusCode, body)
			}
			if late := time.Since(began) >= 200*time.Millisecond; late != (c.status == 408) {
				t.Errorf("%s took %v", c.path, time.Since(began))
			}
		}
		if heeds {
			if a := s.Get(t, "/late-answer"); a.Status != http.StatusGatewayTimeout || !strings.Contains(a.Body, "its own words") {
				t.Errorf("its own answer when its time is over: %d %s", a.Status, a.Body)
			}
		}
		eventually(t, "none runs any more", func() bool { return metric(t, s, "http_server_abandoned_handlers") == "0" })
	})
}
