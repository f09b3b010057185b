package framework_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// standardServer serves one handler in standard mode; more are further lines of the policy.
func standardServer(t *testing.T, more string, h framework.Handler) *frameworktest.Server {
	t.Helper()
	return frameworktest.Start(t, `
version = 1
[log.access]
enabled = false
`+more+`
[[routes]]
method = "*"
path = "/*"
handler = "test.origin"
timeout = "2s"
cache = { mode = "standard" }
`, plugin("test", framework.Handlers{"test.origin": h}))
}

func answer(body string, header ...string) *framework.Response {
	r := framework.Text(body)
	for i := 0; i+1 < len(header); i += 2 {
		r.Set(header[i], header[i+1])
	}
	return r
}

// together sends a request n times at once, and calls sent when all are on their way.
func together(t *testing.T, s *frameworktest.Server, n int, sent func()) []string {
	t.Helper()
	bodies := make([]string, n)
	var written, done sync.WaitGroup
	written.Add(n)
	for i := range n {
		done.Go(func() {
			var once sync.Once
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				WroteRequest: func(httptrace.WroteRequestInfo) { once.Do(written.Done) },
			})
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/x", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			res, err := s.Client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Error(err)
			}
			bodies[i] = string(b)
		})
	}
	written.Wait()
	sent()
	done.Wait()
	return bodies
}

func TestConcurrentMissesShareOneFetch(t *testing.T) {
	var calls atomic.Int32
	release := make(chan struct{})
	s := standardServer(t, "", func(context.Context, *framework.Request) (*framework.Response, error) {
		n := calls.Add(1)
		<-release
		return answer(strconv.Itoa(int(n)), "Cache-Control", "max-age=100"), nil
	})
	for i, body := range together(t, s, 100, func() { close(release) }) {
		if body != "1" {
			t.Errorf("request %d got %q", i, body)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestAnswersThatCannotBeSharedAreFetchedByEachAtOnce(t *testing.T) {
	const clients = 20
	var calls atomic.Int32
	release, all := make(chan struct{}), make(chan struct{})
	s := standardServer(t, "", func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
		n := int(calls.Add(1))
		if n == 1 {
			<-release
		} else {
			if n == clients {
				close(all)
			}
			select {
			case <-all: // those that come after the first are under way together
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return answer(strconv.Itoa(n), "Cache-Control", "private, max-age=100"), nil
	})
	seen := map[string]bool{}
	for _, body := range together(t, s, clients, func() { close(release) }) {
		if seen[body] {
			t.Errorf("two clients got the answer %q", body)
		}
		seen[body] = true
	}
}

func TestDeadLeaderDelaysNobodyBeyondTheirTimeout(t *testing.T) {
	var calls atomic.Int32
	entered := make(chan struct{})
	s := standardServer(t, "", func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
		if calls.Add(1) == 1 {
			close(entered)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return answer("alive", "Cache-Control", "max-age=100"), nil
	})
	var leader sync.WaitGroup
	leader.Go(func() { s.Get(t, "/x") })
	<-entered
	if got := s.Get(t, "/x"); got.Status != http.StatusOK || got.Body != "alive" {
		t.Errorf("the one behind a dead leader got %d %q", got.Status, got.Body)
	}
	leader.Wait()
}

func TestPiecesGoThroughAtOnceAndTheWholeIsStoredBeforeItsEnd(t *testing.T) {
	next := make(chan struct{})
	s := standardServer(t, "", func(_ context.Context, r *framework.Request) (*framework.Response, error) {
		res := answer("", "Cache-Control", "max-age=100")
		if strings.HasSuffix(r.Path(), "-sized") {
			res.Set("Content-Length", "10")
		}
		res.Stream = func(_ context.Context, w *framework.Stream) error {
			if _, err := w.Write([]byte("first")); err != nil {
				return err
			}
			<-next
			_, err := w.Write([]byte("after"))
			return err
		}
		return res, nil
	})
	for i := range 40 {
		path := "/" + strconv.Itoa(i)
		if i%2 == 0 {
			path += "-sized"
		}
		res, err := s.Client.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		piece := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, piece); err != nil || string(piece) != "first" {
			t.Fatalf("%s: %q %v", path, piece, err)
		}
		next <- struct{}{}
		rest, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(rest) != "after" {
			t.Fatalf("%s: %q %v", path, rest, err)
		}
		if got := s.Get(t, path); got.Header.Get("X-Cache") != "HIT" || got.Body != "firstafter" {
			t.Fatalf("%s: the next request got %s %q", path, got.Header.Get("X-Cache"), got.Body)
		}
	}
}

func TestClientThatLeavesOrDoesNotReadKeepsNobodyWaiting(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 40<<10) // 640 KiB, more than sockets take
	s := standardServer(t, "", func(context.Context, *framework.Request) (*framework.Response, error) {
		res := answer("", "Cache-Control", "max-age=100")
		res.Stream = func(_ context.Context, w *framework.Stream) error {
			for rest := body; rest != ""; rest = rest[16<<10:] {
				if _, err := w.Write([]byte(rest[:16<<10])); err != nil {
					return err
				}
			}
			return nil
		}
		return res, nil
	})
	for _, leave := range []bool{false, true} {
		path := fmt.Sprintf("/%t", leave)
		conn := s.Dial(t)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, strings.TrimPrefix(s.URL, "http://"))
		if line, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil {
			t.Fatal(line, err)
		}
		if leave {
			conn.Close()
		}
		if got := s.Get(t, path); got.Body != body || got.Header.Get("X-Cache") == "BYPASS" {
			t.Errorf("leave %t: the next client got %d bytes, %s", leave, len(got.Body), got.Header.Get("Cache-Status"))
		}
	}
}

func TestTooLargeBodiesPassAndAreNotStored(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 2<<10) // 32 KiB
	var calls atomic.Int32
	s := standardServer(t, "[cache]\nmax_entry = \"16KiB\"", func(_ context.Context, r *framework.Request) (*framework.Response, error) {
		calls.Add(1)
		res := answer("", "Cache-Control", "max-age=100")
		switch r.Path() {
		case "/whole":
			res.Body = []byte(body)
			return res, nil
		case "/sized":
			res.Set("Content-Length", strconv.Itoa(len(body)))
		}
		res.Stream = func(_ context.Context, w *framework.Stream) error {
			for rest := body; rest != ""; rest = rest[1<<10:] {
				if _, err := w.Write([]byte(rest[:1<<10])); err != nil {
					return err
				}
			}
			return nil
		}
		return res, nil
	})
	for _, path := range []string{"/whole", "/sized", "/chunks"} {
		for range 2 {
			if got := s.Get(t, path); got.Body != body {
				t.Errorf("%s: %d bytes", path, len(got.Body))
			}
		}
	}
	if n := calls.Load(); n != 6 {
		t.Errorf("%d fetches, want one for each request", n)
	}
}

