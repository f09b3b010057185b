// Package compare judges a candidate against a base: what changed, by how much, and whether that could be chance. The sample is the
// block, not the request, since requests of one moment resemble each other.
//
// Times, rates and CPU times are compared as logarithms, so that a shift is a percentage. Blocks that were measured next to
// each other are compared pair by pair, by Wilcoxon's signed-rank test; others by the Mann-Whitney U test. Shifts are
// Hodges-Lehmann estimates with the interval of the test; of P95 and P99 the interval is that of a bootstrap of blocks. Success
// rates are compared by Fisher's test over requests, those that were refused too. All p values of a comparison are corrected together (Holm), so that a
// comparison of two equal servers finds a difference in at most one of twenty cases.
package compare

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// Confidence of all verdicts together.
const Confidence = 0.95

// Margins: changes that do not matter, in percent, and in percentage points of a success rate.
const (
	marginTime    = 5.0
	marginRate    = 3.0
	marginSuccess = 0.1
)

// MinBlocks is how many blocks each run must have. With fewer no difference could pass the correction for several comparisons.
const MinBlocks = 6

// Options of a comparison.
type Options struct {
	Seed  uint64 // of the bootstrap
	Force bool   // whether runs of different configurations or hosts are compared
}

// ErrNotComparable marks runs that can't be compared.
var ErrNotComparable = errors.New("not comparable")

// Runs compares two runs. An error that is ErrNotComparable says why they can't be, which Force overrides where it can.
func Runs(base, cand *result.Document, o Options) (*result.Comparison, error) {
	for name, d := range map[string]*result.Document{"base": base, "candidate": cand} {
		if d.Kind != result.KindRun {
			return nil, fmt.Errorf("%w: the %s is a comparison, not a run", ErrNotComparable, name)
		}
	}
	c := &result.Comparison{
		Confidence: Confidence, Seed: o.Seed, Changes: []result.Change{}, Series: []result.SeriesVerdict{}, Warnings: []string{},
	}
	if err := refuse(c, base, cand, o.Force); err != nil {
		return nil, err
	}
	type pair struct{ base, cand *result.Series }
	var pairs []pair
	others := map[string]*result.Series{}
	for _, s := range cand.Series {
		others[s.Label()] = s
	}
	for _, b := range base.Series {
		if s := others[b.Label()]; s != nil {
			pairs = append(pairs, pair{b, s})
			delete(others, b.Label())
		} else {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s: only the base has it", b.Label()))
		}
	}
	for label := range others {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s: only the candidate has it", label))
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%w: they have no endpoint in common", ErrNotComparable)
	}
	c.Paired = true
	for _, p := range pairs {
		c.Paired = c.Paired && paired(p.base, p.cand)
	}
	c.Interleaved = c.Paired
	if !c.Interleaved {
		c.Warnings = append(c.Warnings, "not interleaved: the two were measured one after the other, so a change of the machine between "+
			"them looks like one of the server; bench ab measures them in turns")
	}
	closed := isClosed(base) && isClosed(cand)
	for _, p := range pairs {
		changes, warning := compareSeries(p.base, p.cand, c.Paired, closed, o.Seed)
		if warning != "" {
			c.Warnings = append(c.Warnings, warning)
		}
		c.Changes = append(c.Changes, changes...)
	}
	decide(c)
	for _, p := range pairs {
		c.Series = append(c.Series, result.SeriesVerdict{
			Name: p.base.Name, Phase: p.base.Phase, Scenario: p.base.Scenario, Verdict: ofSeries(c.Changes, p.base),
		})
	}
	c.Verdict = worst(c.Series)
	return c, nil
}

