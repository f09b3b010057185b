package chatbot

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// flusher compresses a stream.
type flusher interface {
	io.WriteCloser
	Flush() error
}

// Compressed answers are read as others are: a stream's pieces when they come, the size as it was sent, the connection used
// again.
func TestCompressedAnswers(t *testing.T) {
	const pause = 300 * time.Millisecond
	text := strings.Repeat("Bonjour ! ", 100)
	for encoding, compress := range map[string]func(io.Writer) flusher{
		"gzip":    func(w io.Writer) flusher { return gzip.NewWriter(w) },
		"deflate": func(w io.Writer) flusher { return zlib.NewWriter(w) },
		"br":      func(w io.Writer) flusher { return brotli.NewWriter(w) },
		"zstd": func(w io.Writer) flusher {
			e, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
	} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept-Encoding"); got != encoding {
					http.Error(w, "accepted is "+got, http.StatusNotAcceptable)
					return
				}
				w.Header().Set("Content-Encoding", encoding)
				w.Header().Set("Content-Type", "application/json")
				out := compress(w)
				defer out.Close()
				if !strings.HasSuffix(r.URL.Path, "/stream") {
					fmt.Fprintf(out, `{"response": %q}`, text)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				for n, event := range []string{
					`"type":"connected"`, `"content":"` + text + `"`, `"success":true,"done":true,"fullMessage":"` + text + `"`,
				} {
					if n == 2 {
						time.Sleep(pause)
					}
					fmt.Fprintf(out, "data: {%s}\n\n", event)
					_ = out.Flush()                           // the test sees it
					_ = http.NewResponseController(w).Flush() // the same
				}
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.Start()
			t.Cleanup(server.Close)
			transport := &http.Transport{DisableCompression: true} // as k6's
			t.Cleanup(transport.CloseIdleConnections)
			rt := talker(t, transport)
			if _, err := rt.RunOnEventLoop(fmt.Sprintf(`
const client = (stream) => new Client({ baseURL: %q, stream, headers: { 'Accept-Encoding': %q } });
const replies = [];
(async () => {
  for (const stream of [false, true, false, true]) replies.push(await client(stream).conversation().send('Bonjour'));
})();`, server.URL, encoding)); err != nil {
				t.Fatal(err)
			}
			var replies []*Reply
			if err := rt.VU.RuntimeField.ExportTo(rt.VU.RuntimeField.Get("replies"), &replies); err != nil {
				t.Fatal(err)
			}
			for n, r := range replies {
				if !r.OK || r.Text != text {
					t.Errorf("reply %d: %s: %s; text of %d bytes", n, r.ErrorType, r.Error, len(r.Text))
				}
				if early := r.Timings.Duration - r.Timings.FirstToken; n%2 == 1 && early < float64(pause.Milliseconds())/4 {
					t.Errorf("the first piece of stream %d came %.0f ms before its end", n, early)
				}
			}
			if n := connections.Load(); len(replies) != 4 || n != 1 {
				t.Errorf("%d replies came over %d connections", len(replies), n)
			}
		})
	}
}
