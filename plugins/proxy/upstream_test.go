package proxy_test

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 has it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins/health"
	"github.com/innatural/chatbot/plugins/proxy"
)

// named is an origin that answers with its name and the request that it got.
func named(t *testing.T, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Origin", name)
		fmt.Fprintf(w, "%s %s %s", name, r.Host, r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(s.Close)
	return s
}

// serve serves a plugin's table for all paths but /health.
func serve(t *testing.T, table string) *frameworktest.Server {
	t.Helper()
	return frameworktest.Start(t, `
version = 1
`+table+`
[[routes]]
path = "/health"
handler = "health"
[[routes]]
method = "*"
path = "/*"
handler = "proxy"
`, proxy.Plugin(), health.Plugin())
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func metrics(t *testing.T, s *frameworktest.Server) string {
	t.Helper()
	_, body, err := s.App.Metrics().WriteMetrics("")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheLongestPrefixServes(t *testing.T) {
	all, api, v2 := named(t, "all"), named(t, "api"), named(t, "v2")
	s := serve(t, `
[plugins.proxy.upstreams.all]
targets = ["`+all.URL+`"]
[plugins.proxy.upstreams.api]
targets = ["`+api.URL+`/"]
prefix = "/api"
host = "api.internal:1"
response = { set = { X-Added = "1" }, remove = ["x-origin"] }
[plugins.proxy.upstreams.v2]
targets = ["`+v2.URL+`"]
prefix = "/api/v2/"
request = { set = { X-Forwarded-For = "nobody" }, remove = ["X-Secret"] }
`)
	for path, want := range map[string]string{
		"/": "all shop.example 127.0.0.1", "/apix": "all shop.example 127.0.0.1", "/api": "api api.internal:1 127.0.0.1",
		"/api/v1": "api api.internal:1 127.0.0.1", "/api/v2": "v2 shop.example nobody", "/api/v2/x": "v2 shop.example nobody",
	} {
		got, err := exchange(t, s, "GET "+path+" HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
		if err != nil || !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s: %v, %q, want %q", path, err, got, want)
		}
	}
	if a := s.Get(t, "/api"); a.Header.Get("X-Added") != "1" || a.Header.Get("X-Origin") != "" {
		t.Errorf("the answer has %v", a.Header)
	}
}

func TestNoUpstreamForAPath(t *testing.T) {
	s := serve(t, "[plugins.proxy.upstreams.api]\ntargets = [\"http://127.0.0.1:1\"]\nprefix = \"/api\"\n")
	if a := s.Get(t, "/other"); a.Status != 404 {
		t.Errorf("got %d", a.Status)
	}
}

func TestForwardedFieldsOfATrustedProxy(t *testing.T) {
	origin, asked := answering(t, "HTTP/1.1 204 No Content\r\n\r\n")
	s := serve(t, "[plugins.proxy]\ntrust_forwarded = true\n[plugins.proxy.upstreams.o]\ntargets = [\""+origin+"\"]\n")
	_, err := exchange(t, s, "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n"+
		"X-Forwarded-Host: shop.example\r\nForwarded: for=1.1.1.1\r\nConnection: close\r\n\r\n")
	want := []string{
		"Forwarded: for=1.1.1.1", "Host: h", "Via: 1.1 innatural", "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1",
		"X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https",
	}
	if got := lines(asked()[0]); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: the origin got %q", err, got)
	}
}

func TestRequestsAreSharedOut(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	s := serve(t, "[plugins.proxy.upstreams.o]\ntargets = [\""+a.URL+"\", \""+b.URL+"\"]\n")
	got := map[string]int{}
	for range 10 {
		got[s.Get(t, "/").Header.Get("X-Origin")]++
	}
	if got["a"] != 5 || got["b"] != 5 {
		t.Errorf("in turn: %v", got)
	}
}

func TestTheLeastBusyTargetServes(t *testing.T) {
	release := make(chan struct{})
	busy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer busy.Close()
	defer close(release)
	idle := named(t, "idle")
	s := serve(t, "[plugins.proxy.upstreams.o]\ntargets = [\""+busy.URL+"\", \""+idle.URL+"\"]\n")
	held := make(chan struct{})
	go func() {
		defer close(held)
		for range 2 { // one of the two is held
			if res, err := s.Client.Get(s.URL); err == nil {
				res.Body.Close()
			}
		}
	}()
	eventually(t, "one is held", func() bool { return strings.Contains(metrics(t, s), "http_server_active_requests 1") })
	time.Sleep(50 * time.Millisecond) // the other of the two may still be under way
	for range 10 {
		if a := s.Get(t, "/"); a.Header.Get("X-Origin") != "idle" {
			t.Fatalf("a busy target got the request: %v", a.Header)
		}
	}
	release <- struct{}{}
	<-held
}

// A target that refuses connections costs no request, is taken out, and comes back.
func TestATargetGoesAndComesBack(t *testing.T) {
	for _, checks := range []string{
		"pause = \"100ms\"\n", "path = \"/healthz\"\ninterval = \"20ms\"\ntimeout = \"1s\"\nsuccesses = 2\npause = \"1h\"\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		up := named(t, "up")
		s := serve(t, "[plugins.proxy.health]\nfailures = 2\n"+checks+
			"[plugins.proxy.upstreams.o]\ntargets = [\""+up.URL+"\", \"http://"+address+"\"]\n")
		for range 6 {
			if a := s.Get(t, "/"); a.Status != 200 || a.Header.Get("X-Origin") != "up" {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		gauge := `proxy_target_up{target="http://` + address + `",upstream="o"} `
		eventually(t, "it is out", func() bool { return strings.Contains(metrics(t, s), gauge+"0") })
		if a := s.Get(t, "/health"); a.Status != 200 || !strings.Contains(a.Body, `"degraded"`) {
			t.Errorf("health: %d %s", a.Status, a.Body)
		}
		if l, err = net.Listen("tcp", address); err != nil {
			t.Skipf("the port is taken: %v", err)
		}
		back := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Origin", "back")
		})}}
		back.Start()
		eventually(t, "it is back", func() bool { return s.Get(t, "/").Header.Get("X-Origin") == "back" })
		eventually(t, "it is up", func() bool { return strings.Contains(metrics(t, s), gauge+"1") })
		s.Stop()
		if !strings.Contains(s.Logs(), "Target is out") || !strings.Contains(s.Logs(), "Target is back") {
			t.Errorf("the log is %s", s.Logs())
		}
		back.Close()
	}
}

