// Package pace says when things happen: how long a user thinks, and when an arrival is due.
package pace

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"go.k6.io/k6/v2/lib/types"
)

// Think is a distribution of the pause before a user's next message.
type Think struct {
	Dist   string             `json:"dist"`   // lognormal, exponential, uniform or fixed
	Median types.NullDuration `json:"median"` // of lognormal, exponential, fixed
	P95    types.NullDuration `json:"p95"`    // of lognormal
	Min    types.NullDuration `json:"min"`    // no pause is shorter
	Max    types.NullDuration `json:"max"`    // nor longer
}

// z95 is the 95th percentile of the standard normal distribution.
const z95 = 1.6448536269514722

// DefaultThink is how people type between two messages: a few seconds mostly, now and then a quarter of a minute.
func DefaultThink() Think {
	return Think{
		Dist:   "lognormal",
		Median: types.NullDurationFrom(4 * time.Second), P95: types.NullDurationFrom(12 * time.Second),
		Min: types.NullDurationFrom(time.Second), Max: types.NullDurationFrom(30 * time.Second),
	}
}

// Validate says what is wrong with a distribution.
func (t Think) Validate() error {
	if t.Median.TimeDuration() < 0 || t.P95.TimeDuration() < 0 || t.Min.TimeDuration() < 0 || t.Max.TimeDuration() < 0 {
		return errors.New("a duration is negative")
	}
	if t.Max.Valid && t.Min.TimeDuration() > t.Max.TimeDuration() {
		return errors.New("min is longer than max")
	}
	switch t.Dist {
	case "fixed", "exponential":
		if !t.Median.Valid {
			return fmt.Errorf("dist %q needs a median", t.Dist)
		}
	case "lognormal":
		if t.Median.TimeDuration() == 0 || t.P95.TimeDuration() < t.Median.TimeDuration() {
			return fmt.Errorf("dist %q needs a median over 0 and a p95 that is not shorter", t.Dist)
		}
	case "uniform":
		if !t.Max.Valid {
			return fmt.Errorf("dist %q needs a max", t.Dist)
		}
	default:
		return fmt.Errorf("dist %q is not one of lognormal, exponential, uniform, fixed", t.Dist)
	}
	return nil
}

// Draw returns a pause.
func (t Think) Draw(rng *rand.Rand) time.Duration {
	median, shortest, longest := float64(t.Median.TimeDuration()), float64(t.Min.TimeDuration()), float64(t.Max.TimeDuration())
	var d float64
	switch t.Dist {
	case "fixed":
		d = median
	case "exponential":
		d = rng.ExpFloat64() * median / math.Ln2
	case "uniform":
		d = shortest + rng.Float64()*(longest-shortest)
	case "lognormal":
		d = median * math.Exp(math.Log(float64(t.P95.TimeDuration())/median)/z95*rng.NormFloat64())
	}
	d = max(d, shortest)
	if t.Max.Valid {
		d = min(d, longest)
	}
	return time.Duration(d)
}