func TestFetchThatBeganBeforeAnInvalidationIsNotStored(t *testing.T) {
	var calls atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	s := standardServer(t, "", func(_ context.Context, r *framework.Request) (*framework.Response, error) {
		if r.Method() == http.MethodPost {
			return answer("done"), nil
		}
		n := calls.Add(1)
		if n == 1 {
			close(entered)
			<-release
		}
		return answer(strconv.Itoa(int(n)), "Cache-Control", "max-age=100"), nil
	})
	var first sync.WaitGroup
	first.Go(func() {
		if got := s.Get(t, "/x"); got.Body != "1" || strings.Contains(got.Header.Get("Cache-Status"), "stored") {
			t.Errorf("the fetch before the POST gave %q, %s", got.Body, got.Header.Get("Cache-Status"))
		}
	})
	<-entered
	s.Do(t, http.MethodPost, "/x", "change")
	close(release)
	first.Wait()
	if got := s.Get(t, "/x"); got.Body != "2" {
		t.Errorf("after the POST: %q", got.Body)
	}
}

func TestManyRequestsForAStaleAnswerCauseOneRefresh(t *testing.T) {
	var calls atomic.Int32
	release := make(chan struct{})
	s := standardServer(t, "", func(context.Context, *framework.Request) (*framework.Response, error) {
		if n := calls.Add(1); n > 1 {
			<-release
			return answer("new", "Cache-Control", "max-age=100"), nil
		}
		return answer("old", "Cache-Control", "max-age=10, stale-while-revalidate=100", "Age", "11"), nil
	})
	s.Get(t, "/x")
	for _, body := range together(t, s, 50, func() {}) {
		if body != "old" {
			t.Errorf("got %q while the new one is made", body)
		}
	}
	close(release)
	for deadline := time.Now().Add(5 * time.Second); s.Get(t, "/x").Body != "new"; {
		if time.Now().After(deadline) {
			t.Fatal("the new answer never came")
		}
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestHandlerThatPanicsFailsItsRequests(t *testing.T) {
	s := standardServer(t, "", func(context.Context, *framework.Request) (*framework.Response, error) { panic("secret") })
	if got := s.Get(t, "/api/x"); got.Status != http.StatusInternalServerError || strings.Contains(got.Body, "secret") {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}
