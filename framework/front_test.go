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
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
)

const frontPolicy = `
version = 1
[server]
read_timeout = "300ms"
idle_timeout = "1s"
[[routes]]
path = "/cached/:name"
handler = "front.hello"
headers = { X-Extra = "yes", Content-Language = "fr" }
cache_control = "short"
[routes.cache]
ttl = "1h"
query = ["q"]
headers = ["Accept-Language"]
[[routes]]
path = "/plain"
handler = "front.hello"
cache = { ttl = "1h" }
[[routes]]
path = "/limited"
handler = "front.hello"
limits = { requests = 5, window = "1h" }
cache = { ttl = "1h" }
[[routes]]
path = "/cors"
handler = "front.hello"
cors = { origins = ["https://shop.example"] }
cache = { ttl = "1h" }
[[routes]]
path = "/large"
handler = "front.large"
cache = { ttl = "1h" }
compress = false
[[routes]]
path = "/miss"
handler = "front.hello"
`

// frontPlugin answers with what it reads, and counts.
func frontPlugin(calls *atomic.Int64) framework.Plugin {
	reads := framework.Inputs{Query: []string{"q"}, Headers: []string{"Accept-Language"}}
	return plugin("front", framework.Handlers{
		"front.hello": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
			calls.Add(1)
			said := fmt.Sprintf("%s %q %q %q ", r.Path(), r.Param("name"), r.QueryAll("q"), r.Header("Accept-Language"))
			response := framework.Text(said + strings.Repeat("hello ", 500))
			response.Header.Set("Content-Language", "en")
			response.Header.Set("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT")
			return response, nil
		},
		"front.large": func(context.Context, *framework.Request) (*framework.Response, error) {
			calls.Add(1)
			return framework.Text(strings.Repeat("0123456789", 50_000)), nil
		},
	}, framework.HandlerInfo{Name: "front.hello", Reads: reads})
}

// A request with TE goes the long way: both ways must answer alike.
func TestTheFrontAnswersAsThePipelineDoes(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, frontPolicy, frontPlugin(&calls))
	etag := s.Get(t, "/cached/ada").Header.Get("Etag")
	for _, test := range []struct {
		method, path string
		header       []string
		status       int
	}{
		{"GET", "/cached/ada", nil, 200},
		{"HEAD", "/cached/ada", nil, 200},
		{"GET", "/cached/ada?q=1&junk=2", nil, 200},
		{"GET", "/cached/ada?q=%C3%A9+x&q=2", nil, 200},
		{"GET", "/cached/b%2Fc", nil, 200},
		{"GET", "/cached/ada", []string{"Accept-Encoding", "gzip"}, 200},
		{"GET", "/cached/ada", []string{"Accept-Encoding", "zstd;q=0.5, br"}, 200},
		{"GET", "/cached/ada", []string{"Accept-Encoding", "gzip", "X-No-Compression", "1"}, 200},
		{"GET", "/cached/ada", []string{"Accept-Language", "ar"}, 200},
		{"GET", "/cached/ada", []string{"Accept-Language", "ar", "Accept-Language", "fr"}, 200},
		{"GET", "/cached/ada", []string{"Cookie", "a=b; tenant=7; c=d"}, 200},
		{"GET", "/cached/ada", []string{"If-None-Match", `"x", ` + etag}, 304},
		{"GET", "/cached/ada", []string{"If-None-Match", "*"}, 304},
		{"HEAD", "/cached/ada", []string{"If-None-Match", etag}, 304},
		{"GET", "/cached/ada", []string{"If-None-Match", `"x"`}, 200},
		{"GET", "/cached/ada", []string{"If-Modified-Since", "Mon, 23 Nov 2026 10:00:00 GMT"}, 304},
		{"GET", "/cached/ada", []string{"If-Modified-Since", "Mon, 23 Nov 2026 09:00:00 GMT"}, 200},
		{"GET", "/cached/ada", []string{"Authorization", "Bearer x", "Cache-Control", "no-cache"}, 200},
		{"GET", "/plain", nil, 200},
		{"GET", "/large", nil, 200},
		{"GET", "/cors", []string{"Origin", "https://shop.example"}, 200},
		{"GET", "/miss", nil, 200},
		{"GET", "/nothing", nil, 404},
		{"GET", "/cached/ada", []string{"Range", "bytes=0-4"}, 206},
	} {
		name := fmt.Sprint(test.method, " ", test.path, test.header)
		s.Do(t, test.method, test.path, "", test.header...)
		long := s.Do(t, test.method, test.path, "", append(test.header, "X-Request-Id", "given", "TE", "trailers")...)
		before := calls.Load()
		short := s.Do(t, test.method, test.path, "", append(test.header, "X-Request-Id", "given")...)
		if calls.Load() != before && test.path != "/miss" {
			t.Errorf("%s: the handler ran again", name)
		}
		if short.Status != test.status || long.Status != short.Status || long.Body != short.Body {
			t.Errorf("%s: %d, %d bytes; the pipeline says %d, %d bytes; want %d", name, short.Status, len(short.Body), long.Status, len(long.Body), test.status)
		}
		if short.Header.Get("X-Request-Id") != "given" {
			t.Errorf("%s: request id %q", name, short.Header.Get("X-Request-Id"))
		}
		for _, h := range []http.Header{long.Header, short.Header} {
			for _, own := range []string{"Date", "X-Request-Id", "X-Response-Time", "Age", "Cache-Status"} { // of each answer
				if test.path != "/miss" && test.path != "/nothing" && h.Get(own) == "" {
					t.Errorf("%s: no %s", name, own)
				}
				h.Del(own)
			}
		}
		if !maps.EqualFunc(long.Header, short.Header, slices.Equal) {
			t.Errorf("%s:\n     %v\nthe pipeline says\n     %v", name, short.Header, long.Header)
		}
	}
}

