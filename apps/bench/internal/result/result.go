// Package result is the form in which load tests are written down: what bench run, bench ab and bench compare write, and what the
// summary of k6/x/chatbot writes too. result.schema.json, beside the command, is its specification and says what each field
// means; the types here are its shape in Go, field by field.
package result

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Version is that of the format.
const Version = 1

// Kinds of documents.
const (
	KindRun        = "run"
	KindComparison = "comparison"
)

// Document is one file: a run, or a comparison of two.
type Document struct {
	SchemaVersion int    `json:"schema_version"`
	Kind          string `json:"kind"`
	Tool          Tool   `json:"tool"`

	*Measured              // of a run
	Comparison *Comparison `json:"comparison,omitempty"`
	Base       *Document   `json:"base,omitempty"`
	Cand       *Document   `json:"cand,omitempty"`
}

// Measured is what a run has.
type Measured struct {
	Run      Run        `json:"run"`
	Host     Host       `json:"host"`
	Validity Validity   `json:"validity"`
	Series   []*Series  `json:"series"`
	Promises []Promise  `json:"promises"`
	Phases   []Phase    `json:"phases,omitempty"`
	Recovery []Recovery `json:"recovery,omitempty"`
	Timeline []Point    `json:"timeline,omitempty"`
}

// Tool is the program that wrote a file.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Run says what was run, and how.
type Run struct {
	ID              string          `json:"id"`
	Started         time.Time       `json:"started"`
	DurationSeconds float64         `json:"duration_seconds"`
	Scenario        string          `json:"scenario,omitempty"`
	Target          string          `json:"target,omitempty"`
	Server          string          `json:"server,omitempty"`
	Commit          string          `json:"commit,omitempty"`
	Config          json.RawMessage `json:"config"`
	ConfigHash      string          `json:"config_hash"`
	Seed            uint64          `json:"seed"`
}

// Configure sets the configuration, and its hash.
func (r *Run) Configure(config any) error {
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	var sorted any // marshalled again, its keys are sorted
	if err := json.Unmarshal(text, &sorted); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if text, err = json.Marshal(sorted); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	sum := sha256.Sum256(text)
	r.Config, r.ConfigHash = text, hex.EncodeToString(sum[:])
	return nil
}

// Host is the machine of the load generator.
type Host struct {
	OS         string  `json:"os"`
	Arch       string  `json:"arch"`
	CPU        string  `json:"cpu"`
	CPUs       int     `json:"cpus"`
	GOMAXPROCS int     `json:"gomaxprocs"`
	Go         string  `json:"go"`
	Load1Start float64 `json:"load1_start"`
	Commit     string  `json:"commit,omitempty"`
}

// Same reports whether figures of two hosts can be compared. The load before the run, the version of Go and the commit may
// differ.
func (h Host) Same(o Host) bool {
	return h.OS == o.OS && h.Arch == o.Arch && h.CPU == o.CPU && h.CPUs == o.CPUs && h.GOMAXPROCS == o.GOMAXPROCS
}

// Validity says whether the generator kept up.
type Validity struct {
	Valid          bool     `json:"valid"`
	Reasons        []string `json:"reasons"`
	ClientCPURatio *float64 `json:"client_cpu_ratio,omitempty"`
	LagP99MS       *float64 `json:"lag_p99_ms,omitempty"`
	DeliveredRatio *float64 `json:"delivered_ratio,omitempty"`
	Dropped        int64    `json:"dropped"`
}

// Series is the requests of one kind.
type Series struct {
	Name            string    `json:"name"`
	Endpoint        string    `json:"endpoint,omitempty"`
	Phase           string    `json:"phase,omitempty"`
	Scenario        string    `json:"scenario,omitempty"`
	Count           int64     `json:"count"`
	Errors          Errors    `json:"errors"`
	Shed            int64     `json:"shed"`
	DurationSeconds float64   `json:"duration_seconds"`
	Rate            float64   `json:"rate"`
	SuccessRate     float64   `json:"success_rate"`
	Latency         *Summary  `json:"latency_ms,omitempty"`
	Service         *Summary  `json:"service_ms,omitempty"`
	FirstToken      *Summary  `json:"first_token_ms,omitempty"`
	Size            *Size     `json:"size_bytes,omitempty"`
	Cache           *Cache    `json:"cache,omitempty"`
	CPU             *float64  `json:"cpu_us_per_request,omitempty"`
	Blocks          []Block   `json:"blocks,omitempty"`
	Histogram       string    `json:"histogram,omitempty"`
	Promises        []Promise `json:"promises,omitempty"`
	Assessment      string    `json:"assessment,omitempty"`
}

