package chart_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/innatural/chatbot/apps/bench/internal/chart"
)

func draw(t *testing.T, c chart.Chart) string {
	t.Helper()
	h, err := c.HTML()
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(h))); ; { // what we write of HTML is XML too
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, h)
		}
	}
	return string(h)
}

func TestChart(t *testing.T) {
	zero := 0.0
	text := draw(t, chart.Chart{
		Title: "Latency <of> it", Note: "a note", X: chart.Axis{Label: "seconds"}, Y: chart.Axis{Label: "ms", Min: &zero},
		Lines: []chart.Line{
			{Name: "P95", Class: "s1", Points: []chart.Point{{0, 0, ""}, {5, 5, "five"}, {math.NaN(), 0, ""}, {10, 10, ""}}, Dots: true, Fill: true},
			{Name: "other", Class: "s2", Points: []chart.Point{{0, 1, ""}, {10, 2, ""}}, Dashed: true},
		},
		Bands: []chart.Band{{0, 5, "baseline"}, {5, 10, "peak"}},
		Rules: []chart.Rule{{8, "promise"}, {1000, "far promise"}},
		Marks: []chart.Rule{{7, "recovered"}},
	})
	for _, want := range []string{
		"Latency &lt;of&gt; it", "a note", ">P95</li>", "baseline", "recovered", "far promise", "<title>five</title>",
		`d="M46 212L173 116M300 20"`,           // from corner to corner of the plot, interrupted
		`class="line s2 dashed"`, `>10</text>`, // ticks
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Count(text, `class="rulename"`) != 1 {
		t.Errorf("a rule far above the values flattens them:\n%s", text)
	}
}

func TestLogarithms(t *testing.T) {
	text := draw(t, chart.Chart{
		X: chart.Axis{Log: true}, Y: chart.Axis{Log: true},
		Lines: []chart.Line{{Class: "s1", Points: []chart.Point{{1, 10, ""}, {10, 100, ""}, {100, 1000, ""}}}},
	})
	if !strings.Contains(text, `d="M46 212L173 116L300 20"`) {
		t.Error(text)
	}
}

// What has no extent is drawn all the same.
func TestLittle(t *testing.T) {
	for name, c := range map[string]chart.Chart{
		"nothing":        {},
		"no number":      {Lines: []chart.Line{{Points: []chart.Point{{math.NaN(), math.Inf(1), ""}}, Fill: true}}},
		"one":            {Lines: []chart.Line{{Points: []chart.Point{{1, 1, ""}}, Fill: true, Dots: true}}},
		"one, log":       {X: chart.Axis{Log: true}, Y: chart.Axis{Log: true}, Lines: []chart.Line{{Points: []chart.Point{{1, 1, ""}}}}},
		"zero, log":      {X: chart.Axis{Log: true}, Lines: []chart.Line{{Points: []chart.Point{{0, 1, ""}}}}},
		"zero":           {Lines: []chart.Line{{Points: []chart.Point{{0, 0, ""}}}}},
		"a line unnamed": {Lines: []chart.Line{{}}},
	} {
		if text := draw(t, c); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.12345: "0.123", 1.5: "1.5", 12.34: "12.3", 123.4: "123", 9999: "9999", 12340: "12.3k", 2.5e6: "2.5M", -0.5: "-0.5",
	} {
		if got := chart.Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
