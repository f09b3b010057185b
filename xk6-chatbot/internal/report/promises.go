package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

// summary is what is read of the data that k6 passes to handleSummary.
type summary struct {
	Metrics map[string]metric `json:"metrics"`
	State   struct {
		Milliseconds float64 `json:"testRunDurationMs"`
	} `json:"state"`
}

type metric struct {
	Type       string             `json:"type"`
	Contains   string             `json:"contains"`
	Values     map[string]float64 `json:"values"`
	Thresholds map[string]struct {
		OK bool `json:"ok"`
	} `json:"thresholds"`
}

func parseSummary(data map[string]any) (summary, error) {
	var s summary
	b, err := json.Marshal(data)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// promise is a threshold, and what was measured.
type promise struct {
	Metric   string // without its tags
	Tags     map[string]string
	Unit     string // ms, ratio, count, bytes
	Stat     string // such as p(95), rate, count, value
	Op       string // such as <
	Limit    float64
	Measured *float64
	Held     bool   // as k6 judged it
	Silent   bool   // nothing was measured: k6 lets such a threshold pass
	Why      string // what was behind it when it was broken
	Source   string // as it is written
}

type state int

const (
	kept state = iota
	brokenPromise
	unmeasured
)

func (p *promise) state() state {
	switch {
	case p.Silent:
		return unmeasured
	case p.Held:
		return kept
	}
	return brokenPromise
}

var expression = regexp.MustCompile(`^\s*(p\([\d.]+\)|[a-z]+)\s*(<=|>=|<|>|===?|!=)\s*([\d.]+)\s*$`)

// promises returns the thresholds, by metric and phase. Nothing was measured of those that are silent.
func (s summary) promises(run *record.Run, silent map[string]bool) []promise {
	var all []promise
	for name, m := range s.Metrics {
		base, tags := selector(name)
		for source, result := range m.Thresholds {
			p := promise{Metric: base, Tags: tags, Unit: unit(m), Held: result.OK, Source: name + ": " + source}
			if parts := expression.FindStringSubmatch(source); parts != nil {
				p.Stat, p.Op = parts[1], parts[2]
				p.Limit, _ = strconv.ParseFloat(parts[3], 64) // the expression matches numbers alone
				if p.Stat == "count" {
					p.Unit = "count"
				}
			}
			if v, ok := m.Values[p.Stat]; ok {
				p.Measured = &v
			}
			p.Silent = silent[name]
			if !p.Held && !p.Silent {
				p.Why = because(&p, run)
			}
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b promise) int {
		return cmp.Or(
			cmp.Compare(rank(run, a.Tags["phase"]), rank(run, b.Tags["phase"])), cmp.Compare(a.Metric, b.Metric),
			cmp.Compare(a.Source, b.Source),
		)
	})
	return all
}

// rank orders phases as they came, what is said of the whole run first.
func rank(run *record.Run, phase string) int {
	if phase == "" {
		return -1
	}
	i := slices.IndexFunc(run.Series, func(s *record.Series) bool { return s.Phase == phase })
	if i < 0 {
		return len(run.Series)
	}
	return i
}

// selector takes a metric's name with tags apart: errors{phase:peak,scenario:spike}.
func selector(name string) (base string, tags map[string]string) {
	base, rest, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	tags = map[string]string{}
	for tag := range strings.SplitSeq(rest, ",") {
		if key, value, ok := strings.Cut(tag, ":"); ok {
			tags[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return base, tags
}

func unit(m metric) string {
	switch {
	case m.Contains == "time":
		return "ms"
	case m.Contains == "data":
		return "bytes"
	case m.Type == "rate":
		return "ratio"
	}
	return "count"
}

// matching returns the series that the tags of a promise choose.
func matching(run *record.Run, tags map[string]string) []*record.Series {
	var all []*record.Series
	for _, s := range run.Series {
		if fits(tags, "phase", s.Phase) && fits(tags, "scenario", s.Scenario) {
			all = append(all, s)
		}
	}
	return all
}

func fits(tags map[string]string, name, value string) bool {
	want, asked := tags[name]
	return !asked || want == value
}

// because says what was behind a broken promise, as far as the run shows it.
func because(p *promise, run *record.Run) string {
	errors, rules := map[string]int64{}, map[string]int64{}
	var turns, failed int64
	for _, s := range matching(run, p.Tags) {
		turns += s.Turns
		failed += s.Failed
		for name, n := range s.Errors {
			errors[name] += n
		}
		for name, n := range s.Rules {
			rules[name] += n
		}
	}
	switch {
	case p.Metric == "errors" && failed > 0:
		why := fmt.Sprintf("%d of %s failed: %s", failed, count(int(turns), "turn"), tally(errors))
		if len(rules) > 0 {
			why += "; the contract was broken: " + tally(rules)
		}
		return why
	case strings.HasPrefix(p.Metric, "chat_cache_contract") && len(rules) > 0:
		return "broken: " + tally(rules)
	case p.Metric == "chat_recovery_time":
		for _, r := range run.Recoveries {
			if !r.Recovered && fits(p.Tags, "scenario", r.Scenario) {
				return fmt.Sprintf("after spike %d the server had not recovered when the test ended, %s later", r.Spike, duration(r.Time))
			}
		}
	case strings.HasPrefix(p.Metric, "chat_duration"):
		return worst(p, run)
	}
	return ""
}

// worst says when latency was highest.
func worst(p *promise, run *record.Run) string {
	at, most := -1, int64(0)
	for _, row := range run.Rows {
		for i := range row.Moments {
			m := &row.Moments[i]
			if fits(p.Tags, "phase", m.Phase) && fits(p.Tags, "scenario", row.Scenario) && m.OK > 0 {
				if v := m.Latency.ValueAtPercentile(95); v > most {
					at, most = i, v
				}
			}
		}
	}
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("worst %s after the start: P95 was %s", offset(run, at), millis(ms(most)))
}

// tally lists counts by name, the highest first.
func tally(counts map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", counts[name], name)
	}
	return strings.Join(names, ", ")
}
