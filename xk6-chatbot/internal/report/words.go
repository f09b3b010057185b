package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

// names say in words what metrics are.
var names = map[string]string{
	"chat_duration":                "turn time",
	"chat_duration_corrected":      "turn time from when it was due",
	"chat_first_token":             "time to first token",
	"chat_time_per_token":          "time per token",
	"chat_schedule_lag":            "lateness of turns",
	"chat_conversations_completed": "completed conversations",
	"chat_recovery_time":           "recovery",
	"chat_goodput":                 "goodput",
	"chat_cache_contract":          "kept cache contract",
	"chat_cache_hits":              "cache hits",
	"chat_turns":                   "turns",
	"chat_max_rate":                "highest sustained rate",
	"chat_shed":                    "shed turns",
	"errors":                       "failed turns",
	"dropped_iterations":           "conversations that never started",
	"http_req_failed":              "failed requests",
	"http_req_duration":            "request time",
}

// what says which figure a promise is about.
func (p *promise) what() string {
	name := names[p.Metric]
	if name == "" {
		name = p.Metric
	}
	if p.Metric == "chat_turns" && p.Tags["expected_response"] == "true" {
		name = "answered turns"
	}
	switch p.Stat {
	case "", "rate", "count", "value":
		return name
	case "med":
		return "median of " + name
	case "avg":
		return "average of " + name
	}
	if q, ok := strings.CutPrefix(p.Stat, "p("); ok {
		return "P" + strings.TrimSuffix(q, ")") + " of " + name
	}
	return p.Stat + " of " + name
}

// where names the phase, and what else a promise is limited to.
func (p *promise) where() string {
	var parts []string
	for _, tag := range []string{"scenario", "phase"} {
		if p.Tags[tag] != "" {
			parts = append(parts, p.Tags[tag])
		}
	}
	for _, tag := range []string{"intent", "cache", "rule", "turn"} {
		if p.Tags[tag] != "" {
			parts = append(parts, tag+" "+p.Tags[tag])
		}
	}
	if len(parts) == 0 {
		return "whole run"
	}
	return strings.Join(parts, ", ")
}

// limit is what was promised.
func (p *promise) limit() string {
	if p.Op == "" {
		_, source, _ := strings.Cut(p.Source, ": ")
		return source
	}
	words := map[string]string{
		"<": "below", "<=": "at most", ">": "above", ">=": "at least", "==": "exactly", "===": "exactly", "!=": "not",
	}
	return words[p.Op] + " " + p.value(p.Limit)
}

// measured is what was found.
func (p *promise) measured() string {
	switch {
	case p.Silent:
		return "nothing"
	case p.Measured == nil:
		return "not in summaryTrendStats"
	}
	return p.value(*p.Measured)
}

func (p *promise) value(v float64) string {
	switch p.Unit {
	case "ms":
		return millis(v)
	case "ratio":
		return percent(v)
	case "bytes":
		return fmt.Sprintf("%.0f B", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}

// millis writes milliseconds with three figures.
func millis(ms float64) string {
	switch {
	case ms >= 60_000:
		return duration(time.Duration(ms * float64(time.Millisecond)))
	case ms >= 1000:
		return fmt.Sprintf("%.3g s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms == 0:
		return "0 ms"
	}
	return fmt.Sprintf("%.3g ms", ms)
}

func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return millis(ms(int64(d)))
	case d < time.Minute:
		return fmt.Sprintf("%.3g s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

func percent(ratio float64) string {
	v := 100 * ratio
	switch {
	case v == 0 || v >= 99.995:
		return fmt.Sprintf("%.0f %%", v)
	case v < 0.01:
		return "< 0.01 %"
	case v < 1:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00") + " %"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " %"
}

// share is a part of a whole, or a dash where there is no whole.
func share(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	return percent(float64(part) / float64(whole))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func list(all []string) string { return strings.Join(all, ", ") }

// offset is when a moment of the timeline began.
func offset(run *record.Run, moment int) string { return duration(time.Duration(moment) * run.Width) }

// sentence says what became of a promise.
func (p *promise) sentence() string {
	if p.Silent {
		return fmt.Sprintf("%s: nothing was measured of what was promised, %s %s", p.where(), p.what(), p.limit())
	}
	s := fmt.Sprintf("%s: %s %s, promised %s", p.where(), p.what(), p.measured(), p.limit())
	if p.Why != "" {
		s += " (" + p.Why + ")"
	}
	return s
}
