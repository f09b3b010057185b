package framework

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/encoding"
	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// route is one entry of the policy, ready to serve.
type route struct {
	gen     *generation
	policy  policy.Route
	info    HandlerInfo
	handler Handler
	metrics *telemetry.RouteMetrics
	promise *promise // nil is none

	headers      []field
	cacheControl cacheControl // of the policy's preset; "" leaves it to the handler
	cors         cors
	limiter      *limit.Limiter
	shared       *limit.Shared // counts for all instances, what limiter counts for this one; nil does not
	inFlight     *limit.InFlight
	priority     limit.Priority
	usual        *limit.Usual      // time of the handler
	slow         *atomic.Bool      // whether the handler took longer than watchDelay for the last answer
	encoder      *encoding.Encoder // nil compresses nothing
	best         *encoding.Encoder // nil compresses nothing once more
	cache        *routeCache       // nil is never cached, or in standard mode
	standard     *standardCache    // nil is not in standard mode
	streams      *routeCache       // of a handler whose streams are stored
	front        bool              // hits are answered before routing
	private      bool              // it answers on the admins' listener alone
	outcomes     map[httpcache.Outcome]prometheus.Counter
}

// buildRoutes builds the plugins that the routes name, and the routes.
func (g *generation) buildRoutes() error {
	var errs []error
	told := map[*pluginError]bool{}
	g.routes = make([]*route, len(g.policy.Routes))
	for i := range g.policy.Routes {
		rt, err := g.buildRoute(g.policy.Routes[i])
		if plugin, ok := errors.AsType[*pluginError](err); ok {
			if !told[plugin] { // not again for each of its routes
				errs = append(errs, plugin)
			}
			told[plugin] = true
		} else if err != nil {
			errs = append(errs, fmt.Errorf("route %s %s: %w", g.policy.Routes[i].Method, g.policy.Routes[i].Path, err))
		}
		g.routes[i] = rt
	}
	slices.Sort(g.sources)
	scope := strconv.FormatUint(xxhash.Sum64String(g.policy.AnswersHash()+"\n"+strings.Join(g.sources, "\n")), 36)
	for _, rt := range g.routes {
		if rt == nil {
			continue
		}
		for _, c := range []*routeCache{rt.cache, rt.streams} {
			if c == nil {
				continue
			}
			if c.scope = scope; c.template != nil { // two routes may have the same template
				c.scope = strconv.FormatUint(xxhash.Sum64String(scope+rt.policy.Method+" "+rt.policy.Path), 36)
			}
		}
		if rt.standard != nil {
			rt.standard.scope = scope
		}
	}
	g.fallback = &route{
		gen: g, policy: policy.Route{Path: telemetry.Unmatched, Slow: g.policy.Defaults.Slow}, priority: limit.Normal,
		metrics: g.routeMetrics(telemetry.Unmatched),
	}
	return errors.Join(errs...)
}

