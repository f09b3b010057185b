// Package scenario holds the shop's load profiles, as scenarios of k6.
package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.k6.io/k6/v2/lib/types"
)

// Options change a profile without changing its shape.
type Options struct {
	Scale     float64            `json:"scale"`     // of every duration; 1 when it is 0
	Target    int64              `json:"target"`    // users, or arrivals per timeUnit, at the highest level; the other levels follow
	Model     string             `json:"model"`     // closed (users, the default) or open (arrivals)
	TimeUnit  types.NullDuration `json:"timeUnit"`  // of an open model's target; a second
	MaxVUs    int64              `json:"maxVUs"`    // users at most, of an open model and of breakpoint
	Exec      string             `json:"exec"`      // function of the script
	StartTime types.NullDuration `json:"startTime"` // since the start of the test
	Env       map[string]string  `json:"env"`
	Tags      map[string]string  `json:"tags"`
}

// Breakpoint is the scenario whose load is not known beforehand.
const Breakpoint = "breakpoint"

type stage struct {
	duration time.Duration
	target   int64
}

type profile struct {
	start  int64
	stages []stage
}

func profiles() map[string]profile {
	return map[string]profile{
		"basic": {0, []stage{
			{30 * time.Second, 10},
			{time.Minute, 10},
			{30 * time.Second, 20},
			{time.Minute, 20},
			{30 * time.Second, 0},
		}},
		"chat": {0, []stage{
			{time.Minute, 5},
			{3 * time.Minute, 5},
			{time.Minute, 10},
			{3 * time.Minute, 10},
			{time.Minute, 15},
			{2 * time.Minute, 15},
			{time.Minute, 0},
		}},
		"stress": {0, []stage{
			{2 * time.Minute, 10},
			{3 * time.Minute, 20},
			{3 * time.Minute, 40},
			{3 * time.Minute, 60},
			{3 * time.Minute, 80},
			{3 * time.Minute, 100},
			{2 * time.Minute, 0},
		}},
		"spike": {5, []stage{
			{time.Minute, 5},
			{10 * time.Second, 100},
			{2 * time.Minute, 100},
			{10 * time.Second, 5},
			{time.Minute, 5},
			{10 * time.Second, 50},
			{time.Minute, 50},
			{10 * time.Second, 5},
			{time.Minute, 5},
		}},
		// The first half hour is the baseline that the rest is held against.
		"soak": {0, []stage{{2 * time.Minute, 20}, {30 * time.Minute, 20}, {206 * time.Minute, 20}, {2 * time.Minute, 0}}},
	}
}

// New returns a scenario for k6's options.
func New(name string, o Options) (map[string]any, error) {
	if o.Scale == 0 {
		o.Scale = 1
	}
	unit := time.Second
	if o.TimeUnit.Valid {
		unit = o.TimeUnit.TimeDuration()
	}
	switch {
	case o.Scale < 0.001 || o.Scale > 100 || math.IsNaN(o.Scale):
		return nil, fmt.Errorf("scale is %v; it is from 0.001 to 100", o.Scale)
	case o.Target < 0 || o.MaxVUs < 0:
		return nil, fmt.Errorf("target and maxVUs are never negative")
	case o.Model != "" && o.Model != "closed" && o.Model != "open":
		return nil, fmt.Errorf("model %q is not one of closed, open", o.Model)
	case unit <= 0:
		return nil, fmt.Errorf("timeUnit is %v; it is over 0", unit)
	}
	s := map[string]any{}
	if o.Exec != "" {
		s["exec"] = o.Exec
	}
	if o.StartTime.Valid {
		s["startTime"] = o.StartTime.String()
	}
	if o.Env != nil {
		s["env"] = o.Env
	}
	if o.Tags != nil {
		s["tags"] = o.Tags
	}
	if name == Breakpoint {
		s["executor"], s["iterations"] = "per-vu-iterations", 1
		s["vus"] = cmp.Or(o.MaxVUs, 200)
		s["maxDuration"] = scaled(2*time.Hour, o.Scale).String()
		return s, nil
	}
	p, ok := profiles()[name]
	if !ok {
		names := append(slices.Collect(maps.Keys(profiles())), Breakpoint)
		slices.Sort(names)
		return nil, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(names, ", "))
	}
	highest := p.start
	for _, st := range p.stages {
		highest = max(highest, st.target)
	}
	level := func(n int64) int64 {
		if o.Target == 0 || n == 0 {
			return n
		}
		return max(1, int64(math.Round(float64(n)*float64(o.Target)/float64(highest))))
	}
	stages := make([]any, len(p.stages))
	for i, st := range p.stages {
		stages[i] = map[string]any{"duration": scaled(st.duration, o.Scale).String(), "target": level(st.target)}
	}
	s["stages"] = stages
	s["gracefulStop"] = max(2*time.Second, min(30*time.Second, scaled(30*time.Second, o.Scale))).String()
	if o.Model != "open" {
		s["executor"], s["startVUs"] = "ramping-vus", level(p.start)
		s["gracefulRampDown"] = s["gracefulStop"]
		return s, nil
	}
	s["executor"], s["startRate"], s["timeUnit"] = "ramping-arrival-rate", level(p.start), unit.String()
	most := cmp.Or(o.MaxVUs, 10*level(highest))
	s["preAllocatedVUs"], s["maxVUs"] = most, most
	return s, nil
}

func scaled(d time.Duration, scale float64) time.Duration {
	return time.Duration(float64(d) * scale).Round(time.Millisecond)
}
