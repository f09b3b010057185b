// Command draw draws panels of the dashboards from what a Prometheus has, as the pictures of ../../README.md. Grafana draws them better;
// this needs no Grafana. The test that loads the shop calls it: go test ./dashboards -run TestPanels -images 2m.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-analyze/charts"
)

// shown are the panels that are drawn, by dashboard: six of each.
var shown = map[string][]string{
	"service":  {"Response time", "P95 of promised routes", "Requests by route", "Errors: 4xx and 5xx", "In flight", "Scheduler latency"},
	"cache":    {"Hit rate", "Hit rate by layer", "Results", "Memory", "Connections", "Latency"},
	"chat":     {"Messages by language", "Messages by topic", "Time of an answer", "First token", "Degraded by reason", "Tokens"},
	"loadtest": {"Users", "Turns by phase", "P95 of turns by phase", "P95 at the server", "Failed by phase", "Recovery"},
}

const (
	width, height = 480, 230 // of a panel
	columns       = 2
	most          = 6 // lines of a panel beside promises: those with the highest values

	promised = "promised" // begins the legend of a promise
)

type panel struct {
	Type, Title string
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct{ Defaults struct{ Unit string } }
}

type span struct {
	prometheus string
	from, to   int64
}

// line is a series with its name.
type line struct {
	name   string
	values []float64
}

func main() {
	var s span
	flag.StringVar(&s.prometheus, "prometheus", "http://127.0.0.1:9090", "`URL` of Prometheus")
	flag.Int64Var(&s.from, "from", time.Now().Add(-15*time.Minute).Unix(), "begin, in Unix `SECONDS`")
	flag.Int64Var(&s.to, "to", time.Now().Unix(), "end, in Unix `SECONDS`")
	flag.Parse()
	for name, titles := range shown {
		if err := s.draw(name, titles); err != nil {
			fmt.Fprintf(os.Stderr, "draw: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

// draw draws panels of a dashboard into one picture.
func (s span) draw(name string, titles []string) error {
	text, err := os.ReadFile(filepath.Join("..", name+".json"))
	if err != nil {
		return err
	}
	var board struct{ Panels []panel }
	if err := json.Unmarshal(text, &board); err != nil {
		return err
	}
	rows := (len(titles) + columns - 1) / columns
	paper := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: columns * width, Height: rows * height})
	paper.FilledRect(0, 0, columns*width, rows*height, charts.ColorWhite, charts.ColorWhite, 0)
	for i, title := range titles {
		at := slices.IndexFunc(board.Panels, func(p panel) bool { return p.Title == title && p.Type == "timeseries" })
		if at < 0 {
			return fmt.Errorf("no panel %q", title)
		}
		x, y := i%columns*width, i/columns*height
		child := paper.Child(charts.PainterBoxOption(charts.NewBox(x, y, x+width, y+height)))
		if err := s.panel(child, board.Panels[at]); err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
	}
	picture, err := paper.Bytes()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("..", "images", name+".svg"), picture, 0o644)
}

func (s span) panel(on *charts.Painter, p panel) error {
	var lines []line
	var hours []string
	for _, q := range p.Targets {
		found, at, err := s.query(q.Expr, q.LegendFormat)
		if err != nil {
			return err
		}
		lines, hours = append(lines, found...), at
	}
	if len(lines) == 0 {
		return fmt.Errorf("no data")
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(slices.Max(b.values), slices.Max(a.values)) })
	promises, others := split(lines)
	lines = append(others[:min(most, len(others))], promises...)
	var values [][]float64
	var names []string
	highest := 0.0
	write := formatter(p.FieldConfig.Defaults.Unit)
	colors := []charts.Color{
		charts.ParseColor("#3274d9"), charts.ParseColor("#37872d"), charts.ParseColor("#e0752d"), charts.ParseColor("#8f3bb8"),
		charts.ParseColor("#0a8f8f"), charts.ParseColor("#b8860b"),
	}
	for _, l := range lines {
		top := slices.Max(l.values)
		highest = max(highest, top)
		for j, v := range l.values {
			if v < 0 {
				l.values[j] = charts.GetNullValue()
			}
		}
		if strings.HasPrefix(l.name, promised) {
			colors = slices.Insert(colors, len(values), charts.ParseColor("#d62728"))
			if l.name = promised + " " + write(top); slices.Contains(names, l.name) {
				continue // several routes promise the same
			}
		}
		values, names = append(values, l.values), append(names, l.name)
	}
	o := charts.NewLineChartOptionWithData(values)
	o.Theme = charts.GetTheme(charts.ThemeLight).WithSeriesColors(colors[:len(values)])
	o.Padding = charts.NewBox(12, 8, 16, 8)
	o.Title.Text, o.Title.FontStyle = p.Title, charts.NewFontStyleWithSize(11)
	o.Legend.SeriesNames, o.Legend.FontStyle = names, charts.NewFontStyleWithSize(8)
	o.Legend.Offset = charts.OffsetStr{Top: "20", Left: "left"}
	o.XAxis.Labels, o.XAxis.LabelFontStyle, o.XAxis.LabelCount = hours, charts.NewFontStyleWithSize(7), 6
	o.YAxis = []charts.YAxisOption{{
		Min: new(0.0), Max: new(roundUp(highest)), LabelFontStyle: charts.NewFontStyleWithSize(7), LabelCount: 6,
		ValueFormatter: write,
	}}
	o.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	o.Legend.Symbol = charts.SymbolCircle
	o.LineStrokeWidth = 1.4
	return on.LineChart(o)
}

