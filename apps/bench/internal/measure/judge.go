//go:build linux

package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/load"
	"github.com/innatural/chatbot/apps/bench/internal/result"
	"github.com/innatural/chatbot/apps/bench/internal/stats"
)

// From when on the generator, and not the server, is what was measured.
const (
	MaxClientCPU = 0.8
	minDelivered = 0.99
	minLag       = time.Millisecond // of the lag's P99; or
	lagOfMedian  = 0.05             // of the median latency, where that is more
)

// validity judges whether the generator kept up, and whether there are figures at all.
func validity(parts []Part, median time.Duration, series []*result.Series) result.Validity {
	v := result.Validity{Reasons: []string{}}
	cpu, lag := 0.0, load.NewHistogram()
	var due, sent int64
	exhausted := false
	for _, p := range parts {
		cpu += p.ClientCPU() / float64(len(parts))
		lag.Merge(p.Lag)
		due, sent, v.Dropped, exhausted = due+p.Due, sent+p.Sent, v.Dropped+p.Dropped, exhausted || p.Exhausted
	}
	refuse := func(format string, args ...any) { v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...)) }
	for _, p := range parts {
		if p.Cut != nil {
			refuse("%v", p.Cut)
		}
	}
	for _, s := range series {
		// A promise that was seen broken needs no figures: the server is what was measured.
		broken := slices.ContainsFunc(s.Promises, func(p result.Promise) bool { return p.Kept != nil && !*p.Kept })
		if s.Latency == nil && !broken && s.Name != All { // which has none when no other has
			refuse("%s: none of its %d requests succeeded (%d refused, %d failed: %v)", s.Name, s.Count, s.Shed, s.Errors.Total, s.Errors)
		}
	}
	v.ClientCPURatio = &cpu
	if cpu > MaxClientCPU {
		refuse("the generator used %.0f %% of its CPU time (more than %.0f %%): it may have been the limit; give it more cores, or ask for less", 100*cpu, 100*MaxClientCPU)
	}
	if due > 0 { // an open loop
		p99, delivered := time.Duration(lag.ValueAtQuantile(99)), float64(sent)/float64(due)
		inMS := ms(int64(p99))
		v.LagP99MS, v.DeliveredRatio = &inMS, &delivered
		cause := "the generator was late; ask for less, or leave the machine alone"
		if exhausted {
			cause = "all connections were busy: the server did not keep up; ask for less, or raise --connections"
		}
		if most := max(minLag, time.Duration(lagOfMedian*float64(median))); p99 > most {
			refuse("requests were sent late (P99 %s, more than %s): %s", amount(inMS, result.UnitMS), amount(ms(int64(most)), result.UnitMS), cause)
		}
		if delivered < minDelivered {
			refuse("only %.1f %% of the requests that were due were sent in time (fewer than %.0f %%): %s", 100*delivered, 100*minDelivered, cause)
		}
	}
	v.Valid = len(v.Reasons) == 0
	return v
}

// promises judges what the policy promises of an endpoint.
func (t *totals) promises(e Endpoint) []result.Promise {
	if e.SLO == nil {
		return nil
	}
	var all []result.Promise
	if limit := time.Duration(e.SLO.Latency); limit > 0 {
		p := result.Promise{
			What: "p" + strings.TrimSuffix(fmt.Sprintf("%.2f", 100*e.SLO.Quantile), ".00") + " latency", Route: e.Route, Limit: ms(int64(limit)),
			Unit: result.UnitMS, Origin: e.Origin,
		}
		if n := t.whole.Latency.TotalCount(); n > 0 {
			measured := ms(t.whole.Latency.ValueAtQuantile(100 * e.SLO.Quantile))
			p.Measured = &measured
			slower := int64(0)
			for _, bar := range t.whole.Latency.Distribution() {
				if bar.From > int64(limit) {
					slower += bar.Count
				}
			}
			p.Kept = kept(measured <= p.Limit, slower, n, 1-e.SLO.Quantile, enough(1-e.SLO.Quantile))
		}
		all = append(all, p)
	}
	// Where a policy writes no share of errors, it promises the default: none is written, and means that nothing may fail.
	p := result.Promise{What: "errors", Route: e.Route, Limit: e.SLO.Errors, Unit: result.UnitRatio, Origin: e.Origin}
	if t.Count > 0 {
		measured := float64(t.BadStatus) / float64(t.Count)
		p.Measured = &measured
		least := int64(1) // of nothing that may fail, the first that does is too many
		if p.Limit > 0 {
			least = int64(math.Ceil(1 / p.Limit))
		}
		p.Kept = kept(measured <= p.Limit, t.BadStatus, t.Count, p.Limit, least)
	}
	return append(all, p)
}

// kept says whether a promise was kept, when there are requests enough to say so, or when so many were bad that even few are enough.
func kept(held bool, bad, n int64, allowed float64, least int64) *bool {
	if n >= least {
		return &held
	}
	if low, _ := stats.Wilson(bad, n, 0.95); low > allowed {
		return new(bool)
	}
	return nil
}

// assess says what to think of a series.
func assess(s *result.Series) string {
	if len(s.Promises) == 0 {
		return "nothing is promised"
	}
	var broken, few, held []string
	for _, p := range s.Promises {
		if p.Measured == nil {
			few = append(few, p.What)
			continue
		}
		text := fmt.Sprintf("%s %s of at most %s", p.What, amount(*p.Measured, p.Unit), amount(p.Limit, p.Unit))
		switch {
		case p.Kept == nil:
			few = append(few, text)
		case *p.Kept:
			held = append(held, text)
		default:
			broken = append(broken, text)
		}
	}
	switch {
	case len(broken) > 0:
		return "broken: " + strings.Join(broken, ", ")
	case len(few) > 0:
		return "too few requests to say: " + strings.Join(few, ", ")
	}
	return "kept: " + strings.Join(held, ", ")
}

func amount(v float64, unit string) string {
	if unit == result.UnitRatio {
		return fmt.Sprintf("%.3g %%", 100*v)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}
