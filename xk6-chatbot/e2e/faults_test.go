package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A fault is something wrong with a server, put before its chat.
type fault func(next http.Handler) http.Handler

// faulty puts a server with a fault before the shop, and returns its address. The fault begins some time after the first message.
func faulty(t *testing.T, after time.Duration, f fault) string {
	t.Helper()
	target, err := url.Parse(shop(t))
	if err != nil {
		t.Fatal(err)
	}
	healthy := httputil.NewSingleHostReverseProxy(target)
	healthy.FlushInterval = -1
	healthy.ErrorLog = log.New(io.Discard, "", 0) // customers who leave at the end of a test
	healthy.Transport = &http.Transport{MaxIdleConnsPerHost: 200}
	broken := f(healthy)
	var first sync.Once
	var start time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() { start = time.Now() })
		// The body is read beforehand: net/http closes it when an answer begins, which may be before the transport saw its end.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if r.Method == http.MethodPost && time.Since(start) >= after {
			broken.ServeHTTP(w, r)
			return
		}
		healthy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// slow makes every answer wait.
func slow(d time.Duration) fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(d):
				next.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		})
	}
}

// oneAtATime answers one message after another, each after a while.
func oneAtATime(d time.Duration) fault {
	return func(next http.Handler) http.Handler {
		var mu sync.Mutex
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			time.Sleep(d)
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}
}

// erring answers one message of n with a 500.
func erring(n int64) fault {
	return func(next http.Handler) http.Handler {
		var count atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if count.Add(1)%n == 0 {
				http.Error(w, `{"success":false,"error":"it broke","code":"internal"}`, http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// shedding refuses one message of n for a while, as an overloaded server should.
func shedding(n int64) fault {
	return func(next http.Handler) http.Handler {
		var count atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if count.Add(1)%n == 0 {
				w.Header().Set("Retry-After", "0")
				http.Error(w, `{"success":false,"error":"too much at once","code":"overloaded"}`, http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// leaking serves one message of n what it has answered another customer.
func leaking(n int64) fault {
	return func(next http.Handler) http.Handler {
		var mu sync.Mutex
		var count int64
		var session string
		var answer *httptest.ResponseRecorder
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var message struct{ SessionID string }
			if err != nil || json.Unmarshal(body, &message) != nil {
				http.Error(w, "no message", http.StatusBadRequest)
				return
			}
			mu.Lock()
			count++
			foreign := answer
			if count%n != 0 || session == message.SessionID {
				foreign = nil
			}
			mu.Unlock()
			if foreign == nil {
				r.Body = io.NopCloser(bytes.NewReader(body))
				foreign = httptest.NewRecorder()
				next.ServeHTTP(foreign, r)
				mu.Lock()
				session, answer = message.SessionID, foreign
				mu.Unlock()
			}
			send(w, foreign, foreign.Body.Bytes())
		})
	}
}

// truncating ends every stream, in good order, before its last event.
func truncating(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		if end := bytes.LastIndex(bytes.TrimRight(body, "\n"), []byte("\n\n")); end > 0 {
			body = body[:end+2]
		}
		send(w, answer, body)
	})
}

func send(w http.ResponseWriter, answer *httptest.ResponseRecorder, body []byte) {
	maps.Copy(w.Header(), answer.Header())
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.Code)
	w.Write(body) //nolint:errcheck // the client has gone
}
