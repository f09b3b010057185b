package httpcache

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"time"
)

// Hit answers a request from the memory layer when it holds a fresh answer with which nothing else is to be done. It waits for nobody,
// so it needs no context; when it says false, Do goes on, and counts what the request becomes.
func (c *Cache) Hit(key string, rule *Rule, req *Request) (Result, bool) {
	r, age, ok := c.fresh(key, req, time.Now())
	if !ok {
		return Result{}, false
	}
	c.CountHit()
	res, _ := c.reuse(held{representation: r}, rule, req, age, Hit, "") // it is no error
	return res, true
}

// fresh finds such an answer in the memory layer. It does not count, and does not keep the key.
func (c *Cache) fresh(key string, req *Request, now time.Time) (r *representation, age time.Duration, ok bool) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return nil, 0, false
	}
	stored, ok := c.memory.Find(key)
	if !ok {
		return nil, 0, false
	}
	r = stored.(*representation)
	age = max(0, now.Sub(r.made))
	return r, age, r.quiet(age) && r.err == nil
}

// CountHit counts an answer that Ready gave.
func (c *Cache) CountHit() {
	c.memory.CountHit()
	c.hits.Add(1)
}

// Ready is a fresh answer in the form in which it is sent.
type Ready struct {
	Status   int
	Body     []byte // shared: it must not be changed; of a 304 there is none
	Age, TTL int64  // seconds: since it was made, and for how long it is fresh yet
	Shared   bool   // Look has found it

	stored *representation
	form   *form
}

// Ready finds what Hit finds, if it can be sent whole or as a 304, without counting it. It keeps none of the strings that it is given.
func (c *Cache) Ready(key string, rule *Rule, req *Request, now time.Time) (Ready, bool) {
	r, age, ok := c.fresh(key, req, now)
	if !ok {
		return Ready{}, false
	}
	return r.ready(age, rule, req)
}

// ready answers a request with what was found in the shared layer, as Ready does.
func (f *fetched) ready(rule *Rule, req *Request) (Ready, bool) {
	if f.representation == nil || !f.purged.IsZero() {
		return Ready{}, false
	}
	age := max(0, time.Since(f.made))
	if !f.quiet(age) {
		return Ready{}, false
	}
	ready, ok := f.representation.ready(age, rule, req)
	ready.Shared = true
	return ready, ok
}

// ready answers a request at an age, if it can be answered in a form that is prepared.
func (r *representation) ready(age time.Duration, rule *Rule, req *Request) (Ready, bool) {
	res := r.answer(req, rule.Encoder)
	if res.form == nil {
		return Ready{}, false
	}
	seconds := int64(age / time.Second)
	return Ready{
		Status: res.Status, Body: res.Body, Age: seconds, TTL: int64(r.fresh/time.Second) - seconds,
		stored: r, form: res.form,
	}, true
}

// Look finds in the shared layer, with one command, what Ready has not found in memory. It keeps it there and returns it as Ready does,
// counted. Head is called for what Prepare is given, at most once. Look waits for the layer, or for the look of another request at the
// same key, but for no longer than a read of the layer takes at most, nor than ctx lasts. Looked is whether the layer was asked: then Do
// need not ask again. It keeps none of the strings that it is given.
func (c *Cache) Look(
	ctx context.Context, key string, rule *Rule, req *Request, head func(*Ready) []byte,
) (ready Ready, looked, ok bool) {
	shared := c.memory.Shared()
	if shared == nil || len(key) > maxKey || c.passes.of(key) == alone {
		return Ready{}, false, false
	}
	key = strings.Clone(key)
	asked, flight := c.memory.Now(), c.flight(key, rule)
	if c.flights.Underway(flight) { // which the request joins
		return Ready{}, false, false
	}
	got, joined, err := c.looks.Find(ctx, flight, timeout(rule), func(ctx context.Context) (*fetched, bool) {
		got := &fetched{began: c.memory.Now()}
		if c.stored(key).representation != nil { // there is more to be done with it, or it has just come
			return got, true
		}
		found, there := shared.Get(ctx, key)
		if got.looked = true; !there {
			return got, true
		}
		if got.held, there = c.open(key, rule, found); there {
			if ready, ok = got.ready(rule, req); ok {
				ready.Prepare(head(&ready)) // before the layer asks what it occupies
			}
			c.adopt(key, got.held, found.Expires, got)
		}
		return got, true
	}, func(context.Context) (*fetched, error) { return nil, errLook })
	if err != nil || c.overtaken(key, asked, joined, got) {
		return Ready{}, false, false
	}
	if joined {
		if ready, ok = got.ready(rule, req); ok {
			c.coalesced.Add(1)
		}
	}
	if ok {
		c.memory.CountMiss()
		c.hits.Add(1)
	}
	return ready, got.looked, ok
}

// errLook is the outcome of a look that panicked.
var errLook = errors.New("the look at the shared layer failed")

// Head returns what Prepare was given, or nil.
func (r *Ready) Head() []byte {
	return r.form.prepared()
}

// Prepare keeps the head with the stored answer, for all who are answered in this form, and returns it. It must not change any more.
func (r *Ready) Prepare(head []byte) []byte {
	if r.form.prepare(head) {
		r.stored.grow(cap(head))
	}
	return head
}

// Header yields the names and values of the answer's stored fields.
func (r *Ready) Header() iter.Seq2[string, string] {
	return (&Result{fields: r.form.fields}).Header()
}
