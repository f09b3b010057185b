package chatbot

import (
	"context"
	"strconv"
	"time"

	"go.k6.io/k6/v2/metrics"

	"github.com/innatural/chatbot/xk6-chatbot/internal/phase"
	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

// turn is one message and its answer.
type turn struct {
	exchange
	index    int // from 0
	intent   string
	intended time.Time
	tags     metrics.TagsAndMeta
}

// Reply is what a script gets for a message. Times are in milliseconds.
type Reply struct {
	OK         bool    `js:"ok"`
	Status     int     `js:"status"`
	Text       string  `js:"text"`
	Turn       int     `js:"turn"`
	Cache      string  `js:"cache"`
	Shed       bool    `js:"shed"`
	RetryAfter float64 `js:"retryAfter"` // seconds
	Error      string  `js:"error"`
	ErrorType  string  `js:"errorType"`
	Rule       string  `js:"rule"`
	Timings    Timings `js:"timings"`
	Usage      Usage   `js:"usage"`
}

// Timings of a turn in milliseconds.
type Timings struct {
	Duration    float64 `js:"duration"`
	FirstToken  float64 `js:"firstToken"`
	PerToken    float64 `js:"perToken"`
	ScheduleLag float64 `js:"scheduleLag"`
	Corrected   float64 `js:"corrected"`
}

// Usage in tokens, -1 where the server doesn't say.
type Usage struct {
	InputTokens  int64 `js:"inputTokens"`
	OutputTokens int64 `js:"outputTokens"`
}

type sample struct {
	metric *metrics.Metric
	value  float64
}

// report emits the metrics of a turn and returns the reply.
func (c *Conversation) report(ctx context.Context, t *turn, r result) *Reply {
	m := c.client.instance.metrics
	duration, lag := t.end.Sub(t.start), max(0, t.start.Sub(t.intended))
	var firstToken, perToken time.Duration
	if !t.answer.FirstToken.IsZero() {
		firstToken = t.answer.FirstToken.Sub(t.start)
		if n := t.answer.Tokens; n > 1 {
			perToken = (duration - firstToken) / time.Duration(n-1)
		}
	}
	good := r.ok && c.client.promised(duration, firstToken)
	cache := cacheStatus(t.header)
	phaseName := c.phaseAt(t.start)

	tags := t.tags
	tags.SetTag("phase", phaseName)
	tags.SetTag("turn", turnTag(t.index))
	tags.SetTag("intent", c.prompts.intent(t.intent))
	tags.SetTag("cache", cache)
	tags.SetTag("expected_response", strconv.FormatBool(r.ok))
	samples := make([]sample, 0, 16)
	add := func(metric *metrics.Metric, value float64) { samples = append(samples, sample{metric, value}) }
	rate := func(metric *metrics.Metric, yes bool) {
		value := 0.0
		if yes {
			value = 1
		}
		add(metric, value)
	}
	add(m.duration, metrics.D(duration))
	add(m.scheduleLag, metrics.D(lag))
	add(m.corrected, metrics.D(lag+duration))
	add(m.responseSize, float64(t.bytes))
	if firstToken > 0 {
		add(m.firstToken, metrics.D(firstToken))
	}
	if perToken > 0 {
		add(m.timePerToken, metrics.D(perToken))
	}
	if t.answer.Input >= 0 {
		add(m.inputTokens, float64(t.answer.Input))
	}
	if t.answer.Output >= 0 {
		add(m.outputTokens, float64(t.answer.Output))
	}
	rate(m.shed, r.shed)
	rate(m.goodput, good)
	if cache == "hit" || cache == "miss" {
		rate(m.cacheHits, cache == "hit")
	}
	if phaseName == phase.Peak {
		add(m.spikeRequests, 1)
	}
	c.push(&tags, t.end, samples...)
	c.recovery(tags, t, duration, r, phaseName)
	if r.errorType != "" {
		tags.SetTag("error_type", r.errorType)
	}
	if r.rule != "" {
		tags.SetTag("rule", r.rule)
	}
	c.push(&tags, t.end, sample{m.turns, 1}, sample{m.errors, map[bool]float64{true: 1}[r.errorType != ""]})

	c.client.instance.root.recorder.Observe(record.Turn{
		Scenario: c.running.name, Phase: phaseName, Index: t.index, Intended: t.start.Add(-lag), Start: t.start, End: t.end,
		FirstToken: firstToken, Tokens: t.answer.Tokens, OK: r.ok, Shed: r.shed, ErrorType: r.errorType, Cache: cache, Bytes: t.bytes,
		Good: good, Rule: r.rule,
	})
	reply := &Reply{
		OK: r.ok, Status: t.status, Turn: t.index + 1, Cache: cache, Shed: r.shed, RetryAfter: r.after.Seconds(), Error: r.detail,
		ErrorType: r.errorType, Rule: r.rule,
		Timings: Timings{metrics.D(duration), metrics.D(firstToken), metrics.D(perToken), metrics.D(lag), metrics.D(lag + duration)},
		Usage:   Usage{t.answer.Input, t.answer.Output},
	}
	if c.client.keep {
		reply.Text = t.answer.Text
	}
	return reply
}

// recovery follows how the server comes back after a spike.
func (c *Conversation) recovery(tags metrics.TagsAndMeta, t *turn, duration time.Duration, r result, phaseName string) {
	tracker := c.running.spikes(c.client.promise)
	if tracker == nil {
		return
	}
	if phaseName == phase.Baseline && r.ok {
		tracker.Baseline(duration)
	}
	spike, ok := tracker.Observe(t.end.Sub(c.running.start), duration, r.ok)
	if !ok {
		return
	}
	root, metric := c.client.instance.root, c.client.instance.metrics.recoveryTime
	c.push(&tags, t.end, sample{metric, metrics.D(spike.Worst)})
	// A threshold judges a gauge by its last value. That is to be the longest of all scenarios, which stays that scenario's own.
	if longest := root.recovers(c.running.name, recovering{tags, spike.Worst}); longest.time > spike.Worst {
		c.push(&longest.tags, t.end, sample{metric, metrics.D(longest.time)})
	}
	if spike.Now {
		root.recorder.Recovered(c.running.name, spike.Spike, spike.After, true)
	}
}

// recovering is the longest time that a scenario took, or has taken so far, to recover from a spike.
type recovering struct {
	tags metrics.TagsAndMeta // of the turn that showed it
	time time.Duration
}

// recovers notes where a scenario stands, and returns the longest of all scenarios.
func (r *Root) recovers(scenario string, now recovering) recovering {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recovering[scenario] = now
	for _, other := range r.recovering {
		if other.time > now.time {
			now = other
		}
	}
	return now
}

func turnTag(index int) string {
	if index >= 5 {
		return "5+"
	}
	return strconv.Itoa(index + 1)
}

// push emits samples of one moment.
func (c *Conversation) push(tags *metrics.TagsAndMeta, at time.Time, samples ...sample) {
	all := make([]metrics.Sample, len(samples))
	promised := c.client.instance.root.promised(c.state)
	for n, s := range samples {
		promised.touch(s.metric, tags.Tags)
		all[n] = metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: s.metric, Tags: tags.Tags}, Time: at, Metadata: tags.Metadata, Value: s.value,
		}
	}
	metrics.PushIfNotDone(c.client.instance.vu.Context(), c.state.Samples,
		metrics.ConnectedSamples{Samples: all, Tags: tags.Tags, Time: at})
}
