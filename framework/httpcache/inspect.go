package httpcache

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework/encoding"
)

// Inspection is what the cache would do with a request now, and what it holds for the request's key.
type Inspection struct {
	Verdict Verdict  `json:"verdict"`
	Stored  []Stored `json:"stored"`
}

// Verdict is how a request would be answered, and why.
type Verdict struct {
	Outcome     Outcome `json:"outcome"`
	Reason      string  `json:"reason"`
	CacheStatus string  `json:"cacheStatus,omitempty"`
	Status      int     `json:"status,omitempty"`   // of a stored answer; 0 is the handler's to say
	Encoding    string  `json:"encoding,omitempty"` // of a stored answer's body
}

// Stored is one answer that a layer holds. Its times are whole seconds, counted from now; what is over is negative.
type Stored struct {
	Layer        string    `json:"layer"` // "memory" or "redis"
	Status       int       `json:"status"`
	Made         time.Time `json:"made"`
	Age          int64     `json:"age"`
	TTL          int64     `json:"ttl"`                  // how long it stays fresh
	Revalidate   int64     `json:"staleWhileRevalidate"` // how long it is sent while a new one is made behind it
	OnError      int64     `json:"staleIfError"`         // how long it is sent when no new one can be made
	LastModified string    `json:"lastModified,omitempty"`
	Vary         string    `json:"vary,omitempty"`
	For          []string  `json:"for,omitempty"` // in standard mode: what requests have of the fields of vary
	SoftlyPurged bool      `json:"softlyPurged"`
	Tags         []string  `json:"tags"`
	Variants     []Body    `json:"variants"`
}

// Body is a stored body in one content coding.
type Body struct {
	Encoding string `json:"encoding"`
	Size     int    `json:"size"` // in bytes
	ETag     string `json:"etag,omitempty"`
}

// Inspect looks at what both layers hold for a key and says what a request for it would get, and why. It changes nothing and
// counts nothing. It may be called concurrently.
func (c *Cache) Inspect(ctx context.Context, key string, rule *Rule, req *Request) Inspection {
	found := Inspection{Stored: []Stored{}}
	here := c.stored(key)
	if here.representation != nil {
		found.Stored = append(found.Stored, here.describe("memory", rule))
	}
	var there held
	shared := c.memory.Shared()
	if value, ok := shared.Peek(ctx, key); ok {
		if r, ok := unmarshal(value.Value, value.Tags); ok {
			r.begin(rule, r.status, key, r.made)
			there = held{r, value.Stale}
			found.Stored = append(found.Stored, there.describe("redis", rule))
		}
	}
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		found.Verdict = c.fetches(Bypass, "; fwd=method", "only GET and HEAD are answered from the cache")
	case len(key) > maxKey:
		found.Verdict = c.fetches(Bypass, "; fwd=bypass; detail=key-too-long", "its key is too long to be stored")
	case here.representation != nil:
		found.Verdict = c.foresee(here, there, rule, req)
	case c.passes.of(key) == alone:
		found.Verdict = c.fetches(Miss, "; fwd=uri-miss", "its answers could not be shared lately, so each request gets one of its own")
	case there.representation != nil && rule.serves(there, forMiss, true):
		found.Verdict = c.sends(there, rule, req, "; detail=shared", "in Redis and not in this instance's memory")
	default:
		found.Verdict = c.fetches(Miss, "; fwd=uri-miss", "no layer holds an answer under this key")
		if state := shared.Stats(); state.Circuit != "disabled" && !state.Available {
			found.Verdict.Reason = "memory holds no answer under this key, and Redis does not answer"
		}
	}
	return found
}

// fetches is the verdict on a request that the handler answers.
func (c *Cache) fetches(o Outcome, status, reason string) Verdict {
	return Verdict{Outcome: o, Reason: reason, CacheStatus: c.name + status}
}

