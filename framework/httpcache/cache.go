// Package httpcache is the response cache in policy mode: an answer is fresh for as long as the policy says, under a key
// of exactly the inputs that the policy and the handler declare.
//
// In this mode the request's own Cache-Control and Pragma are not read: a client must not be able to make the server do the
// work again. The response's no-store, private, no-cache, Set-Cookie and Vary: * are obeyed: such answers are never
// stored. Otherwise RFC 9110 (conditional and range requests, content coding), RFC 5861 (stale answers), RFC 9211 (Cache-Status)
// and the parts of RFC 9111 that each function names.
package httpcache

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/encoding"
)

const (
	// maxRefreshes bounds how many answers are made anew behind stale ones at once; further ones wait for another request.
	maxRefreshes = 64
	// fetchTimeout bounds a fetch whose rule names no timeout.
	fetchTimeout = time.Minute
)

// Rule is how the answers of a route are stored. It must not change while it is used.
type Rule struct {
	TTL                  time.Duration // how long an answer is fresh; 0 stores nothing
	StaleWhileRevalidate time.Duration // after TTL: send the stale answer and make a new one behind it
	StaleIfError         time.Duration // after TTL: send the stale answer when no new one can be made
	Timeout              time.Duration // of one fetch, which goes on without the client that caused it
	MaxEntry             int           // largest body in bytes that is stored
	Tags                 []string      // of every answer, for purges
	Encoder              *encoding.Encoder
}

// Fetch makes an answer. It is called in a goroutine of the cache and may outlive the request that caused it: what it holds
// of the request must be detached. It answers HEAD as it does GET.
type Fetch func(ctx context.Context) (*Response, error)

// Stats counts answers since the cache was made, by outcome. Coalesced are those of them that waited for the fetch of another
// request.
type Stats struct {
	Hits, Misses, Stale, Bypasses, Coalesced uint64
}

// Cache is the response cache. It may be used concurrently.
type Cache struct {
	memory  *cache.Memory
	name    string
	flights *cache.Flights[*fetched]
	refresh chan struct{} // a place for each refresh under way

	hits, misses, stale, bypasses, coalesced atomic.Uint64
}

// fetched is what a flight brings.
type fetched struct {
	*representation
	began    cache.Stamp
	personal bool      // for the client that caused it, and nobody else
	stored   bool      // in the cache, by this flight or just before it
	shared   bool      // found in the shared layer
	purged   time.Time // softly, before it was found there
	detail   string    // why it is not stored
}

// New returns a response cache over a memory layer, which answers carry the name of in Cache-Status: a token of RFC 9651.
// Close it in the end.
func New(memory *cache.Memory, name string) *Cache {
	return &Cache{
		memory:  memory,
		name:    name,
		flights: cache.NewFlights[*fetched](),
		refresh: make(chan struct{}, maxRefreshes),
	}
}

// Close waits for fetches under way until ctx ends, and then cancels them. Stored answers stay in the layer.
func (c *Cache) Close(ctx context.Context) error { return c.flights.Close(ctx) }

// Stats returns the counts so far.
func (c *Cache) Stats() Stats {
	return Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Stale: c.stale.Load(), Bypasses: c.bypasses.Load(),
		Coalesced: c.coalesced.Load(),
	}
}

// Delete purges the answer of a key in memory and reports whether there was one.
func (c *Cache) Delete(key string) bool { return c.memory.Delete(key) }

// Do answers a request from the cache, or with what fetch makes. All that ask for a key at once share one fetch, and each
// waits for it until its own ctx ends. The error is that of fetch, or of ctx.
func (c *Cache) Do(ctx context.Context, key string, rule *Rule, req *Request, fetch Fetch) (Result, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return c.bypass(ctx, rule, req, fetch, "; fwd=method")
	}
	if rule.TTL <= 0 {
		return c.bypass(ctx, rule, req, fetch, "; fwd=bypass")
	}
	stored, purged, ok := c.memory.Lookup(key)
	if !ok {
		return c.forward(ctx, key, rule, req, nil, time.Time{}, fetch)
	}
	r := stored.(*representation)
	age := time.Since(r.made)
	switch lifetime := rule.lifetime(r, age, purged); {
	case age < lifetime:
		c.hits.Add(1)
		return c.reuse(r, rule, req, age, lifetime, Hit, ""), nil
	case age < lifetime+rule.StaleWhileRevalidate:
		c.stale.Add(1)
		c.refreshBehind(ctx, key, rule, fetch)
		return c.reuse(r, rule, req, age, lifetime, Stale, "; detail=stale-while-revalidate"), nil
	}
	return c.forward(ctx, key, rule, req, r, purged, fetch)
}

