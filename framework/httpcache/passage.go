package httpcache

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/innatural/chatbot/framework/cache"
)

// passage is the way of one request that a stored answer did not serve at once, and the flight that it may cause: run is the
// flight, lead and follow are those who wait for it.
type passage struct {
	s       *Standard
	rule    *StandardRule
	req     *StandardRequest
	asked   *requestControl
	forward Forward
	began   instant

	res    *resource // what was stored when the passage began
	soft   time.Time // when it was purged softly; zero when it was not
	old    *stored   // what of it would have been the answer
	why    string    // the request goes on to the origin (RFC 9211, section 2.2)
	last   bool      // it does so whatever comes meanwhile
	shared bool      // others may wait for the flight
	behind bool      // nobody waits for it

	// The outcome, once head is closed.
	head   chan struct{}
	again  bool // something was stored meanwhile
	stored bool // by the flight
	status int  // of the origin
	err    error
	out    Delivery

	mu     sync.Mutex
	closed bool // head
	gone   bool // the client, before its answer came
}

func newPassage(s *Standard, rule *StandardRule, req *StandardRequest, asked *requestControl, forward Forward) *passage {
	p := &passage{s: s, rule: rule, req: req, asked: asked, forward: forward, began: s.now(), head: make(chan struct{})}
	p.res, p.soft = s.find(req.Key)
	if p.old, p.why = p.res.choose(req); p.old != nil {
		p.why = "stale"
	}
	return p
}

// timeout returns how long the flight may take.
func (p *passage) timeout() time.Duration {
	if p.rule.Timeout <= 0 {
		return fetchTimeout
	}
	return p.rule.Timeout + p.rule.Body
}

// reuse answers with the stored response if the response, the policy and the request allow that (RFC 9111, sections 4.2 and 5.2.1).
// A request that has waited for another's fetch says so.
func (p *passage) reuse(ctx context.Context, waited string) (Delivery, bool) {
	if p.old == nil {
		if waited == "" {
			p.s.memory.CountMiss()
		}
		return Delivery{}, false
	}
	res, detail, ok := p.reusable(waited)
	if !ok {
		return Delivery{}, false
	}
	if detail == whileRevalidating {
		p.refreshBehind(ctx)
	}
	p.s.memory.CountHit()
	return Delivery{Result: res}, true
}

// whileRevalidating is the detail of a stale answer behind which a new one is made.
const whileRevalidating = "stale-while-revalidate"

// reusable returns the answer with the stored response, if that may be reused, and why when it is stale. If not, it may say why the
// request goes on.
func (p *passage) reusable(waited string) (res Result, detail string, ok bool) {
	v, a := p.old, p.asked
	age, left := p.left(v)
	fresh := left > 0 && !v.control.noCache
	outcome, status := Hit, "; hit"
	switch {
	case a.noCache, a.maxAge.valid && age > a.maxAge.seconds, a.minFresh.valid && left < a.minFresh.seconds:
		if fresh {
			p.why = "request"
		}
		return Result{}, "", false
	case fresh:
		if waited != "" {
			outcome, status = Miss, waited
		}
	case v.control.strict():
		return Result{}, "", false
	case a.anyStale, a.maxStale.valid && -left <= a.maxStale.seconds:
		outcome, detail = Stale, "max-stale"
	case -left <= max(p.rule.StaleWhileRevalidate, v.control.staleWhileRevalidate.seconds):
		outcome, detail = Stale, whileRevalidating
	default:
		return Result{}, "", false
	}
	res = answer(v, p.req)
	res.Outcome = outcome
	p.s.say(&res, v, age, status, detail)
	return res, detail, true
}

// left returns a response's age and how long it is fresh yet: less than nothing when it is stale.
func (p *passage) left(v *stored) (age, left time.Duration) {
	now := time.Now()
	age = v.ageAt(now)
	left = v.lifetime - age
	if !p.soft.IsZero() {
		left = min(left, p.soft.Sub(now))
	}
	return age, left
}

// refreshBehind validates the stale response or makes it anew, unless that is under way or too much else is.
func (p *passage) refreshBehind(ctx context.Context) {
	select {
	case p.s.refresh <- struct{}{}:
	default:
		return
	}
	b := newPassage(p.s, p.rule, p.req, p.asked, p.forward)
	b.behind, b.shared, b.gone = true, true, true
	began := p.s.flights.Start(ctx, b.flightName(), b.timeout(), func(ctx context.Context) (*passage, error) {
		defer func() { <-p.s.refresh }()
		return b.run(ctx)
	})
	if !began {
		<-p.s.refresh
	}
}

// flight returns the name of the flight that the request needs, and whether others may share it.
func (p *passage) flight() (name string, shared bool) {
	if p.last || !p.collapsible() || p.res.passing(time.Now()) {
		return "u" + strconv.FormatUint(p.s.single.Add(1), 36), false
	}
	p.shared = true
	return p.flightName(), true
}

// flightName names the flights for requests with the same values of the known Vary, since the last purge of the key.
func (p *passage) flightName() string {
	b := binary.BigEndian.AppendUint64([]byte("s"), uint64(p.s.memory.Purged(p.req.Key, p.rule.Tags)))
	b = appendText(b, p.req.Key)
	return string(append(b, secondary(p.res.varyNames(), p.req.Values)...))
}

// collapsible reports whether the answer to the request may be that to others too.
func (p *passage) collapsible() bool {
	if p.req.Method != http.MethodGet || p.why == "request" || p.asked.noStore || authorized(p.req.Values) {
		return false
	}
	for _, name := range [...]string{"Range", "If-Match", "If-Unmodified-Since"} {
		if len(p.req.Values(name)) > 0 {
			return false
		}
	}
	return p.validators().Conditional || !p.conditional()
}

