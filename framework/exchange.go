package framework

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// exchange is one request and its answer, on the goroutine of its connection. Handlers never see it.
type exchange struct {
	http   *fasthttp.RequestCtx
	route  *route
	method string
	target string // as it was sent, without scheme and authority
	host   string // that was asked for
	path   string // raw
	query  string // raw
	params []policy.Param
	admin  bool    // it came to the admins' listener
	body   []byte  // received, for the handler to keep
	upload *upload // of a body that the handler takes as it arrives; nil for others
	start  time.Time
	status int             // once it is written
	took   time.Duration   // until then
	ctx    context.Context // once somebody needs it
	about  telemetry.Request
	parent trace.SpanContext // that it came with
	span   trace.Span        // nil when it is not traced

	handed handed // what the front has found out

	limit           limit.Decision // without a limit until the client's was asked for
	looked          bool           // in the shared layer, for the answer of a cached route, and found nothing
	releaseInFlight func()
	outcome         httpcache.Outcome // of a cached route
	result          httpcache.Result  // of a cached route; without a status there is none
	addr            netip.Addr        // of the client, once somebody needs it
	delayed         time.Duration     // to slow the client down
	stream          *streamBody
	stopWatch       func()
	unread          bool // something of the request is left on the connection
}

// newExchange begins an exchange whose route is not known yet.
func newExchange(ctx *fasthttp.RequestCtx, g *generation) *exchange {
	g.app.active.Add(1)
	ctx.Response.Header.DisableNormalizing() // names go out as they are written here
	h := &ctx.Request.Header
	x := &exchange{http: ctx, route: g.fallback, start: time.Now(), method: methodOf(h.Method())}
	if f := frontOf(ctx.Conn()); f != nil {
		x.handed, f.handed = f.handed, handed{}
		x.limit, x.looked = x.handed.limit, x.handed.looked
	}
	var fresh [32]byte
	target, host, id := h.RequestURI(), h.Host(), requestID(h.Peek("X-Request-Id"), &fresh)
	c := copier{buf: make([]byte, 0, len(target)+len(host)+len(id))}
	x.target, x.host = originForm(c.copy(target), c.copy(host))
	x.path, x.query, _ = strings.Cut(x.target, "?")
	x.about.ID = c.copy(id)
	if len(h.Peek("Traceparent")) > 0 {
		x.parent = telemetry.Parent(func(name string) string { return string(h.Peek(name)) })
	}
	return x
}

func (x *exchange) app() *App { return x.route.gen.app }

// context returns the parent of a handler's context. It carries what log lines need, and the trace.
func (x *exchange) context() context.Context {
	if x.ctx == nil {
		x.ctx = x.route.gen.tracer.Unsampled(telemetry.WithRequest(x.route.gen.ctx, &x.about), x.parent)
	}
	return x.ctx
}

// snapshot copies the request, so that nothing of it is shared with the server's buffers.
func (x *exchange) snapshot() Request {
	return Request{
		method: x.method, path: x.path, query: x.query, params: x.params, target: x.target, host: x.host, secure: x.http.IsTLS(),
		headers: x.headers(), id: x.about.ID, client: x.client(), peer: x.peer(), body: x.body, upload: x.upload,
	}
}

// headers copies the fields of the request.
func (x *exchange) headers() []field {
	h := &x.http.Request.Header
	views := fieldViews.Get().(*fieldView) //nolint:forcetypeassert // the pool holds nothing else
	if x.route.info.Gateway {
		h.AllInOrder()(views.add) // as they were sent
	} else {
		h.All()(views.add)
	}
	c := copier{buf: make([]byte, 0, views.size)}
	copied := make([]field, len(views.lines))
	for i, line := range views.lines {
		copied[i] = field{c.copy(line[0]), c.copy(line[1])}
	}
	clear(views.lines)
	views.lines, views.size = views.lines[:0], 0
	fieldViews.Put(views)
	return copied
}

// fieldView collects the fields of a request where they lie. It is used again, so that it takes no closures of each request.
type fieldView struct {
	lines [][2][]byte
	size  int
	add   func(name, value []byte) bool
}

