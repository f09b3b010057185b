package record

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The timeline begins with short moments; when they are all used, each two become one of twice the length.
const (
	moments    = 240
	firstWidth = 100 * time.Millisecond
)

// Moment is a stretch of a run: the turns that were due in it.
type Moment struct {
	Scenario, Phase string // of its latest turn
	Counts
	Latency *hdrhistogram.Histogram // of turns that succeeded, from their intended start, in nanoseconds, with 2 digits
}

// Merge adds a later moment.
func (m *Moment) Merge(o *Moment) {
	m.Scenario, m.Phase = o.Scenario, o.Phase
	m.merge(o.Counts)
	m.Latency.Merge(o.Latency)
}

type timeline struct {
	start time.Time
	width time.Duration
	used  int
	all   []Moment
}

func newMoments() []Moment {
	all := make([]Moment, moments)
	for i := range all {
		all[i].Latency = NewTimes(2)
	}
	return all
}

func (l *timeline) add(t *Turn) {
	if l.all == nil {
		l.start, l.width, l.all = t.Intended, firstWidth, newMoments()
	}
	i := max(0, int(t.Intended.Sub(l.start)/l.width))
	for i >= moments {
		l.double()
		i /= 2
	}
	l.used = max(l.used, i+1)
	m := &l.all[i]
	m.Scenario, m.Phase = t.Scenario, t.Phase
	m.add(t)
	if t.OK {
		record(m.Latency, t.End.Sub(t.Intended))
	}
}

// double makes one moment of each two.
func (l *timeline) double() {
	halved, free := make([]Moment, 0, moments), make([]Moment, 0, moments/2)
	for i := 0; i < moments; i += 2 {
		a, b := l.all[i], l.all[i+1]
		if b.Turns > 0 {
			a.Merge(&b)
			b.Latency.Reset()
		}
		halved, free = append(halved, a), append(free, Moment{Latency: b.Latency})
	}
	l.all = append(halved, free...)
	l.width *= 2
	l.used = (l.used + 1) / 2
}

// snapshot returns copies of the moments so far.
func (l *timeline) snapshot() []Moment {
	all := append([]Moment(nil), l.all[:l.used]...)
	for i := range all {
		all[i].Latency = all[i].Latency.Clone()
	}
	return all
}
