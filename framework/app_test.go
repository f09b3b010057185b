package framework_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
)

// plugin makes a plugin of plain handlers for a test.
func plugin(name string, handlers framework.Handlers, infos ...framework.HandlerInfo) framework.Plugin {
	return pluginThat(false, name, handlers, infos...)
}

// hereAndApart runs a test for handlers that heed their context, which run on the goroutine of their connection, and for others.
func hereAndApart(t *testing.T, test func(t *testing.T, heeds bool)) {
	t.Helper()
	t.Run("here", func(t *testing.T) { test(t, true) })
	t.Run("apart", func(t *testing.T) { test(t, false) })
}

func pluginThat(heeds bool, name string, handlers framework.Handlers, infos ...framework.HandlerInfo) framework.Plugin {
	for handler := range handlers {
		known := false
		for _, info := range infos {
			known = known || info.Name == handler
		}
		if !known {
			infos = append(infos, framework.HandlerInfo{Name: handler})
		}
	}
	for i := range infos {
		infos[i].Heeds = heeds
	}
	return framework.NewPlugin(framework.Info{Name: name, Handlers: infos}, framework.NoOptions{},
		func(*framework.Host, framework.NoOptions) (framework.Handlers, error) { return handlers, nil })
}

func text(s string) framework.Handler {
	return func(context.Context, *framework.Request) (*framework.Response, error) { return framework.Text(s), nil }
}

const basics = `
version = 1
[server]
body_limit = "64KiB"
header_limit = "4KiB"
[[routes]]
path = "/api/text"
handler = "test.text"
[[routes]]
path = "/text"
handler = "test.text"
cache_control = "short"
headers = { X-Extra = "yes" }
[[routes]]
method = "POST"
path = "/api/json"
handler = "test.json"
[[routes]]
path = "/api/error/:kind"
handler = "test.error"
[[routes]]
path = "/v1/error/:kind"
handler = "test.error"
[[routes]]
path = "/admin"
handler = "test.text"
audience = "admin"
[[routes]]
path = "/cors"
handler = "test.text"
cors = { origins = ["https://shop.example"], headers = ["X-Mine"], credentials = true }
[[routes]]
path = "/limited"
handler = "test.text"
limits = { requests = 2, window = "1h" }
`

func basicPlugin() framework.Plugin {
	return plugin("test", framework.Handlers{
		"test.text": text("hello"),
		"test.json": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
			var in struct {
				Name string `json:"name"`
				Age  int    `json:"age"`
			}
			if err := r.DecodeJSON(&in); err != nil {
				return nil, err
			}
			return framework.JSON(in)
		},
		"test.error": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
			switch r.Param("kind") {
			case "panic":
				panic("secret detail")
			case "internal":
				return nil, errors.New("dial tcp 10.0.0.1: secret detail")
			case "exit":
				runtime.Goexit()
			case "nothing":
				return nil, nil
			case "busy":
				return nil, &framework.Error{Status: 503, Code: "busy", Message: "try later", RetryAfter: 1500 * time.Millisecond}
			}
			return nil, framework.NotFound("no such thing")
		},
	})
}

func TestEveryAnswerHasTheContractsHeaders(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	for _, path := range []string{"/api/text", "/text", "/nowhere", "/api/error/panic"} {
		h := s.Get(t, path).Header
		if id := h.Get("X-Request-Id"); len(id) != 32 {
			t.Errorf("%s: X-Request-Id %q, want 32 hex digits", path, id)
		}
		if !strings.HasSuffix(h.Get("X-Response-Time"), "ms") {
			t.Errorf("%s: X-Response-Time %q", path, h.Get("X-Response-Time"))
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Dns-Prefetch-Control": "on", "Server": "", "X-Powered-By": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if h.Get("Date") == "" {
			t.Errorf("%s: no Date", path)
		}
	}
	if got := s.Get(t, "/text", "X-Request-Id", "mine-42").Header.Get("X-Request-Id"); got != "mine-42" {
		t.Errorf("a well-formed id became %q", got)
	}
	if got := s.Get(t, "/text", "X-Request-Id", "bad id<script>").Header.Get("X-Request-Id"); strings.Contains(got, "script") {
		t.Errorf("an id that is not well formed was kept: %q", got)
	}
	if h := s.Get(t, "/text").Header; h.Get("Cache-Control") != "public, max-age=300" || h.Get("X-Extra") != "yes" {
		t.Errorf("preset and headers of the route: %q %q", h.Get("Cache-Control"), h.Get("X-Extra"))
	}
	if got := s.Get(t, "/api/text").Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control without a preset is %q", got)
	}
}

