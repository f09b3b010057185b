// Package metrics exports what the service counts: for Prometheus, and as a summary for people and pages.
package metrics

import (
	"context"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/telemetry"
)

// Plugin returns the plugin.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "metrics",
		Doc:  "Exports what the service counts.",
		Handlers: []framework.HandlerInfo{
			{
				Name: "metrics", Doc: "Every metric, in the format that Prometheus asks for.", Always: true,
				Reads: framework.Inputs{Headers: []string{"Accept"}},
			},
			{Name: "metrics.summary", Doc: "A summary of requests, messages, cache and errors, as JSON.", Always: true},
		},
	}, framework.NoOptions{}, build)
}

func build(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
	return framework.Handlers{
		"metrics": func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
			contentType, body, err := h.Metrics.WriteMetrics(req.Header("Accept"))
			if len(body) == 0 && err != nil {
				return nil, err
			}
			if err != nil {
				h.Log.ErrorContext(ctx, "Some metrics could not be read", "error", err)
			}
			return framework.Bytes(contentType, body), nil
		},
		"metrics.summary": func(context.Context, *framework.Request) (*framework.Response, error) {
			return framework.JSON(answer{Success: true, Metrics: summarize(h), Timestamp: time.Now().UTC().Format(time.RFC3339)})
		},
	}, nil
}

type answer struct {
	Success   bool    `json:"success"`
	Metrics   summary `json:"metrics"`
	Timestamp string  `json:"timestamp"`
}

type summary struct {
	Requests telemetry.Requests                 `json:"requests"`
	Sessions sessions                           `json:"sessions"`
	Messages messages                           `json:"messages"`
	AI       ai                                 `json:"ai"`
	Cache    cache.Report                       `json:"cache"`
	Errors   failures                           `json:"errors"`
	SLO      map[string]telemetry.PromiseReport `json:"slo"`
}

type sessions struct {
	Active float64 `json:"active"`
}

type messages struct {
	Total      float64            `json:"total"`
	ByLanguage map[string]float64 `json:"byLanguage"`
	ByTopic    map[string]float64 `json:"byTopic"`
}

type ai struct {
	Requests    uint64  `json:"requests"`
	AvgDuration float64 `json:"avgDuration"` // milliseconds
	TokensUsed  float64 `json:"tokensUsed"`
}

type failures struct {
	Total  uint64            `json:"total"`
	ByType map[string]uint64 `json:"byType"`
}

func summarize(h *framework.Host) summary {
	requests := h.Metrics.Requests()
	byLanguage := h.Metrics.Sum(telemetry.ChatMessages, telemetry.LabelLanguage)
	durations := h.Metrics.Distribution(telemetry.ChatDuration)
	s := summary{
		Requests: requests,
		Sessions: sessions{h.Metrics.Sum(telemetry.ChatSessionsActive, "")[""]},
		Messages: messages{
			Total: total(byLanguage), ByLanguage: byLanguage,
			ByTopic: h.Metrics.Sum(telemetry.ChatMessages, telemetry.LabelTopic),
		},
		AI:     ai{durations.Count, 1000 * durations.Mean, total(h.Metrics.Sum(telemetry.ChatTokens, ""))},
		Cache:  h.Layers.Report(),
		Errors: failures{requests.Errors, requests.ByType},
		SLO:    map[string]telemetry.PromiseReport{},
	}
	for i := range h.Policy().Routes {
		if o := h.Objective(i); o != nil {
			r := &h.Policy().Routes[i]
			key := r.Method + " " + r.Path
			s.SLO[key] = o.Report(time.Now(), requests.ByRoute[key].P95)
		}
	}
	return s
}

func total(by map[string]float64) (sum float64) {
	for _, n := range by {
		sum += n
	}
	return sum
}