var fieldViews = sync.Pool{New: func() any {
	v := &fieldView{}
	v.add = func(name, value []byte) bool {
		v.lines = append(v.lines, [2][]byte{name, value})
		v.size += len(name) + len(value)
		return true
	}
	return v
}}

// finish writes the answer and leaves its traces. A stream leaves them at its end.
func (x *exchange) finish(response *Response, err error) {
	header := &x.http.Response.Header
	rt := x.route
	passedOn := (rt.info.Gateway || rt.standard != nil) && err == nil // it is another server's answer
	switch {
	case x.result.Status != 0:
		x.writeFields(x.result.Status, rt.fixed(x.result.Status, x.result.Header(), x.result.Age))
		x.http.Response.SetBodyRaw(x.result.Body)
	case x.stream != nil:
		x.writeAsIs(response)
	case passedOn:
		x.writeAsIs(response)
		x.http.Response.SetBodyRaw(response.Body)
	case err != nil:
		x.writeError(err)
	default:
		x.writeUncached(response)
	}
	if x.result.Status == 0 {
		for _, f := range rt.headers {
			header.Set(f.name, f.value)
		}
		if !passedOn {
			for _, f := range always {
				header.Set(f.name, f.value)
			}
		}
	}
	if len(rt.cors.policy.Origins) > 0 {
		rt.cors.set(header, string(x.http.Request.Header.Peek(fasthttp.HeaderOrigin)))
	}
	if rt.limiter != nil && x.limit.Limit > 0 {
		limitHeaders(header, x.limit)
	}
	var space [24]byte
	x.status, x.took = x.http.Response.StatusCode(), time.Since(x.start)
	took := appendMilliseconds(space[:0], x.took)
	if passedOn {
		setAbsent(header, "X-Request-Id", []byte(x.about.ID))
		setAbsent(header, "X-Response-Time", took)
	} else {
		header.Set("X-Request-Id", x.about.ID)
		header.SetBytesV("X-Response-Time", took)
	}
	if x.unread || x.app().leaving.Load() {
		x.http.SetConnectionClose()
	}
	if x.stream == nil {
		body := x.http.Response.Body()
		if f, ok := x.http.Conn().(*frontConn); ok {
			f.large = len(body) > writeBuffer && x.method != http.MethodHead
		}
		x.done(len(body), err)
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
	x.stream.size = sizeOf(response)
	sized := x.stream.size > 0
	x.http.Response.ImmediateHeaderFlush = len(x.stream.first) == 0 || sized
	switch {
	case err == nil && response.Upgrade != nil:
		x.upgrade()
		return
	case sized:
		x.http.Response.SetBodyStream(x.stream, int(x.stream.size))
		return
	case x.bodyless(): // the server sends nothing of it
		x.http.Response.SetBodyStream(x.stream, -1)
		return
	case x.leave():
		return
	case x.http.Request.Header.IsHTTP11():
		x.http.Response.SetBodyStream(x.stream, -1)
		return
	}
	// HTTP/1.0 has no chunks: the end of the connection is the end of the answer.
	const untilClose = -2
	header.SetContentLength(untilClose)
	head, body := bytes.Clone(header.Header()), x.stream
	x.http.HijackSetNoResponse(true)
	x.http.Hijack(func(conn net.Conn) {
		if _, err := conn.Write(head); err == nil {
			_, _ = body.WriteTo(conn) // reports its end itself
		}
		_ = body.Close()
	})
}

// bodyless says whether the answer ends with its header, whatever its handler writes (RFC 9112, section 6.3). A chunk after it would be
// taken for the next answer.
func (x *exchange) bodyless() bool {
	return x.method == http.MethodHead || x.status < http.StatusOK || x.status == http.StatusNoContent || x.status == http.StatusNotModified
}

// writeError answers an error in the form that its client expects.
func (x *exchange) writeError(err error) {
	form := errorFormOf(x.path, string(x.http.Request.Header.Peek(fasthttp.HeaderAccept)))
	e := asError(err)
	if e == errTimeout && x.route.info.Gateway {
		e = errGatewayTimeout
	}
	errorResponse(&x.http.Response, e, form, x.about.ID, x.start)
	for name, value := range x.result.Header() { // when it came through the cache
		x.http.Response.Header.Add(name, value)
	}
}

// writeUncached writes an answer that is not stored here, and what caches downstream may do with it. Only one that can be
// compressed or validated is worth preparing for that.
func (x *exchange) writeUncached(r *Response) {
	rt, control := x.route, r.Header.Get("Cache-Control")
	ok := r.Status == 0 || r.Status == http.StatusOK
	switch {
	case ok && rt.cacheControl.field != "":
		control = rt.cacheControl.field
	case control == "":
		control = "no-store"
	}
	reads := x.method == http.MethodGet || x.method == http.MethodHead
	validate := ok && reads && control != "no-store"
	compress := rt.encoder != nil && len(r.Body) >= rt.encoder.MinSize()
	if !validate && !compress {
		x.writeAsIs(r)
		x.http.Response.SetBodyRaw(r.Body)
		x.http.Response.Header.Set(fasthttp.HeaderCacheControl, control)
		return
	}
	h := r.Header.Clone() // the handler may use its answer again
	if h == nil {
		h = http.Header{}
	}
	h.Set("Cache-Control", control)
	conditions := x.conditions()
	result := httpcache.Finish(&conditions, &httpcache.Response{Status: r.Status, Header: h, Body: r.Body}, rt.encoder)
	x.http.SetStatusCode(result.Status)
	for name, value := range result.Header() {
		x.http.Response.Header.Add(name, value)
	}
	x.http.Response.SetBodyRaw(result.Body)
}

// writeAsIs writes the status and the header of a response.
func (x *exchange) writeAsIs(r *Response) {
	header := &x.http.Response.Header
	if date := r.Header.Get("Date"); date != "" {
		x.app().dates.set(header, date)
	}
	x.http.SetStatusCode(cmp.Or(r.Status, http.StatusOK))
	for name, values := range r.Header {
		if name == fasthttp.HeaderContentEncoding && len(values) > 1 { // of which fasthttp sends one line
			header.Set(name, strings.Join(values, ", "))
			continue
		}
		for _, value := range values {
			header.Add(name, value)
		}
	}
}

// setAbsent sets a field that an answer does not have.
func setAbsent(h *fasthttp.ResponseHeader, name string, value []byte) {
	if len(h.Peek(name)) == 0 {
		h.SetBytesV(name, value)
	}
}

// writeFields writes the status and the fields of an answer that the cache has prepared.
func (x *exchange) writeFields(status int, fields []field) {
	header := &x.http.Response.Header
	if x.route.info.Gateway {
		for _, f := range fields {
			if f.name == fasthttp.HeaderDate { // before all others: it makes a header anew
				x.app().dates.set(header, f.value)
			}
		}
	}
	x.http.SetStatusCode(status)
	for _, f := range fields {
		header.Add(f.name, f.value)
	}
}

// done counts and logs the request.
func (x *exchange) done(bytes int, err error) {
	if x.releaseInFlight != nil {
		x.releaseInFlight()
	}
	if errors.Is(err, ErrClientGone) {
		x.status = statusClientGone
		x.route.metrics.ClientGone.Inc()
	}
	x.app().active.Add(-1)
	if x.span == nil {
		x.route.metrics.Observe(x.method, x.status, x.took, bytes) // of a stream, the time to its first piece
	} else {
		x.route.metrics.ObserveTraced(x.ctx, x.method, x.status, x.took, bytes)
		x.endTrace(bytes, err)
	}
	if x.route.promise != nil {
		x.route.promise.Count(x.status, x.took)
	}
	x.log(bytes, err)
}

// statusClientGone is what logs and metrics say of a request whose client left before its answer.
const statusClientGone = 499

// appendMilliseconds writes a duration as the contract's header has it: 12.34ms.
func appendMilliseconds(b []byte, d time.Duration) []byte {
	hundredths := int64((max(d, 0) + 5*time.Microsecond) / (10 * time.Microsecond))
	b = strconv.AppendInt(b, hundredths/100, 10)
	return append(b, '.', byte('0'+hundredths/10%10), byte('0'+hundredths%10), 'm', 's')
}
