package model

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Of a breaker.
const (
	mostFailures = 5 // in a row
	firstPause   = 5 * time.Second
	longestPause = time.Minute
)

// breaker keeps requests from an upstream that fails. After some failures in a row it opens for a pause; then one request
// tries, and closes it or opens it for a longer pause. It may be used concurrently.
type breaker struct {
	mu       sync.Mutex
	failures int
	pause    time.Duration
	until    time.Time // open until then
	trying   bool
}

// allow reports whether a request may go, which then must be reported by done, and whether it is the one that tries.
func (b *breaker) allow() (ok, tries bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.trying || time.Now().Before(b.until):
		return false, false
	case b.failures < mostFailures:
		return true, false
	}
	b.trying = true
	return true, true
}

// outcome is what a request tells of an upstream.
type outcome int

const (
	unknown outcome = iota // nothing
	worked
	failed
)

func (b *breaker) done(o outcome, tries bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if tries {
		b.trying = false
	}
	switch o {
	case worked:
		if tries || b.failures < mostFailures { // what began before it opened proves nothing
			b.failures, b.pause = 0, 0
		}
	case failed:
		if b.failures++; b.failures == mostFailures || tries {
			b.pause = min(max(firstPause, 2*b.pause), longestPause)
			b.until = time.Now().Add(b.pause/2 + rand.N(b.pause/2)) //nolint:gosec // instances should not try together
		}
	}
}

// hold keeps requests back for as long as the upstream asked for, within reason.
func (b *breaker) hold(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(min(d, longestPause)); until.After(b.until) {
		b.until = until
	}
}

// state is "closed", "open" or "half-open".
func (b *breaker) state() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case time.Now().Before(b.until):
		return "open"
	case b.failures >= mostFailures:
		return "half-open"
	}
	return "closed"
}
