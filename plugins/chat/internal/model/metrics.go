package model

import (
	"errors"
	"slices"
	"time"

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

// attempt counts one request to an upstream. Tokens that are only estimated stay out of the usage.
func (m *metrics) attempt(a *attempt, took time.Duration, err error) {
	labels := []string{operation, provider, a.Model, a.name}
	with := func(more string) []string { return append(slices.Clip(labels), more) }
	kind := ""
	var f *Failure
	switch {
	case errors.As(err, &f):
		kind = string(f.Reason)
	case err != nil:
		kind = "client_gone"
	}
	m.duration.With(with(kind)...).Observe(took.Seconds())
	if !a.begun.Load() {
		return
	}
	m.firstChunk.With(labels...).Observe(a.firstAfter.Seconds())
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
