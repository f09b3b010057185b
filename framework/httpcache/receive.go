package httpcache

import (
	"context"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxValidators bounds the entity tags that the origin is asked about.
const maxValidators = 16

// validators returns the condition under which the origin need not send what is stored (RFC 9111, section 4.3.1). Without one the
// request keeps the client's own.
func (p *passage) validators() Change {
	var c Change
	if p.old != nil && !p.old.lastModified.IsZero() {
		c.IfModifiedSince = p.old.header().Get("Last-Modified")
	}
	if p.res != nil && (p.old == nil && !p.conditional() || p.old != nil && p.old.etag != "") {
		var etags []string
		if p.old != nil {
			etags = append(etags, p.old.etag)
		}
		for _, v := range p.res.variants {
			if v.part.size == 0 && v.etag != "" && !slices.Contains(etags, v.etag) && len(etags) < maxValidators {
				etags = append(etags, v.etag)
			}
		}
		c.IfNoneMatch = strings.Join(etags, ", ")
	}
	c.Conditional = c.IfNoneMatch != "" || c.IfModifiedSince != ""
	return c
}

// fetch asks the origin and takes its answer.
func (p *passage) fetch(ctx context.Context, change Change) error {
	sent := time.Now()
	o, err := p.forward(ctx, change)
	if err != nil {
		return err
	}
	o.Header = canonical(o.Header)
	arrived := time.Now()
	p.status = o.Status
	if o.Status == http.StatusNotModified && (change.IfNoneMatch != "" || change.IfModifiedSince != "") {
		o.close()
		if p.freshen(ctx, o, sent, arrived) {
			return nil
		}
		// It is about another response than those stored: only a whole one helps (RFC 9111, section 4.3.3).
		return p.fetch(ctx, Change{Conditional: true, Whole: change.Whole})
	}
	if d, ok := p.staleOnStatus(o.Status); ok {
		o.close()
		p.deliver(d)
		return nil
	}
	return p.receive(ctx, o, change, sent, arrived)
}

// receive delivers a whole answer of the origin, and stores it if it may.
func (p *passage) receive(ctx context.Context, o *Origin, change Change, sent, arrived time.Time) error {
	length := contentLength(o)
	fields := endToEnd(o.Header, "Content-Length", "X-Cache")
	if o.Header.Get("Date") == "" { // RFC 9110, section 6.6.1
		fields = append(fields, field{"Date", arrived.UTC().Format(http.TimeFormat)})
	}
	v := p.newStored(o, fields, sent, arrived)
	detail, store := p.storable(v, o, length)
	if p.req.Method == http.MethodHead && o.Status == http.StatusOK {
		p.updateByHead(ctx, v, length)
	}
	if !store && p.old != nil && p.supersedes(o.Status, detail) {
		p.s.change(ctx, p.req.Key, p.rule, p.began, func(r *resource) *resource { return r.without(p.old) })
	}

	d := Delivery{Result: Result{Status: o.Status, fields: fields, Outcome: Miss}, Length: length}
	if change.Conditional && o.Status/100 == 2 && v.holds(p.req) {
		d = Delivery{Result: Result{Status: http.StatusNotModified, fields: v.notModified, Outcome: Miss}}
	}
	notModified := d.Status != o.Status
	if !store && p.req.Method == http.MethodGet {
		d.Outcome = Bypass
	}
	if store && o.Stream == nil {
		v.body = compact(o.Body)
		store = p.store(ctx, v)
	}
	d.add("X-Cache", string(d.Outcome))
	status := p.s.name + p.forwarded(o.Status, d.Status)
	if store {
		status += "; stored; ttl=" + timeLeft(v.lifetime, v.age)
	}
	if detail != "" {
		status += "; detail=" + detail
	}
	d.add("Cache-Status", status)

	switch {
	case o.Stream == nil:
		if !notModified {
			d.Body = o.Body
		}
		p.deliver(d)
	case !store:
		if notModified {
			o.close()
		} else {
			d.Stream = o.Stream
		}
		p.deliver(d)
	default:
		return p.spool(ctx, v, o, d, notModified)
	}
	return nil
}

// spool delivers an answer whose body is on its way, and stores it when it is whole.
func (p *passage) spool(ctx context.Context, v *stored, o *Origin, d Delivery, unread bool) error {
	s := newSpool(d.Length)
	if unread {
		s = newSpool(contentLength(o))
		_ = s.Close()
	} else {
		d.Stream = s
	}
	p.deliver(d)
	complete, err := s.fill(o.Stream, p.rule.MaxEntry)
	if complete {
		v.body = compact(s.body)
		p.store(ctx, v)
	}
	if complete || err != nil {
		s.finish(err)
	}
	return nil // the answer had begun: whoever waits for it looks what is stored
}

// newStored makes what would be stored of an origin's answer, but for its body.
func (p *passage) newStored(o *Origin, fields []field, sent, arrived time.Time) *stored {
	c := responseControl(o.Header)
	kept := slices.DeleteFunc(withoutHidden(fields, c.hidden), func(f field) bool { return f.name == "Age" })
	v := newStored(o.Status, kept, nil, arrived)
	v.age = initialAge(ageValue(o.Header), v.date, sent, arrived)
	v.secondary = secondary(v.vary, p.req.Values)
	v.tags = slices.Concat(p.rule.Tags, o.Tags)
	return v
}

// storable reports whether an answer is stored, and what keeps it from being.
func (p *passage) storable(v *stored, o *Origin, length int64) (detail string, store bool) {
	if p.req.Method != http.MethodGet {
		return "", false
	}
	detail = v.unstorable(o.Header, p.rule, p.req, p.asked)
	if detail == "" && o.Status == http.StatusPartialContent {
		var ok bool
		if v.part, ok = partOf(v, o.Header, length); !ok {
			detail = "partial"
		}
		v.fields = slices.DeleteFunc(v.fields, func(f field) bool { return f.name == "Content-Range" }) // each answer has its own
	}
	if detail == "" && length > int64(p.rule.MaxEntry) {
		detail = "too-large"
	}
	return detail, detail == ""
}

// supersedes reports whether an answer that is not stored means that the stored one is none any more.
func (p *passage) supersedes(status int, detail string) bool {
	return p.req.Method == http.MethodGet && status < 500 && status != http.StatusPartialContent &&
		status != http.StatusNotModified && status != http.StatusPreconditionFailed &&
		status != http.StatusRequestedRangeNotSatisfiable && detail != "request-no-store" && detail != "authorization"
}

// store keeps a response, and reports whether it did: not when the target was purged since the passage began.
func (p *passage) store(ctx context.Context, v *stored) bool {
	p.stored = p.s.change(ctx, p.req.Key, p.rule, p.began, func(r *resource) *resource { return r.with(v, p.old, p.req, p.rule) })
	return p.stored
}

// freshen updates what is stored by a 304 and delivers it (RFC 9111, section 4.3.4). It reports false when the 304 is about none of
// it.
func (p *passage) freshen(ctx context.Context, o *Origin, sent, arrived time.Time) bool {
	v := p.about(o.Header)
	if v == nil {
		return false
	}
	whole := v.updated(o.Header, sent, arrived)
	fresh := whole
	if hidden := withoutHidden(whole.fields, whole.control.hidden); len(hidden) < len(whole.fields) {
		fresh = newStored(whole.status, hidden, whole.body, arrived)
		fresh.age, fresh.tags, fresh.part = whole.age, whole.tags, whole.part
	}
	fresh.secondary = secondary(fresh.vary, p.req.Values)
	// The fields of the 304 say for whom the answer is from now on.
	detail := fresh.unstorable(fresh.header(), p.rule, p.req, p.asked)
	if detail != "" {
		p.s.change(ctx, p.req.Key, p.rule, p.began, func(r *resource) *resource { return r.without(v) })
	} else {
		p.stored = p.s.change(ctx, p.req.Key, p.rule, p.began, func(r *resource) *resource {
			if r == nil || !slices.Contains(r.variants, v) {
				return r
			}
			for _, same := range r.variants { // all that have its strong validator
				if same != v && v.etag != "" && same.etag == v.etag && !strings.HasPrefix(v.etag, "W/") {
					u := same.updated(o.Header, sent, arrived)
					if slices.Equal(u.vary, same.vary) {
						u.secondary = same.secondary
						r = r.with(u, same, nil, p.rule)
					}
				}
			}
			if v == p.old {
				return r.with(fresh, v, nil, p.rule)
			}
			return r.with(fresh, nil, p.req, p.rule)
		})
	}
	res := answer(whole, p.req)
	res.Outcome = Miss
	p.s.say(&res, whole, whole.age, p.forwarded(o.Status, res.Status), detail)
	p.deliver(Delivery{Result: res})
	return true
}

// about returns the stored response that a 304 is about, or nil.
func (p *passage) about(h http.Header) *stored {
	etag := h.Get("Etag")
	if etag == "" {
		modified, ok := parseDate(h.Get("Last-Modified"), time.Now())
		if p.old == nil || ok && !p.old.lastModified.IsZero() && !modified.Equal(p.old.lastModified) {
			return nil
		}
		return p.old
	}
	if p.old != nil && (p.old.etag == "" || matchesAny(etag, p.old.etag)) {
		return p.old
	}
	if p.res == nil {
		return nil
	}
	for _, v := range p.res.variants {
		if v.part.size == 0 && v.etag != "" && matchesAny(etag, v.etag) {
			return v
		}
	}
	return nil
}

// updated returns the response with the fields of a later answer to the same (RFC 9111, section 3.2).
func (v *stored) updated(later http.Header, sent, arrived time.Time) *stored {
	h := v.header()
	h.Set("Date", arrived.UTC().Format(http.TimeFormat))
	byName := http.Header{}
	for _, f := range endToEnd(later, "Age", "Content-Length", "X-Cache") {
		byName[f.name] = append(byName[f.name], f.value)
	}
	for name, values := range byName {
		switch name {
		case "Content-Encoding", "Content-Range": // they say how to read the body, which stays
		default:
			h[name] = values
		}
	}
	u := newStored(v.status, endToEnd(h), v.body, arrived)
	u.age = initialAge(ageValue(later), u.date, sent, arrived)
	u.tags, u.part = v.tags, v.part
	return u
}

// updateByHead updates the stored response by the answer to a HEAD, or drops it when that tells of another (RFC 9111, section 4.3.5).
func (p *passage) updateByHead(ctx context.Context, head *stored, length int64) {
	v := p.old
	if v == nil {
		return
	}
	same := v.status == http.StatusOK && (head.etag == "" || head.etag == v.etag) &&
		(head.lastModified.IsZero() || head.lastModified.Equal(v.lastModified)) && (length < 0 || length == int64(len(v.body)))
	p.s.change(ctx, p.req.Key, p.rule, p.began, func(r *resource) *resource {
		if r == nil || !slices.Contains(r.variants, v) {
			return r
		}
		if !same {
			return r.without(v)
		}
		u := v.updated(head.header(), head.arrived, head.arrived)
		u.age, u.secondary = head.age, secondary(u.vary, p.req.Values)
		if u.unstorable(u.header(), p.rule, p.req, p.asked) != "" {
			return r.without(v)
		}
		return r.with(u, v, nil, p.rule)
	})
}

// contentLength returns the length of a body, or -1. Of a message without a body it is that which its fields announce.
func contentLength(o *Origin) int64 {
	if o.Stream == nil && len(o.Body) > 0 {
		return int64(len(o.Body))
	}
	if n, err := strconv.ParseInt(o.Header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		return n
	}
	return -1
}

// close gives back the origin's stream, if there is one.
func (o *Origin) close() {
	if o.Stream != nil {
		_ = o.Stream.Close()
	}
}

// canonical returns a header with canonical names: what a handler wrote in another form must not be overlooked.
func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		name = textproto.CanonicalMIMEHeaderKey(name)
		c[name] = append(c[name], values...)
	}
	return c
}
