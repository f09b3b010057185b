package framework_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest"
)

const storedStreams = `
version = 1
[cache]
max_entry = "1KiB"
[[routes]]
path = "/stream/:kind"
handler = "tell"
stream = { idle = "5s", max = "10s" }
cache = { ttl = "1h", stream = true, query = ["q"] }
`

// teller streams three pieces, as its kind says.
func teller(calls *atomic.Int32, layers **cache.Memory, gate chan struct{}) framework.Plugin {
	return framework.NewPlugin(
		framework.Info{Name: "tell", Handlers: []framework.HandlerInfo{{Name: "tell", Stream: true}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			*layers = h.Layers
			return framework.Handlers{"tell": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
				n := calls.Add(1)
				kind := r.Param("kind")
				answer := framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
					for i := range 3 {
						data := fmt.Sprintf("%d of %d for %q, %q", i, n, r.Query("q"), r.Header("User-Agent")+r.ID())
						if kind == "large" {
							data += strings.Repeat("x", 500)
						}
						if err := w.Event(data); err != nil && kind != "careless" {
							return err
						}
						if i == 1 && kind == "fails" {
							return errors.New("no")
						}
						if i == 1 && gate != nil {
							<-gate
						}
					}
					return nil
				})
				answer.Tags = []string{kind}
				if kind == "personal" {
					answer.Set("Set-Cookie", "a=1")
				}
				answer.StreamFailed = func(error) []byte { return []byte("data: failed\n\n") }
				return answer, nil
			}}, nil
		})
}

// A stream is stored only whole, and replayed as the pieces that it was.
func TestStoredStreams(t *testing.T) {
	var calls atomic.Int32
	var layers *cache.Memory
	s := frameworktest.Start(t, storedStreams, teller(&calls, &layers, nil))
	for _, test := range []struct {
		target string
		cached string
	}{
		{"/stream/whole?q=1", "HIT"}, {"/stream/fails", "MISS"}, {"/stream/personal", "MISS"}, {"/stream/large", "MISS"},
	} {
		calls.Store(0)
		first := s.Get(t, test.target, "User-Agent", "one", "Accept-Encoding", "gzip")
		second := s.Get(t, test.target, "User-Agent", "two", "Accept-Encoding", "gzip", "Range", "bytes=0-1")
		for i, a := range []frameworktest.Answer{first, second} {
			want := []string{"MISS", test.cached}[i]
			h := a.Header
			if a.Status != 200 || h.Get("X-Cache") != want || h.Get("Content-Type") != "text/event-stream; charset=utf-8" ||
				h.Get("Cache-Control") != "no-cache, no-transform" || h.Get("ETag")+h.Get("Content-Encoding") != "" {
				t.Errorf("%s: %d: %d %v; want %s", test.target, i, a.Status, h, want)
			}
		}
		if hit := test.cached == "HIT"; hit != (first.Body == second.Body) || hit != (calls.Load() == 1) ||
			hit && (second.Header.Get("Age") == "" || !strings.HasPrefix(second.Header.Get("Cache-Status"), "innatural; hit; ttl=")) {
			t.Errorf("%s: %d calls, %v:\n%s%s", test.target, calls.Load(), second.Header, first.Body, second.Body)
		}
		if strings.Contains(first.Body, "one") {
			t.Errorf("%s: what is not declared was read: %s", test.target, first.Body)
		}
	}
	calls.Store(0)
	if a := s.Do(t, http.MethodHead, "/stream/whole?q=1", ""); a.Header.Get("X-Cache") != "" || calls.Load() != 1 {
		t.Errorf("HEAD: %v", a.Header)
	}
	if _, err := layers.PurgeShared(t.Context(), cache.Purge{All: true}); err != nil {
		t.Fatal(err)
	}
	if a := s.Get(t, "/stream/whole?q=1"); a.Header.Get("X-Cache") != "MISS" {
		t.Error("not purged")
	}
}

// A replay comes in the pieces of the stream.
func TestReplaysComeInPieces(t *testing.T) {
	var layers *cache.Memory
	s := frameworktest.Start(t, storedStreams, teller(new(atomic.Int32), &layers, nil))
	s.Get(t, "/stream/whole")
	conn := s.Dial(t)
	if _, err := io.WriteString(conn, "GET /stream/whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	if n := strings.Count(body, "\r\ndata: "); n != 3 || !strings.HasSuffix(body, "\r\n0\r\n\r\n") || !strings.Contains(string(raw), "X-Cache: HIT") {
		t.Errorf("%d chunks of events:\n%s", n, raw)
	}
}

// Who asks while a stream is made gets one of its own; what is purged meanwhile, or whose client leaves, is not stored.
func TestStreamsUnderWay(t *testing.T) {
	var calls atomic.Int32
	var layers *cache.Memory
	gate := make(chan struct{})
	s := frameworktest.Start(t, storedStreams, teller(&calls, &layers, gate))
	begin := func(target string) *http.Response {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		t.Cleanup(cancel)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	two := []*http.Response{begin("/stream/whole"), begin("/stream/whole")}
	purged, left := begin("/stream/purged"), begin("/stream/careless")
	for calls.Load() < 4 {
		time.Sleep(time.Millisecond)
	}
	if _, err := layers.PurgeShared(t.Context(), cache.Purge{Tags: []string{"purged"}}); err != nil {
		t.Fatal(err)
	}
	left.Body.Close()
	for end := time.Now().Add(10 * time.Second); strings.Count(s.Logs(), "/stream/careless") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the client's leaving was not noticed")
		}
	}
	close(gate)
	var bodies []string
	for _, res := range append(two, purged) {
		b, err := io.ReadAll(res.Body)
		if err != nil || res.Header.Get("X-Cache") != "MISS" {
			t.Errorf("%v, %v", res.Header, err)
		}
		bodies = append(bodies, string(b))
	}
	if bodies[0] == bodies[1] {
		t.Error("one stream for two")
	}
	if a := s.Get(t, "/stream/whole"); a.Header.Get("X-Cache") != "HIT" || a.Body != bodies[0] && a.Body != bodies[1] {
		t.Errorf("%v", a.Header)
	}
	for _, target := range []string{"/stream/purged", "/stream/careless"} {
		if a := s.Get(t, target); a.Header.Get("X-Cache") != "MISS" {
			t.Errorf("%s was stored", target)
		}
	}
}
