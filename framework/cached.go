package framework

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/innatural/chatbot/framework/encoding"
	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// flightMargin is how much longer than its handler a shared fetch may take, so that the handler's own timeout comes first.
const flightMargin = time.Second

// routeCache is how a cached route reads requests and stores answers.
type routeCache struct {
	rule     httpcache.Rule
	inputs   Inputs
	sorted   Inputs // as the key has them
	view     view
	host     bool
	template *httpcache.Template // of the key; nil is that of every route
	scope    string              // of the policy and the data, once every plugin is built
}

func newRouteCache(rt *route) *routeCache {
	c, g := rt.policy.Cache, rt.gen
	inputs := inputsOf(c)
	template, narrow := keyTemplate(&rt.policy)
	return &routeCache{
		rule: httpcache.Rule{
			TTL: c.TTL.D(), StatusTTL: statusTTLs(c.StatusTTL), Jitter: c.Jitter, EarlyRefresh: c.EarlyRefresh,
			StaleWhileRevalidate: c.StaleWhileRevalidate.D(), StaleIfError: c.StaleIfError.D(), ErrorStatus: statusToStore,
			Timeout: rt.policy.Timeout.D() + flightMargin, MaxEntry: int(g.policy.Cache.MaxEntry), Tags: c.Tags,
			Encoder: rt.encoder, Best: rt.best,
		},
		inputs:   inputs,
		sorted:   keyOrder(inputs),
		view:     view{inputs: inputs, undeclared: rt.metrics.UndeclaredReads.Inc, narrow: narrow},
		host:     c.Host,
		template: template,
	}
}

// statusTTLs returns a policy's times by status as numbers, which the policy was checked to have.
func statusTTLs(named map[string]policy.Duration) map[int]time.Duration {
	ttls := make(map[int]time.Duration, len(named))
	for status, ttl := range named {
		code, _ := strconv.Atoi(status)
		ttls[code] = ttl.D()
	}
	return ttls
}

// inputsOf returns the inputs that a route's key holds beside its path.
func inputsOf(c *policy.RouteCache) Inputs {
	return Inputs{Query: c.Query, Headers: c.Headers, Cookies: c.Cookies}
}

// keyOrder returns inputs in the order of a key, with header names in lower case.
func keyOrder(in Inputs) Inputs {
	headers := make([]string, len(in.Headers))
	for i, name := range in.Headers {
		headers[i] = strings.ToLower(name)
	}
	slices.Sort(headers)
	return Inputs{
		Query: slices.Sorted(slices.Values(in.Query)), Headers: headers, Cookies: slices.Sorted(slices.Values(in.Cookies)),
	}
}

// read puts into a key what a request holds of the route's inputs. The key's strings are parts of those that it is given.
func (c *routeCache) read(k *httpcache.Key, host, path, query string, fields []field) {
	*k = httpcache.Key{
		Scope: c.scope, Method: http.MethodGet, Path: path,
		Query: k.Query[:0], Headers: k.Headers[:0], Cookies: k.Cookies[:0], Template: c.template,
	}
	if c.host {
		k.Host = host
	}
	for _, name := range c.sorted.Query {
		for rest := query; rest != ""; {
			var value string
			if value, rest = nextQuery(rest, name); rest == notFound {
				break
			}
			k.Query = append(k.Query, httpcache.Input{Name: name, Value: value})
		}
	}
	for _, name := range c.sorted.Headers {
		for _, f := range fields {
			if strings.EqualFold(f.name, name) {
				k.Headers = append(k.Headers, httpcache.Input{Name: name, Value: f.value})
			}
		}
	}
	for _, name := range c.sorted.Cookies {
		if value, ok := cookie(fields, name); ok {
			k.Cookies = append(k.Cookies, httpcache.Input{Name: name, Value: value})
		}
	}
}

// CacheKey returns the key under which the answer to a request would be stored, in a form for people, or "" when the route
// is not cached.
func CacheKey(r *policy.Route, req *Request) string {
	if !r.Cache.Stores() {
		return ""
	}
	if r.Cache.Standard() {
		target := req.path
		if req.query != "" {
			target += "?" + req.query
		}
		return httpcache.ReadableTargetKey(req.Header("Host"), target)
	}
	template, _ := keyTemplate(r)
	c := routeCache{sorted: keyOrder(inputsOf(r.Cache)), host: r.Cache.Host, template: template}
	var k httpcache.Key
	c.read(&k, req.Header("Host"), req.path, req.query, req.headers)
	return k.Readable()
}

// cached answers from the cache, or with what the handler makes for everybody who waits for the same key.
func (x *exchange) cached() (*Response, error) {
	if x.route.cache == nil && x.route.standard == nil {
		return nil, nil
	}
	return x.within("cache", (*exchange).fromCache)
}

func (x *exchange) fromCache() (*Response, error) {
	if x.route.standard != nil {
		return x.standard()
	}
	c := x.route.cache
	if x.method != http.MethodGet && x.method != http.MethodHead {
		return nil, nil
	}
	fields := x.fields(c)
	var k httpcache.Key
	c.read(&k, string(x.http.Host()), x.path, x.query, fields)
	key := k.String()
	conditions := x.conditions()
	conditions.Looked = x.looked
	if hit, ok := x.app().responses.Hit(key, &c.rule, &conditions); ok {
		return x.stored(&hit), nil
	}
	if err := x.work(); err != nil {
		return nil, err
	}
	return x.shared(c, key, c.request(x.path, x.query, x.params, fields), conditions)
}

