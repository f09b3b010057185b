package stats

import (
	"math/rand/v2"
	"slices"
)

// resamples is how often a bootstrap draws: enough that the ends of an interval do not depend on the seed where it matters.
const resamples = 1000

// Bootstrap estimates the shift of the medians of two samples of blocks, with an interval by resampling whole blocks: in pairs
// when they are paired (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3). It gives no P, which would promise
// more than a handful of blocks can hold. Paired samples have one length.
func Bootstrap(base, cand []float64, paired bool, confidence float64, seed uint64) Shift {
	if len(base) == 0 || len(cand) == 0 {
		return unknown()
	}
	random := rand.New(rand.NewPCG(seed, 0))
	drawn := make([]float64, resamples)
	b, c := make([]float64, len(base)), make([]float64, len(cand))
	for i := range drawn {
		if paired {
			for j := range b {
				k := random.IntN(len(base))
				b[j] = cand[k] - base[k]
			}
			slices.Sort(b)
			drawn[i] = median(b)
			continue
		}
		for j := range b {
			b[j] = base[random.IntN(len(base))]
		}
		for j := range c {
			c[j] = cand[random.IntN(len(cand))]
		}
		slices.Sort(b)
		slices.Sort(c)
		drawn[i] = median(c) - median(b)
	}
	slices.Sort(drawn)
	cut := int((1 - confidence) / 2 * resamples)
	s := Shift{Low: drawn[cut], High: drawn[resamples-1-cut], P: 1}
	if paired {
		for i := range b {
			b[i] = cand[i] - base[i]
		}
		s.Estimate = Median(b)
	} else {
		s.Estimate = Median(cand) - Median(base)
	}
	return s
}
