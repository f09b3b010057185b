package httpcache

import (
	"encoding/binary"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// The pauses between two fetches of a key whose fetches fail: the first, and the longest, which doubling leads to.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// lifetime is how long a stored answer serves, in ages of it.
type lifetime struct {
	fresh    time.Duration // until it is stale
	ask      atomic.Int64  // from here a request has it made anew; the end of every pause of a failing fetch
	failures atomic.Int32  // of fetches, in a row
}

// begin sets the lifetime of an answer that is stored under a key. It is the same on every instance that stores the answer.
func (l *lifetime) begin(rule *Rule, status int, key string, made time.Time) {
	l.fresh = rule.ttl(status)
	if rule.Jitter > 0 {
		b := binary.BigEndian.AppendUint64(append(make([]byte, 0, len(key)+8), key...), uint64(made.UnixNano()))
		share := float64(xxhash.Sum64(b)) / math.MaxUint64
		l.fresh -= time.Duration(share * rule.Jitter * float64(l.fresh))
	}
	l.ask.Store(int64(rule.refreshAt(l.fresh)))
}

// held is a stored representation as a reader found it.
type held struct {
	*representation
	purged time.Time // when it was purged softly; zero when it was not
}

// freshFor returns the age up to which an answer is fresh, or was when it was purged softly.
func (h held) freshFor(age time.Duration) time.Duration {
	if h.purged.IsZero() {
		return h.fresh
	}
	return min(h.fresh, max(h.purged.Sub(h.made), 0), age)
}

// quiet reports whether an answer of an age is fresh and need not be made anew.
func (l *lifetime) quiet(age time.Duration) bool { return age < l.fresh && int64(age) < l.ask.Load() }

// pausing reports whether the handler is left alone at an age, as it failed.
func (l *lifetime) pausing(age time.Duration) bool { return l.failing() && int64(age) < l.ask.Load() }

// claim makes the caller the one who asks the handler at an age, and others wait until another age. It is for one caller of many.
func (l *lifetime) claim(age, until time.Duration) bool {
	ask := l.ask.Load()
	return int64(age) >= ask && l.ask.CompareAndSwap(ask, int64(until))
}

// failed begins a pause at an age: twice as long after each failure.
func (l *lifetime) failed(age time.Duration) {
	l.ask.Store(int64(age + pause(l.failures.Add(1))))
}

// failing reports whether the last fetch failed.
func (l *lifetime) failing() bool { return l.failures.Load() > 0 }

// next returns the end of the pause that a failure at an age would begin.
func (l *lifetime) next(age time.Duration) time.Duration { return age + pause(l.failures.Load()+1) }

// pause returns how long the handler of a key is left alone after so many failures in a row.
func pause(failures int32) time.Duration {
	if failures > 6 { // 2^6 s is longer than the longest
		return longestPause
	}
	return min(firstPause<<max(failures-1, 0), longestPause)
}

// ttl returns how long an answer of a status is fresh; 0 is never.
func (r *Rule) ttl(status int) time.Duration {
	if status == http.StatusOK {
		return r.TTL
	}
	return r.StatusTTL[status]
}

// refreshAt returns the age from which a hit has an answer made anew that is fresh for a time.
//
// Vattani, Chierichetti and Lowenstein ("Optimal probabilistic cache stampede prevention", VLDB 2015) let each read decide by
// chance, because their readers do not know of each other. Here one flight makes an answer, whoever asks, and Jitter already
// spreads entries: a fixed age serves, and costs a hit one comparison.
func (r *Rule) refreshAt(fresh time.Duration) time.Duration {
	return fresh - time.Duration(r.EarlyRefresh*float64(fresh))
}

// stale returns how long after its TTL an answer of a status may be sent while a new one is made, and when none can be made.
func (r *Rule) stale(status int) (whileRevalidate, ifError time.Duration) {
	if status != http.StatusOK {
		return 0, 0
	}
	return r.StaleWhileRevalidate, r.StaleIfError
}
