// Package phase names the parts of a load profile: baseline, ramp, step, peak, recovery.
package phase

import (
	"fmt"
	"slices"
	"time"
)

// Names of phases. A step carries its level: step_40.
const (
	Steady   = "steady"   // the only level of a profile
	Baseline = "baseline" // the first level of several
	Ramp     = "ramp"     // on the way to a level that is held
	Peak     = "peak"     // a level higher than the one before and the one after it
	Recovery = "recovery" // a level lower than the one before it
	step     = "step"     // a level between two others, lower and higher
)

// Stage changes the load in a straight line to Target, users or arrivals, within Duration.
type Stage struct {
	Duration time.Duration
	Target   int64
}

// Phase is a part of a profile.
type Phase struct {
	Name       string
	Start, End time.Duration // since the scenario's start
	Spike      int           // in a recovery that follows a peak, which peak it was: 1, 2, …; otherwise 0
}

// Profile is the phases of a scenario, in order and without gaps. It is immutable.
type Profile []Phase

// Single returns the profile of a scenario whose load never changes.
func Single() Profile { return Profile{{Name: Steady, End: 1<<63 - 1}} }

// Of names the stages of a scenario that starts at a level.
//
// A level is a stage that holds the load, or one that ends the way up or down without its target being held: a staircase of
// rising stages is a series of levels. The first level is the baseline (steady, when there is no other), a level above both
// neighbours is a peak, one above the level before it alone is a step, and what lies below the level before it is recovery. What
// leads to a level that is held is a ramp.
func Of(start int64, stages []Stage) Profile {
	profile := make(Profile, len(stages))
	var levels []int // indices of the stages that are levels
	var at time.Duration
	before := start
	for i, s := range stages {
		profile[i] = Phase{Name: Ramp, Start: at, End: at + s.Duration}
		at += s.Duration
		held := i+1 < len(stages) && stages[i+1].Target == s.Target
		down := s.Target < before
		turns := i+1 == len(stages) || (stages[i+1].Target < s.Target) != down
		stairs := s.Target > before && !held
		switch {
		case s.Duration == 0:
		case s.Target == before && s.Target > 0, stairs, down && turns && !held:
			levels = append(levels, i)
		}
		before = s.Target
	}
	name(profile, levels, stages)
	return merge(profile)
}

func name(profile Profile, levels []int, stages []Stage) {
	spikes := 0
	for n, i := range levels {
		level := stages[i].Target
		var previous, next int64 = -1, -1
		if n > 0 {
			previous = stages[levels[n-1]].Target
		}
		if n+1 < len(levels) {
			next = stages[levels[n+1]].Target
		}
		p := &profile[i]
		switch {
		case n == 0 && (len(levels) == 1 || next == 0):
			p.Name = Steady
		case n == 0:
			p.Name = Baseline
		case level == previous:
			p.Name, p.Spike = profile[levels[n-1]].Name, profile[levels[n-1]].Spike
			if p.Name == Baseline {
				p.Name = Steady
			}
		case level > previous && next < level:
			p.Name = Peak
			spikes++
		case level > previous:
			p.Name = fmt.Sprintf("%s_%d", step, level)
		case spikes > 0:
			p.Name, p.Spike = Recovery, spikes
		}
	}
}

// merge joins neighbours of one name.
func merge(profile Profile) Profile {
	merged := profile[:0]
	for _, p := range profile {
		if p.Start == p.End {
			continue
		}
		if last := len(merged) - 1; last >= 0 && merged[last].Name == p.Name && merged[last].Spike == p.Spike {
			merged[last].End = p.End
			continue
		}
		merged = append(merged, p)
	}
	return merged
}

// At returns the phase of a moment since the scenario's start. What is past the end belongs to the last phase.
func (p Profile) At(elapsed time.Duration) Phase {
	if len(p) == 0 {
		return Phase{Name: Steady}
	}
	i, found := slices.BinarySearchFunc(p, elapsed, func(phase Phase, at time.Duration) int {
		switch {
		case at >= phase.End:
			return -1
		case at < phase.Start:
			return 1
		}
		return 0
	})
	if !found {
		i = min(i, len(p)-1)
	}
	return p[i]
}

// Names returns the names in the order of their first occurrence.
func (p Profile) Names() []string {
	var names []string
	for _, phase := range p {
		if !slices.Contains(names, phase.Name) {
			names = append(names, phase.Name)
		}
	}
	return names
}

// Spikes returns the recoveries that follow a peak, in order.
func (p Profile) Spikes() []Phase {
	var spikes []Phase
	for _, phase := range p {
		if phase.Spike > 0 && (len(spikes) == 0 || spikes[len(spikes)-1].Spike != phase.Spike) {
			spikes = append(spikes, phase)
		}
	}
	return spikes
}