func TestErrorsHaveTheFormOfTheirPath(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		contentType, code        string
	}{
		{"not found", "GET", "/api/nope", "", nil, 404, "application/json; charset=utf-8", "not_found"},
		{"handler's own", "GET", "/api/error/other", "", nil, 404, "application/json; charset=utf-8", "not_found"},
		{"problem outside of /api", "GET", "/nope", "", nil, 404, "application/problem+json", "not_found"},
		{"problem when asked for", "GET", "/api/nope", "", []string{"Accept", "application/problem+json"}, 404, "application/problem+json", "not_found"},
		{"/v1", "GET", "/v1/error/other", "", nil, 404, "application/json; charset=utf-8", "not_found"},
		{"panic", "GET", "/api/error/panic", "", nil, 500, "application/json; charset=utf-8", "internal"},
		{"internal", "GET", "/api/error/internal", "", nil, 500, "application/json; charset=utf-8", "internal"},
		{"end of the goroutine", "GET", "/api/error/exit", "", nil, 500, "application/json; charset=utf-8", "internal"},
		{"neither answer nor error", "GET", "/api/error/nothing", "", nil, 500, "application/json; charset=utf-8", "internal"},
		{"retry", "GET", "/api/error/busy", "", nil, 503, "application/json; charset=utf-8", "busy"},
		{"wrong method", "POST", "/api/text", "", nil, 405, "application/json; charset=utf-8", "method_not_allowed"},
		{"unknown method", "BREW", "/api/text", "", nil, 405, "application/json; charset=utf-8", "method_not_allowed"},
		{"not JSON", "POST", "/api/json", "{", nil, 400, "application/json; charset=utf-8", "invalid_json"},
		{"two values", "POST", "/api/json", "{}{}", nil, 400, "application/json; charset=utf-8", "invalid_json"},
		{"empty", "POST", "/api/json", "", nil, 400, "application/json; charset=utf-8", "invalid_json"},
		{"wrong type", "POST", "/api/json", `{"age":"x"}`, nil, 400, "application/json; charset=utf-8", "invalid_request"},
		{"other media type", "POST", "/api/json", "a=b", []string{"Content-Type", "text/plain"}, 415, "application/json; charset=utf-8", "unsupported_media_type"},
		{"too large", "POST", "/api/json", strings.Repeat("<", 70_000), nil, 413, "application/json; charset=utf-8", "body_too_large"},
		{"large headers", "GET", "/api/text", "", []string{"X-Big", strings.Repeat("x", 5000)}, 431, "application/problem+json", "headers_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.Do(t, c.method, c.path, c.body, c.header...)
			if a.Status != c.status || a.Header.Get("Content-Type") != c.contentType {
				t.Fatalf("got %d %s, want %d %s: %s", a.Status, a.Header.Get("Content-Type"), c.status, c.contentType, a.Body)
			}
			var body struct {
				Success   *bool
				Code      string
				RequestID string
				Error     any
				Status    int
			}
			if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
				t.Fatalf("%v in %s", err, a.Body)
			}
			if strings.Contains(a.Body, "secret") {
				t.Errorf("an internal message was sent: %s", a.Body)
			}
			if strings.HasPrefix(c.path, "/v1") {
				inner, _ := body.Error.(map[string]any)
				if inner["code"] != c.code || inner["type"] != "not_found_error" || inner["request_id"] != a.Header.Get("X-Request-Id") {
					t.Errorf("got %s", a.Body)
				}
				return
			}
			if body.Code != c.code || body.RequestID != a.Header.Get("X-Request-Id") {
				t.Errorf("code %q id %q, want %q and %q", body.Code, body.RequestID, c.code, a.Header.Get("X-Request-Id"))
			}
			if a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control of an error is %q", a.Header.Get("Cache-Control"))
			}
		})
	}
	if a := s.Do(t, "POST", "/api/text", ""); a.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("Allow is %q", a.Header.Get("Allow"))
	}
	if a := s.Get(t, "/api/error/busy"); a.Header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After is %q, want 2", a.Header.Get("Retry-After"))
	}
	if s.Stop(); !strings.Contains(s.Logs(), "secret detail") {
		t.Error("the cause of a failure is not in the log")
	}
}

