package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// runs are the runs of a document, with their names.
func runs(d *result.Document) (names []string, all []*result.Document) {
	if d.Kind == result.KindComparison {
		return []string{"base", "candidate"}, []*result.Document{d.Base, d.Cand}
	}
	return []string{"run"}, []*result.Document{d}
}

// CSV writes every block of every series in a line.
func CSV(out io.Writer, d *result.Document) error {
	w := csv.NewWriter(out)
	rows := [][]string{{
		"run", "series", "phase", "scenario", "block", "start_seconds", "duration_seconds", "count", "errors", "rate", "avg_ms", "median_ms", "p95_ms", "p99_ms",
		"cpu_us_per_request",
	}}
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'g', -1, 64)
	}
	names, all := runs(d)
	for i, run := range all {
		for _, s := range run.Series {
			for n, b := range s.Blocks {
				rows = append(rows, []string{
					names[i], s.Name, s.Phase, s.Scenario, strconv.Itoa(n), number(&b.StartSeconds), number(&b.DurationSeconds),
					strconv.FormatInt(b.Count, 10), strconv.FormatInt(b.Errors, 10), number(&b.Rate), number(b.Avg), number(b.Median), number(b.P95),
					number(b.P99), number(b.CPU),
				})
			}
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// GoBench writes every block of every series as a line of Go's benchmark format, so that benchstat reads them. In a comparison, the key
// run tells base from candidate: benchstat -col run.
func GoBench(out io.Writer, d *result.Document) error {
	w := benchfmt.NewWriter(out)
	names, all := runs(d)
	for i, run := range all {
		for _, s := range run.Series {
			name := benchfmt.Name(strings.NewReplacer(" ", "_", "\t", "_").Replace(s.Label()) + "-" + strconv.Itoa(run.Host.GOMAXPROCS))
			for _, b := range s.Blocks {
				if b.Count == 0 {
					continue // the format has no line of no iterations
				}
				r := &benchfmt.Result{Name: name, Iters: int(b.Count)}
				for _, c := range [][2]string{
					{"goos", strings.Fields(run.Host.OS + " ")[0]}, {"goarch", run.Host.Arch}, {"cpu", run.Host.CPU}, {"run", names[i]},
				} {
					r.Config = append(r.Config, benchfmt.Config{Key: c[0], Value: []byte(c[1]), File: true})
				}
				add := func(v *float64, scale float64, unit string) {
					if v != nil {
						r.Values = append(r.Values, benchfmt.Value{Value: *v * scale, Unit: unit})
					}
				}
				add(b.Avg, 1e6, "ns/op")
				add(b.Median, 1e6, "median-ns")
				add(b.P95, 1e6, "p95-ns")
				add(b.P99, 1e6, "p99-ns")
				add(&b.Rate, 1, "req/s")
				add(b.CPU, 1e3, "cpu-ns/op")
				if err := w.Write(r); err != nil {
					return fmt.Errorf("write benchmark format: %w", err)
				}
			}
		}
	}
	return nil
}
