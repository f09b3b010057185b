package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/policy"
)

const (
	tracerName   = "github.com/innatural/chatbot"
	maxSpans     = 4096 // that wait to be sent; further ones are dropped
	sendEvery    = time.Second
	sendWithin   = 10 * time.Second
	closeTracing = 3 * time.Second // for the spans that still wait
)

// A Tracer sends the spans of sampled requests to a receiver of OTLP over HTTP. A nil *Tracer samples none. It may be used
// concurrently.
//
// Spans wait in bounded memory for a receiver that is slow or away; what is dropped is counted, and the log says once when
// the receiver ceases to answer and when it answers again. Beside what the policy says, the variables of OpenTelemetry hold,
// such as OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE and OTEL_RESOURCE_ATTRIBUTES.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	share    float64
}

// NewTracer returns the Tracer of a policy, nil when it names no endpoint. Log returns the logger to use now. Close it in the end.
func NewTracer(p policy.Traces, version string, r *Registry, log func() *slog.Logger) (*Tracer, error) {
	if p.Endpoint == "" {
		return nil, nil
	}
	ctx := context.Background()
	client, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(p.Endpoint, "/")+"/v1/traces"),
		otlptracehttp.WithTimeout(sendWithin), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{})) // one that is away for a while costs spans, not memory
	if err != nil {
		return nil, fmt.Errorf("prepare traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(), resource.WithFromEnv(),
		resource.WithAttributes(semconv.ServiceName(p.Service), semconv.ServiceVersion(version)))
	if err != nil {
		return nil, fmt.Errorf("prepare traces: %w", err)
	}
	spans := r.Counter(TraceSpans, TraceSpansHelp, LabelResult)
	e := &exporter{SpanExporter: client, log: log, sent: spans.With("exported"), failed: spans.With("failed"), dropped: spans.With("dropped")}
	batches := sdktrace.NewBatchSpanProcessor(e, sdktrace.WithMaxQueueSize(2*maxSpans), sdktrace.WithBatchTimeout(sendEvery),
		sdktrace.WithExportTimeout(sendWithin))
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSampler(sdktrace.AlwaysSample()), // Sample has chosen
		sdktrace.WithSpanProcessor(&queue{SpanProcessor: batches, exporter: e}))
	return &Tracer{provider: provider, tracer: provider.Tracer(tracerName, trace.WithInstrumentationVersion(version)), share: p.Sample}, nil
}

// Close sends the spans that wait, for at most three seconds. Spans that end afterwards are lost.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTracing)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("close traces: %w", err)
	}
	return nil
}

// Sample chooses whether a request is traced, given the span that it comes from: as that one is, or, without one, by the share of the
// policy.
func (t *Tracer) Sample(parent trace.SpanContext) bool {
	switch {
	case t == nil:
		return false
	case parent.IsValid():
		return parent.IsSampled()
	}
	return rand.Float64() < t.share //nolint:gosec // it chooses what is looked at
}

// Start begins the span of a request that Sample has chosen, below the one that it comes from.
func (t *Tracer) Start(ctx context.Context, parent trace.SpanContext, name string, at time.Time) (context.Context, trace.Span) {
	return t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, parent), name,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(at))
}

// Unsampled returns a context by which what a request asks of others is not traced either: with the trace that it comes from, or a
// new one.
func (t *Tracer) Unsampled(ctx context.Context, parent trace.SpanContext) context.Context {
	switch {
	case parent.IsValid():
		return trace.ContextWithRemoteSpanContext(ctx, parent)
	case t == nil:
		return ctx
	}
	var id trace.TraceID
	var span trace.SpanID
	for i := range id {
		id[i] = byte(rand.Uint32()) //nolint:gosec // an id, not a secret
	}
	for i := range span {
		span[i] = byte(rand.Uint32()) //nolint:gosec // as above
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span}))
}

// Parent reads the fields traceparent and tracestate of a request (W3C Trace Context). Without valid ones it is not valid.
func Parent(get func(name string) string) trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), reader(get))
	return trace.SpanContextFromContext(ctx)
}

// reader is a carrier that is only read.
type reader func(name string) string

// Get implements propagation.TextMapCarrier.
func (r reader) Get(name string) string { return r(name) }

// Set implements propagation.TextMapCarrier.
func (reader) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (reader) Keys() []string { return nil }

// Propagate has the span of ctx go along with a request to another server: its fields traceparent and tracestate are set, and stay
// as they are when there is none.
func Propagate(ctx context.Context, set interface{ Set(name, value string) }) {
	propagation.TraceContext{}.Inject(ctx, writer{set})
}

// writer is a carrier that is only written.
type writer struct {
	fields interface{ Set(name, value string) }
}

// Get implements propagation.TextMapCarrier.
func (writer) Get(string) string { return "" }

// Set implements propagation.TextMapCarrier.
func (w writer) Set(name, value string) { w.fields.Set(name, value) }

// Keys implements propagation.TextMapCarrier.
func (writer) Keys() []string { return nil }

// Span begins a span below that of ctx, where it is recorded or was, until it ended: what is done behind an answer belongs to its trace.
// Anywhere else it costs next to nothing. EndSpan ends it.
func Span(ctx context.Context, name string, kind trace.SpanKind, about ...attribute.KeyValue) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, trace.SpanFromContext(context.Background()) // which does nothing
	}
	return parent.TracerProvider().Tracer(tracerName).Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(about...))
}

// EndSpan ends a span. An error makes it a failed one, of a type that is one word.
func EndSpan(span trace.Span, err error, errorType string) {
	if !span.IsRecording() {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, redactText(err.Error()))
		span.SetAttributes(semconv.ErrorTypeKey.String(errorType))
	}
	span.End()
}

// Exemplar observes a value, with the trace of ctx as its example where that is sampled.
func Exemplar(ctx context.Context, h prometheus.Observer, value float64) {
	sc := trace.SpanContextFromContext(ctx)
	e, ok := h.(prometheus.ExemplarObserver)
	if !ok || !sc.IsSampled() {
		h.Observe(value)
		return
	}
	e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": sc.TraceID().String()})
}

// queue bounds the spans that wait for the exporter. The batches behind it have room for more, so that they drop none uncounted.
type queue struct {
	sdktrace.SpanProcessor
	exporter *exporter
}

// OnEnd implements sdktrace.SpanProcessor.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if q.exporter.waiting.Add(1) > maxSpans {
		q.exporter.waiting.Add(-1)
		q.exporter.dropped.Inc()
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// exporter counts what becomes of spans, and logs changes.
type exporter struct {
	sdktrace.SpanExporter
	log                   func() *slog.Logger
	sent, failed, dropped prometheus.Counter
	waiting               atomic.Int64
	away                  atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error: OpenTelemetry would print it.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	n := len(spans)
	e.waiting.Add(-int64(n))
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		e.failed.Add(float64(n))
	} else {
		e.sent.Add(float64(n))
	}
	if was := e.away.Swap(err != nil); was != (err != nil) {
		if err != nil {
			e.log().Warn("Traces cannot be sent, and are lost", "error", err)
		} else {
			e.log().Info("Traces are sent again")
		}
	}
	return nil
}
