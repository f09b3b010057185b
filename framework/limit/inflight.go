package limit

import "sync/atomic"

// InFlight bounds how many requests are under way at once. It may be used concurrently.
type InFlight struct {
	most int64
	now  atomic.Int64
}

// NewInFlight returns a bound of that many requests.
func NewInFlight(most int) *InFlight { return &InFlight{most: int64(most)} }

// Acquire admits a request, unless as many as are allowed are under way. It never waits. Each admission is paired with one
// Release.
func (f *InFlight) Acquire() bool {
	for {
		now := f.now.Load()
		if now >= f.most {
			return false
		}
		if f.now.CompareAndSwap(now, now+1) {
			return true
		}
	}
}

// Release ends an admitted request.
func (f *InFlight) Release() { f.now.Add(-1) }

// Count returns how many requests are under way.
func (f *InFlight) Count() int { return int(f.now.Load()) }
