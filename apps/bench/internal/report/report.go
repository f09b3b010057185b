// Package report writes results for people and for other programs: text, Markdown, CSV, Go's benchmark format, and a page of
// one file.
package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/innatural/chatbot/apps/bench/internal/chart"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// table is what text, Markdown and the page show alike.
type table struct {
	Head []string
	Rows [][]string
}

// few marks a figure that rests on too few requests.
const few = "*"

// figures returns the table of a run's series.
func figures(d *result.Document) table {
	t := table{Head: []string{"endpoint", "requests", "req/s", "success", "refused", "avg ms", "median", "P95", "P99", "min", "max", "service P95", "size", "size P95", "hit rate"}}
	cpu := false
	for _, s := range d.Series {
		cpu = cpu || s.CPU != nil
	}
	if cpu {
		t.Head = append(t.Head, "CPU µs")
	}
	for _, s := range d.Series {
		row := []string{s.Label(), fmt.Sprint(s.Count), chart.Number(s.Rate), percent(s.Served()), fmt.Sprint(s.Shed)}
		if l := s.Latency; l != nil {
			mark := func(v float64, name string) string {
				if slices.Contains(l.TooFew, name) {
					return chart.Number(v) + few
				}
				return chart.Number(v)
			}
			row = append(row, chart.Number(l.Avg), mark(l.Median, "median"), mark(l.P95, "p95"), mark(l.P99, "p99"), chart.Number(l.Min), chart.Number(l.Max))
		} else {
			row = append(row, "-", "-", "-", "-", "-", "-")
		}
		service, size, sizeP95, hits, used := "-", "-", "-", "-", "-"
		if s.Service != nil {
			service = chart.Number(s.Service.P95)
		}
		if s.Size != nil {
			size, sizeP95 = chart.Number(s.Size.Avg), chart.Number(s.Size.P95)
		}
		if s.Cache != nil {
			hits = percent(s.Cache.Rate)
		}
		if s.CPU != nil {
			used = chart.Number(*s.CPU)
		}
		row = append(row, service, size, sizeP95, hits)
		if cpu {
			row = append(row, used)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// changes returns the table of a comparison.
func changes(d *result.Document) table {
	t := table{Head: []string{"endpoint", "metric", "base", "candidate", "change", "95 % interval", "p", "verdict"}}
	for _, c := range d.Comparison.Changes {
		t.Rows = append(t.Rows, []string{
			label(c), metricNames[c.Metric], value(c.Base, c.Unit), value(c.Cand, c.Unit), change(c.Change, c), interval(c), p(c), said(c),
		})
	}
	return t
}

var metricNames = map[string]string{
	"avg": "average", "median": "median", "p95": "P95", "p99": "P99", "rate": "requests/s", "success_rate": "success", "cpu": "CPU per request",
}

func label(c result.Change) string {
	return (&result.Series{Name: c.Series, Phase: c.Phase, Scenario: c.Scenario}).Label()
}

func value(v float64, unit string) string {
	switch unit {
	case result.UnitMS:
		return chart.Number(v) + " ms"
	case result.UnitUS:
		return chart.Number(v) + " µs"
	case result.UnitRatio:
		return percent(v)
	}
	return chart.Number(v) + "/s"
}

// change writes a shift with its sign.
func change(v float64, c result.Change) string {
	unit := " %"
	if c.Metric == "success_rate" {
		unit = " pp"
	}
	return fmt.Sprintf("%+.*f%s", decimals(v), v, unit)
}

func decimals(v float64) int {
	switch a := math.Abs(v); {
	case a >= 100:
		return 0
	case a >= 1 || a == 0:
		return 1
	}
	return 2
}

func interval(c result.Change) string {
	if c.Low == nil || c.High == nil {
		return "-"
	}
	return fmt.Sprintf("%+.*f to %+.*f", decimals(*c.Low), *c.Low, decimals(*c.High), *c.High)
}

func p(c result.Change) string {
	if c.PAdjusted == nil {
		return "-"
	}
	if *c.PAdjusted < 0.001 {
		return "<0.001"
	}
	return fmt.Sprintf("%.3f", *c.PAdjusted)
}

// said is the verdict, and how many rounds an open one needs.
func said(c result.Change) string {
	if c.Verdict == result.Inconclusive && c.RoundsNeeded > 0 {
		return fmt.Sprintf("%s, about %d rounds would tell", c.Verdict, c.RoundsNeeded)
	}
	return string(c.Verdict)
}

func percent(share float64) string {
	text := fmt.Sprintf("%.2f", 100*share)
	if text == "100.00" && share < 1 {
		text = fmt.Sprintf("%.4f", 100*share)
	}
	return strings.TrimSuffix(strings.TrimSuffix(text, "0"), ".0") + " %"
}

// headline says in a line what was done.
func headline(d *result.Document) string {
	if d.Kind == result.KindComparison {
		return fmt.Sprintf("%s against %s: %s", where(d.Cand), where(d.Base), d.Comparison.Verdict)
	}
	return fmt.Sprintf("%s, %s s, %s", where(d), chart.Number(d.Run.DurationSeconds), d.Run.Started.Format("2006-01-02 15:04:05 MST"))
}

func where(d *result.Document) string {
	for _, text := range []string{d.Run.Server, d.Run.Target, d.Run.Scenario, d.Run.ID} {
		if text != "" {
			return text
		}
	}
	return "a run"
}

// notes are what has to be known of the figures.
func notes(d *result.Document) (all []string) {
	if d.Kind == result.KindComparison {
		for _, w := range d.Comparison.Warnings {
			all = append(all, "warning: "+w)
		}
		all = append(all, unserved(d.Base, "base: ")...)
		all = append(all, unserved(d.Cand, "candidate: ")...)
		return append(all, fmt.Sprintf("An interval within the margin (5 %% of times, 3 %% of rates, 0.1 points of success) is equivalent. p is corrected for %d comparisons.", len(d.Comparison.Changes)))
	}
	for _, r := range d.Validity.Reasons {
		all = append(all, "invalid: "+r)
	}
	all = append(all, unserved(d, "")...)
	for _, s := range d.Series {
		if s.Latency != nil && len(s.Latency.TooFew) > 0 {
			return append(all, few+" too few requests for this figure: P95 needs 400, P99 2000")
		}
	}
	return all
}

// unserved says of a run, which may have a name, what failed and what was refused.
func unserved(d *result.Document, name string) (all []string) {
	for _, s := range d.Series {
		if s.Errors.Total > 0 {
			all = append(all, fmt.Sprintf("failed: %s%s: %v", name, s.Label(), s.Errors))
		}
		if s.Shed > 0 {
			all = append(all, fmt.Sprintf("refused: %s%s: %d of %d requests, with Retry-After", name, s.Label(), s.Shed, s.Count))
		}
	}
	return all
}

// assessments are what is said of each series, those of which nothing is promised together.
func assessments(d *result.Document) (all [][2]string) {
	for _, s := range d.Series {
		if len(s.Promises) > 0 {
			all = append(all, [2]string{s.Label(), s.Assessment})
		}
	}
	return all
}

// machine says what it was measured on.
func machine(d *result.Document) string {
	h := d.Host
	text := fmt.Sprintf("%s, %d CPUs, %s, %s; %s %s", h.CPU, h.CPUs, h.OS, h.Go, d.Tool.Name, d.Tool.Version)
	if d.Tool.Name == "bench" { // k6 does not say it
		text += fmt.Sprintf("; load average before: %.2f", h.Load1Start)
	}
	return text
}

// Text writes a result for a terminal.
func Text(out io.Writer, d *result.Document) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, headline(d))
	t := figures
	if d.Kind == result.KindComparison {
		fmt.Fprintln(out, machine(d.Base))
		t = changes
	} else {
		fmt.Fprintln(out, machine(d))
	}
	fmt.Fprintln(out)
	content := t(d)
	for _, row := range append([][]string{content.Head}, content.Rows...) {
		// The first column to the left: the writer aligns all to the right.
		fmt.Fprintf(w, "%s\t%s\t\n", pad(row[0], content), strings.Join(row[1:], "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if d.Kind == result.KindComparison {
		for _, s := range d.Comparison.Series {
			fmt.Fprintf(out, "%s: %s\n", (&result.Series{Name: s.Name, Phase: s.Phase, Scenario: s.Scenario}).Label(), s.Verdict)
		}
		fmt.Fprintf(out, "overall: %s\n", d.Comparison.Verdict)
	} else {
		for _, a := range assessments(d) {
			fmt.Fprintf(out, "%s: %s\n", a[0], a[1])
		}
		fmt.Fprintln(out, valid(d))
	}
	for _, n := range notes(d) {
		fmt.Fprintln(out, n)
	}
	return nil
}

// valid says in a line whether the generator kept up.
func valid(d *result.Document) string {
	v := d.Validity
	text := "valid: "
	if !v.Valid {
		text = "invalid: "
	}
	if v.ClientCPURatio != nil {
		text += fmt.Sprintf("the generator used %.0f %% of its CPU time", 100**v.ClientCPURatio)
	}
	if v.LagP99MS != nil {
		text += fmt.Sprintf(", sent 99 %% of the requests within %s ms of when they were due", chart.Number(*v.LagP99MS))
	}
	if v.DeliveredRatio != nil {
		text += fmt.Sprintf(", and %s of them in time", percent(*v.DeliveredRatio))
	}
	if v.Dropped > 0 {
		text += fmt.Sprintf("; %d were due and never sent", v.Dropped)
	}
	return text
}

func pad(text string, t table) string {
	width := len([]rune(t.Head[0]))
	for _, r := range t.Rows {
		width = max(width, len([]rune(r[0])))
	}
	return fmt.Sprintf("%-*s", width, text)
}

// Markdown writes a result as a table.
func Markdown(out io.Writer, d *result.Document) error {
	t := figures
	if d.Kind == result.KindComparison {
		t = changes
	}
	content := t(d)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", headline(d))
	line := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(c, "|", `\|`))
		}
		b.WriteString("|\n")
	}
	line(content.Head)
	b.WriteString("|---" + strings.Repeat("|--:", len(content.Head)-1) + "|\n")
	for _, row := range content.Rows {
		line(row)
	}
	b.WriteString("\n")
	if d.Kind == result.KindRun {
		for _, a := range assessments(d) {
			fmt.Fprintf(&b, "- %s: %s\n", a[0], a[1])
		}
	}
	for _, n := range notes(d) {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