// Requests that come together are answered in their order, whoever answers them, and however the network cuts them up.
func TestPipelinedHitsAndMisses(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, frontPolicy, frontPlugin(&calls))
	paths := []string{"/cached/a", "/miss?1", "/cached/a", "/large", "/cached/b", "/large", "/plain", "/miss?2", "/miss?3", "/cached/a"}
	var all strings.Builder
	for _, path := range paths {
		s.Get(t, path)
		fmt.Fprintf(&all, "GET %s HTTP/1.1\r\nHost: shop\r\nX-Request-Id: %s\r\n\r\n", path, strings.NewReplacer("/", "-", "?", ".").Replace(path))
	}
	check := func(t *testing.T, r *bufio.Reader) {
		for _, path := range paths {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			body, err := io.ReadAll(res.Body)
			id := strings.NewReplacer("/", "-", "?", ".").Replace(path)
			plain, _, _ := strings.Cut(path, "?")
			if err != nil || res.Header.Get("X-Request-Id") != id || path != "/large" && !strings.HasPrefix(string(body), plain+" ") ||
				path == "/large" && len(body) != 500_000 {
				t.Fatalf("%s: id %s, %.40q, %v", path, res.Header.Get("X-Request-Id"), body, err)
			}
		}
	}
	t.Run("at once", func(t *testing.T) {
		conn := s.Dial(t)
		if _, err := io.WriteString(conn, all.String()); err != nil {
			t.Fatal(err)
		}
		check(t, bufio.NewReader(conn))
	})
	t.Run("in pieces", func(t *testing.T) {
		for size := 1; size < all.Len(); size += 13 {
			conn := s.Dial(t)
			go func() {
				for rest := all.String(); rest != ""; {
					n := min(size, len(rest))
					if _, err := io.WriteString(conn, rest[:n]); err != nil {
						return // the check says what was missed
					}
					rest = rest[n:]
				}
			}()
			check(t, bufio.NewReader(conn))
		}
	})
}

func TestTheFrontLimitsRates(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, frontPolicy, frontPlugin(&calls))
	for i := range 7 {
		a := s.Get(t, "/limited")
		want := 200
		if i >= 5 {
			want = 429
		}
		if a.Status != want || a.Header.Get("RateLimit-Remaining") != fmt.Sprint(max(0, 4-i)) {
			t.Errorf("request %d: %d, remaining %s", i+1, a.Status, a.Header.Get("RateLimit-Remaining"))
		}
	}
}

