package report_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/innatural/chatbot/apps/bench/internal/report"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// sample returns a run of one series with some of everything.
func sample(t *testing.T) *result.Document {
	t.Helper()
	h := hdrhistogram.New(100, 60_000_000_000, 3)
	for i := range 1000 {
		if err := h.RecordValue(int64(1_000_000 + i*1000)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	kept, measured, cpu, lag, sent := true, 1.95, 12.5, 0.2, 1.0
	s := &result.Series{
		Name: "GET /a|b <x>", Count: 1001, Shed: 200, Errors: result.Errors{Total: 1, ByType: map[string]int64{"timeout": 1}}, DurationSeconds: 10, Rate: 100,
		SuccessRate: 800.0 / 1001, Latency: &result.Summary{Avg: 1.5, Median: 1.5, P95: 1.95, P99: 1.99, Min: 1, Max: 2, TooFew: []string{"p99"}},
		Service: &result.Summary{P95: 1.9}, Size: &result.Size{Avg: 12345, P95: 12345}, Cache: &result.Cache{Hits: 9, Misses: 1, Rate: 0.9}, CPU: &cpu,
		Histogram: string(text), Assessment: "kept: p95 latency 1.95 ms of at most 500 ms",
		Promises: []result.Promise{{What: "p95 latency", Limit: 500, Measured: &measured, Unit: result.UnitMS, Kept: &kept}},
	}
	for i := range 10 {
		median := 1.5 + float64(i)/100
		s.Blocks = append(s.Blocks, result.Block{StartSeconds: float64(i), DurationSeconds: 1, Count: 100, Rate: 100, Avg: &median, Median: &median, P95: &median, P99: &median})
	}
	return &result.Document{
		SchemaVersion: result.Version, Kind: result.KindRun, Tool: result.Tool{Name: "bench", Version: "1.0"},
		Measured: &result.Measured{
			Run: result.Run{ID: "x", DurationSeconds: 10, Target: "http://x"}, Validity: result.Validity{Valid: true, ClientCPURatio: &lag, LagP99MS: &lag, DeliveredRatio: &sent},
			Host: result.Host{OS: "linux 6.1", CPU: "a CPU", CPUs: 2, GOMAXPROCS: 2, Go: "go1.26"}, Series: []*result.Series{s},
		},
	}
}

func comparison(t *testing.T) *result.Document {
	t.Helper()
	low, high, p := -3.0, 30.0, 0.2
	return &result.Document{
		Kind: result.KindComparison, Tool: result.Tool{Name: "bench", Version: "1.0"}, Base: sample(t), Cand: sample(t),
		Comparison: &result.Comparison{
			Verdict: result.Inconclusive, Warnings: []string{"not interleaved: why"}, Series: []result.SeriesVerdict{{Name: "GET /a|b <x>", Verdict: result.Inconclusive}},
			Changes: []result.Change{
				{Series: "GET /a|b <x>", Metric: "median", Unit: result.UnitMS, Base: 1, Cand: 1.1, Change: 10, Low: &low, High: &high, P: &p, PAdjusted: &p, Margin: 5, Verdict: result.Inconclusive, RoundsNeeded: 33},
				{Series: "GET /a|b <x>", Metric: "success_rate", Unit: result.UnitRatio, Base: 1, Cand: 0.99999, PAdjusted: &p, Margin: 0.1, Verdict: result.Equivalent},
			},
		},
	}
}

// Every form holds what matters.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(io.Writer, *result.Document) error
		of    *result.Document
		want  []string
	}{
		{"text", report.Text, sample(t), []string{"GET /a|b <x>", "1001", "79.92 %", "refused: GET /a|b <x>: 200 of 1001 requests", "1.99*", "12.3k", "90 %", "12.5", "kept: p95", "valid: the generator", "too few requests", "a CPU, 2 CPUs"}},
		{"text, compared", report.Text, comparison(t), []string{"+10.0 %", "-3.0 to +30.0", "about 33 rounds", "overall: inconclusive", "warning: not interleaved", "99.999 %", "refused: candidate: GET /a|b <x>: 200 of"}},
		{"Markdown", report.Markdown, sample(t), []string{`| GET /a\|b <x> | 1001 |`, "| 79.92 % | 200 |", "|---|--:|", "- GET /a|b <x>: kept", "- refused: GET"}},
		{"Markdown, compared", report.Markdown, comparison(t), []string{"| median | 1 ms | 1.1 ms | +10.0 %"}},
		{"CSV", report.CSV, sample(t), []string{"run,series,", "run,GET /a|b <x>,,,9,9,1,100,0,100,1.59"}},
		{"CSV, compared", report.CSV, comparison(t), []string{"base,GET", "candidate,GET"}},
		{"benchmark format", report.GoBench, comparison(t), []string{"cpu: a CPU", "run: base", "run: candidate", "GET_/a|b_<x>-2 100 1.5e+06 ns/op"}},
		{"page", report.HTML, sample(t), []string{"all promises kept", "GET /a|b &lt;x&gt;", "<td>79.92 %</td><td>200</td>", "<li>refused: ", "promised: p95 latency of 500 ms", "prefers-color-scheme: dark", "Distribution of latency"}},
		{"page, compared", report.HTML, comparison(t), []string{`class="verdict inconclusive"`, `x="80" width="40"`, `x1="88" x2="200"`, "Median of each block", ">candidate</li>"}},
	} {
		var b bytes.Buffer
		if err := c.write(&b, c.of); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%.4000s", c.name, want, &b)
			}
		}
		if strings.HasPrefix(c.name, "page") && (strings.Contains(b.String(), "<script") || strings.Contains(b.String(), "ZgotmplZ") || strings.Contains(b.String(), "://") && strings.Contains(b.String(), "src=")) {
			t.Errorf("%s fetches something or is not whole", c.name)
		}
	}
}

// A result without what is optional, as one of k6 may be, is shown all the same.
func TestLittle(t *testing.T) {
	d := sample(t)
	d.Tool.Name = "k6"
	d.Series = []*result.Series{{Name: "chat turn", Phase: "peak", Count: 3, Errors: result.Errors{Total: 3}}}
	d.Validity = result.Validity{Reasons: []string{"iterations were dropped"}}
	for name, write := range map[string]func(io.Writer, *result.Document) error{"text": report.Text, "page": report.HTML, "Markdown": report.Markdown} {
		var b bytes.Buffer
		if err := write(&b, d); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "chat turn, peak") || !strings.Contains(b.String(), "iterations were dropped") {
			t.Errorf("%s:\n%s", name, &b)
		}
	}
}

// failing refuses what is written.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

func TestAFullDisk(t *testing.T) {
	for name, write := range map[string]func(io.Writer, *result.Document) error{
		"text": report.Text, "page": report.HTML, "Markdown": report.Markdown, "CSV": report.CSV, "benchmark format": report.GoBench,
	} {
		if err := write(failing{}, sample(t)); err == nil {
			t.Errorf("%s: what could not be written is not told", name)
		}
	}
}
