package httpcache

import (
	"net/http"
	"time"
)

// Hit answers a request from the memory layer when it holds a fresh answer with which nothing else is to be done. It waits for nobody, so it needs no context; when it
// says false, Do goes on, and counts what the request becomes.
func (c *Cache) Hit(key string, rule *Rule, req *Request) (Result, bool) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return Result{}, false
	}
	stored, ok := c.memory.Find(key)
	if !ok {
		return Result{}, false
	}
	r := stored.(*representation)
	age := time.Since(r.made)
	if !r.quiet(age) || r.err != nil {
		return Result{}, false
	}
	c.memory.CountHit()
	c.hits.Add(1)
	res, _ := c.reuse(held{representation: r}, rule, req, age, Hit, "") // it is no error
	return res, true
}