func (g *generation) buildRoute(p policy.Route) (*route, error) {
	handler, info, err := g.handler(p.Handler)
	if err != nil {
		return nil, err
	}
	rt := &route{
		gen: g, policy: p, info: info, handler: handler, metrics: g.routeMetrics(p.Path),
		cors: cors{policy: p.CORS, methods: allowed(p.Method)}, slow: &atomic.Bool{},
	}
	rt.private = g.policy.Server.Admin.Listen != "" && (p.Audience == "admin" || slices.Contains(g.policy.Server.Admin.Only, p.Path))
	for name, value := range p.Headers {
		rt.headers = append(rt.headers, field{name, value})
	}
	if p.CacheControl != "" {
		rt.cacheControl = newCacheControl(g.policy.Presets.CacheControl[p.CacheControl].D(), p.Audience)
		if rt.sets(fasthttp.HeaderCacheControl) { // instead, as it is
			rt.cacheControl.maxAge = 0
		}
	}
	rt.priority = limit.Priority(slices.Index(limit.Priorities[:], p.Priority))
	if rt.usual, err = outliving(g, fmt.Sprintf("usual\x00%s %s %s", p.Method, p.Path, p.Handler), func() *limit.Usual { return &limit.Usual{} }); err != nil {
		return nil, err
	}
	if rt.promise, err = g.openPromise(p); err != nil {
		return nil, err
	}
	if p.Limits.Requests > 0 {
		if err := g.limiters(rt); err != nil {
			return nil, err
		}
	}
	if p.Limits.InFlight > 0 {
		rt.inFlight = limit.NewInFlight(p.Limits.InFlight)
	}
	if p.Compress {
		rt.encoder, rt.best = g.encoder, g.best
	}
	if p.Cache.Stores() {
		switch {
		case p.Cache.Standard():
			rt.standard = newStandardCache(rt)
		case info.Stream:
			rt.streams = newRouteCache(rt)
			rt.handler = rt.recorded(rt.streams, handler)
		default:
			rt.cache = newRouteCache(rt)
			rt.front = len(p.CORS.Origins) == 0 && !rt.private // where they depend on nothing that the front does not look at
		}
		answers := g.app.metrics.Counter(telemetry.CacheResponses, telemetry.CacheResponsesHelp,
			telemetry.LabelRoute, telemetry.LabelResult)
		rt.outcomes = map[httpcache.Outcome]prometheus.Counter{}
		for _, o := range []httpcache.Outcome{httpcache.Hit, httpcache.Miss, httpcache.Stale, httpcache.Bypass} {
			rt.outcomes[o] = answers.With(p.Path, strings.ToLower(string(o)))
		}
	}
	return rt, nil
}

// limiters gives a route its limiters. They outlive reloads, so that one does not give every client a new allowance.
func (g *generation) limiters(rt *route) (err error) {
	p := rt.policy
	rule := fmt.Sprintf("%s %s %d %s", p.Method, p.Path, p.Limits.Requests, p.Limits.Window)
	rt.limiter, err = outliving(g, "limit\x00"+rule, func() *limit.Limiter { return limit.New(p.Limits.Requests, p.Limits.Window.D()) })
	if err == nil && p.Limits.Shared && g.redis != nil {
		rt.shared = limit.NewShared(rt.limiter, g.redis, p.Method+" "+p.Path)
	}
	return err
}

// outliving returns a value of a route that outlives reloads, under a key that only values of its type have.
func outliving[T any](g *generation, key string, open func() *T) (*T, error) {
	value, err := g.app.shared.acquire(key, g, func() (any, error) { return open(), nil })
	if err != nil {
		return nil, err
	}
	return value.(*T), nil //nolint:forcetypeassert // nothing else has such a key
}

// answered counts what the cache did.
func (rt *route) answered(o httpcache.Outcome) { rt.outcomes[o].Inc() }

// routeMetrics holds the metrics of a route until the generation is closed.
func (g *generation) routeMetrics(template string) *telemetry.RouteMetrics {
	m := g.app.metrics.Route(template)
	g.metrics = append(g.metrics, m)
	return m
}

// cacheControl is a preset as others are told it: how long they may keep an answer from when they get it. They are told how old a stored
// answer is and for how long it is fresh in all (RFC 9111, section 4.2), so that a fixed max-age would leave nothing of one older than that.
type cacheControl struct {
	field  string // "" is none
	start  string // of the field, before the seconds
	maxAge int64  // seconds; 0 does not grow with the age
}

func newCacheControl(maxAge time.Duration, audience string) cacheControl {
	if maxAge == 0 {
		return cacheControl{field: "no-store"}
	}
	seconds := int64(maxAge / time.Second)
	start := "private, max-age="
	if audience == "public" {
		start = "public, max-age="
	}
	return cacheControl{start + strconv.FormatInt(seconds, 10), start, seconds}
}

// append appends the field of a fresh answer of an age in seconds to b.
func (c *cacheControl) append(b []byte, age int64) []byte {
	return strconv.AppendInt(append(b, c.start...), c.maxAge+age, 10)
}

// allowed lists the methods that a route answers, for Allow.
func allowed(method string) string {
	switch method {
	case "*":
		return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	case http.MethodGet:
		return "GET, HEAD, OPTIONS"
	}
	return method + ", OPTIONS"
}

