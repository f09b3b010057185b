package framework

import (
	"context"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/httpcache"
)

// standardCache is how a route in standard mode stores answers.
type standardCache struct {
	rule  httpcache.StandardRule
	scope string // of the policy and the data, once every plugin is built
}

func newStandardCache(rt *route) *standardCache {
	c := rt.policy.Cache
	return &standardCache{rule: httpcache.StandardRule{
		StaleWhileRevalidate: c.StaleWhileRevalidate.D(), StaleIfError: c.StaleIfError.D(),
		Timeout: rt.policy.Timeout.D() + flightMargin, Body: rt.policy.Stream.Max.D(),
		MaxEntry: int(rt.gen.policy.Cache.MaxEntry), Tags: c.Tags,
	}}
}

// standard answers by the rules of RFC 9111. What they say nothing about goes to the handler.
func (x *exchange) standard() (*Response, error) {
	h := &x.http.Request.Header
	switch {
	case x.method != http.MethodGet && x.method != http.MethodHead:
		return x.unstored("method")
	case len(h.Peek(fasthttp.HeaderUpgrade)) > 0, len(x.body) > 0, x.upload != nil:
		return x.unstored("bypass")
	}
	c := x.route.standard
	req := httpcache.StandardRequest{
		Method: x.method, Key: httpcache.TargetKey(c.scope, x.host, x.target),
		Values: func(name string) []string {
			var lines []string
			for _, line := range h.PeekAll(name) {
				lines = append(lines, string(line))
			}
			return lines
		},
	}
	if hit, ok := x.app().standard.Hit(&req); ok {
		return x.delivered(&httpcache.Delivery{Result: hit}), nil
	}
	if err := x.work(); err != nil {
		return nil, err
	}
	snapshot := x.snapshot()
	req.Values = snapshot.values
	ctx, cancel := context.WithTimeoutCause(x.context(), x.route.policy.Timeout.D()-time.Since(x.start), ErrTimeout)
	defer cancel()
	whole := x.context()
	d, err := x.app().standard.Do(ctx, &c.rule, &req, func(_ context.Context, change httpcache.Change) (*httpcache.Origin, error) {
		return x.route.forward(whole, snapshot.changed(change)) // the stream outlives the flight
	})
	switch {
	case err == nil:
		return x.delivered(&d), nil
	case err == httpcache.ErrOnlyIfCached: //nolint:errorlint // never wrapped
		return nil, errOnlyIfCached
	case context.Cause(ctx) != nil:
		err = context.Cause(ctx)
	}
	return nil, err
}

// unstored answers with the handler's own answer, and purges what it makes void (RFC 9111, section 4.4).
func (x *exchange) unstored(why string) (*Response, error) {
	r, err := x.handle()
	if err != nil {
		return nil, err
	}
	annotated := *r // the handler may use its answer again
	if annotated.Header = r.Header.Clone(); annotated.Header == nil {
		annotated.Header = http.Header{}
	}
	if r.Status < 400 && !safe(x.method) {
		keys := x.affected(annotated.Header)
		if err := x.app().standard.Invalidate(x.context(), keys...); err != nil {
			x.route.gen.log.WarnContext(x.context(), "Invalidation has not reached Redis", "keys", keys, "error", err)
		}
	}
	annotated.Header.Set("X-Cache", string(httpcache.Bypass))
	annotated.Header.Add("Cache-Status", cacheName+"; fwd="+why)
	x.answered(httpcache.Bypass)
	return &annotated, nil
}

// safe reports whether a method changes nothing by its definition in IANA's registry.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "QUERY", "SEARCH", "PROPFIND", "REPORT":
		return true
	}
	return false
}

// affected returns the keys of what an unsafe request may have changed: its target and, on the same origin, what Location and
// Content-Location name.
func (x *exchange) affected(h http.Header) []string {
	scope, host := x.route.standard.scope, x.host
	base := &url.URL{Scheme: "http", Host: host}
	if x.http.IsTLS() {
		base.Scheme = "https"
	}
	keys := []string{httpcache.TargetKey(scope, host, x.target)}
	own, err := base.Parse(x.target)
	if err != nil {
		return keys
	}
	for _, name := range []string{"Location", "Content-Location"} {
		u, err := own.Parse(h.Get(name))
		if err != nil || h.Get(name) == "" || u.Scheme != base.Scheme || !strings.EqualFold(u.Host, host) {
			continue
		}
		keys = append(keys, httpcache.TargetKey(scope, host, u.RequestURI()))
	}
	return keys
}

// delivered is the response that the cache has made.
func (x *exchange) delivered(d *httpcache.Delivery) *Response {
	x.answered(d.Outcome)
	r := &Response{Status: d.Status, Header: http.Header{}, Body: d.Body}
	for name, value := range d.Header() {
		r.Header.Add(name, value)
	}
	head := x.method == http.MethodHead && len(d.Body) == 0 && d.Status != http.StatusNotModified
	if d.Length >= 0 && (d.Stream != nil || head) {
		r.Header.Set("Content-Length", strconv.FormatInt(d.Length, 10))
	}
	if d.Stream != nil {
		x.carry(d.Stream, d.Length)
	}
	return r
}

