package limit

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Of a burst that the processors can't take, little is let in at once, though nothing is known yet of how long a run takes.
func TestTheLimitWaitsForProcessors(t *testing.T) {
	burst := func() float64 {
		var p pace
		now := time.Now()
		p.reset(now)
		p.bound(1000)
		for n := range paceFirst {
			p.began(now, &Usual{}, n+1)
		}
		p.adjust(now.Add(paceQuick), paceFirst, true)
		return p.now
	}
	if got := burst(); got != 2*paceFirst {
		t.Errorf("with idle processors the limit is %v", got)
	}
	var stop atomic.Bool
	var busy sync.WaitGroup
	for range 2 * paceRunnable * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for !stop.Load() {
			}
		})
	}
	time.Sleep(time.Millisecond) // they have begun
	got := burst()
	stop.Store(true)
	busy.Wait()
	if got != paceFirst {
		t.Errorf("with busy processors the limit is %v", got)
	}
}
