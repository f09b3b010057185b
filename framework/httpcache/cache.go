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
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
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
	// maxKey is the length in bytes of the longest key that is stored: no input that is worth storing is longer, and what
	// clients make up must not push out what is.
	maxKey = 1 << 10
)

// Rule is how the answers of a route are stored. It must not change while it is used.
type Rule struct {
	TTL                  time.Duration         // how long a 200 is fresh; 0 stores nothing
	StatusTTL            map[int]time.Duration // how long answers of other statuses are; the others are not stored
	Jitter               float64               // largest share by which the time of an entry is shortened, so that not all end at once
	EarlyRefresh         float64               // share of the time, at its end, in which a hit has a new answer made behind it, once
	StaleWhileRevalidate time.Duration         // after TTL: send the stale answer and make a new one behind it
	StaleIfError         time.Duration         // after TTL: send the stale answer when no new one can be made
	Timeout              time.Duration         // of one fetch, which goes on without the client that caused it
	MaxEntry             int                   // largest body in bytes that is stored
	Tags                 []string              // of every answer, for purges
	Encoder              *encoding.Encoder
	Best                 *encoding.Encoder // compresses once more, behind, what is asked for again; nil is not done

	// ErrorStatus returns the status with which an error of Fetch is answered, or 0 for one that says nothing of the key. An
	// error of a status of StatusTTL is kept in memory, for this instance, and given to whoever asks. Nil keeps none.
	ErrorStatus func(error) int
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
	looks   *cache.Flights[*fetched] // of Look, at the shared layer
	best    *cache.Flights[struct{}] // one, of bodies that are compressed once more
	refresh chan struct{}            // a place for each refresh under way
	passes  *passes

	recording sync.Map // *Recording by key, of the streams that are being recorded

	hits, misses, stale, bypasses, coalesced atomic.Uint64
}

// fetched is what a flight brings.
type fetched struct {
	held
	began    cache.Stamp
	personal bool   // for the client that caused it, and nobody else
	stored   bool   // in the cache, by this flight or just before it
	shared   bool   // found in the shared layer
	looked   bool   // for it there, by Look
	detail   string // why it is not stored
}

// New returns a response cache over a memory layer, which answers carry the name of in Cache-Status: a token of RFC 9651.
// Close it in the end.
func New(memory *cache.Memory, name string) *Cache {
	return &Cache{
		memory:  memory,
		name:    name,
		flights: cache.NewFlights[*fetched](),
		looks:   cache.NewFlights[*fetched](),
		best:    cache.NewFlights[struct{}](),
		refresh: make(chan struct{}, maxRefreshes),
		passes:  newPasses(),
	}
}

// Close waits for fetches under way until ctx ends, and then cancels them. Stored answers stay in the layer.
func (c *Cache) Close(ctx context.Context) error {
	return errors.Join(c.looks.Close(ctx), c.flights.Close(ctx), c.best.Close(ctx))
}

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
// waits for it until its own ctx ends. The error is that of fetch, just now or stored, or of ctx; the Result then has no status,
// and the fields that say what the cache did.
func (c *Cache) Do(ctx context.Context, key string, rule *Rule, req *Request, fetch Fetch) (Result, error) {
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		return c.bypass(ctx, rule, req, fetch, "; fwd=method")
	case rule.TTL <= 0:
		return c.bypass(ctx, rule, req, fetch, "; fwd=bypass")
	case len(key) > maxKey:
		return c.bypass(ctx, rule, req, fetch, "; fwd=bypass; detail=key-too-long")
	}
	stored, purged, ok := c.memory.Lookup(key)
	if !ok {
		if c.passes.of(key) == alone {
			return c.alone(ctx, key, rule, req, fetch)
		}
		return c.forward(ctx, key, rule, req, held{}, fetch)
	}
	r := held{stored.(*representation), purged}
	age := time.Since(r.made)
	whileRevalidate, ifError := rule.stale(r.status)
	switch fresh := r.freshFor(age); {
	case age < fresh:
		c.hits.Add(1)
		detail := ""
		if r.err == nil && r.claim(age, r.fresh) {
			detail = "; detail=early-refresh"
			if !c.refreshBehind(ctx, key, rule, forEarly, fetch) {
				r.ask.Store(int64(age)) // the next hit tries again
			}
		}
		return c.reuse(r, rule, req, age, Hit, detail)
	case age < fresh+whileRevalidate:
		return c.reuseStale(ctx, key, rule, req, r, fetch)
	case age < fresh+ifError && r.failing() && !r.claim(age, r.next(age)):
		c.stale.Add(1)
		return c.reuse(r, rule, req, age, Stale, "; detail=back-off")
	}
	return c.forward(ctx, key, rule, req, r, fetch)
}

// reuse answers with a stored representation (RFC 9111, section 4).
func (c *Cache) reuse(r held, rule *Rule, req *Request, age time.Duration, o Outcome, detail string) (Result, error) {
	var res Result
	if r.err == nil {
		res = r.answer(req, rule.Encoder)
	}
	now := r.at(c.name, age, r.freshFor(age))
	if res.Outcome = o; o == Hit {
		res.Age = now.age
	}
	res.add("Age", now.ageField)
	res.add("X-Cache", string(o))
	res.add("Cache-Status", now.cacheStatus+detail)
	return res, r.err
}