// refuse refuses runs that say nothing about each other.
func refuse(c *result.Comparison, base, cand *result.Document, force bool) error {
	var problems []string
	if base.Run.ConfigHash != cand.Run.ConfigHash {
		problems = append(problems, fmt.Sprintf("their configurations differ (%.12s and %.12s): one was not asked what the other was",
			base.Run.ConfigHash, cand.Run.ConfigHash))
	}
	if !base.Host.Same(cand.Host) {
		problems = append(problems, fmt.Sprintf("they were measured on different machines (%s with %d CPUs, and %s with %d)",
			base.Host.CPU, base.Host.CPUs, cand.Host.CPU, cand.Host.CPUs))
	}
	for i, d := range []*result.Document{base, cand} {
		if !d.Validity.Valid {
			problems = append(problems, fmt.Sprintf("the %s is invalid: %s",
				[]string{"base", "candidate"}[i], cmp.Or(strings.Join(d.Validity.Reasons, "; "), "it does not say why")))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	if force {
		c.Warnings = append(c.Warnings, problems...)
		return nil
	}
	return fmt.Errorf("%w: %s; --force compares them all the same", ErrNotComparable, problems[0])
}

// paired reports whether the blocks of two series were measured in pairs.
func paired(base, cand *result.Series) bool {
	if len(base.Blocks) == 0 || len(base.Blocks) != len(cand.Blocks) {
		return false
	}
	for i := range base.Blocks {
		b, c := base.Blocks[i].Pair, cand.Blocks[i].Pair
		if b == nil || c == nil || *b != *c {
			return false
		}
	}
	return true
}

// metric is something that is compared of blocks.
type metric struct {
	name, unit string
	margin     float64
	tail       bool // whether the interval is by bootstrap
	gates      bool // whether the verdict of a series waits for it
	block      func(b result.Block) *float64
	whole      func(s *result.Series) float64
}

var metrics = []metric{
	{
		"avg", result.UnitMS, marginTime, false, false,
		func(b result.Block) *float64 { return b.Avg }, func(s *result.Series) float64 { return s.Latency.Avg },
	},
	{
		"median", result.UnitMS, marginTime, false, true,
		func(b result.Block) *float64 { return b.Median }, func(s *result.Series) float64 { return s.Latency.Median },
	},
	{
		"p95", result.UnitMS, marginTime, true, false,
		func(b result.Block) *float64 { return b.P95 }, func(s *result.Series) float64 { return s.Latency.P95 },
	},
	{
		"p99", result.UnitMS, marginTime, true, false,
		func(b result.Block) *float64 { return b.P99 }, func(s *result.Series) float64 { return s.Latency.P99 },
	},
	{
		"rate", result.UnitPerSecond, marginRate, false, true,
		func(b result.Block) *float64 { return &b.Rate }, func(s *result.Series) float64 { return s.Rate },
	},
	{"cpu", result.UnitUS, marginTime, false, false, func(b result.Block) *float64 { return b.CPU }, cpuOf},
}

func cpuOf(s *result.Series) float64 {
	if s.CPU == nil {
		return 0
	}
	return *s.CPU
}

// compareSeries compares what two series have of each metric. Rates are compared in a closed loop only: in an open one the generator
// sets them.
func compareSeries(base, cand *result.Series, pairs, closed bool, seed uint64) (changes []result.Change, warning string) {
	of := result.Change{Series: base.Name, Phase: base.Phase, Scenario: base.Scenario}
	few := min(len(base.Blocks), len(cand.Blocks))
	if few < MinBlocks {
		warning = fmt.Sprintf("%s: %d blocks are too few for a verdict on times; there must be %d, and should be 20",
			base.Label(), few, MinBlocks)
	} else if base.Latency != nil && cand.Latency != nil {
		for _, m := range metrics {
			if m.name == "rate" && !closed {
				continue
			}
			b, c := samples(base, cand, pairs, m.block)
			if min(len(b), len(c)) < MinBlocks {
				continue
			}
			ch := of
			ch.Metric, ch.Unit, ch.Margin, ch.Gates, ch.Confidence = m.name, m.unit, m.margin, m.gates, Confidence
			ch.Base, ch.Cand = m.whole(base), m.whole(cand)
			shift, method := locate(b, c, pairs)
			if m.tail {
				shift, method = tail(shift, b, c, pairs, seed), method+"; block bootstrap"
			}
			ch.Method, ch.P = method, &shift.P
			ch.Change, ch.Low, ch.High = percent(shift.Estimate), finite(percent(shift.Low)), finite(percent(shift.High))
			ch.RoundsNeeded = needed(shift, m.margin, few)
			changes = append(changes, ch)
		}
	}
	return append(changes, success(of, base, cand)), warning
}
