//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range of the histograms of times, in nanoseconds, and of sizes.
const (
	shortest, longest = 100, int64(time.Minute)
	largest           = maxBody
)

// NewHistogram returns a histogram of times in nanoseconds, with three digits.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, 3) }

// NewSizes returns a histogram of bytes.
func NewSizes() *hdrhistogram.Histogram { return hdrhistogram.New(1, largest, 3) }

// Recording is what was measured in a run. It is read when the run is over.
type Recording struct {
	Started     time.Time // without warm-up
	Duration    time.Duration
	BlockLength time.Duration
	Kinds       []*Kind                 // as the plan's requests
	Lag         *hdrhistogram.Histogram // from when a request was due until it was sent
	Due         int64                   // requests that were due
	Sent        int64                   // those of them that were sent before the end
	Dropped     int64                   // those of them that never were
	Exhausted   bool                    // whether all connections were busy in the end
	Cut         error                   // why the run ended before its time; what was measured until then is here

	open  bool       // whether requests are due
	mu    sync.Mutex // of the lag and its counts
	marks []mark     // at the start of each block, and at the end
}

// mark is a reading of the clocks.
type mark struct {
	at             time.Time
	client, server time.Duration
}

// Kind is what was measured of a kind of request.
type Kind struct {
	Count, Shed, Hits, Misses int64
	Failed                    map[string]int64
	BadStatus                 int64                   // of those that failed: answered 5xx or 408, or not at all
	Service                   *hdrhistogram.Histogram // from when it was sent, of successful requests
	Size                      *hdrhistogram.Histogram // bytes of their bodies
	Blocks                    []*Block                // in order

	mu sync.Mutex
}

// Block is what was measured of a kind of request in a part of the run.
type Block struct {
	Count, Failed int64
	Latency       *hdrhistogram.Histogram // from when a request was due, of successful requests
	Sum           time.Duration           // of the same, exact
	Least, Most   time.Duration           // likewise
}

// Add adds another block of the same time.
func (b *Block) Add(o *Block) {
	b.Count += o.Count
	b.Failed += o.Failed
	b.Latency.Merge(o.Latency)
	b.Sum += o.Sum
	if b.Least == 0 || o.Least > 0 && o.Least < b.Least {
		b.Least = o.Least
	}
	b.Most = max(b.Most, o.Most)
}

func newRecording(open bool, started time.Time, duration time.Duration, kinds, blocks int) *Recording {
	r := &Recording{
		Started: started, Duration: duration, BlockLength: duration / time.Duration(blocks), Lag: NewHistogram(),
		open: open, marks: make([]mark, blocks+1),
	}
	for range kinds {
		k := &Kind{Failed: map[string]int64{}, Service: NewHistogram(), Size: NewSizes()}
		for range blocks {
			k.Blocks = append(k.Blocks, &Block{Latency: NewHistogram()})
		}
		r.Kinds = append(r.Kinds, k)
	}
	return r
}

// block returns the block that a time belongs to, or -1.
func (r *Recording) block(at time.Time) int {
	since := at.Sub(r.Started)
	if since < 0 || since >= r.Duration {
		return -1
	}
	return min(int(since/r.BlockLength), len(r.marks)-2)
}

// cut shortens a recording that ended early to the blocks that have begun, of which the last is shorter.
func (r *Recording) cut(blocks int, end mark, why error) {
	if end.server == 0 {
		end.server = r.marks[blocks-1].server
	}
	planned := r.Duration
	r.marks = append(r.marks[:blocks], end)
	r.Duration = end.at.Sub(r.Started)
	for _, k := range r.Kinds {
		k.Blocks = k.Blocks[:blocks]
	}
	if errors.Is(why, context.Canceled) {
		why = errors.New("it was interrupted")
	}
	r.Cut = fmt.Errorf("%w, after %v of %v", why, r.Duration.Round(10*time.Millisecond), planned)
}

// Length returns how long a block is: the last of a run that was cut short is shorter.
func (r *Recording) Length(block int) time.Duration {
	return min(r.BlockLength, r.Duration-time.Duration(block)*r.BlockLength)
}

// late is how long after the end a request that was due before it may be sent and count as sent in time.
const late = 10 * time.Millisecond

// add records a request, by the time at which it was due; in a closed loop that is when it was sent, and it counts only if it ended
// in time.
func (r *Recording) add(kind int, due, sent time.Time, o outcome) {
	block := r.block(due)
	if block >= 0 && !r.open {
		block = r.block(o.ended)
	}
	if block < 0 {
		return
	}
	if r.open {
		r.mu.Lock()
		r.Due++
		if sent.Sub(r.Started) < r.Duration+late {
			r.Sent++
		}
		record(r.Lag, sent.Sub(due))
		r.mu.Unlock()
	}
	k := r.Kinds[kind]
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.Blocks[block]
	k.Count++
	b.Count++
	switch o.cache {
	case cacheHit:
		k.Hits++
	case cacheMiss:
		k.Misses++
	case cacheUnknown:
	}
	switch {
	case o.shed:
		k.Shed++
	case o.failed != "":
		k.Failed[o.failed]++
		b.Failed++
		if o.failed != failed4xx || o.status == 408 {
			k.BadStatus++
		}
	default:
		latency := o.ended.Sub(due)
		record(k.Service, o.ended.Sub(sent))
		record(b.Latency, latency)
		_ = k.Size.RecordValue(int64(o.size)) // not larger than it can be
		if b.Sum += latency; b.Least == 0 || latency < b.Least {
			b.Least = latency
		}
		b.Most = max(b.Most, latency)
	}
}

// drop counts a request that was due and is not sent.
func (r *Recording) drop(due time.Time) {
	if r.block(due) < 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Due++
	r.Dropped++
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(longest, max(0, int64(d)))) // within its range
}

func (r *Recording) progress(now time.Time) Progress {
	p := Progress{Elapsed: now.Sub(r.Started), Of: r.Duration}
	all := NewHistogram()
	for _, k := range r.Kinds {
		k.mu.Lock()
		p.Count += k.Count
		for _, n := range k.Failed {
			p.Errors += n
		}
		if b := r.block(now); b >= 0 {
			all.Merge(k.Blocks[b].Latency)
		}
		k.mu.Unlock()
	}
	p.P95 = time.Duration(all.ValueAtQuantile(95))
	return p
}

// ClientCPU returns the share that the generator used of the CPU time that it could have had.
func (r *Recording) ClientCPU() float64 {
	first, last := r.marks[0], r.marks[len(r.marks)-1]
	return float64(last.client-first.client) / (float64(last.at.Sub(first.at)) * float64(min(runtime.GOMAXPROCS(0), runtime.NumCPU())))
}

// ServerCPU returns the CPU time that the server used in a block, and zero when it was not read.
func (r *Recording) ServerCPU(block int) time.Duration {
	return r.marks[block+1].server - r.marks[block].server
}