// A hit leaves in metrics and log what every answer does.
func TestHitsAreCountedAndLogged(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, frontPolicy, frontPlugin(&calls))
	for range 3 {
		s.Get(t, "/plain", "X-Request-Id", "seen", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	}
	if r := s.App.Metrics().Requests(); r.Total != 3 {
		t.Errorf("%+v", r)
	}
	s.Stop()
	if n := strings.Count(s.Logs(), "msg=Request method=GET path=/plain route=/plain status=200 bytes="); n != 3 {
		t.Errorf("%d lines in\n%s", n, s.Logs())
	}
	if n := strings.Count(s.Logs(), "0af7651916cd43dd8448eb211c80319c"); n != 3 || strings.Count(s.Logs(), "request_id=seen") != 3 {
		t.Errorf("trace id in %d lines of\n%s", n, s.Logs())
	}
}

// The log of successful requests has a bound, and says what it left out.
func TestTheAccessLogIsBounded(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, frontPolicy+"[log.access]\nmax_per_second = 5\n", frontPlugin(&calls))
	left := func() bool { return strings.Contains(s.Logs(), "Requests left out of the access log") }
	requests := 0
	for deadline := time.Now().Add(10 * time.Second); !left() && time.Now().Before(deadline); requests++ {
		s.Get(t, "/plain")
	}
	lines := strings.Count(s.Logs(), "msg=Request ")
	if !left() || lines > 20 || lines >= requests {
		t.Errorf("%d lines of %d requests", lines, requests)
	}
	s.Get(t, "/nothing")
	if s.Stop(); strings.Count(s.Logs(), "status=404") != 1 {
		t.Error("an error was left out")
	}
}

// A reload serves the new policy to connections that are open, and a stop waits for nobody who is idle.
func TestTheFrontFollowsReloads(t *testing.T) {
	var calls atomic.Int64
	text := frontPolicy
	s := frameworktest.StartWith(t, func(v policy.Vocabulary) (*policy.Policy, error) {
		return framework.PolicyText("front.toml", text)(v)
	}, frontPlugin(&calls))
	s.Get(t, "/plain")
	if a := s.Get(t, "/plain"); a.Header.Get("X-Cache") != "HIT" || a.Header.Get("X-New") != "" {
		t.Errorf("%v", a.Header)
	}
	text = strings.Replace(frontPolicy, "path = \"/plain\"", "path = \"/plain\"\nheaders = { X-New = \"1\" }", 1)
	if err := s.App.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Get(t, "/plain")
	if a := s.Get(t, "/plain"); a.Header.Get("X-Cache") != "HIT" || a.Header.Get("X-New") != "1" {
		t.Errorf("%v", a.Header)
	}
}

// A connection that has had hits is closed when it is idle for too long, without a word, and a request on it that does not come
// is told.
func TestTheServersTimeoutsHoldBehindTheFront(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, frontPolicy, frontPlugin(&calls))
	s.Get(t, "/plain")
	hit := "GET /plain HTTP/1.1\r\nHost: shop\r\n\r\n"
	for _, test := range []struct{ name, begins, want string }{
		{"idle", "", ""}, {"half a request", "GET /plain HT", "HTTP/1.1 408"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := s.Dial(t)
			r := bufio.NewReader(conn)
			for range 3 {
				if _, err := io.WriteString(conn, hit); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Header.Get("X-Cache") != "HIT" {
					t.Fatal(res.Header, err)
				}
			}
			if _, err := io.WriteString(conn, test.begins); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(r) // ends within Dial's deadline
			if err != nil || !strings.HasPrefix(string(rest), test.want) || test.want == "" && len(rest) > 0 {
				t.Errorf("%.80q %v", rest, err)
			}
		})
	}
}

// A client that asks and does not read is cut, and delays nobody.
func TestAClientThatReadsNoHitsIsCut(t *testing.T) {
	var calls atomic.Int64
	s := frameworktest.Start(t, strings.Replace(frontPolicy, "[server]", "[server]\nwrite_timeout = \"300ms\"", 1), frontPlugin(&calls))
	s.Get(t, "/large")
	conn := s.Dial(t)
	for {
		if _, err := io.WriteString(conn, strings.Repeat("GET /large HTTP/1.1\r\nHost: shop\r\n\r\n", 100)); err != nil {
			break // cut; Dial's deadline fails the test otherwise, below
		}
	}
	if a := s.Get(t, "/large"); a.Status != 200 {
		t.Error(a.Status)
	}
	s.Stop()
}
