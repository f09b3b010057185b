package framework_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

const streamPolicy = `
version = 1
[server]
drain = "5s"
[[routes]]
path = "/stream"
handler = "test"
timeout = "500ms"
stream = { idle = "1s", max = "2s" }
`

func streamServer(t *testing.T, heeds bool, f func(ctx context.Context, w *framework.Stream) error, failed func(error) []byte) *frameworktest.Server {
	return frameworktest.Start(t, streamPolicy, pluginThat(heeds, "test", framework.Handlers{
		"test": func(context.Context, *framework.Request) (*framework.Response, error) {
			r := framework.EventStream(f)
			r.StreamFailed = failed
			return r, nil
		},
	}, framework.HandlerInfo{Name: "test", Stream: true}))
}

func open(t *testing.T, s *frameworktest.Server, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// The replaced layer compressed streams and never flushed the compressor.
func TestAStreamIsFlushedWhateverTheBrowserAccepts(t *testing.T) {
	next := make(chan struct{})
	s := streamServer(t, false, func(_ context.Context, w *framework.Stream) error {
		for i := range 3 {
			if i > 0 {
				<-next
			}
			if err := w.Event(map[string]int{"n": i}); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	res := open(t, s, "Accept-Encoding", "gzip, deflate, br, zstd")
	if res.Header.Get("Content-Encoding") != "" || res.Header.Get("Cache-Control") != "no-cache, no-transform" ||
		res.Header.Get("X-Accel-Buffering") != "no" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("headers: %v", res.Header)
	}
	n := 0
	err := events(res.Body, func(data string) {
		if want := fmt.Sprintf(`{"n":%d}`, n); data != want {
			t.Errorf("got %s, want %s", data, want)
		}
		if n++; n < 3 {
			next <- struct{}{}
		}
	})
	if err != nil || n != 3 {
		t.Fatalf("%d events, %v", n, err)
	}
}

func TestEachEventIsOneChunk(t *testing.T) {
	big := strings.Repeat("x", 20_000)
	s := streamServer(t, false, func(_ context.Context, w *framework.Stream) error {
		for range 3 {
			if err := w.Event(big); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	conn := s.Dial(t)
	if _, err := conn.Write([]byte("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	want := fmt.Sprintf("%x\r\ndata: \"%s\"\n\n\r\n", len(big)+len("data: \"\"\n\n"), big)
	if string(body) != strings.Repeat(want, 3)+"0\r\n\r\n" {
		t.Errorf("the chunks are not the events: %.60q", body)
	}
}

func TestAnHTTP10ClientGetsAStreamWithoutChunks(t *testing.T) {
	s := streamServer(t, false, func(_ context.Context, w *framework.Stream) error {
		for i := range 3 {
			if err := w.Event(i); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	conn := s.Dial(t)
	if _, err := conn.Write([]byte("GET /stream HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if body != "data: 0\n\ndata: 1\n\ndata: 2\n\n" || strings.Contains(head, "Transfer-Encoding") || !strings.Contains(head, "Connection: close") {
		t.Errorf("got %s", all)
	}
	eventually(t, "closed", func() bool { return metric(t, s, "http_server_open_streams") == "0" })
}

func TestAStreamThatFailsBeforeItsFirstPieceIsAnHTTPError(t *testing.T) {
	hereAndApart(t, testAStreamThatFailsBeforeItsFirstPieceIsAnHTTPError)
}

func testAStreamThatFailsBeforeItsFirstPieceIsAnHTTPError(t *testing.T, heeds bool) {
	s := streamServer(t, heeds, func(context.Context, *framework.Stream) error { return framework.NotFound("nothing to stream") }, nil)
	if res := open(t, s); res.StatusCode != http.StatusNotFound {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestAStreamWithoutAFirstPieceTimesOut(t *testing.T) {
	hereAndApart(t, testAStreamWithoutAFirstPieceTimesOut)
}

func testAStreamWithoutAFirstPieceTimesOut(t *testing.T, heeds bool) {
	s := streamServer(t, heeds, func(ctx context.Context, _ *framework.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	}, nil)
	if res := open(t, s); res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestAStreamEndsAsItsPolicySays(t *testing.T) { hereAndApart(t, testAStreamEndsAsItsPolicySays) }

func testAStreamEndsAsItsPolicySays(t *testing.T, heeds bool) {
	last := func(err error) []byte { return fmt.Appendf(nil, "data: failed %v\n\n", err) }
	for _, c := range []struct {
		name   string
		f      func(ctx context.Context, w *framework.Stream) error
		failed func(error) []byte
		want   string // last event
		broken bool   // the connection breaks instead of a proper end
	}{
		{"told by its handler when silent", func(ctx context.Context, w *framework.Stream) error {
			if err := w.Event("a"); err != nil {
				return err
			}
			<-ctx.Done()
			return w.Event(context.Cause(ctx).Error())
		}, last, `"the stream was silent for too long"`, false},
		{"told by the framework when its handler does nothing", func(ctx context.Context, w *framework.Stream) error {
			if err := w.Event("a"); err != nil {
				return err
			}
			<-ctx.Done()
			time.Sleep(2 * time.Second) // ignores its last words
			return nil
		}, last, "failed the stream was silent for too long", false},
		{"at its longest life", func(ctx context.Context, w *framework.Stream) error {
			for ctx.Err() == nil {
				if err := w.Event("a"); err != nil {
					return err
				}
				time.Sleep(10 * time.Millisecond)
			}
			return context.Cause(ctx)
		}, last, "failed the stream's time is over", false},
		{"on an error", func(_ context.Context, w *framework.Stream) error {
			if err := w.Event("a"); err != nil {
				return err
			}
			return errors.New("oops")
		}, last, "failed oops", false},
		{"on a panic", func(_ context.Context, w *framework.Stream) error {
			if err := w.Event("a"); err != nil {
				return err
			}
			panic("oops")
		}, last, "failed handler panicked: oops", false},
		{"on the end of the goroutine", func(_ context.Context, w *framework.Stream) error {
			if err := w.Event("a"); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		}, last, "failed handler ended its goroutine", false},
		{"broken without last words", func(_ context.Context, w *framework.Stream) error {
			if err := w.Event("a"); err != nil {
				return err
			}
			return errors.New("oops")
		}, nil, `"a"`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := streamServer(t, heeds, c.f, c.failed)
			var got string
			err := events(open(t, s).Body, func(data string) { got = data })
			if got != c.want || (err != nil) != c.broken {
				t.Errorf("the last event is %q and the end %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestHEADOfAStreamRunsNothingOn(t *testing.T) {
	ended := make(chan error, 1)
	s := streamServer(t, false, func(_ context.Context, w *framework.Stream) error {
		var err error
		for err == nil {
			err = w.Event("a")
		}
		ended <- err
		return err
	}, nil)
	if a := s.Do(t, http.MethodHead, "/stream", ""); a.Status != 200 {
		t.Errorf("got %d", a.Status)
	}
	if err := <-ended; err == nil {
		t.Error("the stream went on without a client")
	}
	eventually(t, "closed", func() bool { return metric(t, s, "http_server_open_streams") == "0" })
}

// What follows the header of an answer that has no body would be taken for the next answer.
func TestAStreamOfAnAnswerWithoutABodyIsItsHeader(t *testing.T) {
	hereAndApart(t, testAStreamOfAnAnswerWithoutABodyIsItsHeader)
}

func testAStreamOfAnAnswerWithoutABodyIsItsHeader(t *testing.T, heeds bool) {
	for _, status := range []int{http.StatusNoContent, http.StatusNotModified} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			s := frameworktest.Start(t, streamPolicy, pluginThat(heeds, "test", framework.Handlers{
				"test": func(context.Context, *framework.Request) (*framework.Response, error) {
					r := framework.EventStream(func(_ context.Context, w *framework.Stream) error { return w.Event("a") })
					r.Status = status
					return r, nil
				},
			}, framework.HandlerInfo{Name: "test", Stream: true}))
			conn := s.Dial(t)
			const get = "GET /stream HTTP/1.1\r\nHost: a\r\n"
			if _, err := io.WriteString(conn, get+"\r\n"+get+"Connection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			answers := strings.SplitAfter(string(all), "\r\n\r\n")
			if len(answers) != 3 || answers[2] != "" {
				t.Fatalf("two requests got %q", all)
			}
			for _, a := range answers[:2] {
				if !strings.HasPrefix(a, "HTTP/1.1 "+strconv.Itoa(status)) || strings.Contains(a, "Transfer-Encoding") {
					t.Errorf("got %q", a)
				}
			}
		})
	}
}

func TestAnUncachedAnswerIsCompressedAndValidated(t *testing.T) {
	body := strings.Repeat("natural care ", 1000)
	s := frameworktest.Start(t, "version = 1\n[[routes]]\npath = \"/\"\nhandler = \"test\"\ncache_control = \"short\"\n",
		plugin("test", framework.Handlers{"test": text(body)}))
	a := s.Get(t, "/", "Accept-Encoding", "gzip")
	if a.Header.Get("Content-Encoding") != "gzip" || a.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers: %v", a.Header)
	}
	z, err := gzip.NewReader(strings.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != body {
		t.Errorf("decompressed to %d bytes, %v", len(plain), err)
	}
	if b := s.Get(t, "/", "Accept-Encoding", "gzip", "If-None-Match", a.Header.Get("ETag")); b.Status != 304 || b.Body != "" {
		t.Errorf("conditional: %d", b.Status)
	}
	if c := s.Get(t, "/", "Accept-Encoding", "gzip", "X-No-Compression", "1"); c.Header.Get("Content-Encoding") != "" || c.Body != body {
		t.Error("X-No-Compression was not obeyed")
	}
}
