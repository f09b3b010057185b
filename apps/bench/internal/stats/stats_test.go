package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/innatural/chatbot/apps/bench/internal/stats"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within || math.IsNaN(got) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// The examples of Hollander and Wolfe that R's help for wilcox.test has, with what R gives.
func TestShiftsOfTheTextbook(t *testing.T) {
	before := []float64{1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30}
	after := []float64{0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29}
	s := stats.Paired(after, before, 0.95)
	near(t, "paired p", s.P, 0.0390625, 1e-9)
	near(t, "paired estimate", s.Estimate, 0.46, 1e-9)
	near(t, "paired low", s.Low, 0.010, 1e-9)
	near(t, "paired high", s.High, 0.786, 1e-9)

	atTerm := []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}
	early := []float64{1.15, 0.88, 0.90, 0.74, 1.21}
	s = stats.Unpaired(early, atTerm, 0.95)
	near(t, "unpaired p", s.P, 0.2544123, 1e-6)
	near(t, "unpaired estimate", s.Estimate, 0.305, 1e-9)
	near(t, "unpaired low", s.Low, -0.15, 1e-9)
	near(t, "unpaired high", s.High, 0.76, 1e-9)
}

// The least p that a sample of a size can give.
func TestSmallSamples(t *testing.T) {
	for n, want := range map[int]float64{4: 0.0286, 5: 0.0079, 6: 0.0022} {
		low, high := make([]float64, n), make([]float64, n)
		for i := range n {
			low[i], high[i] = float64(i), float64(i+100)
		}
		near(t, "Mann-Whitney", stats.Unpaired(low, high, 0.95).P, want, 5e-5)
	}
	five := []float64{1, 2, 3, 4, 5}
	if s := stats.Paired(five, []float64{2, 4, 6, 8, 10}, 0.95); !math.IsInf(s.Low, -1) || !math.IsInf(s.High, 1) || s.P != 0.0625 {
		t.Errorf("five pairs have an interval of 95 %%: %+v", s)
	}
	for name, s := range map[string]stats.Shift{
		"no pairs": stats.Paired(nil, nil, 0.95), "none": stats.Unpaired(nil, five, 0.95), "none drawn": stats.Bootstrap(nil, nil, true, 0.95, 1),
		"none of none": stats.Proportions(0, 0, 1, 2, 0.95),
	} {
		if s.P != 1 || !math.IsNaN(s.Estimate) || !math.IsInf(s.Low, -1) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for name, s := range map[string]stats.Shift{"equal pairs": stats.Paired(five, five, 0.95), "equal": stats.Unpaired([]float64{1, 1}, []float64{1, 1}, 0.95)} {
		if s.P != 1 || s.Estimate != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// p is that of all ways to give signs to the differences, ties and zeros included.
func TestSignedRankIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.SliceOfN(rapid.IntRange(-4, 4), 1, 9).Draw(t, "differences")
		base, cand := make([]float64, len(whole)), make([]float64, len(whole))
		var kept []float64
		for i, d := range whole {
			cand[i] = float64(d)
			if d != 0 {
				kept = append(kept, float64(d))
			}
		}
		statistic := func(signs int) float64 { // of the signed ranks; signs < 0 are those of the differences
			sum := 0.0
			for i, d := range kept {
				rank := 0.5
				for _, other := range kept {
					switch {
					case math.Abs(other) < math.Abs(d):
						rank++
					case math.Abs(other) == math.Abs(d):
						rank += 0.5
					}
				}
				if signs < 0 && d > 0 || signs >= 0 && signs>>i&1 == 1 {
					sum += rank
				} else {
					sum -= rank
				}
			}
			return math.Abs(sum)
		}
		extreme, all := 0, 1<<len(kept)
		for signs := range all {
			if statistic(signs) >= statistic(-1) {
				extreme++
			}
		}
		want := float64(extreme) / float64(all)
		if got := stats.Paired(base, cand, 0.95).P; math.Abs(got-want) > 1e-12 {
			t.Fatalf("%v: p %v, want %v", whole, got, want)
		}
	})
}

