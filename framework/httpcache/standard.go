package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/innatural/chatbot/framework/cache"
)

// StandardRule is what a policy says about a route in standard mode. It must not change while it is used.
type StandardRule struct {
	StaleWhileRevalidate time.Duration // at least, where the response doesn't forbid it (RFC 5861, section 3)
	StaleIfError         time.Duration // at least, where the response doesn't forbid it (RFC 5861, section 4)
	Timeout              time.Duration // until the answer to a fetch begins
	Body                 time.Duration // of its body, from then on
	MaxEntry             int           // largest body in bytes that is stored
	Tags                 []string      // of every answer, for purges
}

// StandardRequest is a request whose answer may be reused. Its values must stay the same: a fetch may outlive the request.
type StandardRequest struct {
	Method string                     // GET or HEAD
	Key    string                     // of the target URI
	Values func(name string) []string // the lines of a field, by its canonical name
}

// Change is what a fetch changes of the request.
type Change struct {
	Conditional     bool // If-None-Match and If-Modified-Since are those below, or absent, instead of the client's
	IfNoneMatch     string
	IfModifiedSince string
	Whole           bool // without Range and If-Range
}

// Origin is what a fetch brings.
type Origin struct {
	Status int
	Header http.Header // with the Content-Length of a Stream, if it is known
	Body   []byte
	Stream io.ReadCloser // instead of Body
	Tags   []string      // beyond the rule's
}

// Forward asks the handler. It is called in a goroutine of the cache and may outlive the request that caused it. An error says that
// there is no answer, as from an origin that is away. The stream may be read after ctx has ended.
type Forward func(ctx context.Context, change Change) (*Origin, error)

// Delivery is the answer to send.
type Delivery struct {
	Result
	Stream io.ReadCloser // instead of Body: it has to be closed
	Length int64         // of Stream; -1 is unknown
}

// ErrOnlyIfCached says that a request took a stored answer only, and there is none (RFC 9111, section 5.2.1.7).
var ErrOnlyIfCached = errors.New("no stored answer, and the request takes no other")

// Standard is the response cache in standard mode: a shared cache by RFC 9111 with the stale answers of RFC 5861, the
// Cache-Status of RFC 9211, the CDN-Cache-Control of RFC 9213, and the conditional and range requests of RFC 9110.
//
// The origin decides: what is stored, for how long and for whom comes from its answers. In this it goes beyond the standard: an
// answer with Set-Cookie is not stored. Pragma is not read (RFC 9111, section 5.4, deprecates it). It may be used concurrently.
type Standard struct {
	memory  *cache.Memory
	name    string
	flights *cache.Flights[*passage]
	refresh chan struct{} // a place for each refresh under way
	single  atomic.Uint64 // names flights that nobody joins

	// changing guards the change of a resource, by its key.
	changing [64]sync.Mutex
}

// NewStandard returns a response cache in standard mode over a memory layer, which answers carry the name of in Cache-Status: a token
// of RFC 9651. Close it in the end.
func NewStandard(memory *cache.Memory, name string) *Standard {
	return &Standard{
		memory: memory, name: name,
		flights: cache.NewFlights[*passage](),
		refresh: make(chan struct{}, maxRefreshes),
	}
}

// Close waits for fetches under way until ctx ends, and then cancels them. Stored answers stay in the layer.
func (s *Standard) Close(ctx context.Context) error { return s.flights.Close(ctx) }

// Hit answers a request from the memory layer when it holds a fresh answer that needs no more than to be sent: for requests with
// directives, conditions, a range or credentials, and for all that is not there, it says false and Do goes on. It waits for
// nobody and keeps nothing of the request.
func (s *Standard) Hit(req *StandardRequest) (Result, bool) {
	stored, ok := s.memory.Find(req.Key)
	if !ok {
		return Result{}, false
	}
	v, _ := stored.(*resource).choose(req)
	if v == nil || v.part.size > 0 {
		return Result{}, false
	}
	age := v.ageAt(time.Now())
	if !v.fresh(age) {
		return Result{}, false
	}
	for _, name := range [...]string{"Cache-Control", "If-None-Match", "If-Modified-Since", "Range", "Authorization"} {
		if len(req.Values(name)) > 0 {
			return Result{}, false
		}
	}
	s.memory.CountHit()
	res := Result{Status: v.status, Body: v.body, fields: v.fields, Outcome: Hit}
	s.say(&res, v, age, "; hit", "")
	return res, true
}

// tries is how often a request waits for the fetch of another before it makes its own.
const tries = 2

// Do answers a GET or HEAD from what is stored, or with what forward brings. Requests that one answer may serve share one fetch;
// none waits longer for another's than half of the time that its ctx leaves. The error is that of forward, of ctx, or
// ErrOnlyIfCached.
func (s *Standard) Do(ctx context.Context, rule *StandardRule, req *StandardRequest, forward Forward) (Delivery, error) {
	asked := requestDirectives(req.Values("Cache-Control"))
	waited := ""
	for attempt := 0; ; attempt++ {
		p := newPassage(s, rule, req, &asked, forward)
		p.last = attempt >= tries
		if d, ok := p.reuse(ctx, waited); ok {
			return d, nil
		}
		if asked.onlyIfCached {
			return Delivery{}, ErrOnlyIfCached
		}
		name, shared := p.flight()
		var d Delivery
		var again bool
		var err error
		switch {
		case s.flights.Start(ctx, name, p.timeout(), p.run):
			d, again, err = p.lead(ctx)
		case shared:
			d, again, err = p.follow(ctx, name)
			waited = "; fwd=" + p.why + "; collapsed"
		default:
			err = cache.ErrClosed
		}
		if !again {
			return d, err
		}
	}
}

