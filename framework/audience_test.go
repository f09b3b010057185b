package framework_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

func TestAdminAudience(t *testing.T) {
	s := frameworktest.Start(t, strings.Replace(basics, "[server]", "[server]\nadmin_token = \"s3cret\"", 1), basicPlugin())
	for _, c := range []struct {
		header []string
		status int
	}{
		{nil, 401},
		{[]string{"Authorization", "Bearer wrong"}, 403},
		{[]string{"Authorization", "Bearer s3cret "}, 200}, // HTTP trims it
		{[]string{"Authorization", "Bearer  s3cret"}, 403},
		{[]string{"Authorization", "Basic s3cret"}, 401},
		{[]string{"Authorization", "Bearer s3cret"}, 200},
		{[]string{"Authorization", "bearer s3cret"}, 200}, // RFC 9110, section 11.1
	} {
		if a := s.Get(t, "/admin", c.header...); a.Status != c.status {
			t.Errorf("%v: %d, want %d", c.header, a.Status, c.status)
		}
	}
}

// Without a token the connection decides, and no header makes a client local; but one that says that the request was forwarded makes
// it somebody else's.
func TestAdminAudienceWithoutAToken(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	for _, header := range [][]string{
		{"X-Forwarded-For", "203.0.113.9"},
		{"X-Forwarded-For", "127.0.0.1"},
		{"Forwarded", "for=203.0.113.9"},
		{"X-Real-Ip", "203.0.113.9"},
		{"Via", "1.1 nginx"},
		{},
	} {
		want := 403
		if len(header) == 0 {
			want = 200
		}
		if a := s.Get(t, "/admin", header...); a.Status != want {
			t.Errorf("from loopback with %v: %d, want %d", header, a.Status, want)
		}
	}
	for address, status := range map[string]int{
		"203.0.113.9": 403, "192.168.0.1": 403, "10.0.0.1": 403, "fe80::1": 403, "2001:db8::1": 403, "0.0.0.0": 403,
		"::1": 200, "127.9.9.9": 200, "::ffff:127.0.0.1": 200, "::ffff:203.0.113.9": 403,
	} {
		for _, header := range []string{"", "X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
			want := status
			if header != "" {
				want = 403
			}
			if got := askFrom(t, address, header); got != want {
				t.Errorf("from %s with %s: %d, want %d", address, header, got, want)
			}
		}
	}
}

// askFrom asks an app whose connections come from an address for its admin route; a header claims that it is loopback.
func askFrom(t *testing.T, address, header string) int {
	t.Helper()
	app, err := framework.New(framework.Config{
		Policy: framework.PolicyText("test.toml", basics), Plugins: []framework.Plugin{basicPlugin()}, Stdout: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, framework.Listeners{Public: elsewhere{l, net.ParseIP(address)}}) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/admin", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if header != "" {
		req.Header.Set(header, "127.0.0.1")
	}
	response, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// elsewhere is a listener whose connections come from another address.
type elsewhere struct {
	net.Listener
	from net.IP
}

func (l elsewhere) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return remote{conn, &net.TCPAddr{IP: l.from, Port: 1}}, nil
}

type remote struct {
	net.Conn
	from net.Addr
}

func (c remote) RemoteAddr() net.Addr { return c.from }