// reuseStale answers with a stale representation while a new one is made behind it (RFC 5861, section 3).
func (c *Cache) reuseStale(
	ctx context.Context, key string, rule *Rule, req *Request, r held, fetch Fetch,
) (Result, error) {
	age := time.Since(r.made)
	c.stale.Add(1)
	if !r.pausing(age) {
		c.refreshBehind(ctx, key, rule, forStale, fetch)
	}
	return c.reuse(r, rule, req, age, Stale, "; detail=stale-while-revalidate")
}

// forward answers with a fetch, its own or one under way, or with the stale representation when that fails.
func (c *Cache) forward(
	ctx context.Context, key string, rule *Rule, req *Request, stale held, fetch Fetch,
) (Result, error) {
	var got *fetched
	var joined bool
	var err error
	for again := true; again; {
		asked := c.memory.Now()
		got, joined, err = c.flights.Find(ctx, c.flight(key, rule), timeout(rule), c.finder(key, rule, req.Looked),
			c.fetcher(key, rule, forMiss, rule.negotiate(req), fetch))
		again = err == nil && c.overtaken(key, asked, joined, got)
	}
	if joined {
		c.coalesced.Add(1)
	}
	if err == nil && got.shared {
		age := time.Since(got.made)
		if age >= got.freshFor(age) {
			return c.reuseStale(ctx, key, rule, req, got.held, fetch)
		}
		c.hits.Add(1)
		return c.reuse(got.held, rule, req, age, Hit, "; detail=shared")
	}
	if stale.representation == nil && c.memory.Shared() != nil && failed(got, err) { // the flight may have found one in the shared layer
		stale = c.stored(key)
	}
	gone := errors.Is(ctx.Err(), context.Canceled)
	if stale.representation != nil && stale.status == http.StatusOK && !gone && failed(got, err) {
		_, ifError := rule.stale(stale.status)
		if age := time.Since(stale.made); age < stale.freshFor(age)+ifError {
			c.stale.Add(1)
			return c.staleOnError(stale, rule, req, age, got), nil
		}
	}
	if err == nil && got.personal && joined {
		return c.alone(ctx, key, rule, req, fetch)
	}
	status := "; fwd=uri-miss"
	if stale.representation != nil {
		status = "; fwd=stale"
	}
	return c.fetched(rule, req, got, err, joined, status)
}

// overtaken reports whether a purge has come between the beginning of a flight that was joined and the moment when it was asked for.
// Who asked after a purge must not get what an earlier fetch brought. The flight's name covers the purges of the key and the rule's tags;
// this covers the tags that only the answer brought.
func (c *Cache) overtaken(key string, asked cache.Stamp, joined bool, got *fetched) bool {
	return joined && asked > got.began && got.representation != nil && c.memory.Purged(key, got.tags) > got.began
}

// alone answers with a fetch of the request's own, which is stored if it can be. The key's answers could not be shared lately.
func (c *Cache) alone(ctx context.Context, key string, rule *Rule, req *Request, fetch Fetch) (Result, error) {
	got, err := c.fetcher(key, rule, forOne, rule.negotiate(req), fetch)(ctx)
	return c.fetched(rule, req, got, err, false, "; fwd=uri-miss")
}

// fetched answers with what a fetch brought, and says what became of it.
func (c *Cache) fetched(rule *Rule, req *Request, got *fetched, err error, joined bool, status string) (Result, error) {
	res := Result{}
	if err == nil {
		res = got.answer(req, rule.Encoder)
	}
	res.Outcome = Miss
	switch {
	case got == nil:
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
	if got != nil && got.detail != "" {
		status += "; detail=" + got.detail
	}
	if res.Outcome == Bypass {
		c.bypasses.Add(1)
	} else {
		c.misses.Add(1)
	}
	res.add("X-Cache", string(res.Outcome))
	res.add("Cache-Status", c.name+status)
	return res, err
}

// staleOnError answers with a stale representation because the fetch failed (RFC 5861, section 4).
func (c *Cache) staleOnError(r held, rule *Rule, req *Request, age time.Duration, got *fetched) Result {
	var status strings.Builder
	status.WriteString(c.name + "; fwd=stale")
	if got != nil && got.representation != nil {
		status.WriteString("; fwd-status=" + strconv.Itoa(got.status))
	}
	status.WriteString("; ttl=" + strconv.FormatInt(int64((r.freshFor(age)-age)/time.Second), 10) + "; detail=stale-if-error")
	res := r.answer(req, rule.Encoder)
	res.Outcome = Stale
	res.add("Age", strconv.FormatInt(int64(age/time.Second), 10))
	res.add("X-Cache", string(Stale))
	res.add("Cache-Status", status.String())
	return res
}

// bypass answers with a fetch of the request's own, which is not stored.
func (c *Cache) bypass(ctx context.Context, rule *Rule, req *Request, fetch Fetch, status string) (Result, error) {
	c.bypasses.Add(1)
	resp, err := fetch(ctx)
	var res Result
	if err == nil {
		res = Finish(req, resp, rule.Encoder)
	}
	res.Outcome = Bypass
	res.add("X-Cache", string(Bypass))
	res.add("Cache-Status", c.name+status)
	return res, err
}
