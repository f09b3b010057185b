//go:build linux

// Package measure makes a result of what was recorded: figures, whether they can be used, and whether promises were kept.
package measure

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/innatural/chatbot/apps/bench/internal/load"
	"github.com/innatural/chatbot/apps/bench/internal/process"
	"github.com/innatural/chatbot/apps/bench/internal/result"
	"github.com/innatural/chatbot/framework/policy"
)

// Endpoint is what is asked for.
type Endpoint struct {
	Name    string
	Request load.Request
	Route   string      // of the policy, as METHOD /path
	SLO     *policy.SLO // what is promised of the route
	Origin  string      // where that is written
}

// Part is a recording, and the number of the pair that it belongs to where base and candidate took turns.
type Part struct {
	*load.Recording
	Pair *int
}

// Run makes the measured part of a document of one run: one recording, or several in turns with another server's. Its host is as it
// is now, except for the load average, which was read before.
func Run(run result.Run, before process.Machine, endpoints []Endpoint, parts []Part) (*result.Measured, error) {
	m := &result.Measured{Run: run, Host: host(before), Promises: []result.Promise{}}
	m.Run.Started = parts[0].Started.UTC()
	var all *totals
	if len(endpoints) > 1 {
		all = newTotals()
	}
	var latencies *hdrhistogram.Histogram
	for i, e := range endpoints {
		t := newTotals()
		t.collect(parts, i)
		s, err := t.series(e.Name, parts)
		if err != nil {
			return nil, err
		}
		s.Endpoint = e.Route
		s.Promises = t.promises(e)
		s.Assessment = assess(s)
		m.Series = append(m.Series, s)
		latencies = t.whole.Latency
		if all != nil {
			all.add(t)
			latencies = all.whole.Latency
		}
		if len(endpoints) == 1 {
			t.charge(s, parts)
		}
	}
	if all != nil {
		s, err := all.series(All, parts)
		if err != nil {
			return nil, err
		}
		all.charge(s, parts)
		m.Series = append(m.Series, s)
	}
	for _, p := range parts {
		m.Run.DurationSeconds += p.Duration.Seconds()
	}
	m.Validity = validity(parts, time.Duration(latencies.ValueAtQuantile(50)), m.Series)
	return m, nil
}

// All is the name of the series of all requests together.
const All = "all requests"

// totals are the figures of one series.
type totals struct {
	load.Kind
	whole load.Block // all blocks together
}

func newTotals() *totals {
	return &totals{
		Kind:  load.Kind{Failed: map[string]int64{}, Service: load.NewHistogram(), Size: load.NewSizes()},
		whole: load.Block{Latency: load.NewHistogram()},
	}
}

// collect adds one kind of request of all parts, whose blocks follow one another.
func (t *totals) collect(parts []Part, kind int) {
	for _, p := range parts {
		t.count(p.Kinds[kind])
		for _, b := range p.Kinds[kind].Blocks {
			t.Blocks = append(t.Blocks, b)
			t.whole.Add(b)
		}
	}
}

// add adds another series, whose blocks are of the same times.
func (t *totals) add(o *totals) {
	t.count(&o.Kind)
	for i, b := range o.Blocks {
		if len(t.Blocks) == i {
			t.Blocks = append(t.Blocks, &load.Block{Latency: load.NewHistogram()})
		}
		t.Blocks[i].Add(b)
		t.whole.Add(b)
	}
}

func (t *totals) count(k *load.Kind) {
	t.Count += k.Count
	t.Shed += k.Shed
	t.Hits += k.Hits
	t.Misses += k.Misses
	t.BadStatus += k.BadStatus
	for kind, n := range k.Failed {
		t.Failed[kind] += n
	}
	t.Service.Merge(k.Service)
	t.Size.Merge(k.Size)
}

