package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/telemetry"
)

// forward answers with what an upstream answers. What was sent is never sent again; what was not may go to another target.
func (p *proxy) forward(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	u := p.serving(req.Path())
	switch {
	case req.Method() == http.MethodConnect:
		return nil, &framework.Error{Status: http.StatusNotImplemented, Code: "no_tunnels", Message: "this server makes no tunnels"}
	case u == nil:
		return nil, framework.NotFound("there is nothing at this address")
	}
	header, err := p.requestHeader(req, u)
	if err != nil {
		return nil, err
	}
	body, size := req.BodyReader()
	out := outgoing{req: req, upstream: u, header: header, body: &bodyReader{Reader: body}, size: size}
	var tried []*target
	for closed := 0; ; {
		t := u.pick(tried)
		if t == nil {
			return nil, unreachable(err)
		}
		end := t.begin()
		var answer *http.Response
		var a attempt
		if answer, err = out.send(ctx, t, &a); err == nil {
			return p.answer(ctx, answer, &passage{target: t, end: end})
		}
		end()
		switch {
		case ctx.Err() != nil || a.sent() || out.body.read:
			return nil, t.broke(ctx, err)
		case a.conn == nil:
			tried = append(tried, t)
			t.count("refused")
			t.failed(err)
		default: // a used connection, which the target has closed
			if closed++; closed > maxIdle {
				return nil, t.broke(ctx, err)
			}
		}
	}
}

func unreachable(err error) error {
	return &framework.Error{
		Status: http.StatusBadGateway, Code: "upstream_unreachable", Message: "the server behind this one cannot be reached", Err: err,
	}
}

// begin counts a request that is under way, until end is called.
func (t *target) begin() (end func()) {
	t.underWay.Add(1)
	return sync.OnceFunc(func() { t.underWay.Add(-1) })
}

func (t *target) count(result string) {
	t.results.With(t.upstream.name, t.address.String(), result).Inc()
}

// broke says what became of a request that was not answered whole.
func (t *target) broke(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, framework.ErrTimeout), errors.Is(cause, context.DeadlineExceeded):
		t.count("timeout")
		t.failed(cause)
		return &framework.Error{
			Status: http.StatusGatewayTimeout, Code: "gateway_timeout",
			Message: "the server behind this one did not answer in time", Err: cause,
		}
	case cause != nil: // the client has left, or this server stops
		t.count("abandoned")
		return cause
	}
	t.count("broken")
	t.failed(err)
	return &framework.Error{
		Status: http.StatusBadGateway, Code: "bad_gateway", Message: "the server behind this one did not answer properly", Err: err,
	}
}

// outgoing is a request as targets get it.
type outgoing struct {
	req      *framework.Request
	upstream *upstream
	header   http.Header
	body     *bodyReader
	size     int64
}

// bodyReader knows whether anything was read of a body.
type bodyReader struct {
	io.Reader
	read bool
}

func (b *bodyReader) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}

// send sends the request to a target and waits for the head of its answer.
func (o *outgoing) send(ctx context.Context, t *target, a *attempt) (_ *http.Response, err error) {
	ctx, span := telemetry.Span(ctx, o.req.Method(), trace.SpanKindClient, semconv.HTTPRequestMethodKey.String(o.req.Method()),
		semconv.ServerAddress(t.address.Host), attribute.String(telemetry.LabelUpstream, o.upstream.name))
	defer func() { telemetry.EndSpan(span, err, "unreachable") }()
	if !trace.SpanContextFromContext(ctx).IsRemote() { // what came goes on as it is
		telemetry.Propagate(ctx, o.header)
	}
	r := (&http.Request{
		Method: o.req.Method(), URL: targetURL(t.address, o.req.Target()), Header: o.header, Host: o.req.Host(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(httptrace.WithClientTrace(context.WithValue(ctx, targetKey{}, t), a.trace()))
	if o.upstream.Host != "" {
		r.Host = o.upstream.Host
	}
	switch {
	case o.size != 0:
		r.Body, r.ContentLength = io.NopCloser(o.body), o.size
	case r.Method == http.MethodGet, r.Method == http.MethodHead, r.Method == http.MethodOptions:
		r.Body = unrepeatable{}
	}
	start := time.Now()
	answer, err := t.proxy.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	telemetry.Exemplar(ctx, t.duration, time.Since(start).Seconds())
	span.SetAttributes(semconv.HTTPResponseStatusCode(answer.StatusCode))
	return answer, nil
}

// unrepeatable is the body of requests that have none. net/http repeats a request of a safe method by itself when a used
// connection breaks under it, although it may have been answered, unless the request has a body.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// targetURL returns a URL that net/http writes as the given request target, byte for byte. Only in a path that begins with two
// slashes, and has characters that no path may have, does it encode those.
func targetURL(address *url.URL, target string) *url.URL {
	u := &url.URL{Scheme: address.Scheme, Host: address.Host}
	path, query, hasQuery := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "//") {
		u.Opaque = target
		return u
	}
	u.RawQuery, u.ForceQuery = query, hasQuery
	u.RawPath = path
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		u.Path = path // a % that encodes nothing
	}
	return u
}

// passage is an answer on its way back.
type passage struct {
	target *target
	end    func()
}

// wholeBody is the size up to which an answer is returned whole, when its size is known.
const wholeBody = 64 << 10

// answer returns a target's answer. Its body has begun to arrive and no more.
func (p *proxy) answer(ctx context.Context, r *http.Response, via *passage) (*framework.Response, error) {
	t := via.target
	out := &framework.Response{Status: r.StatusCode, Header: r.Header}
	if r.StatusCode == http.StatusSwitchingProtocols {
		return via.upgrade(ctx, r, out)
	}
	if r.Body != http.NoBody && (r.ContentLength < 0 || r.ContentLength > wholeBody) {
		out.Stream = func(ctx context.Context, w *framework.Stream) error { return via.stream(ctx, r.Body, w) }
	} else {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close() // nothing more is expected of it
		via.end()
		if err != nil {
			return nil, t.broke(ctx, err)
		}
		out.Body = body
		t.count("answered")
	}
	t.worked()
	t.upstream.responseHeader(out.Header)
	return out, nil
}

// stream passes a body on as it arrives.
func (v *passage) stream(ctx context.Context, body io.ReadCloser, w *framework.Stream) error {
	defer v.end()
	defer body.Close()
	if err := w.Start(); err != nil {
		v.target.count("abandoned")
		return err
	}
	for piece := make([]byte, 32<<10); ; {
		n, err := body.Read(piece)
		if n > 0 {
			if _, err := w.Write(piece[:n]); err != nil {
				v.target.count("abandoned")
				return err
			}
		}
		switch {
		case err == io.EOF:
			v.target.count("answered")
			return nil
		case err != nil:
			return v.target.broke(ctx, err)
		}
	}
}