// lifetime returns for how long an answer is fresh, or was when it was purged softly.
func (rule *Rule) lifetime(r *representation, age time.Duration, purged time.Time) time.Duration {
	if purged.IsZero() {
		return rule.TTL
	}
	return min(rule.TTL, max(purged.Sub(r.made), 0), age)
}

// reuse answers with a stored representation (RFC 9111, section 4).
func (c *Cache) reuse(
	r *representation, rule *Rule, req *Request, age, lifetime time.Duration, o Outcome, detail string,
) Result {
	res := r.answer(req, rule.Encoder)
	now := r.at(c.name, age, lifetime)
	res.Outcome = o
	res.add("Age", now.ageField)
	res.add("X-Cache", string(o))
	res.add("Cache-Status", now.cacheStatus+detail)
	return res
}

// forward answers with a fetch, its own or one under way, or with the stale representation when that fails; purged is when that
// was purged softly.
func (c *Cache) forward(
	ctx context.Context, key string, rule *Rule, req *Request, stale *representation, purged time.Time, fetch Fetch,
) (Result, error) {
	var got *fetched
	var joined bool
	var err error
	for again := true; again; {
		asked := c.memory.Now()
		got, joined, err = c.flights.Do(ctx, c.flight(key, rule), timeout(rule),
			c.fetcher(key, rule, rule.StaleWhileRevalidate, fetch))
		// Who asked after a purge must not get what an earlier fetch brought. The flight's name covers the purges of
		// the key and the rule's tags; this covers the tags that only the answer brought.
		again = err == nil && joined && asked > got.began && c.memory.Purged(key, got.tags) > got.began
	}
	if joined {
		c.coalesced.Add(1)
	}
	if err == nil && got.shared {
		return c.reuseShared(ctx, key, rule, req, got, fetch), nil
	}
	if stale == nil && c.memory.Shared() != nil && failed(got, err) { // the flight may have found one in the shared layer
		if stored, when, ok := c.memory.Peek(key); ok {
			stale, purged = stored.(*representation), when
		}
	}
	if gone := errors.Is(ctx.Err(), context.Canceled); stale != nil && !gone && failed(got, err) {
		age := time.Since(stale.made)
		if lifetime := rule.lifetime(stale, age, purged); age < lifetime+rule.StaleIfError {
			c.stale.Add(1)
			return c.staleOnError(stale, rule, req, age, lifetime, got), nil
		}
	}
	if err != nil {
		c.misses.Add(1)
		return Result{}, err
	}
	if got.personal && joined {
		return c.bypass(ctx, rule, req, fetch, "; fwd=uri-miss")
	}

	status := "; fwd=uri-miss"
	if stale != nil {
		status = "; fwd=stale"
	}
	res := got.answer(req, rule.Encoder)
	res.Outcome = Miss
	switch {
	case got.stored:
		status += "; stored"
		// RFC 9111 asks for Age on reused answers only; the contract has it on every answer of a cached route.
		res.add("Age", strconv.FormatInt(int64(time.Since(got.made)/time.Second), 10))
	case got.personal:
		res.Outcome = Bypass
	}
	if joined {
		status += "; collapsed"
	}
	if got.detail != "" {
		status += "; detail=" + got.detail
	}
	if res.Outcome == Bypass {
		c.bypasses.Add(1)
	} else {
		c.misses.Add(1)
	}
	res.add("X-Cache", string(res.Outcome))
	res.add("Cache-Status", c.name+status)
	return res, nil
}

// reuseShared answers with what a flight found in the shared layer.
func (c *Cache) reuseShared(
	ctx context.Context, key string, rule *Rule, req *Request, got *fetched, fetch Fetch,
) Result {
	r, age := got.representation, time.Since(got.made)
	lifetime := rule.lifetime(r, age, got.purged)
	if age < lifetime {
		c.hits.Add(1)
		return c.reuse(r, rule, req, age, lifetime, Hit, "; detail=shared")
	}
	c.stale.Add(1)
	c.refreshBehind(ctx, key, rule, fetch)
	return c.reuse(r, rule, req, age, lifetime, Stale, "; detail=stale-while-revalidate")
}

// staleOnError answers with a stale representation because the fetch failed (RFC 5861, section 4).
func (c *Cache) staleOnError(
	r *representation, rule *Rule, req *Request, age, lifetime time.Duration, got *fetched,
) Result {
	var status strings.Builder
	status.WriteString(c.name + "; fwd=stale")
	if got != nil {
		status.WriteString("; fwd-status=" + strconv.Itoa(got.status))
	}
	status.WriteString("; ttl=" + strconv.FormatInt(int64((lifetime-age)/time.Second), 10) + "; detail=stale-if-error")
	res := r.answer(req, rule.Encoder)
	res.Outcome = Stale
	res.add("Age", strconv.FormatInt(int64(age/time.Second), 10))
	res.add("X-Cache", string(Stale))
	res.add("Cache-Status", status.String())
	return res
}

