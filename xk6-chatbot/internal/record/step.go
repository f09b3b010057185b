package record

import "time"

// Step is a rate that a search for the highest sustained one held for a while. Its turns are those judged, after it had settled.
type Step struct {
	Scenario, Phase string
	Start           time.Time
	Duration        time.Duration
	Rate            float64 // turns per second
	Control         bool    // a low rate between two that were tried
	Turns           int
	Late            int  // of the turns, longer than promised since they were due, or failed
	Failed          int  // of the turns, failed or shed
	Starved         int  // of the turns, late for want of a free user only
	Held            bool // the promise
}

// Stepped takes a finished step of a search.
func (r *Recorder) Stepped(s Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, s)
}
