package chatbot

import (
	"math"
	"testing"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"
	"go.k6.io/k6/v2/lib/types"
	"gopkg.in/guregu/null.v3"
)

const ms = time.Millisecond

// k6 in an open model, as far as it matters: arrivals are started in turn, each when it is due and k6 is there, by a user who is
// free; when there is none they are left out. An iteration lasts for a while.
type model struct {
	config   lib.ExecutorConfig
	due      func(n int) time.Duration // of arrival n, from 0
	arrivals int
	users    int
	lasts    func(start time.Duration) time.Duration
	there    func(at time.Duration) time.Duration // k6 is there not before
}

func at(t time.Duration) time.Duration { return t }

// away is when k6 is there again, which was not there for a while.
func away(from, until time.Duration) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration {
		if at >= from && at < until {
			return until
		}
		return at
	}
}

// The lag of each start is that of the arrival which k6 started, whether or not others were left out before it.
func TestLagOfArrivals(t *testing.T) {
	second := types.NullDurationFrom(time.Second)
	constant := func(rate int64) lib.ExecutorConfig {
		return &executor.ConstantArrivalRateConfig{
			Rate: null.IntFrom(rate), TimeUnit: second, Duration: types.NullDurationFrom(time.Minute),
		}
	}
	always := func(d time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return d }
	}
	frozen := func(start time.Duration) time.Duration { // a server that stops from the 5th second to the 7th
		if start >= 5*time.Second && start < 7*time.Second {
			return 7*time.Second - start
		}
		return 10 * ms
	}
	fifty := func(n int) time.Duration { return time.Duration(n) * 20 * ms }
	for name, m := range map[string]model{
		"on time":          {constant(50), fifty, 1000, 10, always(10 * ms), at},
		"late by a little": {constant(50), fifty, 1000, 10, always(10 * ms), func(at time.Duration) time.Duration { return at + 3*ms }},
		"k6 stands still":  {constant(50), fifty, 1000, 200, always(10 * ms), away(5*time.Second, 7*time.Second)},
		"enough users":     {constant(50), fifty, 1000, 200, frozen, at},
		"too few users":    {constant(50), fifty, 1000, 5, frozen, at},
		"far too few":      {constant(50), fifty, 1000, 2, always(123 * ms), at},
		"both":             {constant(50), fifty, 1000, 5, frozen, away(12*time.Second, 13*time.Second)},
		"odd rate": {
			constant(3000), func(n int) time.Duration { return time.Duration(n) * 333333 }, 60_000, 50, always(10 * ms), at,
		},
		"ramp": {
			// From none to 40 a second in 20 s: n have come after sqrt(n) seconds.
			&executor.RampingArrivalRateConfig{
				StartRate: null.IntFrom(0), TimeUnit: second,
				Stages: []executor.Stage{{Duration: types.NullDurationFrom(20 * time.Second), Target: null.IntFrom(40)}},
			},
			func(n int) time.Duration { return time.Duration(math.Sqrt(float64(n+1)) * float64(time.Second)) }, 400, 5, frozen, at,
		},
		"ramp whose users are ready after 30 ms": {
			&executor.RampingArrivalRateConfig{
				StartRate: null.IntFrom(40), TimeUnit: second,
				Stages: []executor.Stage{{Duration: types.NullDurationFrom(20 * time.Second), Target: null.IntFrom(40)}},
			},
			func(n int) time.Duration { return 30*ms + time.Duration(n+1)*25*ms }, 700, 5, frozen, away(8*time.Second, 9*time.Second),
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			r := newRunning(&lib.ScenarioState{Name: "open", StartTime: start}, m.config)
			free := make([]time.Duration, m.users) // when each user is
			now, number, left := time.Duration(0), uint64(0), 0
			for n := range m.arrivals {
				now = max(now, m.there(m.due(n)))
				user, busy := -1, 1
				for u, at := range free {
					if at > now {
						busy++
					} else {
						user = u
					}
				}
				if user < 0 {
					left++
					continue
				}
				free[user] = now + m.lasts(now)
				got := r.due(number, start.Add(now), busy == m.users).Sub(start)
				number++
				if diff := got - m.due(n); diff < -10*time.Microsecond || diff > 10*time.Microsecond {
					t.Fatalf("arrival %d, of which %d were left out, is due at %v and started at %v; due is %v", n, left, m.due(n), now, got)
				}
			}
		})
	}
}
