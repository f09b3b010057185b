package framework

import (
	"bytes"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/telemetry"
)

// hit answers a raw request when the memory layer holds a fresh answer: it appends the head to a.out and returns the body. It
// decides what the pipeline would, and leaves every other request to it, without a trace.
func (g *generation) hit(a *answering, client netip.Addr, start time.Time) (body []byte, ok bool) {
	r := &a.request
	a.missed = nil
	if a.sampled = g.tracer != nil && g.tracer.Sample(r.parent()); a.sampled {
		return nil, false // the pipeline makes spans
	}
	i := g.policy.Find(r.method, r.path)
	if i < 0 {
		return nil, false
	}
	rt := g.routes[i]
	if !rt.front {
		return nil, false
	}
	rt.cache.read(&a.key, r.host, r.path, r.query, r.fields)
	a.text = a.key.Append(a.text[:0])
	ready, ok := g.app.responses.Ready(viewOf(a.text), &rt.cache.rule, &r.conditions, start)
	if !ok {
		a.missed = rt
		return nil, false
	}
	var where limit.Decision
	if rt.limiter != nil {
		if where = rt.limiter.Allow(client); !where.OK {
			return nil, false
		}
	}
	g.app.responses.CountHit()
	return rt.hit(a, &ready, where, start), true
}

// handed is what the front has found out of a request that it leaves to the pipeline.
type handed struct {
	limit  limit.Decision // without a limit when nobody has asked
	looked bool           // in the shared layer, in vain

	chosen, sampled bool // whether it is traced, if that was chosen
}

// hitShared answers a request that missed the memory layer when the shared one holds a fresh answer. It leaves every other request to the
// pipeline, with what it has found out.
func (g *generation) hitShared(a *answering, client netip.Addr, start time.Time) (body []byte, h handed, ok bool) {
	rt := a.missed
	if rt.limiter != nil {
		if h.limit = rt.allow(g.ctx, client); !h.limit.OK {
			return nil, h, false
		}
	}
	if rt.inFlight != nil {
		if !rt.inFlight.Acquire() {
			return nil, h, false
		}
		defer rt.inFlight.Release()
	}
	var ready httpcache.Ready
	ready, h.looked, ok = g.app.responses.Look(g.ctx, viewOf(a.text), &rt.cache.rule, &a.request.conditions,
		func(r *httpcache.Ready) []byte { return a.head(rt, r) })
	if !ok {
		return nil, h, false
	}
	return rt.hit(a, &ready, h.limit, start), handed{}, true
}

// hit appends the head of an answer from the cache to a.out and returns the body.
func (rt *route) hit(a *answering, ready *httpcache.Ready, where limit.Decision, start time.Time) (body []byte) {
	r := &a.request
	head := ready.Head()
	if head == nil {
		head = ready.Prepare(a.head(rt, ready))
	}
	rt.answered(httpcache.Hit)

	b := append(a.out, head...)
	if rt.grows(ready.Status) {
		b = append(rt.cacheControl.append(append(b, "Cache-Control: "...), ready.Age), "\r\n"...)
	}
	b = append(b, "Age: "...)
	b = strconv.AppendInt(b, ready.Age, 10)
	b = append(b, "\r\nCache-Status: "+cacheName+"; hit; ttl="...)
	b = strconv.AppendInt(b, ready.TTL, 10)
	if ready.Shared {
		b = append(b, "; detail=shared"...)
	}
	if rt.limiter != nil {
		for i := range limit.Fields {
			var space [64]byte
			name, value := where.AppendField(space[:0], i)
			b = append(append(append(append(b, "\r\n"...), name...), ": "...), value...)
		}
	}
	var fresh [32]byte
	id := requestID(r.id, &fresh)
	b = append(append(b, "\r\nX-Request-Id: "...), id...)
	took := time.Since(start)
	b = appendMilliseconds(append(b, "\r\nX-Response-Time: "...), took)
	a.out = append(b, "\r\n\r\n"...)

	if r.method != http.MethodHead {
		body = ready.Body
	}
	rt.metrics.Observe(r.method, ready.Status, took, len(body))
	if rt.promise != nil {
		rt.promise.Count(ready.Status, took)
	}
	slow := took > rt.policy.Slow.D()
	if sampled := rt.gen.samples(viewOf(id), start); sampled || slow {
		rt.noteHit(r, string(id), ready.Status, len(body), start, took, slow, sampled)
	}
	return body
}

