package compare

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/innatural/chatbot/apps/bench/internal/result"
	"github.com/innatural/chatbot/apps/bench/internal/stats"
)

// isClosed reports whether a run was a closed loop of bench, whose rate is measured and not set.
func isClosed(d *result.Document) bool {
	var config struct {
		Loop string `json:"loop"`
	}
	return d.Tool.Name == "bench" && json.Unmarshal(d.Run.Config, &config) == nil && config.Loop == "closed"
}

// samples returns the logarithms of a metric of the blocks that have it: of both blocks of a pair, when there are pairs.
func samples(base, cand *result.Series, pairs bool, of func(result.Block) *float64) (b, c []float64) {
	positive := func(block result.Block) (float64, bool) {
		v := of(block)
		return logarithm(v), v != nil && *v > 0
	}
	if pairs {
		for i := range base.Blocks {
			x, hasX := positive(base.Blocks[i])
			y, hasY := positive(cand.Blocks[i])
			if hasX && hasY {
				b, c = append(b, x), append(c, y)
			}
		}
		return b, c
	}
	for _, block := range base.Blocks {
		if x, has := positive(block); has {
			b = append(b, x)
		}
	}
	for _, block := range cand.Blocks {
		if y, has := positive(block); has {
			c = append(c, y)
		}
	}
	return b, c
}

func logarithm(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return math.Log(*v)
}

// locate returns the shift of two samples, and how it was found.
func locate(base, cand []float64, pairs bool) (stats.Shift, string) {
	if pairs {
		return stats.Paired(base, cand, Confidence), "Wilcoxon signed-rank, Hodges-Lehmann"
	}
	return stats.Unpaired(base, cand, Confidence), "Mann-Whitney U, Hodges-Lehmann"
}

// tail gives a shift the interval and the estimate of a bootstrap.
func tail(s stats.Shift, base, cand []float64, pairs bool, seed uint64) stats.Shift {
	drawn := stats.Bootstrap(base, cand, pairs, Confidence, seed)
	drawn.P = s.P
	return drawn
}

// success compares success rates, in percentage points. Whoever was refused was not served: a server that refuses more is no better for
// the times of the others.
func success(of result.Change, base, cand *result.Series) result.Change {
	of.Metric, of.Unit, of.Margin, of.Confidence, of.Method = "success_rate", result.UnitRatio, marginSuccess, Confidence, "Fisher, Newcombe"
	of.Base, of.Cand = base.Served(), cand.Served()
	of.Change = 100 * (of.Cand - of.Base)
	s := stats.Proportions(base.Good(), base.Count, cand.Good(), cand.Count, Confidence)
	of.P, of.Low, of.High = &s.P, finite(100*s.Low), finite(100*s.High)
	return of
}

// decide corrects the p values of all changes for their number, and gives each its verdict.
func decide(c *result.Comparison) {
	p := make([]float64, len(c.Changes))
	for i, ch := range c.Changes {
		p[i] = *ch.P
	}
	for i, adjusted := range stats.Holm(p) {
		ch := &c.Changes[i]
		ch.PAdjusted = &adjusted
		if ch.Verdict = verdict(ch); ch.Verdict != result.Inconclusive {
			ch.RoundsNeeded = 0
		}
	}
}

// verdict judges a change. It is equivalent when its whole interval lies within the margin; it is a change when its whole interval lies
// on one side of none, and p, corrected, says so too.
func verdict(ch *result.Change) result.Verdict {
	if ch.Metric == "success_rate" && ch.Base == 1 && ch.Cand == 1 {
		return result.Equivalent // nothing failed, however few there were
	}
	if ch.Low == nil || ch.High == nil {
		return result.Inconclusive
	}
	if *ch.Low >= -ch.Margin && *ch.High <= ch.Margin {
		return result.Equivalent
	}
	if *ch.PAdjusted > 1-Confidence || *ch.Low <= 0 && *ch.High >= 0 {
		return result.Inconclusive
	}
	if moreIsBetter := ch.Metric == "rate" || ch.Metric == "success_rate"; moreIsBetter == (*ch.Low > 0) {
		return result.Improved
	}
	return result.Regressed
}

// ofSeries returns the verdict on a series: regressed when one of its metrics is; inconclusive when one that it waits for is;
// improved when one is.
func ofSeries(changes []result.Change, s *result.Series) result.Verdict {
	regressed, improved, open, gated := false, false, false, false
	for _, ch := range changes {
		if ch.Series != s.Name || ch.Phase != s.Phase || ch.Scenario != s.Scenario {
			continue
		}
		regressed = regressed || ch.Verdict == result.Regressed
		improved = improved || ch.Verdict == result.Improved
		open = open || ch.Gates && ch.Verdict == result.Inconclusive
		gated = gated || ch.Gates
	}
	switch {
	case regressed:
		return result.Regressed
	case open || !gated:
		return result.Inconclusive
	case improved:
		return result.Improved
	}
	return result.Equivalent
}

// worst returns the verdict on all series: the first of these that one has.
func worst(series []result.SeriesVerdict) result.Verdict {
	for _, v := range []result.Verdict{result.Regressed, result.Inconclusive, result.Improved} {
		if slices.ContainsFunc(series, func(s result.SeriesVerdict) bool { return s.Verdict == v }) {
			return v
		}
	}
	return result.Equivalent
}

// needed returns how many blocks would probably decide: as the width of an interval shrinks with the square root of their number, so
// many that it leaves out either no change or the margin. 0 is more than 10,000.
func needed(s stats.Shift, margin float64, blocks int) int {
	half := (s.High - s.Low) / 2
	change, within := math.Abs(s.Estimate), math.Log1p(margin/100)
	room := max(change, within-change)
	n := math.Ceil(float64(blocks) * (half / room) * (half / room))
	if math.IsInf(n, 0) || math.IsNaN(n) || n > 10_000 {
		return 0
	}
	return max(blocks+1, int(n))
}

// percent makes a shift of logarithms a percentage.
func percent(shift float64) float64 { return 100 * math.Expm1(shift) }

func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}
