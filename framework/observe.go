package framework

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// openTracer returns the tracer of a generation's policy, nil when it has none. Generations with the same settings have the same one,
// which sends its last spans when the last of them is closed.
func (a *App) openTracer(g *generation) (*telemetry.Tracer, error) {
	p := g.policy.Telemetry.Traces
	t, err := a.shared.acquire(fmt.Sprintf("\x00traces %+v", p), g, func() (any, error) {
		return telemetry.NewTracer(p, a.config.Version, a.metrics, func() *slog.Logger {
			if current := a.current.Load(); current != nil {
				return current.log
			}
			return g.log
		})
	})
	if err != nil {
		return nil, err
	}
	return t.(*telemetry.Tracer), nil //nolint:forcetypeassert // nothing else has such a key
}

// trace begins the span of a request whose route is known, if it is traced. The context of all that it causes holds the span.
func (x *exchange) trace() {
	t := x.route.gen.tracer
	if t == nil {
		return
	}
	sampled := x.handed.sampled
	if !x.handed.chosen {
		sampled = t.Sample(x.parent)
	}
	if !sampled {
		return
	}
	name := x.method
	if x.route.handler != nil {
		name += " " + x.route.policy.Path
	}
	x.ctx, x.span = t.Start(telemetry.WithRequest(x.route.gen.ctx, &x.about), x.parent, name, x.start)
	scheme := "http"
	if x.http.IsTLS() {
		scheme = "https"
	}
	x.span.SetAttributes(
		semconv.HTTPRequestMethodKey.String(x.method), semconv.HTTPRoute(x.route.policy.Path), semconv.URLPath(x.path),
		semconv.URLScheme(scheme), semconv.ServerAddress(x.host), semconv.ClientAddress(x.client().String()),
		semconv.UserAgentOriginal(string(x.http.Request.Header.Peek(fasthttp.HeaderUserAgent))),
		semconv.HTTPResponseHeader("x-request-id", x.about.ID),
	)
}

// endTrace ends the span of a request: a failed one when its answer is the server's fault.
func (x *exchange) endTrace(bytes int, err error) {
	x.span.SetAttributes(semconv.HTTPResponseStatusCode(x.status), semconv.HTTPResponseBodySize(bytes))
	if x.status >= http.StatusInternalServerError {
		x.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(x.status)))
		x.span.SetStatus(codes.Error, "")
	} else if err != nil {
		x.span.SetAttributes(semconv.ErrorTypeKey.String(codeOf(err)))
	}
	x.span.End()
}

// within runs a stage in a span of its own. What it causes is below that.
func (x *exchange) within(name string, run func(*exchange) (*Response, error)) (*Response, error) {
	if x.span == nil {
		return run(x)
	}
	outer := x.ctx
	var span trace.Span
	x.ctx, span = telemetry.Span(outer, name, trace.SpanKindInternal)
	response, err := run(x)
	if x.outcome != "" {
		span.SetAttributes(attribute.String(telemetry.AttributeCacheResult, strings.ToLower(string(x.outcome))))
	}
	endSpan(span, err)
	x.ctx = outer
	return response, err
}

// endSpan ends a span of what may have failed.
func endSpan(span trace.Span, err error) {
	why := ""
	if err != nil {
		why = codeOf(err)
	}
	telemetry.EndSpan(span, err, why)
}

// promise counts how a route keeps what is promised of it. Generations that promise the same have the same one.
type promise struct {
	*telemetry.Objective
	remove func()
}

// Close takes the promise's metrics away.
func (p *promise) Close() error {
	p.remove()
	return nil
}

// openPromise returns what is promised of a route, or nil.
func (g *generation) openPromise(r policy.Route) (*promise, error) {
	if r.SLO == nil || r.SLO.Latency <= 0 && r.SLO.Errors <= 0 {
		return nil, nil
	}
	p, err := g.app.shared.acquire(fmt.Sprintf("\x00promise %s %s %+v", r.Method, r.Path, *r.SLO), g, func() (any, error) {
		p := &promise{Objective: telemetry.NewObjective(*r.SLO, time.Now())}
		p.remove = p.Export(g.app.metrics, r.Method, r.Path)
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return p.(*promise), nil //nolint:forcetypeassert // nothing else has such a key
}

// keepPromises notes how promises are kept as time passes, until the app is closed.
func (a *App) keepPromises() {
	every := time.NewTicker(telemetry.KeepEvery)
	defer every.Stop()
	for {
		select {
		case now := <-every.C:
			a.shared.each(func(value any) {
				if p, ok := value.(*promise); ok {
					p.Keep(now)
				}
			})
		case <-a.closing:
			return
		}
	}
}
