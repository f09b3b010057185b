package pace

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.k6.io/k6/v2/lib/types"
)

// Arrivals come when k6 sends them: the n-th when the rate has summed up to n. Summing it up in small steps says when that is.
func TestArrivals(t *testing.T) {
	for name, c := range map[string]struct {
		start  float64
		stages []Stage
	}{
		"constant": {10, []Stage{{10 * time.Second, 10}}},
		"up":       {0, []Stage{{10 * time.Second, 20}}},
		"down":     {20, []Stage{{10 * time.Second, 0}}},
		"spike":    {5, []Stage{{5 * time.Second, 5}, {time.Second, 50}, {3 * time.Second, 50}, {0, 5}, {5 * time.Second, 5}}},
		"pause":    {5, []Stage{{2 * time.Second, 0}, {2 * time.Second, 0}, {2 * time.Second, 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			a := NewArrivals(c.start, c.stages)
			const step = 20e-6
			n, sum, at, rate := int64(0), 0.0, 0.0, c.start
			for _, s := range c.stages {
				from, length := rate, s.Duration.Seconds()
				for x := 0.0; x < length; x += step {
					sum += step * (from + (s.Rate-from)*(x+step/2)/length)
					for sum >= float64(n+1) {
						due, ok := a.Due(n)
						if diff := due.Seconds() - (at + x); !ok || math.Abs(diff) > 0.002 {
							t.Fatalf("arrival %d is due at %v, %v; by hand %.4f s", n, due, ok, at+x)
						}
						n++
					}
				}
				rate, at = s.Rate, at+length
			}
			if due, ok := a.Due(n + 1); ok {
				t.Errorf("arrival %d of %d is due at %v", n+1, n, due)
			}
		})
	}
}

func TestThink(t *testing.T) {
	span := types.NullDurationFrom
	for name, c := range map[string]struct {
		think       Think
		median, p95 time.Duration
	}{
		"default":     {DefaultThink(), 4 * time.Second, 12 * time.Second},
		"lognormal":   {Think{Dist: "lognormal", Median: span(100), P95: span(1000)}, 100, 1000},
		"exponential": {Think{Dist: "exponential", Median: span(1e6)}, 1e6, 4321928},
		"uniform":     {Think{Dist: "uniform", Min: span(1000), Max: span(2000)}, 1500, 1950},
		"fixed":       {Think{Dist: "fixed", Median: span(5)}, 5, 5},
		"bounded":     {Think{Dist: "exponential", Median: span(1e6), Max: span(2e6)}, 1e6, 2e6},
	} {
		if err := c.think.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		draws := make([]time.Duration, 20_000)
		for i := range draws {
			draws[i] = c.think.Draw(rng)
		}
		slices.Sort(draws)
		for q, want := range map[float64]time.Duration{0.5: c.median, 0.95: c.p95} {
			if got := draws[int(q*float64(len(draws)))]; math.Abs(float64(got-want)) > 0.05*float64(want) {
				t.Errorf("%s: quantile %v is %v, want %v", name, q, got, want)
			}
		}
	}
	for name, think := range map[string]Think{
		"none": {}, "unknown": {Dist: "normal"}, "no median": {Dist: "fixed"}, "no p95": {Dist: "lognormal", Median: span(5)},
		"no max": {Dist: "uniform"}, "negative": {Dist: "fixed", Median: span(-1)}, "reversed": {Dist: "uniform", Min: span(2), Max: span(1)},
	} {
		if think.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
