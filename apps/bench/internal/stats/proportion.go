package stats

import (
	"math"
	"slices"

	"github.com/aclements/go-moremath/stats"
)

// Wilson returns the confidence interval of a proportion of k in n (Wilson 1927). Of none it is everything.
func Wilson(k, n int64, confidence float64) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	z := quantile(confidence)
	size, p := float64(n), float64(k)/float64(n)
	centre := (p + z*z/(2*size)) / (1 + z*z/size)
	half := z / (1 + z*z/size) * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	return max(0, centre-half), min(1, centre+half)
}

// Proportions returns by how much the proportion of k in n of a candidate lies above that of a base: its interval from both
// Wilson intervals (Newcombe 1998, method 10), P by Fisher's exact test.
func Proportions(baseK, baseN, candK, candN int64, confidence float64) Shift {
	if baseN == 0 || candN == 0 {
		return unknown()
	}
	b, c := float64(baseK)/float64(baseN), float64(candK)/float64(candN)
	bLow, bHigh := Wilson(baseK, baseN, confidence)
	cLow, cHigh := Wilson(candK, candN, confidence)
	d := c - b
	return Shift{
		Estimate: d, Low: d - math.Hypot(c-cLow, bHigh-b), High: d + math.Hypot(cHigh-c, b-bLow),
		P: fisher(baseK, baseN, candK, candN),
	}
}

// fisher returns the two-sided p of Fisher's exact test: the probability of all tables with the same margins that are no more
// likely than this one.
func fisher(baseK, baseN, candK, candN int64) float64 {
	k := baseK + candK
	if misses := baseN + candN - k; misses < k { // the rarer side has fewer tables
		return fisher(baseN-baseK, baseN, candN-candK, candN)
	}
	d := stats.HypergeometicDist{N: int(baseN + candN), K: int(k), Draws: int(candN)}
	seen := d.PMF(float64(candK)) * (1 + 1e-7)
	sum := 0.0
	for i := max(0, k-baseN); i <= min(k, candN); i++ {
		if p := d.PMF(float64(i)); p <= seen {
			sum += p
		}
	}
	return min(1, sum)
}

// quantile returns the z that a two-sided confidence needs.
func quantile(confidence float64) float64 { return stats.StdNormal.InvCDF(1 - (1-confidence)/2) }

// Holm returns p values that are corrected for their number: when those of at most alpha are taken, the probability that any is taken
// wrongly is at most alpha (Holm 1979).
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	adjusted, least := make([]float64, len(p)), 0.0
	for rank, i := range order {
		least = max(least, min(1, p[i]*float64(len(p)-rank)))
		adjusted[i] = least
	}
	return adjusted
}