func (t *totals) series(name string, parts []Part) (*result.Series, error) {
	s := &result.Series{
		Name: name, Count: t.Count, Shed: t.Shed,
		Errors: result.Errors{ByType: maps.Clone(t.Failed)},
	}
	for _, n := range t.Failed {
		s.Errors.Total += n
	}
	good := t.whole.Latency.TotalCount()
	s.SuccessRate = s.Served()
	if n := t.Hits + t.Misses; n > 0 {
		s.Cache = &result.Cache{Hits: t.Hits, Misses: t.Misses, Rate: float64(t.Hits) / float64(n)}
	}
	t.divide(s, parts)
	s.Rate = float64(good) / s.DurationSeconds
	if good == 0 {
		return s, nil
	}
	s.Latency = summary(t.whole.Latency)
	s.Latency.Avg, s.Latency.Min, s.Latency.Max = ms(int64(t.whole.Sum))/float64(good), ms(int64(t.whole.Least)), ms(int64(t.whole.Most))
	s.Service = summary(t.Service)
	s.Size = &result.Size{Avg: t.Size.Mean(), P95: float64(t.Size.ValueAtQuantile(95))}
	encoded, err := t.whole.Latency.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("write histogram: %w", err)
	}
	s.Histogram = string(encoded)
	return s, nil
}

// divide sets the blocks of a series and the time that they are long together.
func (t *totals) divide(s *result.Series, parts []Part) {
	i := 0
	for _, p := range parts {
		for n := range len(p.Kinds[0].Blocks) {
			b := t.Blocks[i]
			good := b.Latency.TotalCount()
			block := result.Block{
				StartSeconds:    p.Started.Sub(parts[0].Started).Seconds() + float64(n)*p.BlockLength.Seconds(),
				DurationSeconds: p.Length(n).Seconds(), Count: b.Count, Errors: b.Failed,
				Rate: float64(good) / p.Length(n).Seconds(), Pair: p.Pair,
			}
			s.DurationSeconds += block.DurationSeconds
			if good > 0 {
				figures := summary(b.Latency)
				avg := ms(int64(b.Sum)) / float64(good)
				block.Avg, block.Median, block.P95, block.P99 = &avg, &figures.Median, &figures.P95, &figures.P99
			}
			s.Blocks = append(s.Blocks, block)
			i++
		}
	}
}

// charge sets what a request cost the server in CPU time, of a series of all its requests.
func (t *totals) charge(s *result.Series, parts []Part) {
	var total time.Duration
	i := 0
	for _, p := range parts {
		for n := range len(p.Kinds[0].Blocks) {
			used := p.ServerCPU(n)
			total += used
			if b := &s.Blocks[i]; used > 0 && b.Count > 0 {
				each := float64(used.Nanoseconds()) / 1e3 / float64(b.Count)
				b.CPU = &each
			}
			i++
		}
	}
	if total > 0 && t.Count > 0 {
		each := float64(total.Nanoseconds()) / 1e3 / float64(t.Count)
		s.CPU = &each
	}
}

// summary returns the figures that a histogram of nanoseconds has.
func summary(h *hdrhistogram.Histogram) *result.Summary {
	s := &result.Summary{
		Avg: h.Mean() / 1e6, Median: ms(h.ValueAtQuantile(50)), P95: ms(h.ValueAtQuantile(95)), P99: ms(h.ValueAtQuantile(99)),
		Min: ms(h.Min()), Max: ms(h.Max()),
	}
	for _, q := range []struct {
		name string
		of   float64
	}{{"median", 0.5}, {"p95", 0.95}, {"p99", 0.99}} {
		if h.TotalCount() < enough(1-q.of) {
			s.TooFew = append(s.TooFew, q.name)
		}
	}
	return s
}

// enough is how many values a quantile needs, so that about 20 lie beyond it.
func enough(beyond float64) int64 { return int64(20/beyond + 0.5) }

func ms(nanoseconds int64) float64 { return float64(nanoseconds) / 1e6 }

// host describes the generator's machine.
func host(m process.Machine) result.Host {
	h := result.Host{
		OS: runtime.GOOS + " " + m.Kernel, Arch: runtime.GOARCH, CPU: m.CPU, CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0),
		Go: runtime.Version(), Load1Start: m.Load1,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" }); i >= 0 {
			h.Commit = info.Settings[i].Value
		}
	}
	return h
}
