package modelmock

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Latency is how long something takes: always the same, or log-normal.
type Latency struct {
	Median time.Duration
	Sigma  float64 // of the logarithm; 0 is always the median
}

func (l Latency) draw(r *rand.Rand) time.Duration {
	if l.Sigma == 0 {
		return l.Median
	}
	return time.Duration(float64(l.Median) * math.Exp(l.Sigma*r.NormFloat64()))
}

// Profile is how fast a model is, and how much it says.
type Profile struct {
	FirstToken Latency // from the request's end to the first token
	PerToken   Latency // from one token to the next
	Tokens     int     // of every answer; 0 is as many as the text has
}

// Profiles are those that have a name.
func Profiles() map[string]Profile {
	return map[string]Profile{
		"instant": {},
		"fast":    {FirstToken: Latency{80 * time.Millisecond, 0.3}, PerToken: Latency{8 * time.Millisecond, 0.3}},
		"typical": {FirstToken: Latency{350 * time.Millisecond, 0.5}, PerToken: Latency{25 * time.Millisecond, 0.4}},
		"slow":    {FirstToken: Latency{2 * time.Second, 0.6}, PerToken: Latency{80 * time.Millisecond, 0.5}},
	}
}

// ProfileNamed returns a profile of Profiles.
func ProfileNamed(name string) (Profile, error) {
	p, ok := Profiles()[name]
	if !ok {
		return Profile{}, fmt.Errorf("unknown profile %q; known are instant, fast, typical, slow", name)
	}
	return p, nil
}