// foresee says what a request gets of whose key memory holds an answer, and Redis perhaps another.
func (c *Cache) foresee(here, there held, rule *Rule, req *Request) Verdict {
	age := time.Since(here.made)
	whileRevalidate, ifError := rule.stale(here.status)
	switch fresh := here.freshFor(age); {
	case age < fresh && here.err == nil && !here.quiet(age):
		return c.sends(here, rule, req, "; detail=early-refresh", "in memory; a new one is made behind this request (early_refresh)")
	case age < fresh+whileRevalidate:
		return c.sends(here, rule, req, "", "in memory")
	case age < fresh+ifError && here.pausing(age):
		return c.sends(here, rule, req, "; detail=back-off", "in memory; the handler, which failed, is left alone for a while")
	case there.representation != nil && rule.serves(there, forMiss, true):
		return c.sends(there, rule, req, "; detail=shared", "in Redis and newer than in this instance's memory")
	case age < fresh+ifError:
		return c.fetches(Miss, "; fwd=stale", "the stored answer is stale, and sent only if no new one can be made (stale_if_error)")
	}
	return c.fetches(Miss, "; fwd=stale", "the stored answer is stale, and not sent any more")
}

// sends is the verdict on a request that a stored answer serves. It is sent, to nobody, as a copy: sending makes variants.
func (c *Cache) sends(h held, rule *Rule, req *Request, detail, where string) Verdict {
	age := time.Since(h.made)
	v := Verdict{Outcome: Hit, Reason: "it is fresh, " + where}
	if age >= h.freshFor(age) {
		v.Outcome, v.Reason = Stale, "it is stale, "+where
		if !h.purged.IsZero() {
			v.Reason = "it is stale since a soft purge, " + where
		}
		if detail != "; detail=back-off" {
			detail = "; detail=stale-while-revalidate"
			v.Reason += ", and sent while a new one is made (stale_while_revalidate)"
		}
	}
	own := held{&representation{status: h.status, made: h.made, err: h.err}, h.purged}
	if h.err == nil {
		own.representation, _ = unmarshal(h.marshal(math.MaxInt), h.tags) // it was valid when it was stored
	}
	own.fresh = h.fresh
	res, err := c.reuse(own, rule, req, age, v.Outcome, detail)
	switch v.Status = res.Status; {
	case err != nil:
		v.Status, v.Reason = h.status, v.Reason+"; it is an error of the handler"
	case res.Body != nil:
		v.Encoding = encoding.Identity
	}
	v.read(&res)
	return v
}

// read takes from an answer what it says of itself.
func (v *Verdict) read(res *Result) {
	for name, value := range res.Header() {
		switch name {
		case "Cache-Status":
			v.CacheStatus = value
		case "Content-Encoding":
			v.Encoding = value
		}
	}
}

func (h held) describe(layer string, rule *Rule) Stored {
	age := time.Since(h.made)
	whileRevalidate, ifError := rule.stale(h.status)
	left := func(more time.Duration) int64 { // as Cache-Status counts
		return int64((h.freshFor(age)+more)/time.Second) - int64(age/time.Second)
	}
	s := Stored{
		Layer: layer, Status: h.status, Made: h.made.UTC().Truncate(time.Millisecond), Age: int64(age / time.Second),
		TTL: left(0), Revalidate: left(whileRevalidate), OnError: left(ifError), SoftlyPurged: !h.purged.IsZero(),
		Tags: append([]string{}, h.tags...), Variants: []Body{},
	}
	if h.err != nil { // without a body: each request has one written for it
		return s
	}
	if !h.lastModified.IsZero() {
		s.LastModified = h.lastModified.Format(http.TimeFormat)
	}
	for _, f := range h.plain.full.fields {
		if f.name == "Vary" {
			s.Vary = f.value
		}
	}
	s.Variants = append(s.Variants, Body{encoding.Identity, len(h.plain.body), h.plain.etag})
	for i, coding := range codings {
		if v := h.encoded[i].Load(); v != nil && v != &h.plain {
			s.Variants = append(s.Variants, Body{coding, len(v.body), v.etag})
		}
	}
	return s
}
