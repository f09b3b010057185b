package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

// result is a run as apps/bench/result.schema.json has it, which bench writes too and bench compare reads.
type result struct {
	SchemaVersion int             `json:"schema_version"`
	Kind          string          `json:"kind"`
	Tool          resultTool      `json:"tool"`
	Run           resultRun       `json:"run"`
	Host          resultHost      `json:"host"`
	Validity      resultValidity  `json:"validity"`
	Series        []resultSeries  `json:"series"`
	Promises      []resultPromise `json:"promises"`
	Phases        []resultPhase   `json:"phases,omitempty"`
	Recovery      []resultReturn  `json:"recovery,omitempty"`
	Timeline      []resultPoint   `json:"timeline,omitempty"`
}

type resultTool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type resultRun struct {
	ID         string         `json:"id"`
	Started    string         `json:"started"`
	Seconds    float64        `json:"duration_seconds"`
	Scenario   string         `json:"scenario"`
	Target     string         `json:"target,omitempty"`
	Config     map[string]any `json:"config"`
	ConfigHash string         `json:"config_hash"`
	Seed       int64          `json:"seed"`
}

type resultHost struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	Go         string `json:"go"`
}

type resultValidity struct {
	Valid   bool     `json:"valid"`
	Reasons []string `json:"reasons"`
	CPU     float64  `json:"client_cpu_ratio"`
	LagP99  *float64 `json:"lag_p99_ms,omitempty"`
	Dropped int64    `json:"dropped"`
}

type resultSummary struct {
	Avg    float64  `json:"avg"`
	Median float64  `json:"median"`
	P95    float64  `json:"p95"`
	P99    float64  `json:"p99"`
	Min    float64  `json:"min"`
	Max    float64  `json:"max"`
	TooFew []string `json:"too_few,omitempty"`
}

type resultErrors struct {
	Total  int64            `json:"total"`
	ByType map[string]int64 `json:"by_type"`
}

type resultSize struct {
	Avg float64 `json:"avg"`
	P95 float64 `json:"p95"`
}

type resultCache struct {
	Hits   int64   `json:"hits"`
	Misses int64   `json:"misses"`
	Rate   float64 `json:"rate"`
}

type resultBlock struct {
	Start   float64  `json:"start_seconds"`
	Seconds float64  `json:"duration_seconds"`
	Count   int64    `json:"count"`
	Errors  int64    `json:"errors"`
	Rate    float64  `json:"rate"`
	Avg     *float64 `json:"avg_ms,omitempty"`
	Median  *float64 `json:"median_ms,omitempty"`
	P95     *float64 `json:"p95_ms,omitempty"`
	P99     *float64 `json:"p99_ms,omitempty"`
}

type resultSeries struct {
	Name        string          `json:"name"`
	Phase       string          `json:"phase"`
	Scenario    string          `json:"scenario"`
	Count       int64           `json:"count"`
	Errors      resultErrors    `json:"errors"`
	Shed        int64           `json:"shed"`
	Seconds     float64         `json:"duration_seconds"`
	Rate        float64         `json:"rate"`
	SuccessRate float64         `json:"success_rate"`
	Latency     *resultSummary  `json:"latency_ms,omitempty"`
	Service     *resultSummary  `json:"service_ms,omitempty"`
	FirstToken  *resultSummary  `json:"first_token_ms,omitempty"`
	Size        *resultSize     `json:"size_bytes,omitempty"`
	Cache       *resultCache    `json:"cache,omitempty"`
	Blocks      []resultBlock   `json:"blocks,omitempty"`
	Histogram   string          `json:"histogram"`
	Promises    []resultPromise `json:"promises,omitempty"`
}

type resultPromise struct {
	What     string   `json:"what"`
	Phase    string   `json:"phase,omitempty"`
	Limit    float64  `json:"limit"`
	AtLeast  bool     `json:"at_least,omitempty"`
	Measured *float64 `json:"measured"`
	Unit     string   `json:"unit"`
	Kept     *bool    `json:"kept"`
	Origin   string   `json:"origin"`
}

type resultPhase struct {
	Name     string  `json:"name"`
	Scenario string  `json:"scenario"`
	Start    float64 `json:"start_seconds"`
	Seconds  float64 `json:"duration_seconds"`
}

type resultReturn struct {
	After     string  `json:"after"`
	Scenario  string  `json:"scenario"`
	PeakEnd   float64 `json:"peak_end_seconds"`
	Recovered bool    `json:"recovered"`
	Seconds   float64 `json:"seconds"`
}

