package chatbot

import "go.k6.io/k6/v2/metrics"

// chatMetrics are the metrics of the extension, beside k6's own.
type chatMetrics struct {
	duration, firstToken, timePerToken, scheduleLag, corrected *metrics.Metric
	thinkTime, conversationDuration, responseSize              *metrics.Metric
	conversationsCompleted, errors, shed, goodput              *metrics.Metric
	cacheHits, cacheContract                                   *metrics.Metric
	turns, inputTokens, outputTokens, spikeRequests            *metrics.Metric
	recoveryTime, maxRate                                      *metrics.Metric
}

func newMetrics(registry *metrics.Registry) (*chatMetrics, error) {
	m := &chatMetrics{}
	for _, d := range []struct {
		to   **metrics.Metric
		name string
		kind metrics.MetricType
		of   metrics.ValueType
	}{
		{&m.duration, "chat_duration", metrics.Trend, metrics.Time},
		{&m.firstToken, "chat_first_token", metrics.Trend, metrics.Time},
		{&m.timePerToken, "chat_time_per_token", metrics.Trend, metrics.Time},
		{&m.scheduleLag, "chat_schedule_lag", metrics.Trend, metrics.Time},
		{&m.corrected, "chat_duration_corrected", metrics.Trend, metrics.Time},
		{&m.thinkTime, "chat_think_time", metrics.Trend, metrics.Time},
		{&m.conversationDuration, "chat_conversation_duration", metrics.Trend, metrics.Time},
		{&m.responseSize, "chat_response_size", metrics.Trend, metrics.Data},
		{&m.conversationsCompleted, "chat_conversations_completed", metrics.Rate, metrics.Default},
		{&m.errors, "errors", metrics.Rate, metrics.Default},
		{&m.shed, "chat_shed", metrics.Rate, metrics.Default},
		{&m.goodput, "chat_goodput", metrics.Rate, metrics.Default},
		{&m.cacheHits, "chat_cache_hits", metrics.Rate, metrics.Default},
		{&m.cacheContract, "chat_cache_contract", metrics.Rate, metrics.Default},
		{&m.turns, "chat_turns", metrics.Counter, metrics.Default},
		{&m.inputTokens, "chat_input_tokens", metrics.Counter, metrics.Default},
		{&m.outputTokens, "chat_output_tokens", metrics.Counter, metrics.Default},
		{&m.spikeRequests, "spike_requests", metrics.Counter, metrics.Default},
		{&m.recoveryTime, "chat_recovery_time", metrics.Gauge, metrics.Time},
		{&m.maxRate, "chat_max_rate", metrics.Gauge, metrics.Default},
	} {
		var err error
		if *d.to, err = registry.NewMetric(d.name, d.kind, d.of); err != nil {
			return nil, err
		}
	}
	return m, nil
}
