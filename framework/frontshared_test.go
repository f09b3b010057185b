package framework_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// sharing is an instance of frontPolicy that shares a Redis.
type sharing struct {
	*frameworktest.Server
	calls  atomic.Int64
	layers *cache.Memory
	waits  chan struct{} // gets one for each handler that waits
}

func startSharing(t *testing.T, server *redistest.Server) *sharing {
	t.Helper()
	s := &sharing{waits: make(chan struct{}, 1)}
	wait := framework.NewPlugin(framework.Info{Name: "wait", Handlers: []framework.HandlerInfo{{Name: "wait"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			s.layers = h.Layers
			return framework.Handlers{"wait": func(ctx context.Context, r *framework.Request) (*framework.Response, error) {
				if r.Param("what") == "end" {
					s.waits <- struct{}{}
					<-ctx.Done()
				}
				return framework.Text("waited"), nil
			}}, nil
		})
	s.Server = frameworktest.Start(t, frontPolicy+`
[[routes]]
path = "/wait/:what"
handler = "wait"
timeout = "1s"
limits = { in_flight = 1 }
cache = { ttl = "1h" }
[cache.redis]
`+single(server.Port), frontPlugin(&s.calls), wait)
	return s
}

// stored asks for paths and waits until Redis has the answers.
func (s *sharing) stored(t *testing.T, server *redistest.Server, paths ...string) {
	t.Helper()
	for _, path := range paths {
		s.Get(t, path)
	}
	values := func() int {
		return len(server.Client.Keys(t.Context(), "*GET@*").Val()) - len(server.Client.Keys(t.Context(), "*lock*").Val())
	}
	waitFor(t, "the values in Redis", func() bool { return values() == len(paths) })
}

// A request with TE goes the long way: both ways must answer alike from Redis, too.
func TestTheFrontAnswersFromTheSharedLayerAsThePipelineDoes(t *testing.T) {
	server := redistest.Start(t)
	maker, s := startSharing(t, server), startSharing(t, server)
	maker.stored(t, server, "/cached/ada", "/cached/ada?q=1", "/cached/b%2Fc", "/plain", "/large", "/limited", "/cors")
	etag := s.Get(t, "/cached/ada").Header.Get("Etag")
	for _, test := range []struct {
		method, path string
		header       []string
		status       int
	}{
		{"GET", "/cached/ada", nil, 200},
		{"HEAD", "/cached/ada", nil, 200},
		{"GET", "/cached/ada?q=1&junk=2", nil, 200},
		{"GET", "/cached/b%2Fc", nil, 200},
		{"GET", "/cached/ada", []string{"Accept-Encoding", "gzip"}, 200},
		{"GET", "/cached/ada", []string{"Accept-Encoding", "zstd;q=0.5, br"}, 200},
		{"GET", "/cached/ada", []string{"Accept-Encoding", "gzip", "X-No-Compression", "1"}, 200},
		{"GET", "/cached/ada", []string{"If-None-Match", `"x", ` + etag}, 304},
		{"GET", "/cached/ada", []string{"If-None-Match", "*"}, 304},
		{"HEAD", "/cached/ada", []string{"If-None-Match", etag}, 304},
		{"GET", "/cached/ada", []string{"If-Modified-Since", "Mon, 23 Nov 2026 10:00:00 GMT"}, 304},
		{"GET", "/cached/ada", []string{"If-Modified-Since", "Mon, 23 Nov 2026 09:00:00 GMT"}, 200},
		{"GET", "/plain", nil, 200},
		{"GET", "/large", nil, 200},
		{"GET", "/limited", nil, 200},
		{"GET", "/cors", []string{"Origin", "https://shop.example"}, 200},
	} {
		name := fmt.Sprint(test.method, " ", test.path, test.header)
		s.layers.Flush()
		long := s.Do(t, test.method, test.path, "", append(test.header, "X-Request-Id", "given", "TE", "trailers")...)
		s.layers.Flush()
		short := s.Do(t, test.method, test.path, "", append(test.header, "X-Request-Id", "given")...)
		if short.Status != test.status || long.Status != short.Status || long.Body != short.Body {
			t.Errorf("%s: %d, %d bytes; the pipeline says %d, %d bytes; want %d", name, short.Status, len(short.Body), long.Status, len(long.Body), test.status)
		}
		for _, h := range []http.Header{long.Header, short.Header} {
			if status := h.Get("Cache-Status"); !strings.HasPrefix(status, "innatural; hit; ttl=") || !strings.HasSuffix(status, "; detail=shared") {
				t.Errorf("%s: Cache-Status %s", name, status)
			}
			for _, own := range []string{"Date", "Age", "Cache-Status", "X-Response-Time", "Ratelimit", "Ratelimit-Remaining", "Ratelimit-Reset"} {
				h.Del(own)
			}
		}
		if !maps.EqualFunc(long.Header, short.Header, slices.Equal) {
			t.Errorf("%s:\n     %v\nthe pipeline says\n     %v", name, short.Header, long.Header)
		}
		if again := s.Do(t, test.method, test.path, "", test.header...); again.Status != test.status || again.Body != short.Body ||
			strings.Contains(again.Header.Get("Cache-Status"), "shared") {
			t.Errorf("%s: then %d %v", name, again.Status, again.Header)
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("the handler ran %d times", n)
	}
}

// Requests that come together are answered in their order, whether memory, Redis or the handler has the answers.
func TestPipelinedHitsInTheSharedLayer(t *testing.T) {
	server := redistest.Start(t)
	maker, s := startSharing(t, server), startSharing(t, server)
	maker.stored(t, server, "/cached/a", "/cached/b", "/cached/c")
	s.Get(t, "/cached/a")
	conn := s.Dial(t)
	const hit, shared, made = "hit; ttl=3600", "; detail=shared", "stored"
	paths := []string{"/cached/a", "/cached/b", "/cached/a", "/cached/new", "/cached/a", "/cached/c", "/cached/new2", "/cached/b"}
	wants := []string{hit, shared, hit, made, hit, shared, made, hit}
	var all strings.Builder
	for _, path := range paths {
		fmt.Fprintf(&all, "GET %s HTTP/1.1\r\nHost: shop\r\n\r\n", path)
	}
	if _, err := io.WriteString(conn, all.String()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for i, path := range paths {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		body, err := io.ReadAll(res.Body)
		status := res.Header.Get("Cache-Status")
		if err != nil || !strings.HasPrefix(string(body), path+" ") || !strings.Contains(status, strings.TrimSuffix(wants[i], "3600")) {
			t.Errorf("%d, %s: %.40q, %v, Cache-Status %s", i, path, body, err, status)
		}
	}
}

// Each request counts once for its client's rate, wherever its answer is found, and one too many does not reach Redis.
func TestTheFrontLimitsRatesBeforeTheSharedLayer(t *testing.T) {
	server := redistest.Start(t)
	s := startSharing(t, server)
	before := 0
	for i := range 7 {
		if i == 5 {
			before = commands(t, server, "get")
		}
		a := s.Get(t, "/limited") // made, and then found in Redis
		if i == 0 {
			waitFor(t, "the value in Redis", func() bool {
				keys := server.Client.Keys(t.Context(), "*limited*").Val()
				return len(keys) == 1 && !strings.Contains(keys[0], "lock")
			})
		}
		want, from := 200, "detail=shared"
		switch {
		case i >= 5:
			want, from = 429, ""
		case i == 0:
			from = "stored"
		}
		if a.Status != want || a.Header.Get("RateLimit-Remaining") != fmt.Sprint(max(0, 4-i)) ||
			!strings.Contains(a.Header.Get("Cache-Status"), from) {
			t.Errorf("request %d: %d %v", i+1, a.Status, a.Header)
		}
		s.layers.Flush()
	}
	if n := commands(t, server, "get") - before; n != 0 {
		t.Errorf("Redis was asked %d times for who may not ask", n)
	}
}

// Who waits for Redis takes a place of the route's requests under way.
func TestTheFrontLimitsWhatIsUnderWayBeforeTheSharedLayer(t *testing.T) {
	server := redistest.Start(t)
	maker, s := startSharing(t, server), startSharing(t, server)
	maker.stored(t, server, "/wait/not")
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/wait/end", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if res, err := s.Client.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-s.waits
	if a := s.Get(t, "/wait/not"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	cancel()
	<-ended
}
