package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

//go:embed report.html.tmpl
var pageText string

//go:embed report.css
var pageStyle string

// page is what the template is filled with.
type page struct {
	Title, Verdict, Started, Length, Target string
	Good                                    bool
	Reasons                                 []string
	Tiles                                   []tile
	Plots                                   []plot
	Promises                                []promiseRow
	Phases                                  [][]string
	PhaseHeader                             []string
	Failures                                [][]string
	Recoveries                              []string
	Found                                   string
	StepHeader                              []string
	Steps                                   [][]string
	Setting                                 [][2]string
	Style                                   template.CSS
}

type (
	tile       struct{ Label, Value, Note, Class string }
	promiseRow struct{ Class, Sign, Where, What, Measured, Limit, Why, Source string }
)

// html returns the report as a page of one file that loads nothing.
func (r *report) html() (string, error) {
	t, err := template.New("report").Parse(pageText)
	if err != nil {
		return "", fmt.Errorf("parse page: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, r.page()); err != nil {
		return "", fmt.Errorf("fill page: %w", err)
	}
	return b.String(), nil
}

func (r *report) page() page {
	word, verdict := r.verdict()
	if word == notValid {
		verdict = "Not valid: " + verdict
	}
	p := page{
		Title: r.Name, Good: word == passed, Verdict: strings.ToUpper(verdict[:1]) + verdict[1:], Target: r.Target, Length: duration(r.length),
		Started: r.run.Start.UTC().Format("2 January 2006, 15:04 UTC"), Failures: r.errorTable(),
		Style: template.CSS(pageStyle), // #nosec G203 -- our own file
	}
	for _, b := range r.broken() {
		p.Reasons = append(p.Reasons, b.sentence())
	}
	p.Reasons = append(p.Reasons, r.invalid...)
	p.PhaseHeader, p.Phases = r.phaseTable()
	if p.StepHeader, p.Steps = r.stepTable(); p.Steps != nil {
		p.Found = r.found()
	}
	for _, v := range r.run.Recoveries {
		p.Recoveries = append(p.Recoveries, r.recovery(v))
	}
	for i := range r.promises {
		v := &r.promises[i]
		s := v.state()
		p.Promises = append(p.Promises, promiseRow{
			[]string{"kept", "broken", "unmeasured"}[s], []string{"✓", "✗", "?"}[s],
			v.where(), v.what(), v.measured(), v.limit(), v.Why, v.Source,
		})
	}
	p.Setting = [][2]string{
		{"k6", k6Version()},
		{"Machine of the load generator", fmt.Sprintf("%s, %s", processor(), count(runtime.NumCPU(), "processor"))},
		{"Its use", percent(r.cpu)},
		{"Seed", fmt.Sprint(r.Seed)},
	}
	p.Tiles = r.tiles()
	if r.total.Turns > 0 {
		p.Plots = r.plots()
	}
	return p
}

func (r *report) tiles() []tile {
	t := r.total
	tiles := []tile{
		{"Turns", fmt.Sprint(t.Turns), fmt.Sprintf("%.3g per second", float64(t.Turns)/max(r.length.Seconds(), 0.001)), ""},
		{"P95", at(t.Latency, 95), "from when a turn was due; P50 " + at(t.Latency, 50), ""},
		{"Failed", share(t.Failed, t.Turns), fmt.Sprintf("%d; %d shed", t.Failed, t.Shed), map[bool]string{true: "bad"}[t.Failed > 0]},
		{"Goodput", share(t.Good, t.Turns), "of turns met every promise", ""},
	}
	for _, v := range r.run.Recoveries {
		if !v.Recovered {
			spike := r.of(v.Scenario, fmt.Sprintf("spike %d", v.Spike))
			return append(tiles, tile{"Recovery", "never", fmt.Sprintf("within %s after %s", duration(v.Time), spike), "bad"})
		}
	}
	if n := len(r.run.Recoveries); n > 0 {
		longest := slices.MaxFunc(r.run.Recoveries, func(a, b record.Recovery) int { return int(a.Time - b.Time) })
		tiles = append(tiles, tile{"Recovery", duration(longest.Time), fmt.Sprintf("at most, after %s", count(n, "spike")), ""})
	}
	return tiles
}

// stretch is a few moments of the timeline as one: what a plot has room for.
type stretch struct {
	record.Moment
	at, seconds float64
}

// stretches are at most 120, and fewer where there are few turns: percentiles of two turns would only flicker.
func (r *report) stretches() []stretch {
	moments := r.run.Moments()
	size := (len(moments) + 119) / 120
	for size*2 <= len(moments)/24 && r.total.Turns*int64(size) < 10*int64(len(moments)) {
		size *= 2
	}
	var all []stretch
	for i := 0; i < len(moments); i += size {
		s := stretch{at: (time.Duration(i) * r.run.Width).Seconds(), seconds: (time.Duration(size) * r.run.Width).Seconds()}
		s.Latency = record.NewTimes(2)
		for j := range moments[i:min(i+size, len(moments))] {
			if m := &moments[i+j]; m.Turns > 0 {
				s.Merge(m)
			}
		}
		all = append(all, s)
	}
	return all
}

func (r *report) plots() []plot {
	all := r.stretches()
	last := all[len(all)-1]
	length := time.Duration((last.at + last.seconds) * float64(time.Second))
	for _, p := range r.phases {
		length = max(length, p.Start.Add(p.Duration).Sub(r.run.Start))
	}
	x, ticks := timeAxis(length)
	base := plot{X: ticks, Bands: r.bands(x)}
	plots := []plot{r.latencyPlot(base, x, all), r.ratePlot(base, x, all)}
	if r.total.Hits+r.total.Misses > 0 {
		plots = append(plots, r.cachePlot(base, x, all))
	}
	return append(plots, r.distributionPlot())
}

// bands are the phases. Each scenario has a lane of its own, since several may go on at once.
func (r *report) bands(x axis) []band {
	var scenarios []string
	for _, p := range r.phases {
		if !slices.Contains(scenarios, p.Scenario) {
			scenarios = append(scenarios, p.Scenario)
		}
	}
	var all []band
	for _, p := range r.phases {
		from, to := r.extent(p, x)
		height := 100 / float64(len(scenarios))
		top := height * float64(slices.Index(scenarios, p.Scenario))
		all = append(all, band{from / 10, (to - from) / 10, top, height, r.of(p.Scenario, p.Name), "phase-" + p.Name})
	}
	return all
}

// extent is where a phase begins and ends.
func (r *report) extent(p record.Phase, x axis) (from, to float64) {
	return x.at(p.Start.Sub(r.run.Start).Seconds()), x.at(p.Start.Add(p.Duration).Sub(r.run.Start).Seconds())
}

// during names the phases that a stretch is in.
func (r *report) during(s *stretch) string {
	if !r.several {
		return s.Phase
	}
	var names []string
	for _, p := range r.phases {
		from := p.Start.Sub(r.run.Start).Seconds()
		if name := r.of(p.Scenario, p.Name); from < s.at+s.seconds && s.at < from+p.Duration.Seconds() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func (r *report) latencyPlot(p plot, x axis, all []stretch) plot {
	p.Title, p.Note = "Latency", "By when a turn was due, to the last byte; logarithmic."
	if r.several {
		p.Note += " Of the turns of all scenarios; behind them the phases of each."
	}
	low, high := math.Inf(1), 0.0
	for i := range all {
		if s := &all[i]; s.OK > 0 {
			low = min(low, ms(s.Latency.ValueAtPercentile(50)))
			high = max(high, ms(s.Latency.ValueAtPercentile(99)))
		}
	}
	limits := r.latencyLimits()
	for _, v := range limits {
		high = max(high, v.Limit)
		low = min(low, v.Limit)
	}
	y, ticks := latencyAxis(low, high)
	p.Y = ticks
	for _, quantile := range []struct {
		percentile float64
		class      string
	}{{50, "p50"}, {95, "p95"}, {99, "p99"}} {
		var points [][2]float64
		for i := range all {
			if s := &all[i]; s.OK > 0 {
				points = append(points, [2]float64{x.at(s.at + s.seconds/2), y.down(ms(s.Latency.ValueAtPercentile(quantile.percentile)))})
			}
		}
		p.Paths = append(p.Paths, trace(points, quantile.class))
		p.Legend = append(p.Legend, legend{fmt.Sprintf("P%.0f", quantile.percentile), quantile.class})
	}
	for _, v := range limits {
		p.Limits = append(p.Limits, r.limitLines(v, x, y)...)
	}
	if len(limits) > 0 {
		p.Legend = append(p.Legend, legend{"promised", "promised"})
	}
	if p.Events = r.recoveryEvents(x); len(p.Events) > 0 {
		p.Legend = append(p.Legend, legend{"time to recover", "recovering"})
	}
	for i := range all {
		s := &all[i]
		title := fmt.Sprintf("%s · %s · %s", clock(s.at), r.during(s), count(int(s.Turns), "turn"))
		if s.OK > 0 {
			title += fmt.Sprintf("\nP50 %s · P95 %s · P99 %s", at(s.Latency, 50), at(s.Latency, 95), at(s.Latency, 99))
		}
		p.Columns = append(p.Columns, column{x.at(s.at), x.at(s.at+s.seconds) - x.at(s.at), title})
	}
	return p
}

// latencyLimits are the promises about the time of turns, as upper limits.
func (r *report) latencyLimits() []promise {
	var all []promise
	for _, p := range r.promises {
		if strings.HasPrefix(p.Metric, "chat_duration") && strings.HasPrefix(p.Op, "<") && strings.HasPrefix(p.Stat, "p(") {
			all = append(all, p)
		}
	}
	return all
}

// limitLines draw a promise over its phases, or over all of the run.
func (r *report) limitLines(v promise, x, y axis) []limitLine {
	label := "P" + strings.Trim(v.Stat, "p()") + " " + v.limit()
	if v.Tags["phase"] == "" {
		return []limitLine{{0, side, y.down(v.Limit), label}}
	}
	var all []limitLine
	for _, p := range r.phases {
		if p.Name == v.Tags["phase"] && fits(v.Tags, "scenario", p.Scenario) {
			from, to := r.extent(p, x)
			all = append(all, limitLine{from, to, y.down(v.Limit), r.of(p.Scenario, label)})
		}
	}
	return all
}

// recoveryEvents mark the time from the end of each spike until the server was back.
func (r *report) recoveryEvents(x axis) []event {
	var all []event
	for _, v := range r.run.Recoveries {
		end, ok := r.spikeEnd(v)
		if !ok {
			continue
		}
		from, to := x.at(end.Seconds())/10, x.at((end+v.Time).Seconds())/10
		e := event{from, to - from, r.of(v.Scenario, "recovered in "+duration(v.Time)), "recovered"}
		if !v.Recovered {
			e.Label, e.Class = r.of(v.Scenario, "not recovered"), "lost"
		}
		if from > 60 {
			e.Class += " before" // its label stands to the left, where there is room
		}
		all = append(all, e)
	}
	return all
}

func (r *report) ratePlot(p plot, x axis, all []stretch) plot {
	p.Title, p.Note = "Turns per second", "Answered, shed and failed."
	high := 0.0
	for i := range all {
		high = max(high, float64(all[i].Turns)/all[i].seconds)
	}
	y, ticks := valueAxis(high*1.1, func(v float64) string { return fmt.Sprintf("%.4g", v) })
	p.Y = ticks
	for i := range all {
		s := &all[i]
		if s.Turns == 0 {
			continue
		}
		from, width := x.at(s.at), x.at(s.at+s.seconds)-x.at(s.at)
		sum := 0.0
		for _, part := range []struct {
			n     int64
			class string
		}{{s.OK, "answered"}, {s.Shed, "shed"}, {s.Failed, "failed"}} {
			if part.n > 0 {
				h := y.at(float64(part.n) / s.seconds)
				sum += h
				p.Bars = append(p.Bars, bar{from + width*0.08, side - sum, width * 0.84, h, part.class})
			}
		}
		said := fmt.Sprintf("%s · %s\n%d answered · %d shed · %d failed", clock(s.at), r.during(s), s.OK, s.Shed, s.Failed)
		p.Columns = append(p.Columns, column{from, width, said})
	}
	p.Legend = []legend{{"answered", "answered"}, {"shed", "shed"}, {"failed", "failed"}}
	return p
}

func (r *report) cachePlot(p plot, x axis, all []stretch) plot {
	p.Title, p.Note = "Cache hits", "Of the answers that say whether they come from a cache."
	y, ticks := valueAxis(1, func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) })
	p.Y = ticks
	var points [][2]float64
	for i := range all {
		s := &all[i]
		if n := s.Hits + s.Misses; n > 0 {
			points = append(points, [2]float64{x.at(s.at + s.seconds/2), y.down(ratio(s.Hits, n))})
			said := fmt.Sprintf("%s · %s\n%s of %d", clock(s.at), r.during(s), share(s.Hits, n), n)
			p.Columns = append(p.Columns, column{x.at(s.at), x.at(s.at+s.seconds) - x.at(s.at), said})
		}
	}
	p.Paths = []path{trace(points, "p95")}
	return p
}

// distributionPlot shows the latencies of each phase by percentile, as far as its turns bear it out.
func (r *report) distributionPlot() plot {
	p := plot{Title: "Distribution", Note: "Latency by percentile, of each phase."}
	low, high, most := math.Inf(1), 0.0, int64(10)
	for _, s := range r.run.Series {
		if s.OK > 0 {
			low, high, most = min(low, ms(s.Latency.Min())), max(high, ms(s.Latency.Max())), max(most, s.OK)
		}
	}
	if high == 0 {
		low, high = 1, 10
	}
	y, ticks := latencyAxis(low, high)
	p.Y = ticks
	x := axis{1, float64(most), true} // 1/(1-percentile)
	for _, percentile := range []float64{50, 90, 95, 99, 99.9, 99.99} {
		if rest := 100 / (100 - percentile); rest <= x.high {
			p.X = append(p.X, tick{x.at(rest) / 10, fmt.Sprintf("P%g", percentile)})
		}
	}
	for i, s := range r.run.Series {
		if s.OK == 0 {
			continue
		}
		var points [][2]float64
		const steps = 100
		for j := range steps + 1 {
			rest := math.Pow(float64(s.OK), float64(j)/steps)
			points = append(points, [2]float64{x.at(rest), y.down(ms(s.Latency.ValueAtPercentile(100 - 100/rest)))})
		}
		class := fmt.Sprintf("series-%d", i%6)
		p.Paths = append(p.Paths, trace(points, class))
		p.Legend = append(p.Legend, legend{r.of(s.Scenario, s.Phase), class})
	}
	return p
}
