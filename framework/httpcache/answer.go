package httpcache

import (
	"iter"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/innatural/chatbot/framework/encoding"
)

// Request is what the cache reads of a request. Fields that came in several lines are joined by ", ".
type Request struct {
	Method          string
	AcceptEncoding  string
	IfModifiedSince string
	IfNoneMatch     string
	IfRange         string
	Range           string
	NoCompression   bool // the client asked for the plain body
	Looked          bool // Look did so just now, and found nothing
}

// Response is a complete answer of a handler; a stream is none. The cache keeps its body, which must not change any more.
type Response struct {
	Status int // 0 is 200
	Header http.Header
	Body   []byte
	Tags   []string // beyond the rule's
}

// normalized returns a copy with a status and with header names in canonical form: what a handler wrote in another must not be
// overlooked.
func (r *Response) normalized() *Response {
	n := *r
	if n.Status == 0 {
		n.Status = http.StatusOK
	}
	for name := range r.Header {
		if textproto.CanonicalMIMEHeaderKey(name) == name {
			continue
		}
		n.Header = make(http.Header, len(r.Header))
		for name, values := range r.Header {
			name = textproto.CanonicalMIMEHeaderKey(name)
			n.Header[name] = append(n.Header[name], values...)
		}
		break
	}
	return &n
}

// Outcome is what the cache did, in the words of X-Cache.
type Outcome string

// The outcomes.
const (
	Hit    Outcome = "HIT"
	Miss   Outcome = "MISS"
	Stale  Outcome = "STALE"
	Bypass Outcome = "BYPASS" // not stored and not shared with other clients
)

// Result is the answer to send. Its body is shared and must not be changed. For HEAD it is the body that GET would have,
// of which the server sends the length only.
type Result struct {
	Status  int
	Body    []byte
	Outcome Outcome // empty for an answer that Finish made
	Age     int64   // of a hit, in seconds

	fields []field
	form   *form // that fields are of; nil when they are this request's alone
	more   [4]field
	n      int // of more
}

// Header yields the names and values of the answer's fields. A name can come more than once.
func (r *Result) Header() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, f := range r.fields {
			if !yield(f.name, f.value) {
				return
			}
		}
		for _, f := range r.more[:r.n] {
			if !yield(f.name, f.value) {
				return
			}
		}
	}
}

func (r *Result) add(name, value string) {
	r.more[r.n] = field{name, value}
	r.n++
}

// Finish gives an answer that is not cached what a client may ask for: compression, a validator and 304 (neither under
// no-store), a range. A nil encoder compresses nothing.
func Finish(req *Request, resp *Response, e *encoding.Encoder) Result {
	return newRepresentation(resp.normalized(), time.Now()).answer(req, e)
}

// strongETag returns the entity tag of a body: its length and its hash. A change that leaves both is one in 2^64.
func strongETag(body []byte) string {
	b := make([]byte, 0, 32)
	b = append(b, '"')
	b = strconv.AppendInt(b, int64(len(body)), 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, xxhash.Sum64(body), 36)
	return string(append(b, '"'))
}

// isETag reports whether s has the form of an entity tag (RFC 9110, section 8.8.3).
func isETag(s string) bool {
	s = strings.TrimPrefix(s, "W/")
	return len(s) >= 2 && s[0] == '"' && strings.IndexByte(s[1:], '"') == len(s)-2
}

// matchesAny reports whether an If-None-Match holds etag, by weak comparison (RFC 9110, sections 8.8.3.2 and 13.1.2). A list is
// read up to its first malformed member.
func matchesAny(ifNoneMatch, etag string) bool {
	rest := strings.Trim(ifNoneMatch, " \t")
	if rest == "*" {
		return true
	}
	if etag == "" {
		return false
	}
	opaque := strings.TrimPrefix(etag, "W/")
	for {
		rest = strings.TrimLeft(rest, " \t,")
		rest = strings.TrimPrefix(rest, "W/")
		if rest == "" || rest[0] != '"' {
			return false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if rest[:end+2] == opaque {
			return true
		}
		rest = rest[end+2:]
	}
}

// notModifiedSince evaluates If-Modified-Since; a date that is not one, or no modification date to compare it with, makes it
// count as absent (RFC 9110, section 13.1.3).
func notModifiedSince(ifModifiedSince string, lastModified time.Time) bool {
	if lastModified.IsZero() {
		return false
	}
	since, err := http.ParseTime(ifModifiedSince)
	return err == nil && !lastModified.After(since)
}

// rangeApplies evaluates If-Range, by strong comparison (RFC 9110, section 13.1.5). A date is strong when the answer was made
// at least a second later (section 8.8.2.2).
func rangeApplies(ifRange, etag string, lastModified, made time.Time) bool {
	if ifRange == "" {
		return true
	}
	if strings.HasPrefix(ifRange, `"`) {
		return ifRange == etag
	}
	date, err := http.ParseTime(ifRange)
	return err == nil && !lastModified.IsZero() && date.Equal(lastModified) && made.Sub(lastModified) >= time.Second
}

// What a Range asks for.
type rangeKind int

const (
	rangeIgnored       rangeKind = iota // another unit, malformed, or several ranges, which a server need not serve
	rangeSatisfiable                    // one part of the body
	rangeUnsatisfiable                  // none of it
)

// parseRange reads a Range of one part of a body of size bytes (RFC 9110, sections 14.1.2 and 14.2), from start up to and
// without end.
func parseRange(spec string, size int) (start, end int, kind rangeKind) {
	unit, set, ok := strings.Cut(spec, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return 0, 0, rangeIgnored
	}
	first, last, ok := strings.Cut(strings.Trim(set, " \t"), "-")
	if !ok || !digits(first) || !digits(last) || first == "" && last == "" {
		return 0, 0, rangeIgnored
	}
	if first == "" {
		n := clamp(last, size)
		if n == 0 {
			return 0, 0, rangeUnsatisfiable
		}
		return size - n, size, rangeSatisfiable
	}
	start = clamp(first, size)
	end = size
	if last != "" {
		if less(last, first) {
			return 0, 0, rangeIgnored
		}
		end = min(clamp(last, size)+1, size)
	}
	if start >= size {
		return 0, 0, rangeUnsatisfiable
	}
	return start, end, rangeSatisfiable
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// clamp returns the number that decimal digits of any length stand for, or limit if that is less.
func clamp(s string, limit int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return limit
	}
	return min(n, limit)
}

// less compares numbers of any length by their digits.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) < len(b) || len(a) == len(b) && a < b
}
