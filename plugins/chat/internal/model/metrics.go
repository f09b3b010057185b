package model

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/telemetry"
)

// metrics are those of the model's clients, by OpenTelemetry's conventions for generative AI.
type metrics struct {
	usage      *telemetry.Histogram
	duration   *telemetry.Histogram
	firstChunk *telemetry.Histogram
	perChunk   *telemetry.Histogram
	queue      *telemetry.Histogram
	cost       *telemetry.Counter
}

const (
	operation = "chat"
	provider  = "openai" // the protocol: who answers is the upstream's name
)

func newMetrics(r *telemetry.Registry) metrics {
	labels := []string{
		telemetry.LabelGenAIOperation, telemetry.LabelGenAIProvider, telemetry.LabelGenAIModel, telemetry.LabelUpstream,
	}
	with := func(more string) []string { return append(slices.Clip(labels), more) }
	return metrics{
		usage: r.Histogram(telemetry.GenAITokenUsage, telemetry.GenAITokenUsageHelp, telemetry.TokenBuckets(),
			with(telemetry.LabelGenAITokenType)...),
		duration: r.Histogram(telemetry.GenAIOperationDuration, telemetry.GenAIOperationDurationHelp, telemetry.ChatBuckets(),
			with(telemetry.LabelErrorType)...),
		firstChunk: r.Histogram(telemetry.GenAIFirstChunk, telemetry.GenAIFirstChunkHelp, telemetry.FirstTokenBuckets(), labels...),
		perChunk:   r.Histogram(telemetry.GenAIPerChunk, telemetry.GenAIPerChunkHelp, telemetry.PerTokenBuckets(), labels...),
		queue:      r.Histogram(telemetry.ChatQueueWait, telemetry.ChatQueueWaitHelp, telemetry.HTTPBuckets()),
		cost:       r.Counter(telemetry.ChatCost, telemetry.ChatCostHelp, telemetry.LabelUpstream),
	}
}

// errorType returns an attempt's error as one word, none for no error.
func errorType(err error) string {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return string(f.Reason)
	case err != nil:
		return "client_gone"
	}
	return ""
}

// traced makes an attempt, the nth of its request, in a span of its own, where its request is traced.
func (a *attempt) traced(ctx context.Context, n int, run func(context.Context) error) error {
	ctx, span := telemetry.Span(ctx, operation+" "+a.Model, trace.SpanKindClient,
		attribute.String(telemetry.AttributeGenAIOperation, operation), attribute.String(telemetry.AttributeGenAIProvider, provider),
		attribute.String(telemetry.AttributeGenAIModel, a.Model), semconv.URLFull(a.endpoint), semconv.HTTPRequestResendCount(n))
	err := run(ctx)
	if span.IsRecording() {
		if a.begun.Load() {
			span.SetAttributes(attribute.Float64(telemetry.AttributeGenAIFirstChunk, a.firstAfter.Seconds()))
		}
		if a.usage != nil {
			span.SetAttributes(attribute.Int(telemetry.AttributeGenAIInputTokens, a.usage.Input),
				attribute.Int(telemetry.AttributeGenAIOutputTokens, a.usage.Output))
		}
		if a.finish != "" {
			span.SetAttributes(attribute.StringSlice(telemetry.AttributeGenAIFinishReasons, []string{a.finish}))
		}
	}
	telemetry.EndSpan(span, err, errorType(err))
	return err
}

// attempt counts one request to an upstream. Tokens that are only estimated stay out of the usage.
func (m *metrics) attempt(ctx context.Context, a *attempt, took time.Duration, err error) {
	labels := []string{operation, provider, a.Model, a.name}
	with := func(more string) []string { return append(slices.Clip(labels), more) }
	telemetry.Exemplar(ctx, m.duration.With(with(errorType(err))...), took.Seconds())
	if !a.begun.Load() {
		return
	}
	telemetry.Exemplar(ctx, m.firstChunk.With(labels...), a.firstAfter.Seconds())
	if a.chunks > 1 {
		m.perChunk.With(labels...).Observe((took - a.firstAfter).Seconds() / float64(a.chunks-1))
	}
	if a.usage != nil {
		m.usage.With(with("input")...).Observe(float64(a.usage.Input))
		m.usage.With(with("output")...).Observe(float64(a.usage.Output))
		const million = 1e6
		m.cost.With(a.name).Add((float64(a.usage.Input)*a.Price.Input + float64(a.usage.Output)*a.Price.Output) / million)
	}
}
