package framework

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/innatural/chatbot/framework/cache"
)

// BoundMemory keeps the memory of the process near what the policy gives the memory layer, until ctx ends. It is for a program that
// is the app's own, as it sets the garbage collector's limit, of which a process has one; it does nothing where GOMEMLIMIT has set it.
//
// Without it the collector lets the heap grow to twice of what is in use: a full layer of 1 GiB would occupy 2. With it that is so
// only until the limit comes near; then the collector works more often. The layer leaves an eighth of its bytes for that, and the
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
	for {
		metrics.Read(samples)
		debug.SetMemoryLimit(memoryLimit(a.memory.Stats(), int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())))
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

// memoryLimit is the most that the runtime may hold, given the state of the layer, the heap that was live after the last collection,
// and the stacks.
func memoryLimit(layer cache.Stats, live, stacks int64) int64 {
	// What was allocated during the collection counts as live too, so under a load of misses this is more than there is.
	others := max(live-layer.Live(), 0)
	return stacks + max(layer.MaxBytes+layer.MaxBytes/12+processBytes, live+others/2+roomToWork)
}
