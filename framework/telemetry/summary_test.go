package telemetry_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/telemetry"
)

func TestQuantilesOfKnownDistributions(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{ // seconds
		"uniform":     func() float64 { return 0.001 + random.Float64()*0.5 },
		"exponential": func() float64 { return random.ExpFloat64() * 0.02 },
		"log-normal":  func() float64 { return math.Exp(random.NormFloat64()*1.2 - 5) },
		"constant":    func() float64 { return 0.0421 },
		"two humps": func() float64 {
			if random.Float64() < 0.9 {
				return 0.0003 + random.Float64()*0.0001
			}
			return 1 + random.Float64()
		},
		"microseconds": func() float64 { return 2e-6 + random.Float64()*8e-6 },
		"long tail":    func() float64 { return min(0.001/math.Pow(random.Float64(), 1.5), 900) },
	} {
		t.Run(name, func(t *testing.T) {
			r := telemetry.NewRegistry()
			routes := []*telemetry.RouteMetrics{r.Route("/a"), r.Route("/b")}
			exact := make([]float64, 20_000)
			for i := range exact {
				elapsed := time.Duration(draw() * 1e9)
				exact[i] = elapsed.Seconds()
				routes[i%2].Observe("GET", 200+i%3, elapsed, 1)
			}
			slices.Sort(exact)
			got := r.Requests()
			for q, estimate := range map[float64]float64{0.5: got.P50, 0.95: got.P95, 0.99: got.P99} {
				want := exact[int(math.Ceil(q*float64(len(exact))))-1] * 1000
				if math.Abs(estimate-want) > want/10 {
					t.Errorf("p%g: %g ms, exactly %g ms", q*100, estimate, want)
				}
			}
			var sum float64
			for _, v := range exact {
				sum += v
			}
			if want := sum / float64(len(exact)) * 1000; math.Abs(got.Average-want) > want/1e6 {
				t.Errorf("average %g ms, exactly %g ms", got.Average, want)
			}
		})
	}
}

func TestRequestsSummary(t *testing.T) {
	r := telemetry.NewRegistry()
	if got := r.Requests(); got.Total != 0 || got.P99 != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	chat, lost := r.Route("/api/chat"), r.Route(telemetry.Unmatched)
	for range 8 {
		chat.Observe("POST", 200, 100*time.Millisecond, 1)
	}
	chat.Observe("POST", 408, time.Second, 1)
	chat.Observe("POST", 503, time.Second, 1)
	chat.Observe("POST", 999, time.Second, 1)
	lost.Observe("GET", 404, time.Millisecond, 1)
	lost.Observe("BREW", 405, time.Millisecond, 1)
	got := r.Requests()
	if got.Total != 13 || got.Success != 8 || got.Errors != 5 {
		t.Errorf("overall %+v", got.Traffic)
	}
	if of := got.ByRoute["POST /api/chat"]; of.Total != 11 || of.Success != 8 || of.Errors != 3 || math.Abs(of.P50-100) > 10 {
		t.Errorf("chat %+v", of)
	}
	if of := got.ByRoute[telemetry.Unmatched]; of.Total != 2 || of.Errors != 2 {
		t.Errorf("unmatched %+v", of)
	}
	for key, want := range map[string]uint64{"4xx": 3, "5xx": 1, "404": 1, "405": 1, "408": 1, "503": 1, telemetry.Other: 1} {
		if got.ByType[key] != want {
			t.Errorf("%d errors %s, want %d", got.ByType[key], key, want)
		}
	}
	if len(got.ByType) != 7 {
		t.Errorf("errors by type %v", got.ByType)
	}
}

// A histogram that had to lower its resolution is summed with one that had not.
func TestDistributionOfMixedResolutions(t *testing.T) {
	r := telemetry.NewRegistry()
	h := r.Histogram("shop_size_bytes", "Sizes.", []float64{1}, "kind")
	for i := range 2000 {
		h.With("wide").Observe(math.Pow(1.05, float64(i%700)))
	}
	for range 2000 {
		h.With("narrow").Observe(1000)
	}
	got := r.Distribution("shop_size_bytes")
	if got.Count != 4000 || math.Abs(got.P50-1000)/1000 > 0.2 {
		t.Errorf("%+v", got)
	}
	if got := r.Distribution("nothing"); got != (telemetry.Distribution{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestDistributionOfOddValues(t *testing.T) {
	r := telemetry.NewRegistry()
	h := r.Histogram("shop_odd_seconds", "Odd.", nil).With()
	h.Observe(0)
	h.Observe(math.Inf(1))
	h.Observe(math.NaN())
	if got := r.Distribution("shop_odd_seconds"); got.Count != 3 || math.IsNaN(got.P50) || math.IsInf(got.P99, 1) {
		t.Errorf("%+v", got)
	}
}
