package framework

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// exchange is one request and its answer, on the goroutine of its connection. Handlers never see it.
type exchange struct {
	http   *fasthttp.RequestCtx
	route  *route
	params []policy.Param
	start  time.Time
	id     string
	trace  string // trace id of the caller's trace context, or ""

	limit           limit.Decision
	releaseInFlight func()
	result          *httpcache.Result // of a cached route
	stream          *streamBody
	stopWatch       func()
}

func newExchange(ctx *fasthttp.RequestCtx, rt *route) *exchange {
	rt.gen.app.active.Add(1)
	ctx.Response.Header.DisableNormalizing() // names go out as they are written here
	return &exchange{
		http: ctx, route: rt, start: time.Now(),
		id:    requestID(ctx.Request.Header.Peek("X-Request-Id")),
		trace: telemetry.TraceID(string(ctx.Request.Header.Peek("Traceparent"))),
	}
}

func (x *exchange) app() *App { return x.route.gen.app }

// context returns the parent of a handler's context. It carries what log lines need.
func (x *exchange) context() context.Context {
	return telemetry.WithRequest(x.route.gen.ctx, x.id, x.trace)
}

func (x *exchange) client() netip.Addr {
	addr, _ := netip.AddrFromSlice(x.http.RemoteIP())
	return addr.Unmap()
}

// snapshot copies the request, so that nothing of it is shared with the server's buffers.
func (x *exchange) snapshot() *Request {
	h := &x.http.Request.Header
	size, n := len(h.Method())+len(h.RequestURI()), 0
	for name, value := range h.All() {
		size += len(name) + len(value)
		n++
	}
	c := copier{buf: make([]byte, 0, size)}
	path, query := splitTarget(h.RequestURI())
	r := &Request{
		method: c.copy(h.Method()), path: c.copy(path), query: c.copy(query),
		headers: make([]field, 0, n), id: x.id, client: x.client(),
	}
	for name, value := range h.All() {
		r.headers = append(r.headers, field{c.copy(name), c.copy(value)})
	}
	r.copyParams(x.params)
	if body := x.http.Request.Body(); len(body) > 0 {
		r.body = append([]byte(nil), body...)
	}
	return r
}

// finish writes the answer and leaves its traces. A stream leaves them at its end.
func (x *exchange) finish(response *Response, err error) {
	failure := err
	if err != nil {
		response = x.failed(err)
	}
	header := &x.http.Response.Header
	rt := x.route
	switch {
	case x.result != nil:
		x.writeResult(x.result)
		if rt.cacheControl != "" {
			header.Set(fasthttp.HeaderCacheControl, rt.cacheControl)
		} else if len(header.Peek(fasthttp.HeaderCacheControl)) == 0 {
			header.Set(fasthttp.HeaderCacheControl, "no-cache")
		}
	case x.stream != nil:
		x.http.SetStatusCode(cmp.Or(response.Status, http.StatusOK))
		for name, values := range response.Header {
			for _, value := range values {
				header.Add(name, value)
			}
		}
	default:
		result := httpcache.Finish(x.conditions(), x.prepared(response), rt.encoder)
		x.writeResult(&result)
	}
	for _, f := range rt.headers {
		header.Set(f.name, f.value)
	}
	rt.cors.set(header, string(x.http.Request.Header.Peek(fasthttp.HeaderOrigin)))
	if rt.limiter != nil && x.limit.Limit > 0 {
		limitHeaders(header, x.limit)
	}
	header.Set("X-Request-Id", x.id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-DNS-Prefetch-Control", "on")
	header.Set("X-Response-Time", responseTime(time.Since(x.start)))
	if x.stream == nil {
		x.done(len(x.http.Response.Body()), failure)
		return
	}
	x.stream.onEnd = func(written int64, err error) {
		x.stopWatch()
		x.done(int(written), err)
		x.app().streams.Add(-1)
		rt.gen.release()
	}
	rt.gen.hold()
	x.app().streams.Add(1)
	x.http.Response.ImmediateHeaderFlush = x.stream.first == nil
	x.http.Response.SetBodyStream(x.stream, -1)
}

// failed turns an error into the answer that its client expects.
func (x *exchange) failed(err error) *Response {
	path, _ := splitTarget(x.http.Request.Header.RequestURI())
	form := errorFormOf(string(path), string(x.http.Request.Header.Peek(fasthttp.HeaderAccept)))
	return errorResponse(asError(err), form, x.id, x.start)
}

// prepared adds to an answer that is not cached what caches downstream may do with it. The handler may use its answer again,
// so it is not changed.
func (x *exchange) prepared(r *Response) *httpcache.Response {
	h := r.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	ok := r.Status == 0 || r.Status == http.StatusOK
	switch {
	case ok && x.route.cacheControl != "":
		h.Set("Cache-Control", x.route.cacheControl)
	case h.Get("Cache-Control") == "":
		h.Set("Cache-Control", "no-store")
	}
	return &httpcache.Response{Status: r.Status, Header: h, Body: r.Body}
}

func (x *exchange) writeResult(r *httpcache.Result) {
	header := &x.http.Response.Header
	x.http.SetStatusCode(r.Status)
	for name, value := range r.Header() {
		header.Add(name, value)
	}
	x.http.Response.SetBodyRaw(r.Body)
}

// done counts and logs the request.
func (x *exchange) done(bytes int, err error) {
	if x.releaseInFlight != nil {
		x.releaseInFlight()
	}
	elapsed := time.Since(x.start)
	status := x.http.Response.StatusCode()
	if errors.Is(err, ErrClientGone) {
		status = statusClientGone
		x.route.metrics.ClientGone.Inc()
	}
	method := string(x.http.Method())
	x.app().active.Add(-1)
	x.route.metrics.Observe(method, status, elapsed, bytes)
	x.log(method, status, elapsed, bytes, err)
}

// statusClientGone is what logs and metrics say of a request whose client left before its answer.
const statusClientGone = 499

// responseTime writes a duration as the contract's header has it: 12.34ms.
func responseTime(d time.Duration) string {
	b := strconv.AppendFloat(make([]byte, 0, 16), float64(d)/float64(time.Millisecond), 'f', 2, 64)
	return string(append(b, "ms"...))
}