// serve finds the route of a request and takes it its way.
func (g *generation) serve(ctx *fasthttp.RequestCtx, admin bool) {
	x := newExchange(ctx, g)
	x.admin = admin
	match := g.policy.Match(x.method, x.path)
	if g.app.admin != nil && !g.answers(match, x.path, admin) {
		match = policy.Match{}
	}
	if match.Route != nil {
		x.route, x.params = g.routes[match.Index], match.Params
	}
	x.trace()
	if err := x.receive(); err != nil {
		x.refuse(err)
		return
	}
	if match.Route == nil {
		x.finish(x.unmatched(match.Allow))
		return
	}
	x.run()
}

// answers says whether what a request asks for is there on its listener, where admins have one of their own: on theirs, what is for
// them alone, health and metrics; on the other, all that is not for them alone.
func (g *generation) answers(match policy.Match, path string, admin bool) bool {
	if match.Route == nil {
		return slices.ContainsFunc(match.Allow, func(method string) bool {
			other := g.policy.Match(method, path)
			return other.Route != nil && g.answers(other, path, admin)
		})
	}
	if rt := g.routes[match.Index]; admin {
		return rt.private || rt.info.Always
	} else {
		return !rt.private
	}
}

// unmatched answers a request that no route takes: OPTIONS, 405 where other methods would do, else 404.
func (x *exchange) unmatched(allow []string) (*Response, error) {
	if x.method == http.MethodOptions && x.path == "*" { // of the server as a whole
		return &Response{Status: http.StatusNoContent}, nil
	}
	if len(allow) == 0 {
		return nil, &Error{Status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at this address"}
	}
	x.http.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(allow, ", "))
	if x.method != http.MethodOptions {
		return nil, &Error{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "use " + strings.Join(allow, ", "),
		}
	}
	h := &x.http.Request.Header
	g, asked := x.route.gen, string(h.Peek(fasthttp.HeaderAccessControlRequestMethod))
	if m := g.policy.Match(asked, x.path); m.Route != nil {
		x.route = g.corsOnly(m.Route)
		if p := x.route.cors.preflight(string(h.Peek(fasthttp.HeaderOrigin)), asked); p != nil {
			return p, nil
		}
	}
	return &Response{Status: http.StatusNoContent}, nil
}

// corsOnly is the fallback with the cross-origin rules of a route.
func (g *generation) corsOnly(r *policy.Route) *route {
	rt := *g.fallback
	rt.cors = cors{policy: r.CORS, methods: allowed(r.Method)}
	return &rt
}

// originForm returns a request target without scheme and authority, and the host that the request is for: an authority in the
// target stands above the Host field (RFC 9112, section 3.2.2).
func originForm(target, host string) (origin, forHost string) {
	if strings.HasPrefix(target, "/") {
		return target, host
	}
	_, rest, absolute := strings.Cut(target, "://")
	if !absolute {
		return target, host
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/", rest
	case rest[i] == '?':
		return "/" + rest[i:], rest[:i]
	}
	return rest[i:], rest[:i]
}

// methodOf returns a method as a string of its own, for the usual ones without a copy.
func methodOf(b []byte) string {
	switch string(b) {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodHead:
		return http.MethodHead
	}
	return string(b)
}

// requestID returns the caller's request id when it is well formed, else a new one of 128 random bits, in b.
func requestID(given []byte, b *[32]byte) []byte {
	if isRequestID(given) {
		return given
	}
	const digits = "0123456789abcdef"
	for i := 0; i < len(b); i += 16 {
		for j, r := 0, rand.Uint64(); j < 16; j, r = j+1, r>>4 { //nolint:gosec // an id, not a secret
			b[i+j] = digits[r&15]
		}
	}
	return b[:]
}

func isRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

// copier copies byte slices into one buffer and returns them as strings.
type copier struct{ buf []byte }

func (c *copier) copy(b []byte) string {
	start := len(c.buf)
	c.buf = append(c.buf, b...)
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&c.buf[start], len(b)) // the buffer is never written again, nor grown: its owner knows the size
}