// A target that answers its checks badly is taken out; with all targets out, requests still try.
func TestFailingChecks(t *testing.T) {
	var status atomic.Int64
	status.Store(503)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.WriteHeader(int(status.Load()))
		}
	}))
	defer origin.Close()
	s := serve(t, "[plugins.proxy.health]\npath = \"/healthz\"\ninterval = \"20ms\"\n"+
		"[plugins.proxy.upstreams.o]\ntargets = [\""+origin.URL+"\"]\n")
	eventually(t, "it is out", func() bool { return s.Get(t, "/health").Status == 503 })
	if a := s.Get(t, "/"); a.Status != 200 {
		t.Errorf("with all targets out: %d", a.Status)
	}
	status.Store(204)
	eventually(t, "it is back", func() bool { return s.Get(t, "/health").Status == 200 })
}

func TestMetricsOfTargets(t *testing.T) {
	origin := named(t, "o")
	s := serve(t, "[plugins.proxy.upstreams.o]\ntargets = [\""+origin.URL+"\"]\n[plugins.proxy.upstreams.away]\nprefix = \"/away\"\ntargets = [\"http://127.0.0.1:1\"]\n")
	s.Get(t, "/")
	s.Get(t, "/away")
	got := metrics(t, s)
	for _, want := range []string{
		`proxy_requests_total{result="answered",target="` + origin.URL + `",upstream="o"} 1`,
		`proxy_requests_total{result="refused",target="http://127.0.0.1:1",upstream="away"} 1`,
		`proxy_request_duration_seconds_count{target="` + origin.URL + `",upstream="o"} 1`,
		`proxy_open_connections{target="` + origin.URL + `",upstream="o"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

// Unused connections are given up before targets do it themselves.
func TestIdleConnectionsEnd(t *testing.T) {
	origin := named(t, "o")
	s := serve(t, "[plugins.proxy]\nidle_timeout = \"50ms\"\n[plugins.proxy.upstreams.o]\ntargets = [\""+origin.URL+"\"]\n")
	s.Get(t, "/")
	eventually(t, "closed", func() bool {
		return strings.Contains(metrics(t, s), `proxy_open_connections{target="`+origin.URL+`",upstream="o"} 0`)
	})
}

func TestAHeaderThatIsTooLarge(t *testing.T) {
	s := serve(t, "[plugins.proxy]\nheader_limit = \"1KiB\"\n[plugins.proxy.upstreams.o]\ntargets = [\""+
		answeringWith(t, "HTTP/1.1 200 OK\r\nX-Big: "+strings.Repeat("x", 5000)+"\r\nContent-Length: 0\r\n\r\n")+"\"]\n")
	if a := s.Get(t, "/"); a.Status != 502 {
		t.Errorf("a large header: %d", a.Status)
	}
}

func answeringWith(t *testing.T, answer string) string {
	url, _ := answering(t, answer)
	return url
}

// A reload that changes nothing of the proxy keeps its connections; one that does gets new ones.
func TestConnectionsOutliveReloads(t *testing.T) {
	var connections atomic.Int64
	origin := raw(t, func(c net.Conn, r *bufio.Reader) {
		connections.Add(1)
		for {
			if _, err := head(r); err != nil {
				return
			}
			if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
				return
			}
		}
	})
	file := filepath.Join(t.TempDir(), "p.toml")
	write := func(more string) {
		t.Helper()
		text := "version = 1\n[plugins.proxy]\n" + more + "[plugins.proxy.upstreams.o]\ntargets = [\"" + origin +
			"\"]\n[[routes]]\npath = \"/*\"\nhandler = \"proxy\"\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	s := frameworktest.StartWith(t, framework.PolicyFile(file, nil), proxy.Plugin())
	s.Get(t, "/")
	for i, more := range []string{"", "header_limit = \"8KiB\"\n"} {
		write(more)
		if err := s.App.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Get(t, "/"); connections.Load() != int64(1+i) {
			t.Errorf("after reload %d there were %d connections", i, connections.Load())
		}
	}
	if n := strings.Count(metrics(t, s), "\nproxy_target_up{"); n != 1 {
		t.Errorf("%d series of the target", n)
	}
}

func TestTargetsOverTLS(t *testing.T) {
	origin := httptest.NewTLSServer(http.NotFoundHandler())
	defer origin.Close()
	s := serve(t, "[plugins.proxy.upstreams.o]\ntargets = [\""+origin.URL+"\"]\n")
	if a := s.Get(t, "/"); a.Status != 502 { // nobody vouches for its certificate
		t.Errorf("got %d", a.Status)
	}
}

// A WebSocket (RFC 6455) through the proxy: the handshake, a masked frame each way, and its end.
func TestAWebSocketPasses(t *testing.T) {
	origin := raw(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil || req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Connection") != "Upgrade" {
			return
		}
		sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		for {
			message, err := readFrame(r)
			if err != nil || writeFrame(c, append([]byte("echo "), message...)) != nil {
				return
			}
		}
	})
	s := gateway(t, origin, "", "")
	c := s.Dial(t)
	_, err := io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
		res.Header.Get("Connection") != "Upgrade" {
		t.Fatalf("%v %v", err, res)
	}
	for _, message := range []string{"hello", strings.Repeat("x", 70000)} {
		if err := writeFrame(c, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if got, err := readFrame(r); err != nil || string(got) != "echo "+message {
			t.Fatalf("%v, %d bytes", err, len(got))
		}
	}
	if !strings.Contains(metrics(t, s), "http_server_open_streams 1") {
		t.Error("it is not counted as a stream")
	}
	c.Close()
	eventually(t, "closed", func() bool {
		got := metrics(t, s)
		return strings.Contains(got, "http_server_open_streams 0") && strings.Contains(got, "\nproxy_open_connections{") && strings.Contains(got, `upstream="origin"} 0`)
	})
}

// writeFrame and readFrame speak binary frames, all of them masked with nothing.
func writeFrame(w io.Writer, message []byte) error {
	frame := append([]byte{0x82, 0x80 | 127}, binary.BigEndian.AppendUint64(nil, uint64(len(message)))...)
	_, err := w.Write(append(append(frame, 0, 0, 0, 0), message...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var h [14]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint64(h[2:10]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// An origin that does not read holds its client up; nothing is heaped up in between.
func TestBackPressure(t *testing.T) {
	release := make(chan struct{})
	origin := raw(t, func(_ net.Conn, r *bufio.Reader) {
		if _, err := head(r); err == nil {
			<-release
		}
	})
	defer close(release)
	s := gateway(t, origin, "", "")
	c := s.Dial(t)
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	sent, piece := 0, make([]byte, 1<<16)
	for {
		if err := c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Write(piece)
		if sent += n; err != nil {
			break
		}
		if sent > 50_000_000 {
			t.Fatalf("%d bytes were taken of a body that nobody reads", sent)
		}
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	for _, c := range []struct{ table, want string }{
		{"[plugins.proxy.upstreams.o]\ntargets = [\"127.0.0.1:8000\"]", `plugins.proxy.upstreams.o.targets: "127.0.0.1:8000" is not the address of a server; write it like http://127.0.0.1:8000`},
		{"[plugins.proxy.upstreams.o]\ntargets = [\"http://h/base\"]", "has more than an address"},
		{"[plugins.proxy.upstreams.o]\ntargets = [\"http://u:p@h\"]", "is not the address of a server"},
		{"[plugins.proxy.upstreams.o]\ntargets = []", "must not be empty"},
		{"[plugins.proxy.upstreams.o]\nprefix = \"/\"", "targets is required"},
		{"[plugins.proxy.upstreams.o]\ntargets = [\"http://h\"]\nprefix = \"api\"", "upstreams.o.prefix: \"api\" does not start with a slash"},
		{"[plugins.proxy.upstreams.a]\ntargets = [\"http://h\"]\n[plugins.proxy.upstreams.b]\ntargets = [\"http://h\"]\nprefix = \"/\"", "upstreams.b.prefix: it is that of a too"},
		{"[plugins.proxy.upstreams.o]\ntargets = [\"http://h\"]\nhost = \"a b\"", "is not a host"},
		{"[plugins.proxy.upstreams.o]\ntargets = [\"http://h\"]\nrequest.remove = [\"a b\"]", "is not the name of a header field"},
		{"[plugins.proxy.upstreams.o]\ntargets = [\"http://h\"]\nresponse.set = { A = \"b\\nc\" }", "the value of A cannot stand in a header"},
		{"[plugins.proxy.health]\npath = \"x\"\n[plugins.proxy.upstreams.o]\ntargets = [\"http://h\"]", "health.path: \"x\" does not start with a slash"},
	} {
		src := policy.Source{Name: "p.toml", Text: []byte("version = 1\n" + c.table + "\n[[routes]]\npath = \"/*\"\nhandler = \"proxy\"\n")}
		_, problems := policy.Load(src, framework.Vocabulary(proxy.Plugin()), policy.Layers{})
		if len(problems) == 0 || !strings.Contains(problems.Error(), c.want) {
			t.Errorf("%s\ngives %v\nwant %s", c.table, problems, c.want)
		}
	}
	_, err := framework.New(framework.Config{
		Policy:  framework.PolicyText("p.toml", "version = 1\n[[routes]]\npath = \"/*\"\nhandler = \"proxy\"\n"),
		Plugins: []framework.Plugin{proxy.Plugin()},
	})
	if err == nil || !strings.Contains(err.Error(), "no upstream") {
		t.Errorf("without upstreams: %v", err)
	}
}

// With a TTL of the policy's own, what a target streams is stored whole.
func TestStreamsAreStoredByPolicy(t *testing.T) {
	origin, asked := answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
	s := frameworktest.Start(t, "version = 1\n[plugins.proxy.upstreams.o]\ntargets = [\""+origin+
		"\"]\n[[routes]]\npath = \"/*\"\nhandler = \"proxy\"\ncache = { ttl = \"1h\", query = [\"q\"] }\n", proxy.Plugin())
	for _, want := range []string{"MISS", "HIT"} {
		if a := s.Get(t, "/x?q=1&z=2"); a.Body != "hello world" || a.Header.Get("X-Cache") != want {
			t.Errorf("%d %q %v", a.Status, a.Body, a.Header)
		}
	}
	if all := asked(); len(all) != 1 || !strings.HasPrefix(all[0], "GET /x?q=1 HTTP/1.1\r\n") {
		t.Errorf("the origin got %q", all)
	}
}
