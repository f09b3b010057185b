package httpcache

import (
	"context"
	"encoding/binary"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/innatural/chatbot/framework/cache"
)

// longestGap bounds the time between two pieces of a replayed stream: it is paced as it was made, but nobody waits for a model
// that has already answered.
const longestGap = 50 * time.Millisecond

// recorded is a stored stream.
type recorded struct {
	lifetime
	made   time.Time
	fields []field
	pieces []piece
	size   int // of the pieces, in bytes
	tags   []string
}

// piece is what a stream sent at once, and how long after what came before it.
type piece struct {
	after time.Duration
	body  []byte
}

// The bytes that a stored stream without its contents, and a piece without its body, occupy.
const (
	recordedBytes = 256
	pieceBytes    = 56
)

func (r *recorded) cost() int {
	n := recordedBytes + r.size + pieceBytes*len(r.pieces)
	for _, f := range r.fields {
		n += fieldBytes + len(f.name) + len(f.value)
	}
	return n
}

// Replay is a stored stream. Its pieces are shared and must not be changed.
type Replay struct {
	stored *recorded
	fields []field
}

// Header yields the names and values of the answer's fields, with those that say what the cache did.
func (r *Replay) Header() iter.Seq2[string, string] { return (&Result{fields: r.fields}).Header() }

// Pieces yields the pieces of the stream, each with how long after the one before it is to be sent.
func (r *Replay) Pieces() iter.Seq2[time.Duration, []byte] {
	return func(yield func(time.Duration, []byte) bool) {
		for _, p := range r.stored.pieces {
			if !yield(min(p.after, longestGap), p.body) {
				return
			}
		}
	}
}

// Replay returns the stream that is stored under a key, if it is fresh, and counts a hit or a miss. A stream is never sent stale.
func (c *Cache) Replay(ctx context.Context, key string, rule *Rule) (*Replay, bool) {
	detail := ""
	began := c.memory.Now()
	found, purged, _ := c.memory.Lookup(key)
	r, ok := found.(*recorded)
	if ok = ok && purged.IsZero() && time.Since(r.made) < r.fresh; !ok {
		there, found := c.memory.Shared().Get(ctx, key)
		if found && there.Stale.IsZero() {
			r, ok = unmarshalStream(there.Value, there.Tags)
		}
		if ok {
			r.begin(rule, http.StatusOK, key, r.made)
			ok = time.Since(r.made) < r.fresh
			c.keepStream(key, r, time.Until(there.Expires), began)
			detail = "; detail=shared"
		}
	}
	if !ok {
		c.misses.Add(1)
		return nil, false
	}
	c.hits.Add(1)
	now := (&representation{}).at(c.name, time.Since(r.made), r.fresh)
	fields := append(slices.Clip(r.fields), field{"Age", now.ageField}, field{"X-Cache", string(Hit)},
		field{"Cache-Status", now.cacheStatus + detail})
	return &Replay{r, fields}, true
}

// Recording is a streamed answer while it is made. It is not for concurrent use.
type Recording struct {
	cache  *Cache
	key    string
	rule   *Rule
	began  cache.Stamp
	there  cache.Moment
	stream *recorded // nil until it begins, and once it is not to be stored
	mine   bool      // no other recording of the key is under way
	last   time.Time
}

// Record prepares to record the stream that a handler is about to make for a key: what is purged from now on voids it.
func (c *Cache) Record(key string, rule *Rule) *Recording {
	return &Recording{cache: c, key: key, rule: rule, began: c.memory.Now(), there: c.memory.Shared().Now()}
}

// Begin takes the head of the answer and returns the fields that say what the cache does. A stream is for one client alone, and
// not recorded, as any other answer is, but that it may say no-cache, which event streams do by custom.
func (r *Recording) Begin(resp *Response) http.Header {
	resp = resp.normalized()
	detail := personal(resp.Header)
	switch {
	case detail != "" && detail != "no-cache":
	case resp.Status != http.StatusOK:
		detail = otherStatus
	case len(r.key) > maxKey:
		detail = "key-too-long"
	default:
		detail = "stream" // whether it is stored is known at its end
		r.stream = &recorded{made: time.Now(), fields: endToEnd(resp.Header), tags: append(append([]string{}, r.rule.Tags...), resp.Tags...)}
		r.last = r.stream.made
	}
	return http.Header{"X-Cache": {string(Miss)}, "Cache-Status": {r.cache.name + "; fwd=uri-miss; detail=" + detail}}
}

// Add takes a piece that the client was sent.
func (r *Recording) Add(body []byte) {
	if r.stream == nil {
		return
	}
	if !r.mine {
		if _, other := r.cache.recording.LoadOrStore(r.key, r); other { // one is enough
			r.stream = nil
			return
		}
		r.mine = true
	}
	if r.stream.size += len(body); r.stream.size > r.rule.MaxEntry {
		r.stream = nil
		return
	}
	now := time.Now()
	r.stream.pieces = append(r.stream.pieces, piece{now.Sub(r.last), append([]byte(nil), body...)})
	r.last = now
}

// End stores the stream if it is whole. It must be called, and may be called again.
func (r *Recording) End(ctx context.Context, whole bool) {
	stream, c := r.stream, r.cache
	if r.mine {
		defer c.recording.CompareAndDelete(r.key, r)
	}
	if r.stream = nil; stream == nil || !whole || len(stream.pieces) == 0 {
		return
	}
	stream.begin(r.rule, http.StatusOK, r.key, stream.made)
	if c.keepStream(r.key, stream, r.rule.TTL, r.began) {
		c.memory.Shared().Set(ctx, r.key, stream.marshal(), r.rule.TTL, stream.tags, r.there)
	}
}

func (c *Cache) keepStream(key string, r *recorded, ttl time.Duration, began cache.Stamp) bool {
	return c.memory.Set(key, r, cache.Entry{TTL: ttl, Cost: r.cost(), Tags: r.tags, Made: began})
}

// marshal returns what the shared layer keeps of a stream.
func (r *recorded) marshal() []byte {
	b := binary.AppendVarint(make([]byte, 0, r.cost()), r.made.UnixNano())
	b = binary.AppendUvarint(b, uint64(len(r.fields)))
	for _, f := range r.fields {
		b = appendText(appendText(b, f.name), f.value)
	}
	for _, p := range r.pieces {
		b = appendText(binary.AppendUvarint(b, uint64(max(p.after, 0))), p.body)
	}
	return b
}

// unmarshalStream reads what marshal wrote, and reports whether it could. The pieces share b.
func unmarshalStream(b []byte, tags []string) (*recorded, bool) {
	d := decoder{b: b}
	r := &recorded{made: time.Unix(0, d.varint()), tags: tags}
	if now := time.Now(); r.made.After(now) {
		r.made = now // another instance's clock is ahead
	}
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		return nil, false
	}
	for range n {
		r.fields = append(r.fields, field{d.text(), d.text()})
	}
	for len(d.b) > 0 {
		p := piece{after: time.Duration(d.uvarint()), body: d.bytes()}
		r.pieces, r.size = append(r.pieces, p), r.size+len(p.body)
	}
	return r, !d.bad && len(r.pieces) > 0
}
