// Package record keeps what a run showed, within fixed bounds: histograms and counts by scenario and phase, and a timeline whose
// moments grow longer as the run does.
package record

import (
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What the histograms hold: times of 100 ns to a minute, as bench's do, and sizes of 1 byte to 1 GiB. What lies outside counts as
// the nearest.
const (
	minTime  = 100 * time.Nanosecond
	maxTime  = time.Minute
	maxBytes = 1 << 30
)

// NewTimes returns an empty histogram of nanoseconds, with so many significant digits.
func NewTimes(digits int) *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(minTime), int64(maxTime), digits)
}

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

// Phase is a stretch of a scenario's schedule.
type Phase struct {
	Scenario, Name string
	Start          time.Time
	Duration       time.Duration
}

// Recovery is how the server came back after a spike.
type Recovery struct {
	Scenario  string
	Spike     int           // from 1
	Recovered bool          // before the end of the run
	Time      time.Duration // from the end of the spike: until the server was well, or until the run ended
}

// Counts of turns.
type Counts struct {
	Turns, OK, Failed, Shed, Good int64
	Hits, Misses                  int64 // of a cache, as the answers say
}

func (c *Counts) add(t *Turn) {
	c.Turns++
	switch {
	case t.Shed:
		c.Shed++
	case t.OK:
		c.OK++
	default:
		c.Failed++
	}
	if t.Good {
		c.Good++
	}
	switch t.Cache {
	case "hit":
		c.Hits++
	case "miss":
		c.Misses++
	}
}

func (c *Counts) merge(o Counts) {
	c.Turns += o.Turns
	c.OK += o.OK
	c.Failed += o.Failed
	c.Shed += o.Shed
	c.Good += o.Good
	c.Hits += o.Hits
	c.Misses += o.Misses
}

// Series is what the turns of one phase of one scenario came to. Histograms are of turns that succeeded, times in nanoseconds.
type Series struct {
	Scenario, Phase string
	Counts
	First, Last time.Time // start of the first turn, end of the last
	Tokens      int64
	Errors      map[string]int64 // failed turns by type
	Rules       map[string]int64 // broken rules of the contract

	Latency    *hdrhistogram.Histogram // from the intended start
	Service    *hdrhistogram.Histogram // from the actual one
	FirstToken *hdrhistogram.Histogram // of streams
	Size       *hdrhistogram.Histogram // bytes
}

func newSeries(scenario, phase string) *Series {
	return &Series{
		Scenario: scenario, Phase: phase, Errors: map[string]int64{}, Rules: map[string]int64{},
		Latency: NewTimes(3), Service: NewTimes(3), FirstToken: NewTimes(3), Size: hdrhistogram.New(1, maxBytes, 2),
	}
}

func (s *Series) add(t *Turn) {
	s.Counts.add(t)
	if s.First.IsZero() || t.Start.Before(s.First) {
		s.First = t.Start
	}
	if t.End.After(s.Last) {
		s.Last = t.End
	}
	s.Tokens += int64(t.Tokens)
	if t.Rule != "" {
		s.Rules[t.Rule]++
	}
	if !t.OK && !t.Shed {
		s.Errors[t.ErrorType]++
	}
	if !t.OK {
		return
	}
	record(s.Latency, t.End.Sub(t.Intended))
	record(s.Service, t.End.Sub(t.Start))
	if t.FirstToken > 0 {
		record(s.FirstToken, t.FirstToken)
	}
	_ = s.Size.RecordValue(min(max(t.Bytes, 1), maxBytes)) // within the range by min and max
}

// record adds a time to a histogram, which takes every value of its range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(int64(min(max(d, minTime), maxTime))) // within the range by min and max
}

// Merge adds what another series of the run shows.
func (s *Series) Merge(o *Series) {
	s.merge(o.Counts)
	if s.First.IsZero() || o.First.Before(s.First) {
		s.First = o.First
	}
	if o.Last.After(s.Last) {
		s.Last = o.Last
	}
	s.Tokens += o.Tokens
	for name, n := range o.Errors {
		s.Errors[name] += n
	}
	for name, n := range o.Rules {
		s.Rules[name] += n
	}
	s.Latency.Merge(o.Latency)
	s.Service.Merge(o.Service)
	s.FirstToken.Merge(o.FirstToken)
	s.Size.Merge(o.Size)
}

// Recorder takes the turns of a run. Its methods may be called from any goroutine.
type Recorder struct {
	mu         sync.Mutex
	series     map[[2]string]*Series
	order      []*Series // as they appeared
	timeline   timeline
	phases     []Phase
	recoveries []Recovery
	steps      []Step
}

// New returns an empty recorder.
func New() *Recorder { return &Recorder{series: map[[2]string]*Series{}} }

// Observe takes a finished turn. It allocates nothing once a phase has begun.
func (r *Recorder) Observe(t Turn) {
	if t.Intended.IsZero() {
		t.Intended = t.Start
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.series[[2]string{t.Scenario, t.Phase}]
	if s == nil {
		s = newSeries(t.Scenario, t.Phase)
		r.series[[2]string{t.Scenario, t.Phase}] = s
		r.order = append(r.order, s)
	}
	s.add(&t)
	r.timeline.add(&t)
}

// Has reports whether a turn of a phase has ended.
func (r *Recorder) Has(scenario, phase string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.series[[2]string{scenario, phase}] != nil
}

// Declare says which phases a scenario goes through, in order.
func (r *Recorder) Declare(phases ...Phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases = append(r.phases, phases...)
}

// Recovered takes how a spike of a scenario ended: after its end, the time until the server was well again, or not at all.
func (r *Recorder) Recovered(scenario string, spike int, after time.Duration, recovered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recoveries = append(r.recoveries, Recovery{scenario, spike, recovered, after})
}

// Run is what a run showed. It changes no more.
type Run struct {
	Start      time.Time // when the first turn was due
	Phases     []Phase   // declared ones
	Series     []*Series // in the order in which their first turns ended
	Rows       []Row     // of as many moments each, of equal length
	Width      time.Duration
	Recoveries []Recovery
	Steps      []Step // of a search for the highest sustained rate
}

// Total returns all series as one.
func (r *Run) Total() *Series {
	all := newSeries("", "")
	for _, s := range r.Series {
		all.Merge(s)
	}
	return all
}

// Snapshot returns what the run showed so far.
func (r *Recorder) Snapshot() *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := &Run{
		Start: r.timeline.start, Width: r.timeline.width, Rows: r.timeline.snapshot(),
		Phases: slices.Clone(r.phases), Recoveries: slices.Clone(r.recoveries),
		Steps: slices.Clone(r.steps),
	}
	for _, s := range r.order {
		c := newSeries(s.Scenario, s.Phase)
		c.Merge(s)
		run.Series = append(run.Series, c)
	}
	return run
}
