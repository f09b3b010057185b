package telemetry_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func parentOf(traceparent string) trace.SpanContext {
	return telemetry.Parent(func(name string) string {
		if name == "traceparent" {
			return traceparent
		}
		return ""
	})
}

func TestParent(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, want := range map[string]string{
		traceparent: id,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":      id,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what": id, // a later version
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what": "",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":      "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":      "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":      "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":      "",
		"":     "",
		"00--": "",
	} {
		parent := parentOf(header)
		if got := parent.TraceID().String(); parent.IsValid() != (want != "") || want != "" && got != want {
			t.Errorf("%q: %v, want %q", header, parent, want)
		}
		if want != "" && !parent.IsRemote() {
			t.Errorf("%q: not remote", header)
		}
	}
}

// Without a tracer nothing is sampled, and what came goes on.
func TestNoTracer(t *testing.T) {
	var none *telemetry.Tracer
	if none.Sample(parentOf(traceparent)) || none.Sample(trace.SpanContext{}) {
		t.Error("sampled")
	}
	if got := trace.SpanContextFromContext(none.Unsampled(t.Context(), parentOf(traceparent))); got.TraceID().String() != traceparent[3:35] {
		t.Errorf("%v goes on", got)
	}
	if got := none.Unsampled(t.Context(), trace.SpanContext{}); got != t.Context() {
		t.Error("a trace came about")
	}
}

// A receiver that is slow or away costs spans, which are counted and told once, and nothing else.
func TestSpansAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, release <-chan struct{})
		spans  int
		want   map[string]float64 // at least
		told   int
	}{
		"takes all": {func(http.ResponseWriter, <-chan struct{}) {}, 100, map[string]float64{"exported": 100}, 0},
		"refuses": {
			func(w http.ResponseWriter, _ <-chan struct{}) { w.WriteHeader(http.StatusServiceUnavailable) }, 2000,
			map[string]float64{"failed": 2000},
			1,
		},
		"hangs": {func(_ http.ResponseWriter, release <-chan struct{}) { <-release }, 10_000, map[string]float64{"dropped": 1000}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answer(w, release) }))
			defer receiver.Close()
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, nil))
			r := telemetry.NewRegistry()
			tracer, err := telemetry.NewTracer(policy.Traces{Endpoint: receiver.URL, Sample: 1, Service: "shop"}, "1", r,
				func() *slog.Logger { return log })
			if err != nil {
				t.Fatal(err)
			}
			for range c.spans {
				_, span := tracer.Start(t.Context(), trace.SpanContext{}, "GET /", time.Now())
				telemetry.EndSpan(span, nil, "")
			}
			close(release)
			if err := tracer.Close(); err != nil {
				t.Error(err)
			}
			got := r.Sum(telemetry.TraceSpans, telemetry.LabelResult)
			for result, least := range c.want {
				if got[result] < least {
					t.Errorf("%v, want at least %v %s", got, least, result)
				}
			}
			if sum := got["exported"] + got["failed"] + got["dropped"]; sum != float64(c.spans) {
				t.Errorf("%v: of %d spans", got, c.spans)
			}
			if told := strings.Count(out.String(), "Traces cannot be sent"); told != c.told {
				t.Errorf("told %d times:\n%s", told, out.String())
			}
		})
	}
}

// A share of the requests that come without a trace is sampled; the others do as they came.
func TestSample(t *testing.T) {
	tracer, err := telemetry.NewTracer(policy.Traces{Endpoint: "http://127.0.0.1:1", Sample: 0.25, Service: "shop"}, "1",
		telemetry.NewRegistry(), slog.Default)
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	sampled := 0
	const all = 10_000
	for range all {
		if tracer.Sample(trace.SpanContext{}) {
			sampled++
		}
	}
	if sampled < all/5 || sampled > all*3/10 {
		t.Errorf("%d of %d, want a quarter", sampled, all)
	}
	if !tracer.Sample(parentOf(traceparent)) || tracer.Sample(parentOf(traceparent[:53]+"00")) {
		t.Error("not as the caller has it")
	}
	own := trace.SpanContextFromContext(tracer.Unsampled(t.Context(), trace.SpanContext{}))
	if !own.IsValid() || own.IsSampled() {
		t.Errorf("what a request asks of others would be traced: %v", own)
	}
}
