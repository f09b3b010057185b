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
// is the app's own, as it sets the garbage collector's limit, of which a process has one; it does nothing where GOMEMLIMIT has set it.
//
// Without it the collector lets the heap grow to twice of what is in use: a full layer of 1 GiB would occupy 2. With it that is so
// only until the limit comes near; then the collector works more often. The layer leaves a sixth of its bytes for that, and the
// limit another twelfth. Should the rest of the process, its sessions and streams, need more than that, then the limit gives way,
// lest the collector work without end: that changes with time, and is looked at every second.
func (a *App) BoundMemory(ctx context.Context) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	defer debug.SetMemoryLimit(math.MaxInt64)
	look := time.NewTicker(time.Second)
	defer look.Stop()
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	// What was allocated during a collection counts as live after it. So under a load of misses there seems to be more than there is,
	// at some times more so than at others: the least of some seconds is near the truth.
	var others [8]int64
	for i := 0; ; i++ {
		metrics.Read(samples)
		live, stacks := int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
		layer := a.memory.Stats()
		others[i%len(others)] = max(live-layer.Live(), 0)
		debug.SetMemoryLimit(memoryLimit(layer, slices.Min(others[:]), stacks))
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
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