// The interval holds the shifts that the test does not refuse.
func TestIntervalsInvertTheirTests(t *testing.T) {
	const alpha, step = 0.05, 1e-7
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) // numbers that are not tied
		draw := func(n int) []float64 {
			values := make([]float64, n)
			for i := range values {
				values[i] = random.NormFloat64()
			}
			return values
		}
		n, m := rapid.IntRange(4, 12).Draw(t, "n"), rapid.IntRange(4, 12).Draw(t, "m")
		for name, c := range map[string]struct {
			test       func(base, cand []float64, confidence float64) stats.Shift
			base, cand []float64
		}{"paired": {stats.Paired, draw(n), draw(n)}, "unpaired": {stats.Unpaired, draw(n), draw(m)}} {
			s := c.test(c.base, c.cand, 1-alpha)
			if s.Low > s.Estimate || s.Estimate > s.High {
				t.Fatalf("%s: %+v", name, s)
			}
			if math.IsInf(s.Low, 0) {
				continue
			}
			p := func(shift float64) float64 {
				moved := make([]float64, len(c.cand))
				for i := range moved {
					moved[i] = c.cand[i] - shift
				}
				return c.test(c.base, moved, 1-alpha).P
			}
			if inside := min(p(s.Low+step), p(s.High-step)); inside <= alpha && s.High-s.Low > 3*step {
				t.Fatalf("%s: a shift within %+v is refused with p %v", name, s, inside)
			}
			if outside := max(p(s.Low-step), p(s.High+step)); outside > alpha {
				t.Fatalf("%s: a shift beyond %+v is not refused, with p %v", name, s, outside)
			}
		}
	})
}

// For many pairs the normal distribution takes over without a step.
func TestManyPairs(t *testing.T) {
	base, cand := make([]float64, 51), make([]float64, 51)
	for i := range cand {
		cand[i] = float64(i) * []float64{1, -1, 1}[i%3] // the first is zero, and does not count
	}
	exact := stats.Paired(base, cand, 0.95)
	cand[0] = 0.001
	normal := stats.Paired(base, cand, 0.95)
	near(t, "p of 51 pairs", normal.P, exact.P, 0.003)
	near(t, "low of 51 pairs", normal.Low, exact.Low, 0.1)
}

func TestBootstrap(t *testing.T) {
	base := []float64{10, 11, 9, 10.5, 9.5, 10.2, 9.8, 10.1, 9.9, 10}
	cand := make([]float64, len(base))
	for i, b := range base {
		cand[i] = b + 5 + float64(i%3)*0.1
	}
	paired := stats.Bootstrap(base, cand, true, 0.95, 1)
	near(t, "paired", paired.Estimate, 5.1, 1e-9)
	if paired.Low < 5-1e-9 || paired.High > 5.2+1e-9 {
		t.Errorf("%+v", paired)
	}
	unpaired := stats.Bootstrap(base, cand, false, 0.95, 1)
	if unpaired.Low > 5.1 || unpaired.High < 5.1 || unpaired.High-unpaired.Low <= paired.High-paired.Low {
		t.Errorf("%+v", unpaired)
	}
	if again := stats.Bootstrap(base, cand, false, 0.95, 1); again != unpaired {
		t.Errorf("the same seed gives %+v and %+v", again, unpaired)
	}
}

// Newcombe's examples (Statistics in Medicine 17, 1998), and R's of Fisher's test.
func TestProportions(t *testing.T) {
	for _, c := range []struct {
		k, n      int64
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}, {0, 0, 0, 1}} {
		low, high := stats.Wilson(c.k, c.n, 0.95)
		near(t, "low", low, c.low, 5e-5)
		near(t, "high", high, c.high, 5e-5)
	}
	for _, c := range []struct{ candK, candN, baseK, baseN, low, high float64 }{
		{56, 70, 48, 80, 0.0524, 0.3339}, {9, 10, 3, 10, 0.1705, 0.8090}, {0, 10, 0, 10, -0.2775, 0.2775},
	} {
		s := stats.Proportions(int64(c.baseK), int64(c.baseN), int64(c.candK), int64(c.candN), 0.95)
		near(t, "low", s.Low, c.low, 5e-5)
		near(t, "high", s.High, c.high, 5e-5)
	}
	near(t, "tea", stats.Proportions(1, 4, 3, 4, 0.95).P, 0.4857, 5e-5)
	near(t, "convictions", stats.Proportions(2, 17, 10, 13, 0.95).P, 0.0005367, 5e-8)
	near(t, "rare", stats.Proportions(0, 1_000_000, 12, 1_000_000, 0.95).P, 0.000488, 1e-6)
	near(t, "rare failures", stats.Proportions(1_000_000, 1_000_000, 999_988, 1_000_000, 0.95).P, 0.000488, 1e-6)
}

// What R's p.adjust gives.
func TestHolm(t *testing.T) {
	got := stats.Holm([]float64{0.01, 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		near(t, "adjusted", got[i], want, 1e-12)
	}
	near(t, "at most one", stats.Holm([]float64{0.9, 0.8})[0], 1, 0)
	if len(stats.Holm(nil)) != 0 {
		t.Error("none")
	}
}