type resultPoint struct {
	At       float64  `json:"at_seconds"`
	Seconds  float64  `json:"seconds"`
	Phase    string   `json:"phase"`
	Scenario string   `json:"scenario"`
	Rate     float64  `json:"rate"`
	Errors   float64  `json:"error_rate"`
	Shed     float64  `json:"shed_rate"`
	Median   *float64 `json:"median_ms,omitempty"`
	P95      *float64 `json:"p95_ms,omitempty"`
	P99      *float64 `json:"p99_ms,omitempty"`
	Hits     *float64 `json:"hit_rate,omitempty"`
}

func (r *report) json() (string, error) {
	config := r.Config
	if config == nil {
		config = map[string]any{}
	}
	hashed, err := json.Marshal(config) // with sorted keys
	if err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	out := result{
		SchemaVersion: 1, Kind: "run", Tool: resultTool{"k6", k6Version()},
		Run: resultRun{
			ID: r.Name + " " + r.run.Start.UTC().Format(time.RFC3339Nano), Started: r.run.Start.UTC().Format(time.RFC3339Nano),
			Seconds: r.length.Seconds(), Scenario: r.Name, Target: r.Target,
			Config: config, ConfigHash: fmt.Sprintf("%x", sha256.Sum256(hashed)), Seed: r.Seed,
		},
		Host: resultHost{runtime.GOOS, runtime.GOARCH, processor(), runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.Version()},
		Validity: resultValidity{
			Valid: len(r.invalid) == 0, Reasons: append([]string{}, r.invalid...), CPU: r.cpu, LagP99: r.lagP99, Dropped: r.dropped,
		},
		Series: []resultSeries{}, Promises: []resultPromise{},
	}
	for _, s := range r.run.Series {
		series, err := r.series(s)
		if err != nil {
			return "", err
		}
		out.Series = append(out.Series, series)
	}
	for i := range r.promises {
		p := &r.promises[i]
		at := slices.IndexFunc(out.Series, func(s resultSeries) bool {
			return p.Tags["phase"] == s.Phase && fits(p.Tags, "scenario", s.Scenario)
		})
		if at < 0 || p.Tags["phase"] == "" {
			out.Promises = append(out.Promises, p.result())
		} else {
			out.Series[at].Promises = append(out.Series[at].Promises, p.result())
		}
	}
	for _, p := range r.phases {
		out.Phases = append(out.Phases, resultPhase{p.Name, p.Scenario, p.Start.Sub(r.run.Start).Seconds(), p.Duration.Seconds()})
	}
	out.Recovery = r.recoveries()
	out.Timeline = r.points()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err = e.Encode(out)
	return b.String(), err
}

func (p *promise) result() resultPromise {
	out := resultPromise{
		What: p.what(), Phase: p.Tags["phase"], Limit: p.Limit, AtLeast: strings.HasPrefix(p.Op, ">"), Measured: p.Measured,
		Unit: p.Unit, Origin: p.Source,
	}
	if p.Silent {
		out.Measured = nil
	} else {
		out.Kept = &p.Held
	}
	return out
}

func (r *report) series(s *record.Series) (resultSeries, error) {
	histogram, err := s.Latency.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return resultSeries{}, fmt.Errorf("encode histogram: %w", err)
	}
	out := resultSeries{
		Name: "chat turn", Phase: s.Phase, Scenario: s.Scenario, Count: s.Turns, Errors: resultErrors{s.Failed, s.Errors}, Shed: s.Shed,
		Latency: summarize(s.Latency), Service: summarize(s.Service), FirstToken: summarize(s.FirstToken),
		Histogram: string(histogram), Blocks: r.blocks(s),
	}
	for i := range r.phases {
		if r.phases[i].Name == s.Phase && r.phases[i].Scenario == s.Scenario {
			out.Seconds += r.phases[i].Duration.Seconds()
		}
	}
	if out.Seconds == 0 { // a phase that was not declared
		out.Seconds = s.Last.Sub(s.First).Seconds()
	}
	if out.Seconds > 0 {
		out.Rate = float64(s.OK) / out.Seconds
	}
	if s.Turns > 0 { // who was refused was not served
		out.SuccessRate = float64(s.OK) / float64(s.Turns)
	}
	if s.Size.TotalCount() > 0 {
		out.Size = &resultSize{s.Size.Mean(), float64(s.Size.ValueAtPercentile(95))}
	}
	if n := s.Hits + s.Misses; n > 0 {
		out.Cache = &resultCache{s.Hits, s.Misses, float64(s.Hits) / float64(n)}
	}
	return out, nil
}

