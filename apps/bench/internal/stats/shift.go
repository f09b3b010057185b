// Package stats tells whether two samples differ, and by how much. It is pure: the same values, and the same seed where there is
// one, give the same result.
//
// What go-moremath has is used from there. It has no signed-rank test and no Hodges-Lehmann estimate; those are here, and tested
// against what R gives.
package stats

import (
	"errors"
	"math"
	"slices"
	"sort"

	"github.com/aclements/go-moremath/stats"
)

// Shift is by how much a candidate lies above a base.
type Shift struct {
	Estimate  float64 // Hodges-Lehmann
	Low, High float64 // ends of its confidence interval; infinite when the sample is too small for one
	P         float64 // of no shift, two-sided
}

// exactPairs is the largest number of pairs for which the distribution of the signed-rank statistic is computed; for more it is
// close to normal.
const exactPairs = 50

// Paired compares pairs by Wilcoxon's signed-rank test, of which the estimate and the interval are the inversion: the
// Hodges-Lehmann median of the Walsh averages of the differences cand less base (Hollander, Wolfe and Chicken, Nonparametric
// Statistical Methods, 3.1 to 3.3). Differences of zero do not count in P. Both samples have one length.
func Paired(base, cand []float64, confidence float64) Shift {
	n := len(base)
	if n == 0 {
		return unknown()
	}
	differences := make([]float64, n)
	for i := range base {
		differences[i] = cand[i] - base[i]
	}
	walsh := make([]float64, 0, n*(n+1)/2)
	for i := range differences {
		for j := i; j < n; j++ {
			walsh = append(walsh, (differences[i]+differences[j])/2)
		}
	}
	slices.Sort(walsh)
	ranks := make([]int, n) // doubled, as they are where nothing is tied
	for i := range ranks {
		ranks[i] = 2 * (i + 1)
	}
	s := Shift{Estimate: median(walsh), P: signedRankP(differences)}
	s.Low, s.High = ends(walsh, signedRankTail(ranks), confidence)
	return s
}

// signedRankP returns the two-sided p of differences that are not zero.
func signedRankP(differences []float64) float64 {
	d := slices.DeleteFunc(slices.Clone(differences), func(v float64) bool { return v == 0 })
	if len(d) == 0 {
		return 1
	}
	slices.SortFunc(d, func(a, b float64) int {
		switch {
		case math.Abs(a) < math.Abs(b):
			return -1
		case math.Abs(a) > math.Abs(b):
			return 1
		}
		return 0
	})
	ranks := make([]int, len(d)) // doubled, so that mid-ranks are whole
	positive := 0
	for i := 0; i < len(d); {
		j := i
		for j < len(d) && math.Abs(d[j]) == math.Abs(d[i]) {
			j++
		}
		for k := i; k < j; k++ {
			ranks[k] = i + 1 + j // twice the mean of i+1 … j
			if d[k] > 0 {
				positive += ranks[k]
			}
		}
		i = j
	}
	total := 0
	for _, r := range ranks {
		total += r
	}
	return min(1, 2*signedRankTail(ranks)(float64(min(positive, total-positive))/2))
}

// signedRankTail returns the probability of a statistic of at most w, where ranks are doubled.
func signedRankTail(ranks []int) func(w float64) float64 {
	total, squares := 0, 0.0
	for _, r := range ranks {
		total += r
		squares += float64(r*r) / 4
	}
	if len(ranks) > exactPairs {
		normal := stats.NormalDist{Mu: float64(total) / 4, Sigma: math.Sqrt(squares / 4)}
		return func(w float64) float64 { return normal.CDF(w + 0.5) }
	}
	ways := make([]float64, total+1) // of 2^n, by the doubled statistic
	ways[0] = 1
	for _, r := range ranks {
		for w := total; w >= r; w-- {
			ways[w] += ways[w-r]
		}
	}
	all, sum := math.Exp2(float64(len(ranks))), 0.0
	for w := range ways {
		sum += ways[w]
		ways[w] = sum / all
	}
	return func(w float64) float64 {
		if w < 0 {
			return 0
		}
		return ways[min(int(2*w), total)]
	}
}

// Unpaired compares two samples by the Mann-Whitney U test (exact for small samples), of which the estimate and the interval are
// the inversion: the Hodges-Lehmann median of all differences cand less base (Hollander, Wolfe and Chicken, 4.1 to 4.3).
func Unpaired(base, cand []float64, confidence float64) Shift {
	if len(base) == 0 || len(cand) == 0 {
		return unknown()
	}
	differences := make([]float64, 0, len(base)*len(cand))
	for _, b := range base {
		for _, c := range cand {
			differences = append(differences, c-b)
		}
	}
	slices.Sort(differences)
	s := Shift{Estimate: median(differences), P: 1}
	test, err := stats.MannWhitneyUTest(base, cand, stats.LocationDiffers)
	if err == nil {
		s.P = test.P
	} else if !errors.Is(err, stats.ErrSamplesEqual) { // equal ones do not differ
		return unknown()
	}
	s.Low, s.High = ends(differences, uTail(len(base), len(cand)), confidence)
	return s
}

// uTail returns the probability of a U of at most u.
func uTail(n, m int) func(u float64) float64 {
	if max(n, m) > stats.MannWhitneyExactLimit {
		product := float64(n) * float64(m)
		normal := stats.NormalDist{Mu: product / 2, Sigma: math.Sqrt(product * float64(n+m+1) / 12)}
		return func(u float64) float64 { return normal.CDF(u + 0.5) }
	}
	return stats.UDist{N1: n, N2: m}.CDF
}

// ends returns the ends of the interval that a test's inversion leaves of sorted averages or differences: as many are cut off on
// each side as the statistic's tail allows.
func ends(sorted []float64, tail func(float64) float64, confidence float64) (low, high float64) {
	alpha := (1 - confidence) / 2
	cut := sort.Search(len(sorted)/2+1, func(k int) bool { return tail(float64(k)) > alpha })
	if cut == 0 {
		return math.Inf(-1), math.Inf(1)
	}
	return sorted[cut-1], sorted[len(sorted)-cut]
}

func unknown() Shift {
	return Shift{Estimate: math.NaN(), Low: math.Inf(-1), High: math.Inf(1), P: 1}
}

// median returns the middle of sorted values, which are not none.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Median returns the middle of values, and NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return median(slices.Sorted(slices.Values(values)))
}
