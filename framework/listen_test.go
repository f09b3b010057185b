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
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

const twoListeners = `
version = 1
[server.admin]
listen = "127.0.0.1:5001" # the test has its own
only = ["/numbers"]
[[routes]]
path = "/"
handler = "test"
[[routes]]
path = "/cached"
handler = "test"
cache = { ttl = "1h" }
[[routes]]
path = "/admin"
handler = "test"
audience = "admin"
[[routes]]
method = "POST"
path = "/admin/flush"
handler = "test"
audience = "admin"
[[routes]]
path = "/numbers"
handler = "test.numbers"
cache = { ttl = "1h" }
[[routes]]
path = "/ready"
handler = "test.ready"
`

func listenersPlugin(ready *atomic.Bool) framework.Plugin {
	return framework.NewPlugin(framework.Info{Name: "test", Handlers: []framework.HandlerInfo{
		{Name: "test"}, {Name: "test.numbers", Always: true}, {Name: "test.ready", Always: true},
	}}, framework.NoOptions{}, func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
		return framework.Handlers{
			"test": text("hello"), "test.numbers": text("1"),
			"test.ready": func(context.Context, *framework.Request) (*framework.Response, error) {
				ready.Store(!h.Status().Draining)
				return framework.Text("asked"), nil
			},
		}, nil
	})
}

func TestAdminsHaveAListenerOfTheirOwn(t *testing.T) {
	s := frameworktest.Start(t, twoListeners, listenersPlugin(new(atomic.Bool)))
	for _, c := range []struct {
		method, path  string
		public, admin int
	}{
		{"GET", "/", 200, 404},
		{"GET", "/cached", 200, 404},
		{"GET", "/admin", 404, 200},
		{"HEAD", "/admin", 404, 200},
		{"POST", "/admin", 404, 405},
		{"OPTIONS", "/admin", 404, 204},
		{"POST", "/admin/flush", 404, 200},
		{"GET", "/admin/flush", 404, 405},
		{"GET", "/numbers", 404, 200},
		{"POST", "/numbers", 404, 405},
		{"GET", "/ready", 200, 200},
		{"GET", "/none", 404, 404},
	} {
		for range 2 { // the second time, what is cached is a hit
			if a := s.Do(t, c.method, c.path, ""); a.Status != c.public || c.public == 404 && a.Header.Get("Allow") != "" {
				t.Errorf("public %s %s: %d, want %d; Allow: %s", c.method, c.path, a.Status, c.public, a.Header.Get("Allow"))
			}
			if status := statusOf(t, s.Client, c.method, s.Admin+c.path); status != c.admin {
				t.Errorf("admin %s %s: %d, want %d", c.method, c.path, status, c.admin)
			}
		}
	}
}

func statusOf(t *testing.T, client *http.Client, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// leaving starts a server with a grace, and a client with an open connection to it.
func leaving(t *testing.T, grace string) (stop context.CancelCauseFunc, done <-chan error, l net.Listener, conn net.Conn) {
	t.Helper()
	app, err := framework.New(framework.Config{
		Policy: framework.PolicyText("test.toml", fmt.Sprintf("version = 1\n[server]\ngrace = %q\n", grace)+
			"[[routes]]\npath = \"/\"\nhandler = \"test\"\n[[routes]]\npath = \"/cached\"\nhandler = \"test\"\ncache = { ttl = \"1h\" }\n"),
		Plugins: []framework.Plugin{plugin("test", framework.Handlers{"test": text("hello")})}, Stdout: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Serve(ctx, framework.Listeners{Public: l}) }()
	t.Cleanup(func() { stop(nil) })
	if conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for range 2 { // the second answer is a hit
		if closes(t, conn, "/cached") {
			t.Fatal("a connection is not kept")
		}
	}
	return stop, ended, l, conn
}

// closes makes a request and says whether its answer announces the end of the connection, or comes on none.
func closes(t *testing.T, conn net.Conn, path string) bool {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello" || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %q %v", res.StatusCode, body, err)
	}
	return res.Close
}

// In its grace a server takes what comes, and tells clients with open connections, hit or not, that they must open others.
func TestAServerThatLeavesServesOn(t *testing.T) {
	stop, done, l, first := leaving(t, "2s")
	stop(nil)
	for range 3 { // new connections, each of which the server ends with its answer
		eventually(t, "new connections are answered once", func() bool {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatalf("in the grace: %v", err)
			}
			defer conn.Close()
			return closes(t, conn, "/")
		})
	}
	if !closes(t, first, "/cached") {
		t.Error("an open connection is not told")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("after the grace the address still answers")
	}
}

func TestAServerThatHandedOverIsDoneWithItsConnections(t *testing.T) {
	stop, done, l, conn := leaving(t, "10m")
	stop(framework.ErrHandedOver)
	eventually(t, "nobody listens", func() bool {
		other, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	select {
	case err := <-done:
		t.Fatalf("it ended with an open connection: %v", err)
	default:
	}
	if !closes(t, conn, "/cached") {
		t.Error("the open connection is not told")
	}
	if err := <-done; err != nil { // long before the grace has passed
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ends with %v", err)
	}
}

func TestAnAddressInUseIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	app, err := framework.New(framework.Config{Stdout: io.Discard, Policy: framework.PolicyText("test.toml",
		"version = 1\nserver.listen = \"127.0.0.1:0\"\nserver.admin.listen = \""+l.Addr().String()+"\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listen for admins on "+l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
