package httpcache

import (
	"context"
	"encoding/binary"
	"net/http"
	"slices"
	"time"

	"github.com/innatural/chatbot/framework/cache"
)

// purpose is what a fetch is for.
type purpose int

const (
	forMiss  purpose = iota // nothing is stored, or only what is too old to be sent
	forStale                // a stale answer is to be made anew
	forEarly                // a fresh answer is to be made anew, before it is stale
	forOne                  // for one client, as the key's answers could not be shared lately
)

// refreshBehind makes an answer anew and reports whether it began: not while that is under way or too much else is.
func (c *Cache) refreshBehind(ctx context.Context, key string, rule *Rule, why purpose, fetch Fetch) bool {
	select {
	case c.refresh <- struct{}{}:
	default:
		return false
	}
	work := c.fetcher(key, rule, why, nil, fetch)
	began := c.flights.Start(ctx, c.flight(key, rule), timeout(rule), func(ctx context.Context) (*fetched, error) {
		defer func() { <-c.refresh }()
		return work(ctx)
	})
	if !began {
		<-c.refresh
	}
	return began
}

// finder returns the look of a flight at what another one made, or another instance, unless that was looked for.
func (c *Cache) finder(key string, rule *Rule, looked bool) func(context.Context) (*fetched, bool) {
	return func(ctx context.Context) (*fetched, bool) {
		got := &fetched{began: c.memory.Now()}
		// Another flight may have ended between the miss and the beginning of this one.
		if old := c.stored(key); old.representation != nil && old.err == nil && old.purged.IsZero() && rule.serves(old, forMiss, false) {
			got.held, got.stored = old, true
			return got, true
		}
		if looked {
			return nil, false
		}
		found, ok := c.memory.Shared().Get(ctx, key)
		return got, ok && c.take(key, rule, forMiss, found, got)
	}
}

// fetcher returns the work of a flight: take what another flight or instance made, or fetch, prepare, store. The answer is
// compressed in the wanted codings, and in those in which the one before it was asked for, before other instances get it.
func (c *Cache) fetcher(
	key string, rule *Rule, why purpose, wanted []string, fetch Fetch,
) func(context.Context) (*fetched, error) {
	return func(ctx context.Context) (*fetched, error) {
		got := &fetched{began: c.memory.Now()}
		old := c.stored(key)
		if old.representation != nil && old.purged.IsZero() && rule.serves(old, why, false) {
			got.held, got.stored = old, true
			return got, old.err
		}
		made := c.memory.Shared().Now()
		if shared := c.memory.Shared(); shared != nil && why != forOne && c.passes.of(key) == together {
			defer shared.Lead(ctx, key, func(found cache.Found) bool { return c.take(key, rule, why, found, got) })()
			if got.shared {
				return got, nil
			}
			old = c.stored(key)
		}
		resp, err := fetch(ctx)
		if err != nil {
			return c.fetchFailed(key, rule, old, got, err)
		}
		if old.representation != nil {
			wanted = append(wanted, old.codings()...)
		}
		c.keepFetched(ctx, key, rule, old, got, resp.normalized(), wanted, made)
		return got, nil
	}
}

// stored returns what memory holds of a key.
func (c *Cache) stored(key string) held {
	stored, purged, _ := c.memory.Peek(key)
	r, _ := stored.(*representation)
	return held{r, purged}
}

// serves reports whether a stored answer does instead of a fetch.
func (r *Rule) serves(stored held, why purpose, shared bool) bool {
	age := time.Since(stored.made)
	limit := stored.freshFor(age)
	switch {
	case why == forMiss && shared: // a stale one is sent, and made anew behind it
		whileRevalidate, _ := r.stale(stored.status)
		limit += whileRevalidate
	case why == forEarly:
		limit = r.refreshAt(limit)
	}
	return age < limit
}