// carry streams what a reader gives, piece by piece, to the client; size is -1 when it is not known. The reader is closed in the end.
func (x *exchange) carry(body io.ReadCloser, size int64) {
	s, rt := newStream(), x.route
	ctx, cancel := context.WithCancelCause(x.context())
	x.stream = &streamBody{
		Stream: s, ctx: ctx, cancel: cancel, conn: x.http.Conn(), size: size,
		limits: streamLimits{
			idle: rt.policy.Stream.Idle.D(), max: rt.policy.Stream.Max.D(), write: rt.gen.policy.Server.WriteTimeout.D(),
		},
	}
	x.stopWatch = func() {}
	rt.gen.hold()
	go func() {
		defer rt.gen.release()
		defer context.AfterFunc(ctx, func() { _ = body.Close() })()
		defer body.Close()
		piece := make([]byte, 32<<10)
		for {
			n, err := body.Read(piece)
			if n > 0 {
				if _, gone := s.Write(piece[:n]); gone != nil {
					err = gone
				}
			}
			if err == io.EOF { //nolint:errorlint // io.Reader returns it as it is
				err = nil
			} else if err == nil {
				continue
			}
			s.ended <- err
			return
		}
	}()
}

// forward runs the handler for the cache, with the whole request. It may outlive the request that caused it.
func (rt *route) forward(ctx context.Context, req Request) (*httpcache.Origin, error) {
	c, err := rt.gen.app.start(ctx, rt, func() Request { return req })
	if err != nil {
		return nil, err
	}
	r, first, stop, err := c.apart(nil, time.Now().Add(rt.policy.Timeout.D()))
	stop()
	if err != nil {
		return nil, err
	}
	o := &httpcache.Origin{Status: r.response.Status, Header: r.response.Header, Body: r.response.Body, Tags: r.response.Tags}
	if o.Status == 0 {
		o.Status = http.StatusOK
	}
	if r.stream != nil {
		stream := rt.policy.Stream
		o.Stream = &streamReader{
			call: c, stream: r.stream, piece: first, owed: first != nil,
			idle: stream.Idle.D(), until: time.Now().Add(stream.Max.D()),
		}
	}
	return o, nil
}

// streamReader reads what a handler streams.
type streamReader struct {
	call   *call
	stream *Stream
	piece  []byte // received, not yet read
	owed   bool   // the handler waits to hear that the piece is taken
	idle   time.Duration
	until  time.Time
}

// Read implements io.Reader.
func (s *streamReader) Read(p []byte) (int, error) {
	for len(s.piece) == 0 {
		if s.owed {
			select {
			case s.stream.acks <- nil:
			case <-s.stream.gone:
			}
			s.owed = false
		}
		limit, reason := time.Now().Add(s.idle), ErrStreamIdle
		if s.until.Before(limit) {
			limit, reason = s.until, ErrStreamMax
		}
		late := time.NewTimer(time.Until(limit))
		err := s.next(late.C, reason)
		late.Stop()
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, s.piece)
	s.piece = s.piece[n:]
	return n, nil
}

// next waits for a piece.
func (s *streamReader) next(late <-chan time.Time, reason error) error {
	select {
	case s.piece = <-s.stream.pieces:
		s.owed = true
		return nil
	case err := <-s.stream.ended:
		return s.end(err)
	case <-s.stream.gone:
		return io.ErrClosedPipe
	case <-late:
		_ = s.Close()
		return reason
	case <-s.call.Done():
		select {
		case err := <-s.stream.ended: // told before the call ends
			return s.end(err)
		default:
			return context.Cause(s.call)
		}
	}
}

func (s *streamReader) end(err error) error {
	s.stream.ended <- err // for the next read
	if err == nil {
		return io.EOF
	}
	return err
}

// Close implements io.Closer: the handler is let go. It may be called while Read waits.
func (s *streamReader) Close() error {
	s.call.cancel(ErrClientGone)
	s.stream.close()
	return nil
}

// values returns the lines of a field.
func (r *Request) values(name string) []string {
	var lines []string
	for _, f := range r.headers {
		if textproto.CanonicalMIMEHeaderKey(f.name) == name {
			lines = append(lines, f.value)
		}
	}
	return lines
}

// changed returns the request with what the cache asks of the handler in place of what the client did.
func (r Request) changed(c httpcache.Change) Request {
	if !c.Conditional && !c.Whole {
		return r
	}
	headers := make([]field, 0, len(r.headers)+2)
	for _, f := range r.headers {
		switch textproto.CanonicalMIMEHeaderKey(f.name) {
		case "If-None-Match", "If-Modified-Since":
			if c.Conditional {
				continue
			}
		case "Range", "If-Range":
			if c.Whole {
				continue
			}
		}
		headers = append(headers, f)
	}
	if c.IfNoneMatch != "" {
		headers = append(headers, field{"If-None-Match", c.IfNoneMatch})
	}
	if c.IfModifiedSince != "" {
		headers = append(headers, field{"If-Modified-Since", c.IfModifiedSince})
	}
	r.headers = headers
	return r
}