// split tells promises from what was measured.
func split(lines []line) (promises, others []line) {
	for _, l := range lines {
		if strings.HasPrefix(l.name, promised) {
			promises = append(promises, l)
		} else {
			others = append(others, l)
		}
	}
	return promises, others
}

// roundUp returns the end of an axis whose five steps have round numbers.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// query runs a query over the time, at 60 points of it. What has no value there is negative.
func (s span) query(expr, legend string) (lines []line, hours []string, err error) {
	step := max(1, (s.to-s.from)/60)
	expr = strings.NewReplacer("$__rate_interval", strconv.FormatInt(max(4, 2*step), 10)+"s", "$__range", strconv.FormatInt(s.to-s.from, 10)+"s",
		"$job", ".*", "$instance", ".*", "$route", ".*", "$testid", ".*", "$scenario", ".*").Replace(expr)
	form := url.Values{"query": {expr}, "step": {strconv.FormatInt(step, 10)}, "start": {strconv.FormatInt(s.from, 10)}, "end": {strconv.FormatInt(s.to, 10)}}
	client := http.Client{Timeout: time.Minute}
	res, err := client.Get(s.prometheus + "/api/v1/query_range?" + form.Encode())
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, nil, err
	}
	if answer.Error != "" {
		return nil, nil, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	for at := s.from; at <= s.to; at += step {
		hours = append(hours, time.Unix(at, 0).UTC().Format("15:04:05"))
	}
	for _, r := range answer.Data.Result {
		name := regexp.MustCompile(`{{(\w+)}}`).ReplaceAllStringFunc(legend, func(l string) string { return r.Metric[strings.Trim(l, "{}")] })
		l := line{name, slices.Repeat([]float64{-1}, len(hours))}
		for _, v := range r.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			if number, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(number) && !math.IsInf(number, 0) {
				l.values[(int64(at)-s.from)/step] = number
			}
		}
		if slices.Max(l.values) >= 0 && strings.TrimSpace(name) != "" {
			lines = append(lines, l)
		}
	}
	return lines, hours, nil
}

// formatter writes values of a unit of Grafana's.
func formatter(unit string) charts.ValueFormatter {
	scaled := func(v float64, suffix string, factor float64, prefixes ...string) string {
		i := 0
		for ; v >= factor && i < len(prefixes)-1; i++ {
			v /= factor
		}
		return strconv.FormatFloat(v, 'g', 3, 64) + " " + prefixes[i] + suffix
	}
	switch unit {
	case "s", "ms":
		return func(v float64) string {
			if unit == "ms" {
				v /= 1000
			}
			if v < 1 {
				return strconv.FormatFloat(v*1000, 'g', 3, 64) + " ms"
			}
			return strconv.FormatFloat(v, 'g', 3, 64) + " s"
		}
	case "percentunit":
		return func(v float64) string { return strconv.FormatFloat(v*100, 'g', 3, 64) + " %" }
	case "bytes":
		return func(v float64) string { return scaled(v, "B", 1024, "", "Ki", "Mi", "Gi") }
	case "Bps":
		return func(v float64) string { return scaled(v, "B/s", 1000, "", "k", "M", "G") }
	case "short":
		return func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	}
	return func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) + "/s" }
}