// shared answers with what one fetch makes for all who ask for the key, or with what is stale.
func (x *exchange) shared(c *routeCache, key string, view Request, conditions httpcache.Request) (*Response, error) {
	ctx, cancel := context.WithTimeoutCause(x.context(), x.route.policy.Timeout.D()-time.Since(x.start), ErrTimeout)
	defer cancel()
	result, err := x.app().responses.Do(ctx, key, &c.rule, &conditions,
		func(ctx context.Context) (*httpcache.Response, error) { return x.route.fetch(ctx, view) })
	response := x.stored(&result)
	if err == nil {
		return response, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return nil, err
}

// stored takes an answer that the cache has prepared, or what it says of an error.
func (x *exchange) stored(r *httpcache.Result) *Response {
	x.result = *r
	x.answered(r.Outcome)
	return emptyResponse
}

// answered notes what the cache did.
func (x *exchange) answered(o httpcache.Outcome) {
	x.outcome = o
	x.route.answered(o)
}

// emptyResponse stands for an answer that the cache has prepared.
var emptyResponse = &Response{}

// fetch runs the handler for the cache. It may outlive the request that caused it.
func (rt *route) fetch(ctx context.Context, view Request) (*httpcache.Response, error) {
	c, err := rt.gen.app.start(ctx, rt, func() Request { return view })
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(rt.policy.Timeout.D())
	r, first, stop, err := c.apart(nil, deadline)
	stop()
	if err != nil {
		return nil, err
	}
	body := r.response.Body
	if r.stream != nil {
		if body, err = c.collect(first, r.stream, deadline); err != nil {
			return nil, err
		}
	}
	return &httpcache.Response{Status: r.response.Status, Header: r.response.Header, Body: body, Tags: r.response.Tags}, nil
}

// maxCollected is how large a streamed answer may be that is to be stored.
const maxCollected = 64 << 20

// collect reads a streamed answer whole.
func (c *call) collect(first []byte, s *Stream, deadline time.Time) ([]byte, error) {
	defer s.close()
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	body := bytes.Clone(first) // the handler may use its buffer again
	if first != nil {
		s.acks <- nil
	}
	for {
		select {
		case p := <-s.pieces:
			if len(body)+len(p) > maxCollected {
				err := errors.New("the answer is too large to be stored")
				c.abandon(err)
				return nil, err
			}
			body = append(body, p...)
			s.acks <- nil
		case err := <-s.ended:
			return body, err
		case <-late.C:
			c.abandon(ErrTimeout)
			return nil, ErrTimeout
		}
	}
}

// fields returns the request's fields when the route has inputs among them. They share the server's buffer.
func (x *exchange) fields(c *routeCache) []field {
	if len(c.inputs.Headers)+len(c.inputs.Cookies) == 0 {
		return nil
	}
	var fields []field
	for name, value := range x.http.Request.Header.All() {
		fields = append(fields, field{viewOf(name), viewOf(value)})
	}
	return fields
}

// viewOf returns bytes as a string that is good for as long as they do not change.
func viewOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// request copies what a handler of a cached route may read of a request: the declared inputs and nothing else.
func (c *routeCache) request(path, query string, params []policy.Param, fields []field) Request {
	v := Request{method: http.MethodGet, path: path, params: params, view: &c.view}
	if narrow := c.view.narrow; narrow != nil {
		v.path, v.params = narrow.of(path, params)
	}
	if query != "" {
		v.query = declaredQuery(query, c.inputs.Query)
	}
	for _, name := range c.inputs.Headers {
		for _, f := range fields {
			if strings.EqualFold(f.name, name) {
				v.headers = append(v.headers, field{name, strings.Clone(f.value)})
			}
		}
	}
	for _, name := range c.inputs.Cookies {
		if value, ok := cookie(fields, name); ok {
			v.headers = append(v.headers, field{"Cookie", name + "=" + value})
		}
	}
	return v
}

// declaredQuery returns the pairs of a raw query that are declared.
func declaredQuery(query string, names []string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		key = unescape(key)
		for _, name := range names {
			if key == name && pair != "" {
				kept = append(kept, pair)
			}
		}
	}
	return strings.Join(kept, "&")
}

// conditions is what answering reads of the request beyond the handler's inputs: none of it changes what is answered, only
// the form.
func (x *exchange) conditions() httpcache.Request {
	h := &x.http.Request.Header
	joined := func(name string) string {
		if len(h.Peek(name)) == 0 {
			return ""
		}
		return string(bytes.Join(h.PeekAll(name), []byte(", ")))
	}
	return httpcache.Request{
		Method:          x.method,
		AcceptEncoding:  joined("Accept-Encoding"),
		IfModifiedSince: joined("If-Modified-Since"),
		IfNoneMatch:     joined("If-None-Match"),
		IfRange:         joined("If-Range"),
		Range:           joined("Range"),
		NoCompression:   len(h.Peek("X-No-Compression")) > 0,
	}
}

// newEncoders returns the compressors of a policy, for every answer and for stored ones that are asked for again. Either is nil when
// it wants none.
func newEncoders(c policy.Compression, m *telemetry.Registry) (usual, best *encoding.Encoder, err error) {
	if !c.Enabled {
		return nil, nil, nil
	}
	if usual, err = encoding.New(c.Level, int(c.MinSize), c.Encodings); err == nil && c.Best {
		best, err = encoding.New(encoding.Best, int(c.MinSize), c.Encodings)
	}
	if err != nil {
		return nil, nil, err
	}
	bytes := m.Counter(telemetry.HTTPCompressedBytes, telemetry.HTTPCompressedBytesHelp, telemetry.LabelEncoding, telemetry.LabelSide)
	for _, e := range []*encoding.Encoder{usual, best} {
		if e != nil {
			e.Compressed = func(coding string, in, out int) {
				bytes.With(coding, "in").Add(float64(in))
				bytes.With(coding, "out").Add(float64(out))
			}
		}
	}
	return usual, best, nil
}
