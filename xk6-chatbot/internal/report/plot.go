package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A plot is drawn as SVG that stretches with the page, on a square of 1000 by 1000; its labels are text beside it, which keeps
// its size and so stays readable on a phone. Colours are classes of the page's style, so that one drawing serves light and dark.
// Charts of libraries (go-analyze/charts, gonum/plot) have size, colours and text written into them, and know no bands for
// phases.
type plot struct {
	Title, Note string
	Bands       []band
	X, Y        []tick
	Paths       []path
	Bars        []bar
	Limits      []limitLine
	Events      []event
	Columns     []column
	Legend      []legend
}

type (
	// band is a phase behind the drawing.
	band struct {
		X, W, Y, H  float64
		Name, Class string
	}
	// tick is a label of an axis, at a part of its length in percent from left or top.
	tick struct {
		At    float64
		Label string
	}
	path struct{ D, Class string }
	bar  struct {
		X, Y, W, H float64
		Class      string
	}
	limitLine struct {
		X, End, Y float64
		Label     string
	}
	event struct {
		X, W         float64
		Label, Class string
	}
	// column is what the pointer finds at a moment.
	column struct {
		X, W  float64
		Title string
	}
	legend struct{ Label, Class string }
)

const side = 1000

// axis maps values to 0…1000.
type axis struct {
	low, high float64
	log       bool
}

func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, a.low)), math.Log10(low), math.Log10(high)
	}
	return side * min(max((v-low)/(high-low), 0), 1)
}

// down is at for what grows upwards, where SVG grows downwards.
func (a axis) down(v float64) float64 { return side - a.at(v) }

// timeAxis goes from the start of the run to its end, with about as many ticks as a phone has room for.
func timeAxis(length time.Duration) (axis, []tick) {
	a := axis{0, max(length.Seconds(), 0.001), false}
	var ticks []tick
	step := niceStep(a.high/7, []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600})
	for v := 0.0; v <= a.high*1.0001; v += step {
		ticks = append(ticks, tick{a.at(v) / 10, clock(v)})
	}
	return a, ticks
}

// clock writes seconds from the start as minutes and seconds.
func clock(seconds float64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%.3gs", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d:%02d", int(seconds)/60, int(seconds)%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", int(seconds)/3600, int(seconds)/60%60, int(seconds)%60)
}

// niceStep is the smallest of the steps, or of powers of ten below and above them, that is at least the raw one.
func niceStep(raw float64, steps []float64) float64 {
	for _, s := range steps {
		if s >= raw {
			if s == steps[0] {
				break
			}
			return s
		}
	}
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*power >= raw*0.999 {
			return m * power
		}
	}
	return 10 * power
}

// latencyAxis covers what it is given by whole decades, in milliseconds.
func latencyAxis(low, high float64) (axis, []tick) {
	low, high = max(low, 0.001), max(high, 0.001)
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if to == from {
		to++
	}
	a := axis{math.Pow(10, from), math.Pow(10, to), true}
	var ticks []tick
	for e := from; e <= to; e++ {
		v := math.Pow(10, e)
		ticks = append(ticks, tick{a.down(v) / 10, millis(v)})
	}
	return a, ticks
}

// valueAxis goes from zero to what it is given, with labels by a function.
func valueAxis(high float64, label func(float64) string) (axis, []tick) {
	step := niceStep(max(high, 1e-9)/4, nil)
	a := axis{0, math.Ceil(max(high, 1e-9)/step-1e-9) * step, false}
	var ticks []tick
	for v := 0.0; v <= a.high*1.0001; v += step {
		ticks = append(ticks, tick{a.down(v) / 10, label(v)})
	}
	return a, ticks
}

// trace joins points, whose coordinates are 0…1000.
func trace(points [][2]float64, class string) path {
	var d strings.Builder
	for i, p := range points {
		fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], p[0], p[1])
	}
	if len(points) == 1 {
		d.WriteString("h.1") // a dot
	}
	return path{d.String(), class}
}