// noteHit leaves the lines of a hit.
func (rt *route) noteHit(
	r *rawRequest, id string, status, bytes int, start time.Time, took time.Duration, slow, sampled bool,
) {
	x := exchange{
		route: rt, method: r.method, path: strings.Clone(r.path), start: start, status: status, took: took,
		about: telemetry.Request{ID: id},
	}
	x.parent = r.parent()
	x.lines(bytes, nil, took, slow, sampled)
}

// head returns the status line and the fields of an answer from the cache, as far as each sending has them alike. It leaves a.out as it
// is, but for the room behind it.
func (a *answering) head(rt *route, r *httpcache.Ready) []byte {
	b := append(a.out[len(a.out):], "HTTP/1.1 "...)
	b = append(b, strconv.Itoa(r.Status)...)
	b = append(append(append(b, ' '), http.StatusText(r.Status)...), "\r\n"...)
	for _, f := range rt.fixed(r.Status, r.Header(), 0) {
		if rt.grows(r.Status) && f.name == fasthttp.HeaderCacheControl {
			continue // each sending has its own
		}
		b = append(append(append(append(b, f.name...), ": "...), f.value...), "\r\n"...)
	}
	b = append(b, "X-Cache: "+string(httpcache.Hit)+"\r\n"...)
	if r.Status != http.StatusNotModified {
		b = append(append(append(b, "Content-Length: "...), strconv.Itoa(len(r.Body))...), "\r\n"...)
	}
	return bytes.Clone(b)
}

// fixed returns the fields of an answer that the cache has prepared, with those of the route; age is that of a fresh one, in seconds. A
// gateway's answer gets none of our own.
func (rt *route) fixed(status int, stored iter.Seq2[string, string], age int64) []field {
	fields := make([]field, 0, 16) // as many as most have
	good := isGood(status)
	preset := good && rt.cacheControl.field != ""
	said := false
	for name, value := range stored {
		control := name == fasthttp.HeaderCacheControl
		if said = said || control; !rt.sets(name) && (!control || !preset) {
			fields = append(fields, field{name, value})
		}
	}
	control := ""
	switch {
	case rt.sets(fasthttp.HeaderCacheControl):
	case rt.grows(status) && age > 0:
		control = string(rt.cacheControl.append(nil, age))
	case preset:
		control = rt.cacheControl.field
	case said || rt.info.Gateway:
	case good:
		control = "no-cache"
	default:
		control = "no-store"
	}
	if control != "" {
		fields = append(fields, field{fasthttp.HeaderCacheControl, control})
	}
	fields = append(fields, rt.headers...)
	if rt.info.Gateway {
		return fields
	}
	return append(fields, always...)
}

// isGood reports whether a preset is for an answer: it is for what was asked for, not for why that is not there.
func isGood(status int) bool { return status < http.StatusBadRequest }

// grows reports whether the Cache-Control of an answer depends on its age.
func (rt *route) grows(status int) bool { return rt.cacheControl.maxAge > 0 && isGood(status) }

// sets reports whether the policy sets a field of the route's answers.
func (rt *route) sets(name string) bool {
	return slices.ContainsFunc(rt.headers, func(f field) bool { return strings.EqualFold(f.name, name) })
}

// always are the fields of every answer but a gateway's.
var always = []field{{"X-Content-Type-Options", "nosniff"}, {"X-DNS-Prefetch-Control", "on"}}