// instant is a moment in the order of purges, in both layers.
type instant struct {
	here  cache.Stamp
	there cache.Moment
}

func (s *Standard) now() instant { return instant{s.memory.Now(), s.memory.Shared().Now()} }

// find returns what is stored for a key, or nil, and when it was purged softly, if it was.
func (s *Standard) find(key string) (*resource, time.Time) {
	stored, soft, ok := s.memory.Peek(key)
	if !ok {
		return nil, time.Time{}
	}
	return stored.(*resource), soft
}

// lockOf returns the lock that guards the change of a resource.
func (s *Standard) lockOf(key string) *sync.Mutex {
	return &s.changing[xxhash.Sum64String(key)%uint64(len(s.changing))]
}

// change replaces what is stored for a key by what f makes of it, unless it was purged since a moment, and reports whether it did.
func (s *Standard) change(ctx context.Context, key string, rule *StandardRule, since instant, f func(*resource) *resource) bool {
	lock := s.lockOf(key)
	lock.Lock()
	defer lock.Unlock()
	old, soft := s.find(key)
	next := f(old)
	if next == old {
		return false
	}
	if !soft.IsZero() { // what is changed is stale no more; the rest is, and goes
		next = &resource{pass: next.pass, variants: slices.DeleteFunc(slices.Clone(next.variants), func(v *stored) bool {
			return slices.Contains(old.variants, v)
		})}
	}
	left := time.Until(next.keptUntil(rule))
	if len(next.variants) == 0 && !next.passing(time.Now()) {
		s.memory.Drop(key, old)
		return true
	}
	tags := next.tags()
	if !s.memory.Set(key, next, cache.Entry{TTL: left, Cost: next.cost(), Tags: tags, Made: since.here}) {
		return false
	}
	if shared := s.memory.Shared(); shared != nil && len(next.variants) > 0 && (old == nil || next.variants[0] != first(old)) {
		shared.Set(ctx, key, next.marshal(rule.MaxEntry+sharedFields), left, tags, since.there)
	}
	return true
}

// keep merges into memory what another instance has stored.
func (s *Standard) keep(key string, rule *StandardRule, since instant, found *resource, soft time.Time) {
	lock := s.lockOf(key)
	lock.Lock()
	defer lock.Unlock()
	old, oldSoft := s.find(key)
	if old != nil && (!soft.IsZero() || !oldSoft.IsZero()) {
		return // one entry can't say which of its responses are stale
	}
	if next, changed := old.merge(found, rule); changed {
		left := time.Until(next.keptUntil(rule))
		s.memory.Set(key, next, cache.Entry{TTL: left, Cost: next.cost(), Tags: next.tags(), Made: since.here, Stale: soft})
	}
}

// sharedFields is what the fields of a response may take in the shared layer beside its body.
const sharedFields = 32 << 10

func first(r *resource) *stored {
	if len(r.variants) == 0 {
		return nil
	}
	return r.variants[0]
}

// say adds the fields that tell what the cache did (RFC 9211) and how old the answer is (RFC 9111, section 5.1).
func (s *Standard) say(res *Result, v *stored, age time.Duration, status, detail string) {
	if age < time.Second*maxDelta {
		res.add("Age", seconds(age))
	} else {
		res.add("Age", strconv.Itoa(maxDelta))
	}
	status = s.name + status + "; ttl=" + timeLeft(v.lifetime, age)
	if detail != "" {
		status += "; detail=" + detail
	}
	res.add("X-Cache", string(res.Outcome))
	res.add("Cache-Status", status)
}

// answer returns the answer to a request with a stored response: 304, 206 or 416 where the request's conditions and range say
// so (RFC 9111, section 4.3.2, and RFC 9110, section 13.2.2).
func answer(v *stored, req *StandardRequest) Result {
	res := Result{Status: v.status, Body: v.body, fields: v.fields}
	if v.status < 200 || v.status > 299 {
		return res
	}
	if v.holds(req) {
		return Result{Status: http.StatusNotModified, fields: v.notModified}
	}
	if v.part.size > 0 {
		return answerPart(v, req)
	}
	if v.status == http.StatusOK && req.Method == http.MethodGet {
		if ranges := req.Values("Range"); len(ranges) == 1 {
			made := v.date
			if ifRange := req.Values("If-Range"); len(ifRange) == 0 || rangeApplies(ifRange[0], v.etag, v.lastModified, made) {
				cut(&res, ranges[0])
			}
		}
	}
	return res
}

// holds reports whether the client's own copy is the stored response, by its conditions.
func (v *stored) holds(req *StandardRequest) bool {
	if lines := req.Values("If-None-Match"); len(lines) > 0 {
		for _, line := range lines {
			if matchesAny(line, v.etag) {
				return true
			}
		}
		return false
	}
	since := req.Values("If-Modified-Since")
	if len(since) != 1 {
		return false
	}
	modified := v.lastModified
	if modified.IsZero() { // RFC 9111, section 4.3.2
		modified = v.date
	}
	date, ok := parseDate(since[0], time.Now())
	return ok && !modified.After(date)
}
