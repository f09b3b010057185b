package pace

import (
	"math"
	"sort"
	"time"
)

// Stage changes the rate of arrivals in a straight line to Rate, per second, within Duration.
type Stage struct {
	Duration time.Duration
	Rate     float64
}

// Arrivals is the schedule of an open model. It is immutable.
type Arrivals []part

type part struct {
	at       time.Duration // its start
	before   float64       // arrivals before it
	sum      float64       // arrivals before its end
	from     float64       // rate at its start
	slope    float64       // what the rate changes by in a second
	duration time.Duration
}

// NewArrivals returns the schedule of stages that start at a rate per second.
func NewArrivals(start float64, stages []Stage) Arrivals {
	var a Arrivals
	var at time.Duration
	var before float64
	for _, s := range stages {
		if s.Duration > 0 {
			sum := before + s.Duration.Seconds()*(start+s.Rate)/2
			a = append(a, part{at, before, sum, start, (s.Rate - start) / s.Duration.Seconds(), s.Duration})
			at += s.Duration
			before = sum
		}
		start = s.Rate
	}
	return a
}

// Due returns when arrival n, from 0, is due after the start; false when the schedule ends before it. As k6 counts, the first is
// due when the rate has summed up to one.
func (a Arrivals) Due(n int64) (time.Duration, bool) {
	count := float64(n + 1)
	i := sort.Search(len(a), func(i int) bool { return a[i].sum >= count-1e-9 })
	if i == len(a) {
		return 0, false
	}
	p := a[i]
	count -= p.before
	// After x seconds, from·x + slope·x²/2 have arrived. This form of the solution holds for a slope of 0 too.
	x := 2 * count / (p.from + math.Sqrt(max(0, p.from*p.from+2*p.slope*count)))
	return p.at + min(p.duration, time.Duration(x*float64(time.Second))), true
}
