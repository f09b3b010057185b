package result_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/result"
)

func schema(t *testing.T) *result.Schema {
	t.Helper()
	text, err := os.ReadFile("../../result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := result.NewSchema(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// full returns a run that has every field.
func full(t *testing.T) *result.Document {
	t.Helper()
	one, yes, pair := 1.0, true, 3
	summary := &result.Summary{Avg: 1, Median: 1, P95: 2, P99: 3, Min: 0.5, Max: 4, TooFew: []string{"p99"}}
	promise := result.Promise{
		What: "p95 latency", Route: "GET /x", Phase: "peak", Limit: 500, AtLeast: true, Measured: &one, Unit: result.UnitMS,
		Kept: &yes, Origin: "shop.toml:3:1",
	}
	run := result.Run{
		ID: "a", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), DurationSeconds: 10, Scenario: "spike",
		Target: "http://127.0.0.1:1", Server: "shop.toml", Commit: "abc", Seed: 1,
	}
	if err := run.Configure(map[string]any{"rate": 100}); err != nil {
		t.Fatal(err)
	}
	return &result.Document{
		SchemaVersion: result.Version, Kind: result.KindRun, Tool: result.Tool{Name: "bench", Version: "dev"},
		Measured: &result.Measured{
			Run:  run,
			Host: result.Host{OS: "linux", Arch: "amd64", CPU: "x", CPUs: 2, GOMAXPROCS: 2, Go: "go1.26", Load1Start: 0.1, Commit: "abc"},
			Validity: result.Validity{
				Valid: false, Reasons: []string{"it was late"}, ClientCPURatio: &one, LagP99MS: &one, DeliveredRatio: &one, Dropped: 1,
			},
			Series: []*result.Series{{
				Name: "GET /x", Endpoint: "GET /x", Phase: "peak", Scenario: "spike", Count: 10,
				Errors: result.Errors{Total: 1, ByType: map[string]int64{"timeout": 1}}, Shed: 1, DurationSeconds: 10, Rate: 0.9,
				SuccessRate: 0.9, Latency: summary, Service: summary, FirstToken: summary, Size: &result.Size{Avg: 10, P95: 12},
				Cache: &result.Cache{Hits: 1, Misses: 1, Rate: 0.5}, CPU: &one, Histogram: "aGk=", Assessment: "fine",
				Blocks: []result.Block{{
					DurationSeconds: 1, Count: 1, Errors: 1, Rate: 1, Avg: &one, Median: &one, P95: &one, P99: &one, CPU: &one, Pair: &pair,
				}},
				Promises: []result.Promise{promise},
			}},
			Promises: []result.Promise{promise, {What: "errors", Limit: 0.01, Unit: result.UnitRatio}},
			Phases:   []result.Phase{{Name: "peak", Scenario: "spike", StartSeconds: 1, DurationSeconds: 2}},
			Recovery: []result.Recovery{{After: "peak", Scenario: "spike", PeakEndSeconds: 3, Recovered: true, Seconds: &one, Rule: "as before"}},
			Timeline: []result.Point{{
				AtSeconds: 1, Seconds: 1, Phase: "peak", Scenario: "spike", Users: &one, Rate: &one, ErrorRate: &one, ShedRate: &one,
				Median: &one, P95: &one, P99: &one, HitRate: &one,
			}},
		},
	}
}

func write(t *testing.T, d *result.Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is written is what the schema allows, and reads as it was.
func TestDocumentsFollowTheSchema(t *testing.T) {
	run, p, low, high := full(t), 0.01, 90.0, 110.0
	comparison := &result.Document{
		SchemaVersion: result.Version, Kind: result.KindComparison, Tool: result.Tool{Name: "bench", Version: "dev"}, Base: run, Cand: run,
		Comparison: &result.Comparison{
			Paired: true, Interleaved: true, Confidence: 0.95, Seed: 1, Verdict: result.Regressed, Warnings: []string{"w"},
			Series: []result.SeriesVerdict{{Name: "GET /x", Phase: "peak", Scenario: "spike", Verdict: result.Regressed}},
			Changes: []result.Change{{
				Series: "GET /x", Phase: "peak", Scenario: "spike", Metric: "median", Unit: result.UnitMS, Base: 1, Cand: 2, Change: 100,
				Low: &low, High: &high, Confidence: 0.95, P: &p, PAdjusted: &p, Method: "m", Margin: 5, Verdict: result.Regressed,
				RoundsNeeded: 3, Gates: true,
			}},
		},
	}
	for _, d := range []*result.Document{run, comparison} {
		text := write(t, d)
		read, err := schema(t).Read([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if again := write(t, read); again != text {
			t.Errorf("it reads as\n%s\nand was\n%s", again, text)
		}
	}
}

func TestWrongDocumentsSayWhere(t *testing.T) {
	good := write(t, full(t))
	for _, c := range []struct{ name, text, want string }{
		{"not JSON", "{", "not JSON"},
		{"another version", strings.Replace(good, `"schema_version": 1`, `"schema_version": 2`, 1), "schema_version is 2"},
		{"something else", `{"root_group": {}}`, "schema_version is <nil>"},
		{"a list", `[]`, "the document"},
		{"unknown field", strings.Replace(good, `"shed": 1`, `"shedd": 1`, 1), "series.0: additional properties 'shedd' not allowed"},
		{"wrong type", strings.Replace(good, `"dropped": 1`, `"dropped": "1"`, 1), "validity.dropped: got string, want integer"},
		{"ratio above 1", strings.Replace(good, `"hit_rate": 1`, `"hit_rate": 1.5`, 1), "timeline.0.hit_rate: maximum: got 1.5, want 1"},
	} {
		if _, err := schema(t).Read([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// Equal settings have equal hashes, in whatever order they are written.
func TestConfigHash(t *testing.T) {
	var a, b, other result.Run
	for run, config := range map[*result.Run]any{
		&a: json.RawMessage(`{"b": 1, "a": {"d": 2, "c": 3}}`), &b: map[string]any{"a": map[string]int{"c": 3, "d": 2}, "b": 1},
		&other: map[string]any{"a": 1},
	} {
		if err := run.Configure(config); err != nil {
			t.Fatal(err)
		}
	}
	if a.ConfigHash != b.ConfigHash || a.ConfigHash == other.ConfigHash || string(a.Config) != `{"a":{"c":3,"d":2},"b":1}` {
		t.Errorf("%s %s, %s, other %s", a.Config, a.ConfigHash, b.ConfigHash, other.ConfigHash)
	}
}
