package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mock starts a server of models on loopback.
func mock(t testing.TB, text string, faults ...modelmock.Fault) (*modelmock.Server, string) {
	t.Helper()
	s, err := modelmock.New(modelmock.Config{Text: text, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	return s, serve(t, s)
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL + "/v1"
}

func always(k modelmock.Kind) modelmock.Fault { return modelmock.Fault{Kind: k, Share: 1, After: 2} }

// newModel asks the servers at the addresses, the first ones first.
func newModel(t testing.TB, addresses ...string) *Model {
	t.Helper()
	return newModelWith(t, Defaults(), addresses...)
}

// hasty waits for hanging servers no longer than a test does.
func hasty(k modelmock.Kind) Options {
	o := Defaults()
	switch k {
	case modelmock.HangBeforeHeaders, modelmock.HangBeforeFirstToken:
		o.FirstToken = policy.Duration(500 * time.Millisecond)
	case modelmock.Stall:
		o.Stall = policy.Duration(300 * time.Millisecond)
	}
	return o
}

func newModelWith(t testing.TB, o Options, addresses ...string) *Model {
	t.Helper()
	o.Upstreams = map[string]Upstream{}
	for i, address := range addresses {
		o.Upstreams[fmt.Sprintf("u%d", i)] = Upstream{URL: address, Model: "m", Priority: i, Key: "sesame", Concurrency: 50}
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	registry := telemetry.NewRegistry()
	m, err := New(o, registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

var hello = Request{Messages: []Message{{"system", "be brief"}, {"user", "hello"}}, MaxTokens: 100}

// ask returns what a model says.
func ask(t testing.TB, m *Model) (string, Result, error) {
	t.Helper()
	var said strings.Builder
	result, err := m.Complete(t.Context(), hello, time.Now().Add(m.options.Timeout.D()), func(text string) error {
		said.WriteString(text)
		return nil
	})
	return said.String(), result, err
}

// What a healthy model says arrives whole, whatever harmless habits its server has, and is asked for as the protocol says.
func TestAnswers(t *testing.T) {
	for _, kind := range []modelmock.Kind{"", modelmock.ChoicesNull, modelmock.NoUsage, modelmock.UsageOnChoices} {
		var faults []modelmock.Fault
		if kind != "" {
			faults = append(faults, always(kind))
		}
		s, address := mock(t, "one two three four", faults...)
		said, result, err := ask(t, newModel(t, address))
		if err != nil || said != "one two three four" || result.FinishReason != "stop" || !result.Begun {
			t.Errorf("%s: %q %+v %v", kind, said, result, err)
		}
		stats := s.Stats()
		for end := time.Now().Add(5 * time.Second); stats.Completed == 0 && time.Now().Before(end); stats = s.Stats() {
			time.Sleep(time.Millisecond) // the end of the stream, after its last event, is not waited for
		}
		if stats.Requests != 1 || stats.Completed != 1 {
			t.Errorf("%s: %+v", kind, stats)
		}
		if kind == modelmock.NoUsage {
			if want := (Usage{hello.Tokens(), 5, true}); result.Usage != want {
				t.Errorf("%s: usage is %+v, want %+v", kind, result.Usage, want)
			}
		} else if result.Usage.Estimated || result.Usage.Output != 4 || result.Usage.Input == 0 {
			t.Errorf("%s: usage is %+v", kind, result.Usage)
		}
	}
}

func TestRequestIsWhatTheProtocolSays(t *testing.T) {
	for _, directly := range []bool{true, false} {
		t.Run(fmt.Sprintf("directly=%v", directly), func(t *testing.T) {
			var got string
			var header http.Header
			address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				data, _ := io.ReadAll(r.Body)
				got, header = fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Host, " ", r.ContentLength == int64(len(data)), " ", string(data)), r.Header
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "\ufeff: hi\r\nevent: x\r\ndata: {\"choices\":[{\"delta\":\rdata: {\"content\":\"ok\"}}]}\n\n"+
					"data:{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}},{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n")
			}))
			m := newModel(t, address)
			if m.upstreams[0].direct == nil {
				t.Fatal("a plain server is not asked directly")
			}
			if !directly {
				m.upstreams[0].direct = nil
			}
			traced := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
			}))
			said := ""
			result, err := m.Complete(traced, hello, time.Now().Add(m.options.Timeout.D()), func(text string) error {
				said += text
				return nil
			})
			if said != "ok" || err != nil || result.FinishReason != "length" {
				t.Errorf("%q %+v %v", said, result, err)
			}
			want := "POST /v1/chat/completions " + strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/v1") + " true " +
				`{"model":"m","messages":[{"role":"system","content":"be brief"},` +
				`{"role":"user","content":"hello"}],"max_tokens":100,"temperature":0.3,"stream":true,"stream_options":{"include_usage":true}}`
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			for name, want := range map[string]string{
				"Authorization": "Bearer sesame", "Content-Type": "application/json", "Accept": "text/event-stream",
				"User-Agent": "innatural-chatbot", "Traceparent": "00-01000000000000000000000000000000-0200000000000000-01",
			} {
				if got := header[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s is sent as %q, want %q", name, got, want)
				}
			}
		})
	}
}

