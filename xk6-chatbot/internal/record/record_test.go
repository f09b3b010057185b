package record

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// turn is one that was due at a time after the start, began late and took a while.
func turn(phase string, due, late, took time.Duration) Turn {
	at := start.Add(due)
	return Turn{
		Scenario: "spike", Phase: phase, Intended: at, Start: at.Add(late), End: at.Add(late + took), FirstToken: took / 2,
		OK: true, Good: true, Cache: "miss", Bytes: 100, Tokens: 7,
	}
}

func TestSeriesHoldWhatWasObserved(t *testing.T) {
	r := New()
	for i := range 1000 {
		r.Observe(turn("peak", time.Duration(i)*time.Millisecond, 2*time.Millisecond, time.Duration(i+1)*time.Millisecond))
	}
	failed := turn("peak", 0, 0, time.Second)
	failed.OK, failed.Good, failed.ErrorType, failed.Rule, failed.Cache = false, false, "contract", "foreign", "hit"
	r.Observe(failed)
	shed := turn("recovery", 0, 0, time.Second)
	shed.OK, shed.Good, shed.Shed, shed.ErrorType = false, false, true, "http_5xx"
	r.Observe(shed)
	r.Recovered("spike", 1, 3*time.Second, true)
	r.Declare(Phase{"spike", "peak", start, time.Minute})

	run := r.Snapshot()
	peak, recovery := run.Series[0], run.Series[1]
	if want := (Counts{Turns: 1001, OK: 1000, Failed: 1, Good: 1000, Hits: 1, Misses: 1000}); peak.Counts != want {
		t.Errorf("peak has %+v, want %+v", peak.Counts, want)
	}
	if peak.Errors["contract"] != 1 || peak.Rules["foreign"] != 1 || peak.Tokens != 7007 {
		t.Errorf("peak has errors %v, rules %v, %d tokens", peak.Errors, peak.Rules, peak.Tokens)
	}
	if want := (Counts{Turns: 1, Shed: 1, Misses: 1}); recovery.Counts != want || len(recovery.Errors) != 0 {
		t.Errorf("recovery has %+v and errors %v, want %+v: what was shed is no error", recovery.Counts, recovery.Errors, want)
	}
	for name, got := range map[string][2]int64{
		"service":     {peak.Service.ValueAtPercentile(95), 950e6},
		"latency":     {peak.Latency.ValueAtPercentile(95), 952e6},
		"first token": {peak.FirstToken.ValueAtPercentile(95), 475e6},
	} {
		if low, high := got[1]*999/1000, got[1]*1001/1000; got[0] < low || got[0] > high {
			t.Errorf("P95 of %s is %d ns, want %d", name, got[0], got[1])
		}
	}
	if len(run.Recoveries) != 1 || len(run.Phases) != 1 {
		t.Errorf("recoveries %v, phases %v", run.Recoveries, run.Phases)
	}
	if all := run.Total(); all.Turns != 1002 || all.Latency.TotalCount() != 1000 {
		t.Errorf("the total has %d turns, %d latencies", all.Turns, all.Latency.TotalCount())
	}
	r.Observe(turn("peak", 0, 0, 0))
	if peak.Turns != 1001 || peak.Latency.TotalCount() != 1000 {
		t.Error("a snapshot changed afterwards")
	}
}

// What lies outside a histogram's range counts as the nearest within.
func TestExtremesAreKept(t *testing.T) {
	r := New()
	r.Observe(turn("peak", 0, 0, 0))
	r.Observe(turn("peak", 0, 0, time.Hour))
	backwards := turn("peak", 0, 0, -time.Second)
	backwards.Bytes, backwards.Intended = 1<<40, time.Time{}
	r.Observe(backwards)
	s := r.Snapshot().Series[0]
	if s.Latency.TotalCount() != 3 || s.Latency.Max() < int64(maxTime) || s.Size.TotalCount() != 3 {
		t.Errorf("%d latencies up to %d, %d sizes", s.Latency.TotalCount(), s.Latency.Max(), s.Size.TotalCount())
	}
}

// However long a run is, its timeline is as long, loses no turn, and has each in the moment in which it was due.
func TestTimelineIsBounded(t *testing.T) {
	for _, length := range []time.Duration{time.Second, time.Minute, 7 * time.Hour} {
		r := New()
		const turns = 10_000
		var ats []time.Duration
		for range turns {
			ats = append(ats, rand.N(length))
		}
		ats[0] = 0
		for _, at := range ats {
			phase := "early"
			if at >= length/2 {
				phase = "late"
			}
			r.Observe(turn(phase, at, 0, at/1000))
		}
		run := r.Snapshot()
		all := run.Moments()
		if len(all) > moments || time.Duration(len(all))*run.Width < length*9/10 {
			t.Errorf("%v: %d moments of %v", length, len(all), run.Width)
		}
		var n, counted int64
		for i, m := range all {
			due := 0
			for _, at := range ats {
				if int(at/run.Width) == i {
					due++
				}
			}
			if m.Turns != int64(due) {
				t.Fatalf("%v: moment %d has %d turns, want %d", length, i, m.Turns, due)
			}
			n += m.Turns
			counted += m.Latency.TotalCount()
			if m.Turns == 0 {
				continue
			}
			if begin := time.Duration(i) * run.Width; begin >= length/2 && m.Phase != "late" || begin+run.Width < length/2 && m.Phase != "early" {
				t.Errorf("%v: moment %d is of phase %s", length, i, m.Phase)
			}
			last := int64(time.Duration(i+1) * run.Width / 1000)
			if got := m.Latency.Max(); got > last+last/50+100 {
				t.Errorf("%v: moment %d has a latency of %d ns, which is one of a later moment than %d", length, i, got, last)
			}
		}
		if n != turns || counted != turns {
			t.Errorf("%v: the timeline has %d turns and %d latencies, want %d", length, n, counted, turns)
		}
	}
}

func TestObserveFromManyGoroutines(t *testing.T) {
	r := New()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			phase := []string{"ramp", "peak"}[i%2]
			for j := range 1000 {
				r.Observe(turn(phase, time.Duration(j)*50*time.Millisecond, 0, time.Millisecond))
				if j%250 == 0 {
					r.Snapshot()
				}
			}
		})
	}
	all.Wait()
	run := r.Snapshot()
	if n := run.Total().Turns; n != 8000 {
		t.Errorf("%d turns were kept of 8000", n)
	}
	phases := []string{run.Series[0].Phase, run.Series[1].Phase}
	slices.Sort(phases)
	if len(run.Series) != 2 || !slices.Equal(phases, []string{"peak", "ramp"}) {
		t.Errorf("series of phases %v", phases)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	r := New()
	one := turn("peak", 0, 0, time.Millisecond)
	r.Observe(one)
	if n := testing.AllocsPerRun(1000, func() { r.Observe(one) }); n != 0 {
		t.Errorf("observing a turn allocates %v times", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := New()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		one := turn("peak", 0, 0, time.Millisecond)
		for pb.Next() {
			one.Intended = one.Intended.Add(time.Millisecond)
			one.Start, one.End = one.Intended, one.Intended.Add(time.Millisecond)
			r.Observe(one)
		}
	})
}
