package framework

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/innatural/chatbot/framework/cache"
)

// BoundMemory keeps the memory of the process near what the policy gives the memory layer, until ctx ends. It is for a program that
// is the app's own, as it sets the garbage collector's limit and percentage, of which a process has one; it does nothing where
// GOMEMLIMIT has set the limit, and leaves alone the percentage that GOGC has set.
//
// Without it the collector lets the heap grow to twice of what is in use: a full layer of 1 GiB would occupy 2. With it that is so
// only until the limit comes near; then the collector works more often. The layer leaves a sixth of its bytes for that, and the
// limit another twelfth. Should the rest of the process, its sessions and streams, need more than that, then the limit gives way,
// lest the collector work without end. While the layer is not full the collector works less often, in what is left of its bytes. All
// that changes with time, and is looked at every second.
func (a *App) BoundMemory(ctx context.Context) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	limit := setting{set: func(n int64) { debug.SetMemoryLimit(n) }, now: math.MaxInt64}
	percent := setting{set: func(n int64) { debug.SetGCPercent(int(n)) }, now: usualPercent}
	defer limit.to(math.MaxInt64)
	defer percent.to(usualPercent)
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(samples)
	ours := samples[2].Value.Uint64() == usualPercent
	look := time.NewTicker(time.Second)
	defer look.Stop()
	// What was allocated during a collection counts as live after it. So under a load of misses there seems to be more than there is,
	// at some times more so than at others: the least of some seconds is near the truth.
	const seconds = 8
	var others []int64
	for {
		live, stacks := int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
		layer := a.memory.Stats()
		others = append(others[max(0, len(others)-seconds+1):], max(live-layer.Live(), 0))
		limit.to(memoryLimit(layer, slices.Min(others), stacks))
		if ours {
			percent.to(gcPercent(layer, live, stacks))
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(samples)
	}
}

// setting is one of the collector's. To change it stops the world, so what hardly differs is left as it is.
type setting struct {
	set func(int64)
	now int64
}

func (s *setting) to(n int64) {
	if d := n - s.now; d > s.now/64 || -d > s.now/64 {
		s.set(n)
		s.now = n
	}
}

// What a process needs beside the layer.
const (
	processBytes = 16 << 20 // when it does little else
	roomToWork   = 32 << 20 // beyond what is live, so that collections stay apart
)

// memoryLimit is the most that the runtime may hold, given the state of the layer, what else is on the heap, and the stacks.
func memoryLimit(layer cache.Stats, others, stacks int64) int64 {
	return stacks + max(layer.MaxBytes+layer.MaxBytes/12+processBytes, layer.Live()+others+others/2+roomToWork)
}

// How much may be allocated before the next collection, in percent of what the last has found live.
const (
	usualPercent = 100 // the collector's own
	mostPercent  = 400 // more saves little: a collection costs a fifth of what it does with 100 for what is allocated
)

// gcPercent lets the heap grow to what the policy gives the layer before the next collection.
func gcPercent(layer cache.Stats, live, stacks int64) int64 {
	return min(max(100*(layer.MaxBytes-live)/max(live+stacks, 1), usualPercent), mostPercent)
}