// failed reports whether a fetch gave an error in the sense of RFC 5861, section 4.
func failed(got *fetched, err error) bool {
	if err != nil {
		return true
	}
	switch got.status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// bypass answers with a fetch of the request's own.
func (c *Cache) bypass(ctx context.Context, rule *Rule, req *Request, fetch Fetch, status string) (Result, error) {
	c.bypasses.Add(1)
	resp, err := fetch(ctx)
	if err != nil {
		return Result{}, err
	}
	res := Finish(req, resp, rule.Encoder)
	res.Outcome = Bypass
	res.add("X-Cache", string(Bypass))
	res.add("Cache-Status", c.name+status)
	return res, nil
}

// refreshBehind makes a stale answer anew, unless that is under way or too much else is.
func (c *Cache) refreshBehind(ctx context.Context, key string, rule *Rule, fetch Fetch) {
	select {
	case c.refresh <- struct{}{}:
	default:
		return
	}
	work := c.fetcher(key, rule, 0, fetch)
	began := c.flights.Start(ctx, c.flight(key, rule), timeout(rule), func(ctx context.Context) (*fetched, error) {
		defer func() { <-c.refresh }()
		return work(ctx)
	})
	if !began {
		<-c.refresh
	}
}

// fetcher returns the work of a flight: take what another instance made, unless it has been stale for longer than usable, or
// fetch, prepare, store.
func (c *Cache) fetcher(
	key string, rule *Rule, usable time.Duration, fetch Fetch,
) func(context.Context) (*fetched, error) {
	return func(ctx context.Context) (*fetched, error) {
		got := &fetched{began: c.memory.Now()}
		old, purged, _ := c.memory.Peek(key)
		// Another flight may have ended between the miss and the beginning of this one.
		if r, ok := old.(*representation); ok && purged.IsZero() && time.Since(r.made) < rule.TTL {
			got.representation, got.stored = r, true
			return got, nil
		}
		shared := c.memory.Shared()
		made := shared.Now()
		if shared != nil {
			look := func(found cache.Found) bool { return c.take(key, rule, found, usable, got) }
			if found, ok := shared.Get(ctx, key); ok && look(found) {
				return got, nil
			}
			defer shared.Lead(ctx, key, look)()
			if got.shared {
				return got, nil
			}
			old, _, _ = c.memory.Peek(key)
		}
		resp, err := fetch(ctx)
		if err != nil {
			return nil, err
		}
		resp = resp.normalized()
		resp.Tags = slices.Concat(rule.Tags, resp.Tags)
		got.detail = personal(resp.Header)
		got.personal = got.detail != ""
		if !got.personal {
			got.detail = unstorable(resp, rule.MaxEntry)
		}
		if got.detail == "" {
			resp.Body = compact(resp.Body)
		}
		got.representation = newRepresentation(resp, time.Now())
		switch {
		case got.detail == "":
			c.store(key, rule, got, made)
		case old != nil && !failed(got, nil):
			c.memory.Drop(key, old) // it is stale, and not the answer any more
		}
		return got, nil
	}
}

func (c *Cache) store(key string, rule *Rule, got *fetched, made cache.Moment) {
	r, ttl := got.representation, rule.TTL+max(rule.StaleWhileRevalidate, rule.StaleIfError)
	if got.stored = c.keep(key, r, ttl, got); !got.stored {
		got.detail = "purged"
		return
	}
	if shared := c.memory.Shared(); shared != nil {
		shared.Set(key, r.marshal(), ttl, r.tags, made)
	}
}

// keep stores a representation in memory and reports whether it did.
func (c *Cache) keep(key string, r *representation, ttl time.Duration, got *fetched) bool {
	r.grow = func(bytes int) { c.memory.Grow(key, r, bytes) }
	return c.memory.Set(key, r, cache.Entry{TTL: ttl, Cost: r.cost(), Tags: r.tags, Made: got.began, Stale: got.purged})
}

// flight names the fetches of a key that may be shared: those since it was last purged.
func (c *Cache) flight(key string, rule *Rule) string {
	b := make([]byte, 8, 8+len(key))
	binary.BigEndian.PutUint64(b, uint64(c.memory.Purged(key, rule.Tags)))
	return string(append(b, key...))
}

func timeout(rule *Rule) time.Duration {
	if rule.Timeout <= 0 {
		return fetchTimeout
	}
	return rule.Timeout
}
