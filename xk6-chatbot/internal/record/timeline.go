package record

import (
	"slices"
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
	Phase string // of its latest turn
	Counts
	Latency *hdrhistogram.Histogram // of turns that succeeded, from their intended start, in nanoseconds, with 2 digits
}

// Merge adds a later moment.
func (m *Moment) Merge(o *Moment) {
	m.Phase = o.Phase
	m.merge(o.Counts)
	m.Latency.Merge(o.Latency)
}

// Row is the moments of one scenario.
type Row struct {
	Scenario string
	Moments  []Moment
}

// timeline has a row of moments for each scenario, which are as long in all.
type timeline struct {
	start time.Time
	width time.Duration
	used  int
	rows  []Row
}

func newMoments() []Moment {
	all := make([]Moment, moments)
	for i := range all {
		all[i].Latency = NewTimes(2)
	}
	return all
}

// of returns the moments of a scenario.
func (l *timeline) of(scenario string) []Moment {
	for i := range l.rows {
		if l.rows[i].Scenario == scenario {
			return l.rows[i].Moments
		}
	}
	l.rows = append(l.rows, Row{scenario, newMoments()})
	return l.rows[len(l.rows)-1].Moments
}

func (l *timeline) add(t *Turn) {
	if l.rows == nil {
		l.start, l.width = t.Intended, firstWidth
	}
	i := max(0, int(t.Intended.Sub(l.start)/l.width))
	for i >= moments {
		l.double()
		i /= 2
	}
	l.used = max(l.used, i+1)
	m := &l.of(t.Scenario)[i]
	m.Phase = t.Phase
	m.add(t)
	if t.OK {
		record(m.Latency, t.End.Sub(t.Intended))
	}
}

// double makes one moment of each two.
func (l *timeline) double() {
	for n := range l.rows {
		all := l.rows[n].Moments
		halved, free := make([]Moment, 0, moments), make([]Moment, 0, moments/2)
		for i := 0; i < moments; i += 2 {
			a, b := all[i], all[i+1]
			if b.Turns > 0 {
				a.Merge(&b)
				b.Latency.Reset()
			}
			halved, free = append(halved, a), append(free, Moment{Latency: b.Latency})
		}
		l.rows[n].Moments = append(halved, free...)
	}
	l.width *= 2
	l.used = (l.used + 1) / 2
}

// snapshot returns copies of the rows so far.
func (l *timeline) snapshot() []Row {
	rows := slices.Clone(l.rows)
	for n := range rows {
		all := slices.Clone(rows[n].Moments[:l.used])
		for i := range all {
			all[i].Latency = all[i].Latency.Clone()
		}
		rows[n].Moments = all
	}
	return rows
}

// Moments returns the moments of all scenarios as one row.
func (r *Run) Moments() []Moment {
	var all []Moment
	for n, row := range r.Rows {
		for i := range row.Moments {
			if n == 0 {
				all = append(all, Moment{Latency: NewTimes(2)})
			}
			if m := &row.Moments[i]; m.Turns > 0 {
				all[i].Merge(m)
			}
		}
	}
	return all
}
