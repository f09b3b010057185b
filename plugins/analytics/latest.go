package analytics

import "sync"

// latest keeps the latest events and ratings, so that a flood of the ones does not push out the others. It may be used
// concurrently.
type latest struct {
	mu      sync.Mutex
	events  ring[event]
	ratings ring[rating]
}

func newLatest(most int) *latest {
	return &latest{events: ring[event]{most: most}, ratings: ring[rating]{most: most}}
}

func (l *latest) addEvent(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events.add(e)
}

func (l *latest) addRating(r rating) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ratings.add(r)
}

// all returns copies, the latest first; never nil.
func (l *latest) all() ([]event, []rating) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events.newestFirst(), l.ratings.newestFirst()
}

// ring holds the latest values, at most a number of them. It grows as they come.
type ring[T any] struct {
	most   int
	values []T
	oldest int // where the next value goes once the ring is full
}

func (r *ring[T]) add(v T) {
	if len(r.values) < r.most {
		r.values = append(r.values, v)
		return
	}
	r.values[r.oldest] = v
	r.oldest = (r.oldest + 1) % r.most
}

func (r *ring[T]) newestFirst() []T {
	all := make([]T, 0, len(r.values))
	for i := range r.values {
		all = append(all, r.values[(r.oldest+len(r.values)-1-i)%len(r.values)])
	}
	return all
}
