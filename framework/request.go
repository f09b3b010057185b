package framework

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/innatural/chatbot/framework/policy"
)

// Request is a detached snapshot of a request: nothing in it is shared with the server or another request. On a cached
// route it is a view that holds exactly the declared inputs; what is not declared reads as absent, and is counted. It
// may be read concurrently.
type Request struct {
	method  string
	path    string
	query   string // raw
	params  []policy.Param
	headers []field
	body    []byte
	upload  *upload // of a gateway's request whose body still arrives; nil when body holds it
	target  string  // of a gateway's request, as it was sent
	host    string
	secure  bool
	id      string
	client  netip.Addr
	peer    netip.Addr
	view    *view // nil reads everything
}

// field is a header as it was received.
type field struct{ name, value string }

// view is what a handler of a cached route may read.
type view struct {
	inputs     Inputs
	narrow     *narrowing // what of the path it holds; nil is all
	undeclared func()     // counts a read of what is not declared
}

// NewRequest makes a request for a test of a handler. The target is a path with an optional query.
func NewRequest(method, target string, body []byte) *Request {
	path, query, _ := strings.Cut(target, "?")
	return &Request{method: method, path: path, query: query, body: body, id: "test"}
}

// WithHeader adds a header to a request made by NewRequest, and returns it.
func (r *Request) WithHeader(name, value string) *Request {
	r.headers = append(r.headers, field{name, value})
	return r
}

// WithParam adds a path parameter to a request made by NewRequest, and returns it.
func (r *Request) WithParam(name, value string) *Request {
	r.params = append(r.params, policy.Param{Name: name, Value: value})
	return r
}

// Method returns the request's method. On a cached route HEAD reads as GET, whose answer it shares.
func (r *Request) Method() string { return r.method }

// Path returns the raw path, percent-encoding included.
func (r *Request) Path() string {
	if r.view != nil && r.view.narrow != nil && !r.view.narrow.path {
		r.view.undeclared()
	}
	return r.path
}

// ID returns the request's id; on a cached route, whose answer serves many requests, it is empty.
func (r *Request) ID() string { return r.id }

// Client returns the address of the client, as trusted proxies tell it; on a cached route it is the zero Addr.
func (r *Request) Client() netip.Addr { return r.client }

// Peer returns the address at the other end of the connection: the client's, or that of the proxy which is nearest. On a cached route
// it is the zero Addr.
func (r *Request) Peer() netip.Addr { return r.peer }

// Param returns a path parameter, percent-decoded; "*" names the rest that a final * matched.
func (r *Request) Param(name string) string {
	for _, p := range r.params {
		if p.Name == name {
			if s, err := url.PathUnescape(p.Value); err == nil {
				return s
			}
			return p.Value
		}
	}
	if r.view != nil && r.view.narrow != nil {
		r.view.undeclared()
	}
	return ""
}

// Query returns the first value of a query parameter, decoded, or "".
func (r *Request) Query(name string) string {
	if !r.mayRead("query", name, func(i Inputs) []string { return i.Query }) {
		return ""
	}
	value, _ := nextQuery(r.query, name)
	return value
}

// QueryAll returns all the values of a query parameter, decoded, in order.
func (r *Request) QueryAll(name string) []string {
	if !r.mayRead("query", name, func(i Inputs) []string { return i.Query }) {
		return nil
	}
	return queryValues(r.query, name)
}

func queryValues(query, name string) []string {
	var all []string
	for rest := query; rest != ""; {
		value, tail := nextQuery(rest, name)
		if tail == notFound {
			break
		}
		all, rest = append(all, value), tail
	}
	return all
}

// notFound cannot be the tail of a query: '&' separates its pairs.
const notFound = "&"

// nextQuery returns the first value of name in a raw query and what follows it, or notFound. A pair that can't be decoded
// reads as it was sent.
func nextQuery(query, name string) (value, rest string) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, raw, _ := strings.Cut(pair, "=")
		if unescape(key) == name && pair != "" {
			return unescape(raw), strings.TrimLeft(query, "&")
		}
	}
	return "", notFound
}

