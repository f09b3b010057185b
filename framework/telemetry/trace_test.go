package telemetry_test

import (
	"testing"

	"go.opentelemetry.io/otel/trace"

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