// keepFetched prepares an answer of the handler and stores it if it may be. Old is what is stored.
func (c *Cache) keepFetched(
	ctx context.Context, key string, rule *Rule, old held, got *fetched, resp *Response, wanted []string, made cache.Moment,
) {
	resp.Tags = slices.Concat(rule.Tags, resp.Tags)
	got.detail = personal(resp.Header)
	got.personal = got.detail != ""
	if !got.personal {
		got.detail = unstorable(resp, rule)
	}
	if got.detail == "" {
		resp.Body = compact(resp.Body)
	}
	got.representation = newRepresentation(resp, time.Now())
	switch {
	case failed(got, nil) && rule.spares(old):
		old.failed(time.Since(old.made))
		got.detail = otherStatus
	case got.detail == "":
		c.passes.forget(key)
		got.encodeAs(wanted, rule.Encoder)
		c.store(ctx, key, rule, got, made)
	case got.personal:
		c.passes.note(key, alone)
	case got.detail == tooLarge:
		c.passes.note(key, here)
	}
	if got.detail != "" && old.representation != nil && !failed(got, nil) {
		c.memory.Drop(key, old.representation) // it is not the answer any more
	}
}

// fetchFailed notes an error of the handler, and keeps it if the rule asks for that.
func (c *Cache) fetchFailed(key string, rule *Rule, old held, got *fetched, err error) (*fetched, error) {
	if rule.spares(old) {
		old.failed(time.Since(old.made))
		return nil, err
	}
	if rule.ErrorStatus == nil {
		return nil, err
	}
	status := rule.ErrorStatus(err)
	if ttl := rule.ttl(status); status != http.StatusOK && ttl > 0 {
		r := &representation{status: status, made: time.Now(), err: err, tags: rule.Tags}
		r.begin(rule, status, key, r.made)
		got.representation = r
		got.stored = c.keep(key, got.held, ttl, got.began)
		return got, err
	}
	return nil, err
}

// spares reports whether an error of the handler leaves a stored answer alone, which can still be sent.
func (r *Rule) spares(old held) bool {
	if old.representation == nil {
		return false
	}
	whileRevalidate, ifError := r.stale(old.status)
	age := time.Since(old.made)
	return age < old.freshFor(age)+max(whileRevalidate, ifError)
}

func (c *Cache) store(ctx context.Context, key string, rule *Rule, got *fetched, made cache.Moment) {
	r := got.representation
	whileRevalidate, ifError := rule.stale(r.status)
	ttl := rule.ttl(r.status) + max(whileRevalidate, ifError)
	r.begin(rule, r.status, key, r.made)
	shared := c.memory.Shared()
	share := func() {
		if shared != nil {
			shared.Set(ctx, key, r.marshal(rule.MaxEntry), ttl-time.Since(r.made), r.tags, made)
		}
	}
	if rule.Best != nil {
		r.improve = c.improver(key, rule, r, share)
	}
	if got.stored = c.keep(key, got.held, ttl, got.began); !got.stored {
		got.detail = "purged"
		return
	}
	share()
}

// keep stores a representation in memory and reports whether it did.
func (c *Cache) keep(key string, h held, ttl time.Duration, began cache.Stamp) bool {
	r := h.representation
	r.layer, r.key = c.memory, key
	return c.memory.Set(key, r, cache.Entry{TTL: ttl, Cost: r.cost(), Tags: r.tags, Made: began, Stale: h.purged})
}

// flight names the fetches of a key that may be shared: those since it was last purged.
func (c *Cache) flight(key string, rule *Rule) string {
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(c.memory.Purged(key, rule.Tags)))
	return string(stamp[:]) + key
}

func timeout(rule *Rule) time.Duration {
	if rule.Timeout <= 0 {
		return fetchTimeout
	}
	return rule.Timeout
}

// failed reports whether a fetch gave an error in the sense of RFC 5861, section 4.
func failed(got *fetched, err error) bool {
	if err != nil {
		return true
	}
	return serverFailed(got.status)
}

// serverFailed reports whether a status is an error in the sense of RFC 5861, section 4.
func serverFailed(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