// conditional reports whether the client has conditions that the origin may answer 304.
func (p *passage) conditional() bool {
	return len(p.req.Values("If-None-Match")) > 0 || len(p.req.Values("If-Modified-Since")) > 0
}

// run is the work of a flight: take what another instance has, or fetch and store. It returns once followers can know what the
// answer is to them: when it is stored, or can't be.
func (p *passage) run(ctx context.Context) (_ *passage, err error) {
	defer func() {
		if p.closed {
			return
		}
		if p.err = err; err == nil && !p.again {
			p.err = errors.New("the fetch ended without an answer")
		}
		p.deliver(Delivery{})
	}()
	if !p.last && p.why != "request" {
		if p.changed() { // another flight ended meanwhile
			p.again = true
			return p, nil
		}
		if shared := p.s.memory.Shared(); shared != nil {
			if found, ok := shared.Get(ctx, p.req.Key); ok && p.take(found) {
				p.again = true
				return p, nil
			}
			if p.shared {
				wait, cancel := context.WithTimeout(ctx, p.rule.Timeout)
				done := shared.Lead(wait, p.req.Key, p.take)
				cancel()
				defer done()
				if p.changed() {
					p.again = true
					return p, nil
				}
			}
		}
	}
	change := p.validators()
	if p.behind {
		change.Conditional, change.Whole = true, true
	}
	return p, p.fetch(ctx, change)
}

// changed reports whether something else is stored than when the passage began.
func (p *passage) changed() bool {
	res, soft := p.s.find(p.req.Key)
	return res != p.res || soft != p.soft
}

// take keeps in memory what was found in the shared layer, and reports whether it may answer the request.
func (p *passage) take(found cache.Found) bool {
	r, ok := unmarshalResource(found.Value, found.Tags)
	if !ok {
		return false
	}
	p.s.keep(p.req.Key, p.rule, p.began, r, found.Stale)
	res, soft := p.s.find(p.req.Key)
	v, _ := res.choose(p.req)
	return v != nil && soft.IsZero() && v.fresh(v.ageAt(time.Now()))
}

// deliver hands the outcome to those who wait for it.
func (p *passage) deliver(d Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out, p.closed = d, true
	close(p.head)
	if p.gone && d.Stream != nil {
		_ = d.Stream.Close()
	}
}

// leave says that the client takes no answer any more.
func (p *passage) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	if p.closed && p.out.Stream != nil {
		_ = p.out.Stream.Close()
	}
}

// lead waits for the answer of the flight that the request caused. It says again when something else may serve by now.
func (p *passage) lead(ctx context.Context) (d Delivery, again bool, err error) {
	select {
	case <-p.head:
	case <-ctx.Done():
		p.leave()
		d, err = p.rescue(context.Cause(ctx))
		return d, false, err
	}
	if p.again {
		return Delivery{}, true, nil
	}
	if p.err != nil {
		d, err = p.rescue(p.err)
		return d, false, err
	}
	return p.out, false, nil
}

// follow waits for a flight under way, for half of the time at most. What is stored then is looked at again; where nothing is, the
// request goes on alone, and for a while those after it don't wait.
func (p *passage) follow(ctx context.Context, name string) (d Delivery, again bool, err error) {
	limit := p.timeout()
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	wait, cancel := context.WithTimeout(ctx, limit/2)
	defer cancel()
	other, joined, err := p.s.flights.Do(wait, name, p.timeout(), p.run)
	switch {
	case errors.Is(err, cache.ErrClosed):
		return Delivery{}, false, err
	case !joined:
		return p.lead(ctx)
	case err != nil && ctx.Err() == nil && wait.Err() != nil:
		return Delivery{}, true, nil
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		d, err = p.rescue(err)
		return d, false, err
	case !other.stored && !other.again:
		if d, ok := p.staleOnStatus(other.status); ok {
			return d, false, nil
		}
		p.s.change(ctx, p.req.Key, p.rule, p.began, func(r *resource) *resource {
			next := &resource{pass: time.Now().Add(passTime)}
			if r != nil {
				next.variants = r.variants
			}
			return next
		})
	}
	return Delivery{}, true, nil
}

// rescue answers with the stale response when there is no other (RFC 9111, section 4.2.4), or with the error.
func (p *passage) rescue(err error) (Delivery, error) {
	if p.old == nil || p.asked.noCache || p.old.control.strict() || errors.Is(err, context.Canceled) {
		return Delivery{}, err
	}
	return p.stale(0), nil
}

// staleOnStatus answers with the stale response to a failure of the origin's, if the response, the policy or the request allow
// that (RFC 5861, section 4).
func (p *passage) staleOnStatus(status int) (Delivery, bool) {
	v := p.old
	if v == nil || !serverFailed(status) || p.asked.noCache || v.control.strict() {
		return Delivery{}, false
	}
	allowed := max(p.rule.StaleIfError, v.control.staleIfError.seconds, p.asked.staleIfError.seconds)
	if _, left := p.left(v); -left > allowed {
		return Delivery{}, false
	}
	return p.stale(status), true
}

func (p *passage) stale(status int) Delivery {
	res := answer(p.old, p.req)
	res.Outcome = Stale
	p.s.say(&res, p.old, p.old.ageAt(time.Now()), p.forwarded(status, res.Status), "stale-if-error")
	return Delivery{Result: res}
}

// forwarded tells why the request went on, and what the origin answered if that is not the answer (RFC 9211).
func (p *passage) forwarded(origin, status int) string {
	text := "; fwd=" + p.why
	if origin != 0 && origin != status {
		text += "; fwd-status=" + strconv.Itoa(origin)
	}
	return text
}