// Whatever an upstream does before the first token, another one answers; alone, it is a failure with a reason, in time.
func TestFaultsBeforeTheFirstToken(t *testing.T) {
	for kind, reason := range map[modelmock.Kind]Reason{
		modelmock.Refused: Unavailable, modelmock.RateLimited: Unavailable, modelmock.RateLimitedWithHint: Unavailable,
		modelmock.ServerError: Unavailable, modelmock.ErrorAfterStatus: BadResponse, modelmock.HangBeforeHeaders: FirstToken,
		modelmock.HangBeforeFirstToken: FirstToken, modelmock.HugeLine: BadResponse, modelmock.WrongContentType: BadResponse,
		modelmock.Empty: BadResponse,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			bad, address := mock(t, "never", always(kind))
			_, good := mock(t, "well said")
			if said, _, err := ask(t, newModelWith(t, hasty(kind), address, good)); said != "well said" || err != nil {
				t.Errorf("%q, %v", said, err)
			}
			said, _, err := ask(t, newModelWith(t, hasty(kind), address))
			var f *Failure
			if !errors.As(err, &f) || f.Reason != reason || said != "" {
				t.Errorf("alone: %q, %v; want %s", said, err, reason)
			}
			if got := bad.Stats().Requests; got < 2 || got > 4 {
				t.Errorf("the upstream was asked %d times", got)
			}
		})
	}
}

// After the first token no other upstream is asked: the customer would read two beginnings.
func TestFaultsAfterTheFirstToken(t *testing.T) {
	for kind, reason := range map[modelmock.Kind]Reason{
		modelmock.Stall: Stalled, modelmock.Cut: Interrupted, modelmock.EndedEarly: Interrupted, modelmock.BrokenJSON: BadResponse,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			_, address := mock(t, "one two three four", always(kind))
			other, good := mock(t, "well said")
			said, result, err := ask(t, newModelWith(t, hasty(kind), address, good))
			var f *Failure
			if !errors.As(err, &f) || f.Reason != reason || said != "one two " || !result.Begun {
				t.Errorf("%q, %v; want %s", said, err, reason)
			}
			if want := (Usage{hello.Tokens(), 2, true}); result.Usage != want {
				t.Errorf("usage is %+v, want %+v", result.Usage, want)
			}
			if n := other.Stats().Requests; n != 0 {
				t.Errorf("another upstream was asked %d times", n)
			}
		})
	}
}

func TestTheWholeAnswerHasItsTime(t *testing.T) {
	s, address := mock(t, "")
	s.SetProfile(modelmock.Profile{PerToken: modelmock.Latency{Median: 20 * time.Millisecond}, Tokens: 1000})
	m := newModel(t, address)
	var f *Failure
	_, err := m.Complete(t.Context(), hello, time.Now().Add(200*time.Millisecond), func(string) error { return nil })
	if !errors.As(err, &f) || f.Reason != Timeout {
		t.Errorf("%v, want %s", err, Timeout)
	}
}

