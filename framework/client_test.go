package framework_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// whoServer answers with who asks, and with who is at the other end of the connection.
func whoServer(t testing.TB, server string) *frameworktest.Server {
	return frameworktest.Start(t, "version = 1\n[log.access]\nenabled = false\n[server]\n"+server+`
[[routes]]
path = "/who"
handler = "who"
[[routes]]
path = "/admin"
handler = "who"
audience = "admin"
[[routes]]
path = "/stored"
handler = "who.stored"
cache = { ttl = "1h" }
limits = { requests = 1000, window = "1h" }
`, plugin("who", framework.Handlers{
		"who": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
			return framework.Text(r.Client().String() + " " + r.Peer().String()), nil
		},
		"who.stored": text("stored"),
	}))
}

// The client is the nearest that is not a proxy of ours; what stands before it the client may have written.
func TestTheClientBehindTrustedProxies(t *testing.T) {
	const proxies = `trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]` + "\n"
	none, xff, forwarded := whoServer(t, ""), whoServer(t, proxies), whoServer(t, proxies+"client_header = \"Forwarded\"")
	far := whoServer(t, `trusted_proxies = ["10.0.0.0/8"]`)
	for _, c := range []struct {
		server *frameworktest.Server
		header string // lines of X-Forwarded-For, or of Forwarded
		client string
	}{
		{none, "203.0.113.9", "127.0.0.1"},
		{far, "203.0.113.9", "127.0.0.1"},
		{xff, "", "127.0.0.1"},
		{xff, "203.0.113.9", "203.0.113.9"},
		{xff, "1.1.1.1, 203.0.113.9", "203.0.113.9"},
		{xff, "1.1.1.1,203.0.113.9 ,10.1.2.3", "203.0.113.9"},
		{xff, "1.1.1.1|203.0.113.9|10.1.2.3", "203.0.113.9"},
		{xff, "10.9.9.9, 10.1.2.3", "10.9.9.9"},
		{xff, "203.0.113.9, unknown, 10.1.2.3", "10.1.2.3"},
		{xff, "203.0.113.9, , 10.1.2.3", "10.1.2.3"},
		{xff, "127.0.0.1, 203.0.113.9", "203.0.113.9"},
		{xff, "203.0.113.9:4711", "203.0.113.9"},
		{xff, "2001:db8::7", "2001:db8::7"},
		{xff, "2001:db8::7, 2001:db8:1::1", "2001:db8::7"},
		{xff, "[2001:db8::7]:80", "2001:db8::7"},
		{xff, "::ffff:203.0.113.9", "203.0.113.9"},
		{xff, "fe80::1%eth0", "fe80::1"},
		{xff, strings.Repeat("1.1.1.1, ", 300) + "203.0.113.9", "203.0.113.9"},
		{xff, strings.Repeat(",", 2000), "127.0.0.1"},
		{forwarded, "for=203.0.113.9;proto=https;by=10.1.1.1", "203.0.113.9"},
		{forwarded, `for=1.1.1.1, FOR="203.0.113.9:80", for=10.1.1.1`, "203.0.113.9"},
		{forwarded, `for="[2001:db8::7]:80"`, "2001:db8::7"},
		{forwarded, `for=_hidden, for=10.1.1.1`, "10.1.1.1"},
		{forwarded, `for=unknown`, "127.0.0.1"},
		{forwarded, `for=1.1.1.1;for=2.2.2.2`, "127.0.0.1"},
		{forwarded, `proto="a, for=1.1.1.1, b";for=203.0.113.9`, "203.0.113.9"},
		{forwarded, `for="1.1.1.1, for=203.0.113.9`, "203.0.113.9"}, // a quote of the client's hides nothing of ours
		{forwarded, `for=", for="203.0.113.9:80"`, "203.0.113.9"},
	} {
		name := "X-Forwarded-For"
		if c.server == forwarded {
			name = "Forwarded"
		}
		var header []string
		for line := range strings.SplitSeq(c.header, "|") {
			if line != "" {
				header = append(header, name, line)
			}
		}
		if got := c.server.Get(t, "/who", header...).Body; got != c.client+" 127.0.0.1" {
			t.Errorf("%.60q: %s, want %s", c.header, got, c.client)
		}
		if a := c.server.Get(t, "/admin", header...); len(header) > 0 && a.Status != 403 || len(header) == 0 && a.Status != 200 {
			t.Errorf("%.60q: the admin route answers %d", c.header, a.Status)
		}
	}
	if got := xff.Get(t, "/who", "Forwarded", "for=203.0.113.9").Body; got != "127.0.0.1 127.0.0.1" {
		t.Errorf("the other header is believed: %s", got)
	}
}

// The front counts stored answers for the same client as the pipeline.
func TestStoredAnswersCountForTheClient(t *testing.T) {
	s := whoServer(t, `trusted_proxies = ["127.0.0.1"]`)
	remaining := func(client string) string {
		return s.Get(t, "/stored", "X-Forwarded-For", client).Header.Get("RateLimit-Remaining")
	}
	got := []string{remaining("203.0.113.9"), remaining("203.0.113.9"), remaining("203.0.113.9"), remaining("203.0.113.8")}
	if want := []string{"999", "998", "997", "999"}; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%v, want %v", got, want)
	}
}

// Whatever a header says, the client is an address, and never one that only an untrusted party has named.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{"", "1.1.1.1", "for=1.1.1.1", `for="[::1]:80", for=_x`, ",,,", `"`, `\"`, "[", "::", "fe80::1%a%b", "\x00"} {
		f.Add(seed)
	}
	app := newApp(f, "version = 1\nserver.trusted_proxies = [\"127.0.0.0/8\"]\n"+`
[[routes]]
path = "/who"
handler = "who"
`, plugin("who", framework.Handlers{"who": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
		return framework.Text(r.Client().String()), nil
	}}))
	serve := handler(app)
	f.Fuzz(func(t *testing.T, header string) {
		ctx := request("/who")
		ctx.Request.Header.Set("X-Forwarded-For", header)
		serve(ctx)
		client, err := netip.ParseAddr(string(ctx.Response.Body()))
		if err != nil || client.Zone() != "" || client.Is4In6() {
			t.Fatalf("%q: the client is %q: %v", header, ctx.Response.Body(), err)
		}
		ctx = request("/who") // what a trusted proxy adds stands above it
		ctx.Request.Header.Set("X-Forwarded-For", header+", 203.0.113.9")
		serve(ctx)
		if got := string(ctx.Response.Body()); got != "203.0.113.9" && !strings.ContainsAny(header, "\x00\r\n") {
			t.Fatalf("%q: the client is %q", header, got)
		}
	})
}