func TestMethods(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	if a := s.Do(t, "HEAD", "/api/text", ""); a.Status != 200 || a.Body != "" || a.Header.Get("Content-Length") != "5" {
		t.Errorf("HEAD: %+v", a)
	}
	if a := s.Do(t, "OPTIONS", "/api/text", ""); a.Status != 204 || a.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %+v", a)
	}
}

func TestMalformedRequestsAreAnsweredOrClosed(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	for _, raw := range []string{
		"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /api/text HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST /api/json HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"POST /api/json HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET /%zz%00 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("A", 100_000),
		"GET http://evil.example/api/text HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(raw)) // the server may have closed already
		_ = conn.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(conn)
		if len(b) > 0 && !bytes.HasPrefix(b, []byte("HTTP/1.")) {
			t.Errorf("%.40q: answered %.80q", raw, b)
		}
		conn.Close()
	}
	if a := s.Get(t, "/api/text"); a.Status != 200 {
		t.Fatalf("afterwards: %d", a.Status)
	}
}

// A client that is still sending gets its answer, instead of a connection that is reset.
func TestABodyThatIsTooLargeIsAnswered(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	conn := s.Dial(t)
	const size = 9_000_000
	head := fmt.Sprintf("POST /api/json HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	if _, err := conn.Write(append([]byte(head), bytes.Repeat([]byte("<"), size)...)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 413 ")) {
		t.Errorf("%v, %.80q", err, b)
	}
	if a := s.Get(t, "/api/text"); a.Status != 200 {
		t.Errorf("afterwards: %d", a.Status)
	}
}

func TestAClientThatAsksFirstIsToldBeforeItSends(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	for _, c := range []struct {
		size int
		want string
	}{{5, "HTTP/1.1 100 Continue"}, {9_000_000, "HTTP/1.1 413 Request Entity Too Large"}} {
		conn := s.Dial(t)
		if _, err := fmt.Fprintf(conn, "POST /api/json HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", c.size); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\r')
		if err != nil || strings.TrimSpace(line) != c.want {
			t.Errorf("%d bytes: %q, %v", c.size, line, err)
		}
	}
}

func TestCORS(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	a := s.Get(t, "/cors", "Origin", "https://shop.example")
	if a.Header.Get("Access-Control-Allow-Origin") != "https://shop.example" || a.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("allowed origin: %v", a.Header)
	}
	if a := s.Get(t, "/cors", "Origin", "https://evil.example"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("other origin: %v", a.Header)
	} else if !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
		t.Errorf("other origin: Vary is %v", a.Header.Values("Vary"))
	}
	a = s.Do(t, "OPTIONS", "/cors", "", "Origin", "https://shop.example", "Access-Control-Request-Method", "GET")
	if a.Status != 204 || a.Header.Get("Access-Control-Allow-Methods") != "GET, HEAD, OPTIONS" ||
		a.Header.Get("Access-Control-Allow-Headers") != "Content-Type, X-Mine" || a.Header.Get("Access-Control-Max-Age") != "600" {
		t.Errorf("preflight: %d %v", a.Status, a.Header)
	}
	if a := s.Get(t, "/text", "Origin", "https://shop.example"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a route without CORS allows an origin")
	}
}