// Who leaves takes the upstream's work with them, and says nothing bad of it.
func TestWorkEndsWithItsCustomer(t *testing.T) {
	s, address := mock(t, "")
	s.SetProfile(modelmock.Profile{PerToken: modelmock.Latency{Median: time.Millisecond}, Tokens: 10_000})
	m := newModel(t, address)
	left := errors.New("left")
	for range 2 * mostFailures {
		ctx, cancel := context.WithCancelCause(t.Context())
		result, err := m.Complete(ctx, hello, time.Now().Add(time.Minute), func(string) error {
			cancel(left)
			return nil
		})
		if !errors.Is(err, left) {
			t.Fatalf("the request ended with %v", err)
		}
		if u := result.Usage; u.Input != hello.Tokens() || u.Output == 0 || u.Output > 20 || !u.Estimated {
			t.Fatalf("usage is %+v, want the prompt and what came", u)
		}
		_, err = m.Complete(t.Context(), hello, time.Now().Add(time.Minute), func(string) error { return left })
		if !errors.Is(err, left) {
			t.Fatalf("the request ended with %v", err)
		}
	}
	if state := m.upstreams[0].breaker.state(); state != "closed" {
		t.Errorf("the circuit is %s", state)
	}
	for s.Stats().InFlight > 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("the upstream works on")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAnUpstreamThatFailsIsSpared(t *testing.T) {
	bad, address := mock(t, "", always(modelmock.ServerError))
	m := newModel(t, address)
	for range 50 {
		_, _, _ = ask(t, m)
	}
	if n := bad.Stats().Requests; n != mostFailures {
		t.Errorf("it was asked %d times, want %d", n, mostFailures)
	}
	var f *Failure
	if _, _, err := ask(t, m); !errors.As(err, &f) || f.Reason != CircuitOpen {
		t.Errorf("%v, want %s", err, CircuitOpen)
	}
	if check := m.Check(t.Context()); check.Status != "degraded" || strings.Contains(fmt.Sprint(check), "sesame") {
		t.Errorf("health says %v", check)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	limited, address := mock(t, "", always(modelmock.RateLimitedWithHint))
	m := newModel(t, address)
	for range 20 {
		_, _, _ = ask(t, m)
	}
	if n := limited.Stats().Requests; n != 1 {
		t.Errorf("it was asked %d times within the second that it wants for itself", n)
	}
}

func TestRetriesAreBounded(t *testing.T) {
	var asked atomic.Int64
	address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusTooManyRequests) // which opens no circuit
	}))
	m := newModel(t, address)
	const requests = 200
	var wait sync.WaitGroup
	for range requests {
		wait.Go(func() { _, _, _ = ask(t, m) })
	}
	wait.Wait()
	if most := int64(requests + requests/10 + firstRetries/retryCost); asked.Load() > most {
		t.Errorf("%d requests became %d, more than %d", requests, asked.Load(), most)
	}
}

func TestRedirectsKeepTheKey(t *testing.T) {
	var stolen atomic.Bool
	thief := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Store(true) }))
	address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief, http.StatusTemporaryRedirect)
	}))
	if _, _, err := ask(t, newModel(t, address)); err == nil || stolen.Load() {
		t.Errorf("%v; the other server was asked: %v", err, stolen.Load())
	}
}

func TestOptions(t *testing.T) {
	o := Defaults()
	if m, err := New(o, telemetry.NewRegistry()); m != nil || err != nil {
		t.Errorf("a model without an upstream: %v, %v", m, err)
	}
	for address, ok := range map[string]bool{
		"": true, "http://a/v1": true, "https://a.b/x/": true, "a": false, "ftp://a": false, "http://": false,
		"http://u:p@a": false, "http://a?b": false, "http://a#b": false,
	} {
		o.Upstreams = map[string]Upstream{"u": {URL: address, Model: "m"}}
		if err := o.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}
