package report

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

// text returns what the terminal shows.
func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s · %s · %s", r.Name, duration(r.length), count(int(r.total.Turns), "turn"))
	if r.Target != "" {
		fmt.Fprintf(&b, " · %s", r.Target)
	}
	b.WriteString("\n\n")
	header, rows := r.phaseTable()
	table(&b, header, rows)
	if rows := r.errorTable(); len(rows) > 0 {
		b.WriteString("\nwhat failed\n")
		table(&b, nil, rows)
	}
	if header, rows := r.stepTable(); rows != nil {
		fmt.Fprintf(&b, "\nsearch: %s\n", r.found())
		table(&b, header, rows)
	}
	if len(r.run.Recoveries) > 0 {
		b.WriteString("\nrecovery\n")
		for _, v := range r.run.Recoveries {
			fmt.Fprintf(&b, "  %s\n", r.recovery(v))
		}
	}
	if len(r.promises) > 0 {
		b.WriteString("\npromises\n")
		var rows [][]string
		for _, p := range r.promises {
			sign := []string{"✓", "✗", "?"}[p.state()]
			rows = append(rows, []string{sign + " " + p.where(), p.what(), p.measured(), p.limit(), p.Why})
		}
		table(&b, nil, rows)
	}
	b.WriteString("\n")
	for _, reason := range r.invalid {
		fmt.Fprintf(&b, "not valid: %s\n", reason)
	}
	word, verdict := r.verdict()
	fmt.Fprintf(&b, "%s: %s\n", word, verdict)
	if r.Dir != "" {
		fmt.Fprintf(&b, "report: %s/%s.html\n", strings.TrimSuffix(r.Dir, "/"), r.Name)
	}
	return b.String()
}

// phaseTable is the run by phase, and as a whole.
func (r *report) phaseTable() (header []string, rows [][]string) {
	header = []string{
		"phase", "turns", "failed", "shed", "P50", "P95", "P99", "from due: P50", "P95", "P99", "first token: P95", "goodput",
		"cache hits",
	}
	for _, s := range r.run.Series {
		rows = append(rows, figures(r.of(s.Scenario, s.Phase), s))
	}
	return header, append(rows, figures("all", r.total))
}

func figures(name string, s *record.Series) []string {
	return []string{
		name, fmt.Sprint(s.Turns), share(s.Failed, s.Turns), share(s.Shed, s.Turns),
		at(s.Service, 50), at(s.Service, 95), at(s.Service, 99), at(s.Latency, 50), at(s.Latency, 95), at(s.Latency, 99),
		at(s.FirstToken, 95), share(s.Good, s.Turns), share(s.Hits, s.Hits+s.Misses),
	}
}

// at is a percentile of a histogram of nanoseconds, or a dash where it is empty.
func at(h *hdrhistogram.Histogram, percentile float64) string {
	if h.TotalCount() == 0 {
		return "–"
	}
	return millis(ms(h.ValueAtPercentile(percentile)))
}

// errorTable is what failed, by phase.
func (r *report) errorTable() [][]string {
	var rows [][]string
	for _, s := range r.run.Series {
		if s.Failed == 0 && len(s.Rules) == 0 {
			continue
		}
		why := tally(s.Errors)
		if len(s.Rules) > 0 {
			why += "; broken contract: " + tally(s.Rules)
		}
		rows = append(rows, []string{r.of(s.Scenario, s.Phase), why})
	}
	return rows
}

// found is the outcome of a search for the highest sustained rate.
func (r *report) found() string {
	if r.maxRate == 0 {
		return "no rate was found at which the promise held, and held again"
	}
	return fmt.Sprintf("the promise holds up to %.3g turns per second", r.maxRate)
}

// stepTable is the rates that a search has tried, nil when there was none.
func (r *report) stepTable() (header []string, rows [][]string) {
	for _, s := range r.run.Steps {
		what := "held"
		switch {
		case s.Turns == 0:
			what = "no turn"
		case s.Starved > 0:
			what = fmt.Sprintf("not known: %d had to wait for a free user (maxVUs)", s.Starved)
		case !s.Held:
			what = "broke"
		}
		kind := "tried"
		if s.Control {
			kind = "control"
		}
		rows = append(rows, []string{
			fmt.Sprintf("%.3g/s", s.Rate), kind, duration(max(0, s.Start.Sub(r.run.Start))), fmt.Sprint(s.Turns),
			share(int64(s.Late), int64(s.Turns)), share(int64(s.Failed), int64(s.Turns)), what,
		})
	}
	return []string{"rate", "", "at", "turns", "too late", "failed", "promise"}, rows
}

func (r *report) recovery(v record.Recovery) string {
	spike := r.of(v.Scenario, fmt.Sprintf("spike %d", v.Spike))
	if v.Recovered {
		return fmt.Sprintf("%s: back to normal %s after it ended", spike, duration(v.Time))
	}
	return fmt.Sprintf("%s: not back to normal when the test ended, %s after the spike", spike, duration(v.Time))
}

// table writes rows in columns; a cell that is empty at the end of a row is left out.
func table(b *strings.Builder, header []string, rows [][]string) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		fmt.Fprintf(w, "  %s\n", strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = w.Flush() // a strings.Builder takes everything
}
