package framework

import (
	"bytes"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/telemetry"
)

// maxRawFields is how many header fields a raw request may have. Browsers send fewer than twenty.
const maxRawFields = 48

// rawRequest is a GET or HEAD as it came from the network, taken apart in place: its strings are parts of the connection's buffer.
// It has no body, and asks for nothing but an answer.
type rawRequest struct {
	method, path, query string
	host                string
	id                  []byte
	conditions          httpcache.Request
	fields              []field
	space               [maxRawFields]field
}

// parse takes apart the request that b begins with, and returns its length. It says false of everything that is not such a request,
// whole and in the plain form that every client sends: incomplete, malformed or unusual ones are left to the server's parser, so
// that the two cannot disagree about where a request ends (RFC 9112, section 11.2).
func (r *rawRequest) parse(b []byte) (size int, ok bool) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, false
	}
	line, rest, _ := bytes.Cut(b[:end+2], []byte("\r\n"))
	if !r.requestLine(line) {
		return 0, false
	}
	r.host, r.id, r.fields = "", nil, r.space[:0]
	r.conditions = httpcache.Request{Method: r.method}
	for len(rest) > 0 {
		i := bytes.IndexByte(rest, '\n')
		if i < 1 || rest[i-1] != '\r' || !r.field(rest[:i-1]) {
			return 0, false
		}
		rest = rest[i+1:]
	}
	return end + 4, r.host != ""
}

// requestLine reads a method, an origin-form and HTTP/1.1 (RFC 9112, section 3).
func (r *rawRequest) requestLine(line []byte) bool {
	switch {
	case bytes.HasPrefix(line, []byte("GET /")):
		r.method, line = http.MethodGet, line[len("GET "):]
	case bytes.HasPrefix(line, []byte("HEAD /")):
		r.method, line = http.MethodHead, line[len("HEAD "):]
	default:
		return false
	}
	target, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok {
		return false
	}
	query := -1
	for i, c := range target {
		switch {
		case c <= ' ', c >= 0x7f, c == '#':
			return false
		case c == '?' && query < 0:
			query = i
		}
	}
	if query < 0 {
		r.path, r.query = viewOf(target), ""
	} else {
		r.path, r.query = viewOf(target[:query]), viewOf(target[query+1:])
	}
	return true
}

// field takes one header field. It says false when the field is malformed, repeated where that matters, or asks for more than an answer.
func (r *rawRequest) field(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || len(r.fields) == maxRawFields {
		return false
	}
	for _, c := range line[:colon] {
		if !isFieldNameByte[c] {
			return false
		}
	}
	for _, c := range line[colon+1:] {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	name, raw := viewOf(line[:colon]), bytes.Trim(line[colon+1:], " \t")
	value := viewOf(raw)
	r.fields = append(r.fields, field{name, value})
	once := func(into *string) bool {
		first := *into == ""
		*into = value
		return first && value != ""
	}
	switch len(name) {
	case len("TE"):
		return !isField(name, "te")
	case len("Host"):
		return !isField(name, "host") || once(&r.host) && isHost(value)
	case len("Range"):
		return !isField(name, "range")
	case len("Expect"):
		return !isField(name, "expect")
	case len("Upgrade"): // and Trailer
		return !isField(name, "upgrade") && !isField(name, "trailer")
	case len("If-Match"):
		return !isField(name, "if-match")
	case len("Connection"):
		return !isField(name, "connection") || isField(value, "keep-alive")
	case len("X-Request-Id"):
		if isField(name, "x-request-id") && r.id == nil {
			r.id = raw
		}
	case len("If-None-Match"):
		return !isField(name, "if-none-match") || once(&r.conditions.IfNoneMatch)
	case len("Content-Length"):
		return !isField(name, "content-length")
	case len("Accept-Encoding"):
		return !isField(name, "accept-encoding") || once(&r.conditions.AcceptEncoding)
	case len("X-No-Compression"):
		if isField(name, "x-no-compression") && value != "" {
			r.conditions.NoCompression = true
		}
	case len("If-Modified-Since"): // and Transfer-Encoding
		if isField(name, "if-modified-since") {
			return once(&r.conditions.IfModifiedSince)
		}
		return !isField(name, "transfer-encoding")
	case len("If-Unmodified-Since"):
		return !isField(name, "if-unmodified-since")
	}
	return true
}

// get returns the value of a field, given by its name in lower case, that is good until the next request is read.
func (r *rawRequest) get(name string) string {
	for _, f := range r.fields {
		if isField(f.name, name) {
			return f.value
		}
	}
	return ""
}

// parent returns the span that the request comes from, if it says so.
func (r *rawRequest) parent() trace.SpanContext {
	if r.get("traceparent") == "" {
		return trace.SpanContext{}
	}
	return telemetry.Parent(r.get)
}

// isField reports whether s is a name, given in lower case, whatever the case of its letters. It is for names of one length.
func isField(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// isHost reports whether a value has the bytes of a host and its port alone (RFC 9110, section 7.2).
func isHost(s string) bool {
	for i := range len(s) {
		if !isHostByte[s[i]] {
			return false
		}
	}
	return true
}

// isHostByte has the bytes of a host and its port (RFC 3986, section 3.2.2).
var isHostByte = bytesOf("-._~%!$&'()*+,;=:[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

// isFieldNameByte has the bytes of a token (RFC 9110, section 5.6.2).
var isFieldNameByte = bytesOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

func bytesOf(s string) (is [256]bool) {
	for _, c := range []byte(s) {
		is[c] = true
	}
	return is
}