func TestRateLimit(t *testing.T) {
	s := frameworktest.Start(t, basics, basicPlugin())
	for i, want := range []int{200, 200, 429} {
		a := s.Get(t, "/limited")
		if a.Status != want {
			t.Fatalf("request %d: %d, want %d", i, a.Status, want)
		}
		if a.Header.Get("RateLimit-Policy") == "" || a.Header.Get("RateLimit-Limit") != "2" {
			t.Errorf("request %d: %v", i, a.Header)
		}
		if want == 429 && a.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if err := s.App.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := s.Get(t, "/limited"); a.Status != 429 {
		t.Errorf("a reload gave the client a new allowance: %d", a.Status)
	}
}

func TestInFlightLimit(t *testing.T) {
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	s := frameworktest.Start(t, `
version = 1
[[routes]]
path = "/"
handler = "test"
limits = { in_flight = 2 }
`, plugin("test", framework.Handlers{"test": func(context.Context, *framework.Request) (*framework.Response, error) {
		entered <- struct{}{}
		<-leave
		return framework.Text("ok"), nil
	}}))
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if a := s.Get(t, "/"); a.Status != 200 {
				t.Errorf("within the limit: %d", a.Status)
			}
		})
		<-entered
	}
	if a := s.Get(t, "/"); a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the limit: %d %v", a.Status, a.Header)
	}
	close(leave)
	wait.Wait()
	go func() { <-entered }()
	if a := s.Get(t, "/"); a.Status != 200 {
		t.Errorf("afterwards: %d", a.Status)
	}
}

func TestTwoAppsInOneProcess(t *testing.T) {
	const p = "version = 1\n[[routes]]\npath = \"/\"\nhandler = \"test\"\n"
	one := frameworktest.Start(t, p, plugin("test", framework.Handlers{"test": text("one")}))
	two := frameworktest.Start(t, p, plugin("test", framework.Handlers{"test": text("two")}))
	if a, b := one.Get(t, "/"), two.Get(t, "/"); a.Body != "one" || b.Body != "two" {
		t.Errorf("got %q and %q", a.Body, b.Body)
	}
}

type counter struct {
	n      atomic.Int64
	closed atomic.Bool
}

func (c *counter) Close() error {
	c.closed.Store(true)
	return nil
}

func TestServicesAndSharedState(t *testing.T) {
	var opened []*counter
	provider := framework.NewPlugin(framework.Info{
		Name: "provider", Handlers: []framework.HandlerInfo{{Name: "provider"}},
		Provides: []framework.Service{framework.ServiceOf[*counter]()},
	}, framework.NoOptions{}, func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
		c, err := framework.Shared(h, "counter", func() (*counter, error) {
			opened = append(opened, &counter{})
			return opened[len(opened)-1], nil
		})
		if err != nil {
			return nil, err
		}
		framework.Provide(h, c)
		return framework.Handlers{"provider": text("x")}, nil
	})
	user := framework.NewPlugin(framework.Info{Name: "user", Handlers: []framework.HandlerInfo{{Name: "user"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			c, err := framework.Use[*counter](h)
			if err != nil {
				return nil, err
			}
			return framework.Handlers{"user": func(context.Context, *framework.Request) (*framework.Response, error) {
				return framework.Text(fmt.Sprint(c.n.Add(1))), nil
			}}, nil
		})
	const p = "version = 1\n[[routes]]\npath = \"/\"\nhandler = \"user\"\n"
	s := frameworktest.Start(t, p, user, provider) // in this order: the provider is built when it is needed
	for want := 1; want <= 3; want++ {
		if a := s.Get(t, "/"); a.Body != fmt.Sprint(want) {
			t.Errorf("got %q, want %d: a reload lost the shared value", a.Body, want)
		}
		if err := s.App.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()
	if len(opened) != 1 || !opened[0].closed.Load() {
		t.Errorf("opened %d times, closed at the end: %v", len(opened), opened[0].closed.Load())
	}

	if _, err := framework.New(framework.Config{Policy: framework.PolicyText("p.toml", p), Plugins: []framework.Plugin{user}, Stdout: io.Discard}); err == nil ||
		!strings.Contains(err.Error(), "provides *framework_test.counter") {
		t.Errorf("without the provider: %v", err)
	}
}

// events reads server-sent events until the end of the stream.
func events(body io.Reader, each func(string)) error {
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			each(data)
		}
	}
	return lines.Err()
}

