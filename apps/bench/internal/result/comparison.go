package result

// Verdict is what to think of a candidate.
type Verdict string

// The verdicts.
const (
	Improved     Verdict = "improved"
	Equivalent   Verdict = "equivalent"
	Regressed    Verdict = "regressed"
	Inconclusive Verdict = "inconclusive"
)

// Comparison is a base against a candidate.
type Comparison struct {
	Paired      bool            `json:"paired"`
	Interleaved bool            `json:"interleaved"`
	Confidence  float64         `json:"confidence"`
	Seed        uint64          `json:"seed"`
	Changes     []Change        `json:"changes"`
	Series      []SeriesVerdict `json:"series"`
	Verdict     Verdict         `json:"verdict"`
	Warnings    []string        `json:"warnings"`
}

// SeriesVerdict is the verdict on a series.
type SeriesVerdict struct {
	Name     string  `json:"name"`
	Phase    string  `json:"phase,omitempty"`
	Scenario string  `json:"scenario,omitempty"`
	Verdict  Verdict `json:"verdict"`
}

// Change is one metric of one series, base against candidate.
type Change struct {
	Series       string   `json:"series"`
	Phase        string   `json:"phase,omitempty"`
	Scenario     string   `json:"scenario,omitempty"`
	Metric       string   `json:"metric"`
	Unit         string   `json:"unit"`
	Base         float64  `json:"base"`
	Cand         float64  `json:"cand"`
	Change       float64  `json:"change"`
	Low          *float64 `json:"low,omitempty"` // nil: too few blocks for an interval
	High         *float64 `json:"high,omitempty"`
	Confidence   float64  `json:"confidence,omitempty"`
	P            *float64 `json:"p,omitempty"`
	PAdjusted    *float64 `json:"p_adjusted,omitempty"`
	Method       string   `json:"method"`
	Margin       float64  `json:"margin"`
	Verdict      Verdict  `json:"verdict"`
	RoundsNeeded int      `json:"rounds_needed,omitempty"`
	Gates        bool     `json:"gates"`
}
