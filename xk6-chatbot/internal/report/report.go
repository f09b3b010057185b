// Package report tells what a load test showed: as text for the terminal, as JSON that bench compare reads, and as one HTML file.
package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

// Options says what was run, and where the files go.
type Options struct {
	Dir    string         // folder of the files; none are written when it is empty
	Name   string         // of the test, and of its files
	Target string         // address of the server
	Config map[string]any // every setting that changes what is measured; two runs can be compared when theirs is the same
	Seed   int64          // of everything random

	Silent map[string]bool // thresholds, by selector, of which nothing was measured: k6 may have let them pass
	Failed bool            // the extension has failed the test for what was not measured
}

// Files returns the text for the terminal under "stdout", and the content of each file under its path, whose folder it makes.
// data is what k6 passes to handleSummary. The run's own histograms are where its figures come from: k6's hold no time and no
// phase without a threshold.
func Files(run *record.Run, data map[string]any, o Options) (map[string]any, error) {
	if o.Name == "" {
		o.Name = "summary"
	}
	r, err := newReport(run, data, o)
	if err != nil {
		return nil, err
	}
	files := map[string]any{"stdout": r.text()} // of any: k6 takes no other map
	if o.Dir == "" {
		return files, nil
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	text := func() (string, error) { return r.text(), nil }
	for extension, write := range map[string]func() (string, error){"txt": text, "json": r.json, "html": r.html} {
		content, err := write()
		if err != nil {
			return nil, fmt.Errorf("report %s.%s: %w", o.Name, extension, err)
		}
		files[filepath.Join(o.Dir, o.Name+"."+extension)] = content
	}
	return files, nil
}

// report is a run with all that is said of it.
type report struct {
	Options
	run      *record.Run
	several  bool // scenarios ran
	total    *record.Series
	length   time.Duration
	promises []promise
	phases   []record.Phase // as declared, or else as they were seen; those of a scenario in order
	invalid  []string       // why the figures may be the generator's own
	dropped  int64
	lagP99   *float64 // ms, of an open model
	cpu      float64  // share of the generator's processors that it used
	maxRate  float64  // that a search has found, in turns per second
}

func newReport(run *record.Run, data map[string]any, o Options) (*report, error) {
	s, err := parseSummary(data)
	if err != nil {
		return nil, fmt.Errorf("read what k6 passes to handleSummary: %w", err)
	}
	r := &report{Options: o, run: run, several: several(run), total: run.Total()}
	r.length = time.Duration(s.State.Milliseconds * float64(time.Millisecond))
	if !r.total.First.IsZero() {
		r.length = min(r.length, r.total.Last.Sub(run.Start))
	}
	r.phases = slices.Clone(run.Phases)
	switch {
	case r.several:
		r.phases = append(r.phases, undeclaredPhases(run)...)
	case len(r.phases) == 0:
		r.phases = seenPhases(run)
	}
	r.promises = s.promises(run, o.Silent)
	r.dropped = int64(s.Metrics["dropped_iterations"].Values["count"])
	if lag, ok := s.Metrics["chat_schedule_lag"].Values["p(99)"]; ok {
		r.lagP99 = &lag
	}
	r.maxRate = s.Metrics["chat_max_rate"].Values["value"]
	r.cpu = cpuShare(s.State.Milliseconds)
	r.invalid = r.validity()
	return r, nil
}

// several says whether a run had more than one scenario.
func several(run *record.Run) bool {
	names := map[string]bool{}
	for _, s := range run.Series {
		names[s.Scenario] = true
	}
	for _, p := range run.Phases {
		names[p.Scenario] = true
	}
	return len(names) > 1
}

// of names what is a scenario's, and the scenario where there are several.
func (r *report) of(scenario, name string) string {
	if r.several {
		return scenario + " " + name
	}
	return name
}

// validity says why the generator, not the server, may be what was measured.
func (r *report) validity() []string {
	var why []string
	if r.dropped > 0 {
		why = append(why, fmt.Sprintf(
			"%d conversations were due and never started: the test had no virtual user left for them (maxVUs)", r.dropped))
	}
	if r.cpu > 0.8 {
		why = append(why, fmt.Sprintf("k6 used %.0f %% of its processors, so it may have waited for itself", 100*r.cpu))
	}
	return why
}

// broken returns the promises that were broken, or of which nothing was measured.
func (r *report) broken() []promise {
	var all []promise
	for _, p := range r.promises {
		if p.state() != kept {
			all = append(all, p)
		}
	}
	return all
}

// silent returns the names of declared phases in which no turn was measured.
func (r *report) silent() []string {
	var names []string
	seen := map[[2]string]bool{}
	for _, s := range r.run.Series {
		seen[[2]string{s.Scenario, s.Phase}] = true
	}
	for _, p := range r.run.Phases {
		if key := [2]string{p.Scenario, p.Name}; !seen[key] {
			seen[key] = true
			names = append(names, r.of(p.Scenario, p.Name))
		}
	}
	return names
}

// The words of a verdict. A run that failed is one that k6 ends with another code than 0: a threshold was crossed, or the extension
// failed the test. One that shows nothing has not failed, and is none to rely on.
const (
	passed   = "PASSED"
	failed   = "FAILED"
	notValid = "NOT VALID"
)

// verdict is the run in a word and a line.
func (r *report) verdict() (word, text string) {
	broken, silent := r.broken(), r.silent()
	bad := notValid
	if r.Failed || slices.ContainsFunc(r.promises, func(p promise) bool { return !p.Held }) {
		bad = failed
	}
	switch {
	case r.total.Turns == 0:
		return bad, "nothing was measured: no turn ended"
	case len(broken) > 0:
		return bad, fmt.Sprintf("%d of %s not kept", len(broken), count(len(r.promises), "promise"))
	case len(silent) > 0:
		return bad, "phases without a turn: " + list(silent)
	case r.Failed:
		return bad, "what was promised came too late to be measured"
	case len(r.invalid) > 0:
		return bad, "the load generator was the limit"
	case len(r.promises) == 0:
		return passed, "nothing was promised"
	}
	return passed, fmt.Sprintf("all %s kept", count(len(r.promises), "promise"))
}

// undeclaredPhases returns, of scenarios that declare none, from when to when their phases had turns.
func undeclaredPhases(run *record.Run) []record.Phase {
	var all []record.Phase
	for _, s := range run.Series {
		if !slices.ContainsFunc(run.Phases, func(p record.Phase) bool { return p.Scenario == s.Scenario }) {
			all = append(all, record.Phase{Scenario: s.Scenario, Name: s.Phase, Start: s.First, Duration: s.Last.Sub(s.First)})
		}
	}
	return all
}

// seenPhases returns the phases of the timeline, as stretches.
func seenPhases(run *record.Run) []record.Phase {
	var all []record.Phase
	for _, row := range run.Rows {
		for i, m := range row.Moments {
			if m.Turns == 0 {
				continue
			}
			at := run.Start.Add(time.Duration(i) * run.Width)
			if n := len(all); n > 0 && all[n-1].Name == m.Phase && all[n-1].Scenario == row.Scenario {
				all[n-1].Duration = at.Add(run.Width).Sub(all[n-1].Start)
				continue
			}
			all = append(all, record.Phase{Scenario: row.Scenario, Name: m.Phase, Start: at, Duration: run.Width})
		}
	}
	return all
}
