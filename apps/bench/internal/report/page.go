package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/innatural/chatbot/apps/bench/internal/chart"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

//go:embed page.html.tmpl
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// view is what the page shows.
type view struct {
	Style        template.CSS
	Title        string
	Verdict      string
	Class        string // of the verdict: good, bad, warn
	Machine      string
	Notes        []string
	Assessments  [][2]string
	Figures      table
	Changes      []row
	Runs         []run
	Sections     []section
	IsComparison bool
}

// run is a table of figures of a comparison.
type run struct {
	Name    string
	Figures table
}

// section is the charts of a series.
type section struct {
	Title  string
	Class  string
	Note   string
	Charts []template.HTML
}

// row is a change with its interval, drawn.
type row struct {
	Cells   []string
	Verdict result.Verdict
	Gates   bool
	Scale   scale
}

// scale is an interval on a line from -Span to +Span, in units of a drawing that is 200 wide.
type scale struct {
	MarginLeft, MarginWidth, Low, High, At float64
	Known                                  bool
}

// HTML writes a result as a page of one file, with neither scripts nor anything to be fetched.
func HTML(out io.Writer, d *result.Document) error {
	v := view{Style: chart.Style, Title: headline(d), Notes: notes(d), IsComparison: d.Kind == result.KindComparison}
	var err error
	if v.IsComparison {
		v.Machine, v.Verdict = machine(d.Base), string(d.Comparison.Verdict)
		v.Class = v.Verdict
		for i, c := range d.Comparison.Changes {
			v.Changes = append(v.Changes, row{Cells: changes(d).Rows[i], Verdict: c.Verdict, Gates: c.Gates, Scale: scaleOf(c)})
		}
		v.Runs = []run{{"base: " + where(d.Base), figures(d.Base)}, {"candidate: " + where(d.Cand), figures(d.Cand)}}
		v.Sections, err = compared(d)
	} else {
		v.Machine, v.Assessments, v.Figures = machine(d), assessments(d), figures(d)
		v.Verdict, v.Class = judgement(d)
		v.Notes = append([]string{valid(d)}, v.Notes...)
		v.Sections, err = measured(d)
	}
	if err != nil {
		return err
	}
	if err := page.Execute(out, v); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// judgement is the verdict on a run.
func judgement(d *result.Document) (text, class string) {
	if !d.Validity.Valid {
		return "invalid", "bad"
	}
	few, any := false, false
	for _, s := range d.Series {
		for _, p := range s.Promises {
			any = true
			switch {
			case p.Kept == nil:
				few = true
			case !*p.Kept:
				return "a promise was broken", "bad"
			}
		}
	}
	switch {
	case !any:
		return "valid; nothing is promised", "good"
	case few:
		return "no promise was seen broken", "warn"
	}
	return "all promises kept", "good"
}

// scaleOf draws an interval; all of one comparison have one scale, of 25 %, and of one point for success.
func scaleOf(c result.Change) scale {
	span := 25.0
	if c.Metric == "success_rate" {
		span = 1
	}
	at := func(v float64) float64 { return 100 + 100*max(-1, min(1, v/span)) }
	s := scale{MarginLeft: at(-c.Margin), MarginWidth: at(c.Margin) - at(-c.Margin), At: at(c.Change)}
	if c.Low != nil && c.High != nil {
		s.Known, s.Low, s.High = true, at(*c.Low), at(*c.High)
	}
	return s
}

// measured draws the series of a run.
func measured(d *result.Document) (sections []section, err error) {
	for _, s := range d.Series {
		sec := section{Title: s.Label(), Note: s.Assessment}
		charts := []chart.Chart{
			distribution("Distribution of latency", []*result.Series{s}, []string{"latency"}),
			quantiles("Latency by quantile", []*result.Series{s}, []string{"latency"}),
			blocks(s),
		}
		if sec.Charts, err = draw(charts); err != nil {
			return nil, err
		}
		sections = append(sections, sec)
	}
	return sections, nil
}

// compared draws the series that both runs have.
func compared(d *result.Document) (sections []section, err error) {
	for _, v := range d.Comparison.Series {
		label := (&result.Series{Name: v.Name, Phase: v.Phase, Scenario: v.Scenario}).Label()
		var both []*result.Series
		for _, run := range []*result.Document{d.Base, d.Cand} {
			for _, s := range run.Series {
				if s.Label() == label {
					both = append(both, s)
				}
			}
		}
		sec := section{Title: label, Class: string(v.Verdict), Note: string(v.Verdict)}
		names := []string{"base", "candidate"}
		if sec.Charts, err = draw([]chart.Chart{
			distribution("Distribution of latency", both, names), quantiles("Latency by quantile", both, names), medians(both, names),
		}); err != nil {
			return nil, err
		}
		sections = append(sections, sec)
	}
	return sections, nil
}

func draw(charts []chart.Chart) ([]template.HTML, error) {
	var drawn []template.HTML
	for _, c := range charts {
		h, err := c.HTML()
		if err != nil {
			return nil, err
		}
		drawn = append(drawn, h)
	}
	return drawn, nil
}

var classes = []string{"s1", "s2"}

// binsPerDecade is how finely a distribution is drawn, on its logarithmic axis.
const binsPerDecade = 20

// distribution draws the share of requests by latency.
func distribution(title string, series []*result.Series, names []string) chart.Chart {
	zero := 0.0
	c := chart.Chart{Title: title, X: chart.Axis{Label: "ms, logarithmic", Log: true}, Y: chart.Axis{Label: "% of requests", Min: &zero}}
	for i, s := range series {
		h := histogram(s)
		if h == nil {
			continue
		}
		bins := map[int]int64{}
		low, high := math.MaxInt, math.MinInt
		for _, bar := range h.Distribution() {
			if bar.Count == 0 {
				continue
			}
			at := int(math.Floor(math.Log10(math.Max(float64(bar.From+bar.To)/2, 1)/1e6) * binsPerDecade))
			bins[at] += bar.Count
			low, high = min(low, at), max(high, at)
		}
		line := chart.Line{Name: names[i], Class: classes[i], Fill: true}
		for at := low - 1; at <= high+1 && low <= high; at++ {
			middle := math.Pow(10, (float64(at)+0.5)/binsPerDecade)
			share := 100 * float64(bins[at]) / float64(h.TotalCount())
			line.Points = append(line.Points, chart.Point{X: middle, Y: share, Title: fmt.Sprintf("%s ms: %s %%", chart.Number(middle), chart.Number(share))})
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// shown are the quantiles that are drawn, from the median to the last of ten thousand.
var shown = []float64{50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99}

// quantiles draws latency by quantile, on an axis on which each ten times rarer request has the same room.
func quantiles(title string, series []*result.Series, names []string) chart.Chart {
	rarity := func(q float64) float64 { return -math.Log10(1 - q/100) }
	c := chart.Chart{Title: title, X: chart.Axis{Label: "quantile"}, Y: chart.Axis{Label: "ms, logarithmic", Log: true}}
	for _, q := range []float64{50, 90, 99, 99.9, 99.99} {
		c.X.Ticks = append(c.X.Ticks, chart.Tick{Value: rarity(q), Text: fmt.Sprintf("P%v", q)})
	}
	for i, s := range series {
		h := histogram(s)
		if h == nil {
			continue
		}
		line := chart.Line{Name: names[i], Class: classes[i], Dots: true}
		for _, q := range shown {
			if float64(h.TotalCount())*(1-q/100) < 1 {
				break
			}
			v := float64(h.ValueAtQuantile(q)) / 1e6
			line.Points = append(line.Points, chart.Point{X: rarity(q), Y: v, Title: fmt.Sprintf("P%v: %s ms", q, chart.Number(v))})
		}
		c.Lines = append(c.Lines, line)
	}
	if len(series) == 1 {
		for _, p := range series[0].Promises {
			if p.Unit == result.UnitMS {
				c.Rules = append(c.Rules, chart.Rule{Value: p.Limit, Name: fmt.Sprintf("promised: %s of %s ms", p.What, chart.Number(p.Limit))})
			}
		}
	}
	return c
}

// blocks draws a run over time.
func blocks(s *result.Series) chart.Chart {
	zero := 0.0
	c := chart.Chart{Title: "Latency over time", X: chart.Axis{Label: "seconds", Min: &zero}, Y: chart.Axis{Label: "ms", Min: &zero}}
	for i, of := range []struct {
		name string
		of   func(result.Block) *float64
	}{{"P95", func(b result.Block) *float64 { return b.P95 }}, {"median", func(b result.Block) *float64 { return b.Median }}} {
		line := chart.Line{Name: of.name, Class: classes[1-i], Dots: true}
		for _, b := range s.Blocks {
			if v := of.of(b); v != nil {
				line.Points = append(line.Points, chart.Point{X: b.StartSeconds + b.DurationSeconds/2, Y: *v, Title: chart.Number(*v) + " ms"})
			}
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// medians draws the blocks of two runs beside each other.
func medians(series []*result.Series, names []string) chart.Chart {
	c := chart.Chart{Title: "Median of each block", X: chart.Axis{Label: "round"}, Y: chart.Axis{Label: "ms"}}
	for i, s := range series {
		line := chart.Line{Name: names[i], Class: classes[i], Dots: true}
		for n, b := range s.Blocks {
			if b.Median != nil {
				line.Points = append(line.Points, chart.Point{X: float64(n + 1), Y: *b.Median, Title: chart.Number(*b.Median) + " ms"})
			}
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// histogram returns the latencies of a series, in nanoseconds, or nil.
func histogram(s *result.Series) *hdrhistogram.Histogram {
	if s.Histogram == "" {
		return nil
	}
	h, err := hdrhistogram.Decode([]byte(s.Histogram))
	if err != nil || h.TotalCount() == 0 {
		return nil
	}
	return h
}
