package framework

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/gofiber/fiber/v2"
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

	headers      []field
	cacheControl string // for 200 answers; "" leaves it to the handler
	cors         cors
	limiter      *limit.Limiter
	inFlight     *limit.InFlight
	encoder      *encoding.Encoder // nil compresses nothing
	cache        *routeCache       // nil is never cached
	outcomes     map[httpcache.Outcome]prometheus.Counter
}

// buildRoutes builds the plugins that the routes name, and the router.
func (g *generation) buildRoutes() error {
	methods := slices.Clone(fiber.DefaultMethods)
	for _, r := range g.policy.Routes {
		if r.Method != "*" && !slices.Contains(methods, r.Method) {
			methods = append(methods, r.Method)
		}
	}
	router := fiber.New(fiber.Config{
		DisableStartupMessage: true, CaseSensitive: true, StrictRouting: true, RequestMethods: methods,
		ErrorHandler: func(c *fiber.Ctx, err error) error {
			newExchange(c.Context(), g.fallback).finish(nil, err)
			return nil
		},
	})
	var errs []error
	for i := range g.policy.Routes {
		rt, err := g.buildRoute(g.policy.Routes[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("route %s %s: %w", g.policy.Routes[i].Method, g.policy.Routes[i].Path, err))
			continue
		}
		serve := func(c *fiber.Ctx) error {
			x := newExchange(c.Context(), rt)
			for _, name := range c.Route().Params {
				x.params = append(x.params, policy.Param{Name: strings.Replace(name, "*1", "*", 1), Value: c.Params(name)})
			}
			x.run()
			return nil
		}
		switch rt.policy.Method {
		case "*":
			router.All(rt.policy.Path, serve)
		case http.MethodGet:
			router.Add(http.MethodHead, rt.policy.Path, serve)
			router.Add(http.MethodGet, rt.policy.Path, serve)
		default:
			router.Add(rt.policy.Method, rt.policy.Path, serve)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	g.fallback = &route{
		gen: g, policy: policy.Route{Path: telemetry.Unmatched, Slow: g.policy.Defaults.Slow},
		metrics: g.routeMetrics(telemetry.Unmatched),
	}
	router.Use(func(c *fiber.Ctx) error {
		g.unmatched(c.Context())
		return nil
	})
	handler := router.Handler()
	g.router = func(ctx *fasthttp.RequestCtx) {
		if !slices.Contains(methods, string(ctx.Method())) {
			g.unmatched(ctx)
			return
		}
		handler(ctx)
	}
	return nil
}

func (g *generation) buildRoute(p policy.Route) (*route, error) {
	handler, info, err := g.handler(p.Handler)
	if err != nil {
		return nil, err
	}
	rt := &route{
		gen: g, policy: p, info: info, handler: handler, metrics: g.routeMetrics(p.Path),
		cors: cors{policy: p.CORS, methods: allowed(p.Method)},
	}
	for name, value := range p.Headers {
		rt.headers = append(rt.headers, field{name, value})
	}
	if p.CacheControl != "" {
		rt.cacheControl = cacheControl(g.policy.Presets.CacheControl[p.CacheControl].D(), p.Audience)
	}
	if p.Limits.Requests > 0 && !info.Always {
		if rt.limiter, err = g.limiter(p); err != nil {
			return nil, err
		}
	}
	if p.Limits.InFlight > 0 && !info.Always {
		rt.inFlight = limit.NewInFlight(p.Limits.InFlight)
	}
	if rt.encoder, err = newEncoder(g.policy, p.Compress); err != nil {
		return nil, err
	}
	if p.Cache != nil && p.Cache.TTL > 0 {
		rt.cache = newRouteCache(rt)
		answers := g.app.metrics.Counter(telemetry.CacheResponses, telemetry.CacheResponsesHelp,
			telemetry.LabelRoute, telemetry.LabelResult)
		rt.outcomes = map[httpcache.Outcome]prometheus.Counter{}
		for _, o := range []httpcache.Outcome{httpcache.Hit, httpcache.Miss, httpcache.Stale, httpcache.Bypass} {
			rt.outcomes[o] = answers.With(p.Path, strings.ToLower(string(o)))
		}
	}
	return rt, nil
}

// limiter returns the limiter of a route. It outlives reloads, so that one does not give every client a new allowance.
func (g *generation) limiter(p policy.Route) (*limit.Limiter, error) {
	key := fmt.Sprintf("limit\x00%s %s %d %s", p.Method, p.Path, p.Limits.Requests, p.Limits.Window)
	l, err := g.app.shared.acquire(key, g, func() (any, error) {
		return limit.New(p.Limits.Requests, p.Limits.Window.D()), nil
	})
	if err != nil {
		return nil, err
	}
	return l.(*limit.Limiter), nil //nolint:forcetypeassert // nothing else has such a key
}

// answered counts what the cache did.
func (rt *route) answered(o httpcache.Outcome) { rt.outcomes[o].Inc() }

// routeMetrics holds the metrics of a route until the generation is closed.
func (g *generation) routeMetrics(template string) *telemetry.RouteMetrics {
	m := g.app.metrics.Route(template)
	g.metrics = append(g.metrics, m)
	return m
}

// cacheControl writes a preset as the header for an audience.
func cacheControl(maxAge time.Duration, audience string) string {
	switch {
	case maxAge == 0:
		return "no-store"
	case audience == "public":
		return "public, max-age=" + strconv.Itoa(int(maxAge.Seconds()))
	}
	return "private, max-age=" + strconv.Itoa(int(maxAge.Seconds()))
}

// allowed lists the methods that a route answers, for Allow.
func allowed(method string) string {
	switch method {
	case "*":
		return strings.Join(fiber.DefaultMethods, ", ")
	case http.MethodGet:
		return "GET, HEAD, OPTIONS"
	}
	return method + ", OPTIONS"
}

func (g *generation) serve(ctx *fasthttp.RequestCtx) { g.router(ctx) }

// unmatched answers a request that no route takes: OPTIONS, 405 where other methods would do, else 404.
func (g *generation) unmatched(ctx *fasthttp.RequestCtx) {
	x := newExchange(ctx, g.fallback)
	path, _ := splitTarget(ctx.Request.Header.RequestURI())
	match := g.policy.Match(string(ctx.Method()), string(path))
	if len(match.Allow) == 0 {
		x.finish(nil, &Error{Status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at this address"})
		return
	}
	ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(match.Allow, ", "))
	if string(ctx.Method()) != http.MethodOptions {
		x.finish(nil, &Error{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
			Message: "use " + strings.Join(match.Allow, ", "),
		})
		return
	}
	response := &Response{Status: http.StatusNoContent}
	asked := string(ctx.Request.Header.Peek(fasthttp.HeaderAccessControlRequestMethod))
	if m := g.policy.Match(asked, string(path)); m.Route != nil {
		x.route = g.corsOnly(m.Route)
		if p := x.route.cors.preflight(string(ctx.Request.Header.Peek(fasthttp.HeaderOrigin)), asked); p != nil {
			response = p
		}
	}
	x.finish(response, nil)
}

// corsOnly is the fallback with the cross-origin rules of a route.
func (g *generation) corsOnly(r *policy.Route) *route {
	rt := *g.fallback
	rt.cors = cors{policy: r.CORS, methods: allowed(r.Method)}
	return &rt
}

// splitTarget splits a request target into its path and query, both raw. An absolute target loses scheme and authority.
func splitTarget(target []byte) (path, query []byte) {
	s := string(target)
	if !strings.HasPrefix(s, "/") {
		if i := strings.Index(s, "://"); i >= 0 {
			if j := strings.IndexAny(s[i+3:], "/?"); j >= 0 {
				target = target[i+3+j:]
			} else {
				target = []byte("/")
			}
		}
	}
	for i, c := range target {
		if c == '?' {
			return target[:i], target[i+1:]
		}
	}
	return target, nil
}

// requestID returns the caller's request id when it is well formed, else a new one of 128 random bits.
func requestID(given []byte) string {
	if isRequestID(given) {
		return string(given)
	}
	const digits = "0123456789abcdef"
	var b [32]byte
	for i := 0; i < len(b); i += 16 {
		for j, r := 0, rand.Uint64(); j < 16; j, r = j+1, r>>4 { //nolint:gosec // an id, not a secret
			b[i+j] = digits[r&15]
		}
	}
	return string(b[:])
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
