// Package chart draws line charts as inline SVG, for reports of one file.
//
// The libraries were tried first. go-analyze/charts has axes of categories only, so that two distributions cannot share one, and
// gonum/plot writes fixed colours, fonts and sizes. Here colours are the page's (style.css: light and dark), text scales with the page,
// and a mark tells its values when it is pointed at. Scales and their ticks are go-moremath's.
package chart

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aclements/go-moremath/scale"
)

// Style is the style sheet of charts and of the page that shows them.
//
//go:embed style.css
var Style template.CSS

//go:embed chart.html.tmpl
var text string

var page = template.Must(template.New("chart").Parse(text))

// Chart is what is drawn.
type Chart struct {
	Title string
	Note  string // below it
	X, Y  Axis
	Lines []Line
	Bands []Band // from left to right, such as phases
	Rules []Rule // values of Y to compare with, such as a promise
	Marks []Rule // values of X at which something happened
}

// Axis is a direction of a chart. Its ends are those of what is drawn, unless they are given.
type Axis struct {
	Label    string
	Log      bool
	Min, Max *float64
	Ticks    []Tick // instead of those that are found
}

// Tick is a place on an axis with a text.
type Tick struct {
	Value float64
	Text  string
}

// Line is a series of points.
type Line struct {
	Name   string
	Class  string // s1 to s4, or bad: a colour of the style sheet
	Points []Point
	Dots   bool // marks each point
	Bare   bool // marks without a line
	Fill   bool // down to the axis
	Dashed bool
}

// Point is a value; a NaN interrupts its line. Title is shown when the point is pointed at.
type Point struct {
	X, Y  float64
	Title string
}

// Band is a range of X with a name.
type Band struct {
	From, To float64
	Name     string
}

// Rule is a value with a name.
type Rule struct {
	Value float64
	Name  string
}

// The drawing, in units of its viewBox. The plot lies within the margins.
const (
	width, height            = 320.0, 250.0
	left, right, top, bottom = 46.0, 20.0, 20.0, 38.0 // to the right, half of a text such as P99.99
)

// HTML draws the chart as a figure. A chart without points says so.
func (c Chart) HTML() (template.HTML, error) {
	v := view{Chart: c, Width: width, Height: height, Left: left, Top: top, Right: width - right, Bottom: height - bottom}
	xs, ys := c.values()
	v.Empty = len(xs) == 0 || len(ys) == 0
	if !v.Empty {
		x, y := c.X.scale(xs, 6), c.Y.scale(ys, 5)
		v.x = func(value float64) float64 { return left + clamp(x.Map(value))*(width-right-left) }
		v.y = func(value float64) float64 { return height - bottom - clamp(y.Map(value))*(height-bottom-top) }
		v.XTicks, v.YTicks = ticks(c.X, x, 6), ticks(c.Y, y, 5)
	}
	var b strings.Builder
	if err := page.Execute(&b, v); err != nil {
		return "", fmt.Errorf("draw %s: %w", c.Title, err)
	}
	return template.HTML(b.String()), nil // a template made it
}

// values returns what the axes must show.
func (c Chart) values() (xs, ys []float64) {
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if finite(p.X) && finite(p.Y) && (!c.X.Log || p.X > 0) && (!c.Y.Log || p.Y > 0) {
				xs, ys = append(xs, p.X), append(ys, p.Y)
			}
		}
	}
	if len(xs) == 0 {
		return nil, nil
	}
	for _, b := range c.Bands {
		xs = append(xs, b.From, b.To)
	}
	for _, r := range c.Rules {
		// A promise far above what was measured would flatten it; it is named below the chart all the same.
		if most := slices.Max(ys); r.Value < 3*most {
			ys = append(ys, r.Value)
		}
	}
	return xs, ys
}

// scale returns the scale of an axis that shows the values.
func (a Axis) scale(values []float64, most int) scale.Quantitative {
	low, high := slices.Min(values), slices.Max(values)
	if a.Min != nil {
		low = *a.Min
	}
	if a.Max != nil {
		high = *a.Max
	}
	if a.Log {
		if low == high {
			low, high = low/2, high*2
		}
		if s, err := scale.NewLog(low, high, 10); err == nil {
			return &s
		}
	}
	if low == high {
		low, high = min(0, low), max(high*1.1, low+1)
	}
	s := &scale.Linear{Min: low, Max: high}
	if a.Min == nil || a.Max == nil {
		s.Nice(scale.TickOptions{Max: most})
		if a.Min != nil {
			s.Min = *a.Min
		}
		if a.Max != nil {
			s.Max = *a.Max
		}
	}
	return s
}

// ticks returns the places of an axis that have a text.
func ticks(a Axis, s scale.Quantitative, most int) []Tick {
	if a.Ticks != nil {
		return slices.DeleteFunc(slices.Clone(a.Ticks), func(t Tick) bool { m := s.Map(t.Value); return m < -1e-9 || m > 1+1e-9 })
	}
	var values []float64
	if log, ok := s.(*scale.Log); ok {
		for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
			values = values[:0]
			for e := math.Floor(math.Log10(log.Min)); e <= math.Ceil(math.Log10(log.Max)); e++ {
				for _, step := range steps {
					if v := step * math.Pow(10, e); v >= log.Min*(1-1e-9) && v <= log.Max*(1+1e-9) {
						values = append(values, v)
					}
				}
			}
			if len(values) <= most+1 {
				break
			}
		}
	} else {
		values, _ = s.Ticks(scale.TickOptions{Max: most})
	}
	out := make([]Tick, len(values))
	for i, v := range values {
		out[i] = Tick{v, Number(v)}
	}
	return out
}

// Number writes a value with three significant digits, and large ones in thousands.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return strconv.FormatFloat(math.Round(v/1e4)/100, 'f', -1, 64) + "M"
	case a >= 1e4:
		return strconv.FormatFloat(math.Round(v/100)/10, 'f', -1, 64) + "k"
	case a >= 100:
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	default:
		rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
		return strconv.FormatFloat(rounded, 'f', -1, 64)
	}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// clamp keeps what lies beyond an axis at its end.
func clamp(v float64) float64 {
	if !finite(v) {
		return 0
	}
	return min(1, max(0, v))
}
