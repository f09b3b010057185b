package httpcache

import (
	"iter"
	"net/http"
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

	stored *representation
	form   *form
}

// Ready finds what Hit finds, if it can be sent whole or as a 304, without counting it. It keeps none of the strings that it is given.
func (c *Cache) Ready(key string, rule *Rule, req *Request, now time.Time) (Ready, bool) {
	r, age, ok := c.fresh(key, req, now)
	if !ok {
		return Ready{}, false
	}
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

// Head returns what Prepare was given, or nil.
func (r *Ready) Head() []byte {
	if head := r.form.head.Load(); head != nil {
		return *head
	}
	return nil
}

// Prepare keeps the head with the stored answer, for all who are answered in this form, and returns it. It must not change any more.
func (r *Ready) Prepare(head []byte) []byte {
	if r.form.head.CompareAndSwap(nil, &head) && r.stored.grow != nil {
		r.stored.grow(cap(head))
	}
	return head
}

// Header yields the names and values of the answer's stored fields.
func (r *Ready) Header() iter.Seq2[string, string] {
	return (&Result{fields: r.form.fields}).Header()
}