// Label names the series, with its scenario and phase where it has them.
func (s *Series) Label() string {
	parts := slices.DeleteFunc([]string{s.Name, s.Scenario, s.Phase}, func(part string) bool { return part == "" })
	return strings.Join(parts, ", ")
}

// Served returns the share of requests that were answered well. Whoever was refused was not served. It is counted, as the success rate
// of a file may leave out who was refused. Of no requests it is 1.
func (s *Series) Served() float64 {
	if s.Count == 0 {
		return 1
	}
	return float64(s.Good()) / float64(s.Count)
}

// Good returns how many requests were answered well.
func (s *Series) Good() int64 { return s.Count - s.Shed - s.Errors.Total }

// Errors counts the requests that failed.
type Errors struct {
	Total  int64            `json:"total"`
	ByType map[string]int64 `json:"by_type"`
}

// String says how requests failed, the most frequent way first.
func (e Errors) String() string {
	kinds := slices.SortedFunc(maps.Keys(e.ByType), func(a, b string) int {
		return cmp.Or(cmp.Compare(e.ByType[b], e.ByType[a]), cmp.Compare(a, b))
	})
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", e.ByType[kind], kind)
	}
	return cmp.Or(strings.Join(kinds, ", "), "none")
}

// Summary is the figures of a distribution, in milliseconds.
type Summary struct {
	Avg    float64  `json:"avg"`
	Median float64  `json:"median"`
	P95    float64  `json:"p95"`
	P99    float64  `json:"p99"`
	Min    float64  `json:"min"`
	Max    float64  `json:"max"`
	TooFew []string `json:"too_few,omitempty"`
}

// Size is that of the answers' bodies.
type Size struct {
	Avg float64 `json:"avg"`
	P95 float64 `json:"p95"`
}

// Cache is what answers say of the cache.
type Cache struct {
	Hits   int64   `json:"hits"`
	Misses int64   `json:"misses"`
	Rate   float64 `json:"rate"`
}

// Block is a part of a run.
type Block struct {
	StartSeconds    float64  `json:"start_seconds"`
	DurationSeconds float64  `json:"duration_seconds"`
	Count           int64    `json:"count"`
	Errors          int64    `json:"errors"`
	Rate            float64  `json:"rate"`
	Avg             *float64 `json:"avg_ms,omitempty"`
	Median          *float64 `json:"median_ms,omitempty"`
	P95             *float64 `json:"p95_ms,omitempty"`
	P99             *float64 `json:"p99_ms,omitempty"`
	CPU             *float64 `json:"cpu_us_per_request,omitempty"`
	Pair            *int     `json:"pair,omitempty"`
}

// Units of promises and changes.
const (
	UnitMS        = "ms"
	UnitUS        = "us"
	UnitRatio     = "ratio"
	UnitPerSecond = "per_second"
)

// Promise is something that was promised, and what was measured.
type Promise struct {
	What     string   `json:"what"`
	Route    string   `json:"route,omitempty"`
	Phase    string   `json:"phase,omitempty"`
	Limit    float64  `json:"limit"`
	AtLeast  bool     `json:"at_least,omitempty"`
	Measured *float64 `json:"measured"`
	Unit     string   `json:"unit"`
	Kept     *bool    `json:"kept"` // nil: too few requests to say
	Origin   string   `json:"origin,omitempty"`
}

// Phase is a declared phase of a scenario.
type Phase struct {
	Name            string  `json:"name"`
	Scenario        string  `json:"scenario,omitempty"`
	StartSeconds    float64 `json:"start_seconds"`
	DurationSeconds float64 `json:"duration_seconds"`
}

// Recovery is how the server came back after a peak.
type Recovery struct {
	After          string   `json:"after"`
	Scenario       string   `json:"scenario,omitempty"`
	PeakEndSeconds float64  `json:"peak_end_seconds"`
	Recovered      bool     `json:"recovered"`
	Seconds        *float64 `json:"seconds,omitempty"`
	Rule           string   `json:"rule,omitempty"`
}

// Point is a moment of a run.
type Point struct {
	AtSeconds float64  `json:"at_seconds"`
	Seconds   float64  `json:"seconds,omitempty"`
	Phase     string   `json:"phase,omitempty"`
	Scenario  string   `json:"scenario,omitempty"`
	Users     *float64 `json:"users,omitempty"`
	Rate      *float64 `json:"rate,omitempty"`
	ErrorRate *float64 `json:"error_rate,omitempty"`
	ShedRate  *float64 `json:"shed_rate,omitempty"`
	Median    *float64 `json:"median_ms,omitempty"`
	P95       *float64 `json:"p95_ms,omitempty"`
	P99       *float64 `json:"p99_ms,omitempty"`
	HitRate   *float64 `json:"hit_rate,omitempty"`
}