// summarize returns the figures of a histogram of nanoseconds, nil when it is empty.
func summarize(h *hdrhistogram.Histogram) *resultSummary {
	n := h.TotalCount()
	if n == 0 {
		return nil
	}
	s := &resultSummary{
		Avg: h.Mean() / 1e6, Median: ms(h.ValueAtPercentile(50)), P95: ms(h.ValueAtPercentile(95)), P99: ms(h.ValueAtPercentile(99)),
		Min: ms(h.Min()), Max: ms(h.Max()),
	}
	for _, figure := range []struct {
		name  string
		least int64 // 20/(1-p)
	}{{"median", 40}, {"p95", 400}, {"p99", 2000}} {
		if n < figure.least {
			s.TooFew = append(s.TooFew, figure.name)
		}
	}
	return s
}

// blocks cuts a phase into parts of one length, at least 10 where the timeline has as many moments, for bench compare.
func (r *report) blocks(s *record.Series) []resultBlock {
	at := slices.IndexFunc(r.run.Rows, func(row record.Row) bool { return row.Scenario == s.Scenario })
	if at < 0 {
		return nil
	}
	moments := r.run.Rows[at].Moments
	var within []int
	for i, m := range moments {
		if m.Turns > 0 && m.Phase == s.Phase {
			within = append(within, i)
		}
	}
	size := max(1, len(within)/20)
	var all []resultBlock
	for start := 0; start+size <= len(within); {
		part := within[start : start+size]
		if part[size-1]-part[0] != size-1 { // another phase lies between: begin behind the gap
			start++
			continue
		}
		all = append(all, r.block(part[0], moments[part[0]:part[0]+size]))
		start += size
	}
	return all
}

// block sums up moments that follow each other, from the first on.
func (r *report) block(first int, moments []record.Moment) resultBlock {
	sum := record.Moment{Latency: record.NewTimes(2)}
	for i := range moments {
		sum.Merge(&moments[i])
	}
	seconds := (time.Duration(len(moments)) * r.run.Width).Seconds()
	b := resultBlock{
		Start: (time.Duration(first) * r.run.Width).Seconds(), Seconds: seconds, Count: sum.Turns, Errors: sum.Failed,
		Rate: float64(sum.OK) / seconds,
	}
	if s := summarize(sum.Latency); s != nil {
		b.Avg, b.Median, b.P95, b.P99 = &s.Avg, &s.Median, &s.P95, &s.P99
	}
	return b
}

// recoveries returns how the server came back after each spike, with when that ended where the phases tell.
func (r *report) recoveries() []resultReturn {
	var all []resultReturn
	for _, v := range r.run.Recoveries {
		out := resultReturn{After: "peak", Scenario: v.Scenario, Recovered: v.Recovered, Seconds: v.Time.Seconds()}
		if end, ok := r.spikeEnd(v); ok {
			out.PeakEnd = end.Seconds()
		}
		all = append(all, out)
	}
	return all
}

// spikeEnd is when the load was back after a spike, from the start of the run: the start of the recovery that follows a peak.
func (r *report) spikeEnd(v record.Recovery) (time.Duration, bool) {
	n, peak := 0, false
	for _, p := range r.phases {
		switch {
		case p.Scenario != v.Scenario:
		case p.Name == "peak":
			peak = true
		case p.Name == "recovery" && peak:
			if n++; n == v.Spike {
				return p.Start.Sub(r.run.Start), true
			}
			peak = false
		}
	}
	return 0, false
}

func (r *report) points() []resultPoint {
	if len(r.run.Rows) == 0 {
		return nil
	}
	var all []resultPoint
	for i := range r.run.Rows[0].Moments {
		for _, row := range r.run.Rows {
			if m := &row.Moments[i]; m.Turns > 0 {
				all = append(all, r.point(i, row.Scenario, m))
			}
		}
	}
	return all
}

// point is what one scenario showed in a moment.
func (r *report) point(i int, scenario string, m *record.Moment) resultPoint {
	p := resultPoint{
		At: (time.Duration(i) * r.run.Width).Seconds(), Seconds: r.run.Width.Seconds(), Phase: m.Phase, Scenario: scenario,
		Rate: float64(m.Turns) / r.run.Width.Seconds(), Errors: ratio(m.Failed, m.Turns), Shed: ratio(m.Shed, m.Turns),
	}
	if s := summarize(m.Latency); s != nil {
		p.Median, p.P95, p.P99 = &s.Median, &s.P95, &s.P99
	}
	if n := m.Hits + m.Misses; n > 0 {
		rate := ratio(m.Hits, n)
		p.Hits = &rate
	}
	return p
}

// ms is nanoseconds as milliseconds.
func ms(ns int64) float64 { return float64(ns) / 1e6 }

func ratio(part, whole int64) float64 { return float64(part) / float64(whole) }
