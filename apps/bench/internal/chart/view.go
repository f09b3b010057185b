package chart

import (
	"fmt"
	"strings"
)

// view is what the template of a chart sees.
type view struct {
	Chart
	Width, Height, Left, Top, Right, Bottom float64
	XTicks, YTicks                          []Tick
	Empty                                   bool

	x, y func(float64) float64
}

// PX returns the place of a value in the drawing, from the left.
func (v view) PX(value float64) string { return place(v.x(value)) }

// PY returns the place of a value in the drawing, from above.
func (v view) PY(value float64) string { return place(v.y(value)) }

// Wide returns the width of a range.
func (v view) Wide(b Band) string { return place(max(0, v.x(b.To)-v.x(b.From))) }

// Middle returns the middle of a range.
func (v view) Middle(b Band) string { return place((v.x(b.From) + v.x(b.To)) / 2) }

// Inside reports whether a value of Y lies within the drawing.
func (v view) Inside(r Rule) bool {
	at := v.y(r.Value)
	return at > v.Top && at < v.Bottom
}

// Path returns a line's path.
func (v view) Path(l Line) string {
	var b strings.Builder
	verb := "M"
	for _, p := range l.Points {
		if !finite(p.X) || !finite(p.Y) {
			verb = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%s %s", verb, v.PX(p.X), v.PY(p.Y))
		verb = "L"
	}
	return b.String()
}

// Area returns the path of the area below a line.
func (v view) Area(l Line) string {
	if len(l.Points) == 0 {
		return ""
	}
	first, last := l.Points[0], l.Points[len(l.Points)-1]
	return fmt.Sprintf("%sL%s %sL%s %sZ", v.Path(l), v.PX(last.X), place(v.Bottom), v.PX(first.X), place(v.Bottom))
}

// Seen returns a line's points that can be drawn.
func (v view) Seen(l Line) []Point {
	var seen []Point
	for _, p := range l.Points {
		if finite(p.X) && finite(p.Y) {
			seen = append(seen, p)
		}
	}
	return seen
}

// Tall returns the height of the plot.
func (v view) Tall() string { return place(v.Bottom - v.Top) }

// Centre returns the middle of the plot, from the left.
func (v view) Centre() string { return place((v.Left + v.Right) / 2) }

// place writes a place with a tenth of a unit.
func place(at float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", at), ".0") }