// isEscaped is strings.ContainsAny(s, "%+") for the short texts of a query, in a third of its time.
func isEscaped(s string) bool {
	for i := range len(s) {
		if s[i] == '%' || s[i] == '+' {
			return true
		}
	}
	return false
}

func unescape(s string) string {
	if !isEscaped(s) {
		return s
	}
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// Header returns the first value of a request header, or "".
func (r *Request) Header(name string) string {
	if !r.mayRead("header", name, func(i Inputs) []string { return i.Headers }) {
		return ""
	}
	for _, f := range r.headers {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// Cookie returns the value of a cookie, or "".
func (r *Request) Cookie(name string) string {
	if !r.mayRead("cookie", name, func(i Inputs) []string { return i.Cookies }) {
		return ""
	}
	value, _ := cookie(r.headers, name)
	return value
}

func cookie(fields []field, name string) (value string, ok bool) {
	for _, f := range fields {
		if !strings.EqualFold(f.name, "Cookie") {
			continue
		}
		for pair := range strings.SplitSeq(f.value, ";") {
			if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && key == name {
				return strings.Trim(value, `"`), true
			}
		}
	}
	return "", false
}

// Target returns path and query as they were sent, byte for byte; on a cached route, of the query what is declared.
func (r *Request) Target() string {
	switch {
	case r.target != "":
		return r.target
	case r.query != "":
		return r.path + "?" + r.query
	}
	return r.path
}

// Headers returns the names and values of the request's header lines in their order, for a gateway to pass on. On a cached
// route it returns those that are declared.
func (r *Request) Headers() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, f := range r.headers {
			if !yield(f.name, f.value) {
				return
			}
		}
	}
}

// Host returns the host that the client asked for. On a cached route it is there only when the host is in the key.
func (r *Request) Host() string { return r.host }

// Secure says whether the client came over TLS.
func (r *Request) Secure() bool { return r.secure }

// Body returns the request's body. On a cached route there is none.
func (r *Request) Body() []byte { return r.body }

// BodyReader returns the request's body, which for a gateway may still arrive, and its size, -1 when that is not known.
// It is read once, by one goroutine; reading fails once the handler has answered or its context has ended.
func (r *Request) BodyReader() (body io.Reader, size int64) {
	if r.upload != nil {
		return r.upload.reader, r.upload.size
	}
	return bytes.NewReader(r.body), int64(len(r.body))
}

// DecodeJSON decodes a JSON body into v. Its error is the answer to send: 415 for another content type, 400 for what is
// not one JSON value of the right shape.
func (r *Request) DecodeJSON(v any) error {
	if ct := r.Header("Content-Type"); ct != "" && !isJSON(ct) {
		return &Error{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Message: "send the body as application/json",
		}
	}
	err := json.Unmarshal(r.body, v)
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return BadRequest("the body is not valid", Detail{wrong.Field, "wrong type: " + wrong.Value})
	case len(bytes.TrimSpace(r.body)) == 0:
		return &Error{Status: http.StatusBadRequest, Code: "invalid_json", Message: "the body is empty; send a JSON object"}
	case errors.As(err, &syntax):
		return &Error{
			Status: http.StatusBadRequest, Code: "invalid_json", Err: err,
			Message: fmt.Sprintf("the body is not valid JSON: mistake at byte %d", syntax.Offset),
		}
	}
	return &Error{Status: http.StatusBadRequest, Code: "invalid_json", Message: "the body is not one valid JSON object", Err: err}
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// mayRead says whether the view holds an input, and counts it when it doesn't.
func (r *Request) mayRead(kind, name string, list func(Inputs) []string) bool {
	if r.view == nil {
		return true
	}
	for _, declared := range list(r.view.inputs) {
		if declared == name || kind == "header" && strings.EqualFold(declared, name) {
			return true
		}
	}
	r.view.undeclared()
	return false
}
