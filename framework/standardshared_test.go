package framework_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// named is a server that is asked under a name that instances share, as behind a balancer.
type named struct {
	*frameworktest.Server
	t *testing.T
}

func (s named) ask(method, path string, header ...string) frameworktest.Answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = "shop.example"
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.Client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return frameworktest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(b)}
}

func TestInstancesShareStandardAnswers(t *testing.T) {
	redis := redistest.Start(t)
	var calls atomic.Int32
	start := func() *frameworktest.Server {
		return standardServer(t, fmt.Sprintf("[cache.redis]\nhost = \"127.0.0.1\"\nport = %d", redis.Port),
			func(_ context.Context, r *framework.Request) (*framework.Response, error) {
				if r.Method() == http.MethodPost {
					return answer("done"), nil
				}
				n := strconv.Itoa(int(calls.Add(1)))
				if r.Header("If-None-Match") == `"v"` {
					return &framework.Response{Status: http.StatusNotModified, Header: http.Header{
						"Etag": {`"v"`}, "Cache-Control": {"max-age=50"},
					}}, nil
				}
				res := answer(n+" "+r.Header("X-A"), "Cache-Control", "max-age=100", "Vary", "X-A", "ETag", `"`+n+`"`)
				if r.Path() == "/stale" {
					res.Set("Age", "100").Set("ETag", `"v"`)
				}
				return res, nil
			})
	}
	a, b := named{start(), t}, named{start(), t}
	// eventually asks until an answer is as it should be: instances hear of each other behind the answers.
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	written := func() string { return redis.Client.DBSize(t.Context()).String() }
	before := written()
	one := a.ask(http.MethodGet, "/x", "X-A", "1")
	eventually("nothing came to Redis", func() bool { return written() != before })
	if got := b.ask(http.MethodGet, "/x", "X-A", "1"); got.Body != one.Body || got.Header.Get("X-Cache") != "HIT" || got.Header.Get("Etag") != `"1"` {
		t.Errorf("the other instance answered %q, %s", got.Body, got.Header.Get("Cache-Status"))
	}
	if got := b.ask(http.MethodGet, "/x", "X-A", "2"); got.Body != "2 2" {
		t.Errorf("the answer for another Vary is %q", got.Body)
	}
	eventually("the second variant did not come to the first instance", func() bool {
		return a.ask(http.MethodGet, "/x", "X-A", "2", "Cache-Control", "only-if-cached").Body == "2 2" || a.ask(http.MethodGet, "/x", "X-A", "2").Body == "2 2"
	})
	if got := a.ask(http.MethodGet, "/x", "X-A", "1"); got.Body != one.Body {
		t.Errorf("the first variant became %q", got.Body)
	}

	stale := a.ask(http.MethodGet, "/stale")
	if got := b.ask(http.MethodGet, "/stale"); got.Body != stale.Body && !strings.HasPrefix(got.Header.Get("Cache-Status"), "innatural; fwd=") {
		t.Errorf("a stale answer of the other instance: %q, %s", got.Body, got.Header.Get("Cache-Status"))
	}

	b.ask(http.MethodPost, "/x")
	if got := b.ask(http.MethodGet, "/x", "X-A", "1"); got.Body == one.Body {
		t.Error("the instance that invalidated answers with what was stored")
	}
	eventually("the other instance goes on with what was invalidated", func() bool {
		return a.ask(http.MethodGet, "/x", "X-A", "1").Body != one.Body
	})

	redis.Kill()
	for range 5 {
		if got := a.ask(http.MethodGet, "/y"); got.Status != http.StatusOK {
			t.Errorf("without Redis: %d", got.Status)
		}
		if got := a.ask(http.MethodPost, "/y"); got.Status != http.StatusOK {
			t.Errorf("without Redis: %d", got.Status)
		}
	}
}