// A browser is told how long it may keep an answer from now on, however old that is: with a fixed max-age it could keep none that is older.
func TestAStoredAnswerIsFreshForOthersFromWhenTheyGetIt(t *testing.T) {
	s := frameworktest.Start(t, `
version = 1
[presets.cache_control]
moment = "1s"
[[routes]]
path = "/front"
handler = "test.text"
cache = { ttl = "1h" }
cache_control = "moment"
[[routes]]
path = "/pipeline"
handler = "test.text"
cache = { ttl = "1h" }
cache_control = "moment"
cors = { origins = ["https://shop.example"] }
[[routes]]
path = "/own"
handler = "test.text"
cache = { ttl = "1h" }
cache_control = "moment"
headers = { Cache-Control = "public, max-age=7" }
[[routes]]
path = "/stale"
handler = "test.text"
cache = { ttl = "1s", jitter = 0.0, stale_while_revalidate = "1h" }
cache_control = "moment"
`, basicPlugin())
	for _, path := range []string{"/front", "/pipeline", "/own", "/stale"} {
		if a := s.Get(t, path); a.Header.Get("X-Cache") != "MISS" {
			t.Fatalf("%s: %v", path, a.Header)
		}
	}
	time.Sleep(2100 * time.Millisecond)
	for _, test := range []struct {
		path, field, value string
		status             int
	}{
		{"/front", "Accept", "*/*", 200},
		{"/front", "Accept", "*/*", 200}, // of the head that is ready now
		{"/front", "If-None-Match", "*", 304},
		{"/front", "Range", "bytes=0-1", 206},
		{"/pipeline", "Accept", "*/*", 200},
		{"/pipeline", "If-None-Match", "*", 304},
		{"/own", "Accept", "*/*", 200},
		{"/stale", "Accept", "*/*", 200},
	} {
		a := s.Get(t, test.path, test.field, test.value)
		age, err := strconv.Atoi(a.Header.Get("Age"))
		want := map[string]string{
			"/own": "public, max-age=7", "/stale": "public, max-age=1", // an old one is nobody's to keep
		}[test.path]
		want = cmp.Or(want, "public, max-age="+strconv.Itoa(1+age))
		if control := a.Header.Values("Cache-Control"); err != nil || age < 2 || a.Status != test.status ||
			len(control) != 1 || control[0] != want {
			t.Errorf("%s with %s: %d, %v, not %s: %v", test.path, test.field, a.Status, control, want, a.Header)
		}
	}
}

// cursed are options of a plugin that cannot be served.
type cursed struct {
	Unmet bool `toml:"unmet" doc:"Whether its options say so."`
}

func (o cursed) CheckDependencies(*policy.Policy) error {
	if o.Unmet {
		return &policy.OptionError{Key: "unmet", Err: errors.New("nothing is there; add something")}
	}
	return nil
}

func TestPluginErrorIsToldOnce(t *testing.T) {
	type service struct{}
	bad := framework.NewPlugin(framework.Info{
		Name: "bad", Handlers: []framework.HandlerInfo{{Name: "bad"}}, Provides: []framework.Service{framework.ServiceOf[service]()},
	}, cursed{}, func(*framework.Host, cursed) (framework.Handlers, error) { return nil, errors.New("out of luck") })
	user := framework.NewPlugin(framework.Info{Name: "user", Handlers: []framework.HandlerInfo{{Name: "user"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			_, err := framework.Use[service](h)
			return nil, err
		})
	for options, want := range map[string]string{
		"":                              "build plugin bad: out of luck",
		"[plugins.bad]\nunmet = true\n": "p.toml:3:9: plugins.bad.unmet: nothing is there; add something",
	} {
		p := "version = 1\n" + options
		for _, handler := range []string{"user", "bad", "user", "bad"} {
			p += fmt.Sprintf("[[routes]]\npath = \"/%d\"\nhandler = %q\n", len(p), handler)
		}
		_, err := framework.New(framework.Config{Policy: framework.PolicyText("p.toml", p), Plugins: []framework.Plugin{user, bad}, Stdout: io.Discard})
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
