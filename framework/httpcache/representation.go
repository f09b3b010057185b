package httpcache

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/encoding"
)

// field is a header field of an answer.
type field struct{ name, value string }

// representation is an answer with all that can be prepared of it. What it holds is shared by every request that it
// answers and never changes, but for what is made when it is first asked for: the encoded variants and the forms.
//
// What a hit reads comes first and lies together: where there are many answers, each place that it has to look at is one more way
// to main memory.
type representation struct {
	made time.Time
	lifetime
	err        error // of the handler, stored in place of an answer
	status     int
	negotiable bool // the body may be compressed
	plain      variant
	encoded    [3]atomic.Pointer[variant]
	improve    func(string) bool // has the variant of a coding compressed once more, or says that it is not to be now

	moment       atomic.Pointer[moment]
	encoding     sync.Mutex // held while a variant is made
	lastModified time.Time  // zero when the handler gave none
	tags         []string
	layer        *cache.Memory // where it is stored, under the key; nil when it is not
	key          string
}

// variant is the body in one content coding, and the forms of answering with it: whole, or as a 304.
type variant struct {
	body        []byte
	etag        string       // empty when there is none
	best        bool         // of the best level
	left        atomic.Int32 // hits until it is to be compressed once more, when the rule has an encoder for that
	full        form
	notModified atomic.Pointer[form] // nil until it is needed
}

// form is one way of answering with a variant. Its head is what a server sends before the body, as far as each sending has it
// alike: made when it is first needed, by who knows what else belongs to it.
type form struct {
	state  atomic.Int32 // of the head, which must not be read before it is ready
	head   []byte
	fields []field
}

// The states of a head.
const (
	headMissing = iota
	headComing
	headReady
)

// prepared returns the head, or nil before there is one.
func (f *form) prepared() []byte {
	if f.state.Load() != headReady {
		return nil
	}
	return f.head
}

// prepare keeps a head and reports whether it did: only the first one is kept.
func (f *form) prepare(head []byte) bool {
	if !f.state.CompareAndSwap(headMissing, headComing) {
		return false
	}
	f.head = head
	f.state.Store(headReady)
	return true
}

// moment is what the fields of a hit say during one second.
type moment struct {
	age, ttl    int64
	ageField    string
	cacheStatus string
}

// newRepresentation prepares a normalized response made at a time. It keeps its body.
func newRepresentation(resp *Response, made time.Time) *representation {
	r := &representation{status: resp.Status, made: made, tags: resp.Tags}
	h := resp.Header
	directives := cacheControl(h)
	etag := ""
	if r.status == http.StatusOK && !directives.noStore {
		if etag = h.Get("Etag"); !isETag(etag) {
			etag = strongETag(resp.Body)
		}
		if date, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
			r.lastModified = date
		}
	}
	r.negotiable = encoding.Compressible(h.Get("Content-Type")) && h.Get("Content-Encoding") == "" &&
		!directives.noTransform && len(resp.Body) > 0

	fields := endToEnd(h, "Age", "Content-Length", "Etag", "Vary", "X-Cache")
	if h.Get("Date") == "" {
		fields = append(fields, field{"Date", made.UTC().Format(http.TimeFormat)})
	}
	if vary := r.vary(h); vary != "" {
		fields = append(fields, field{"Vary", vary})
	}
	if etag != "" {
		fields = append(fields, field{"Accept-Ranges", "bytes"})
	}
	r.plain.begin(resp.Body, fields, etag)
	return r
}

// begin sets what a variant without a coding is.
func (v *variant) begin(body []byte, fields []field, etag string) {
	if etag != "" {
		fields = append(slices.Clip(fields), field{"ETag", etag})
	}
	v.body, v.etag, v.full.fields = body, etag, fields
}

// notModifiedFields returns those that a 304 repeats of a 200 (RFC 9110, section 15.4.5).
func notModifiedFields(full []field) []field {
	var kept []field
	for _, f := range full {
		switch f.name {
		case "Cache-Control", "Content-Location", "Date", "ETag", "Expires", "Vary":
			kept = append(kept, f)
		}
	}
	return kept
}

// vary returns the Vary of the answer: what the handler said, and Accept-Encoding when the body may be compressed, also on
// answers where it isn't (RFC 9110, section 12.5.5).
func (r *representation) vary(h http.Header) string {
	said := strings.Join(h.Values("Vary"), ", ")
	if !r.negotiable || listHas(said, "*") || listHas(said, "Accept-Encoding") {
		return said
	}
	if said == "" {
		return "Accept-Encoding"
	}
	return said + ", Accept-Encoding"
}

// answer returns the answer to a request: the variant that it accepts, or 304, 206 or 416 (RFC 9110, section 13.2.2).
func (r *representation) answer(req *Request, e *encoding.Encoder) Result {
	conditional := r.plain.etag != "" && (req.Method == http.MethodGet || req.Method == http.MethodHead)
	part := conditional && req.Range != "" && req.Method == http.MethodGet &&
		rangeApplies(req.IfRange, r.plain.etag, r.lastModified, r.made)
	coding := encoding.Identity
	// Parts are those of the identity body, whose bytes stay the same whatever the encoder does.
	if r.negotiable && !part && e != nil && !req.NoCompression && len(r.plain.body) >= e.MinSize() {
		coding, _ = encoding.Negotiate(req.AcceptEncoding, e.Offered())
	}
	v := &r.plain
	if coding != encoding.Identity {
		if v = r.encoded[slot(coding)].Load(); v == nil {
			if conditional && req.IfNoneMatch != "" {
				if etag := r.hadVariant(req.IfNoneMatch, coding); etag != "" { // no need to make it to say so
					return Result{Status: http.StatusNotModified, fields: withETag(notModifiedFields(r.plain.full.fields), etag)}
				}
			}
			v = r.encode(coding, e)
		}
		if r.improve != nil && v.left.Load() > 0 && v.left.Add(-1) == 0 && !r.improve(coding) {
			v.left.Store(1) // the next hit asks again
		}
	}
	res := Result{Status: r.status, Body: v.body, fields: v.full.fields, form: &v.full}
	if !conditional {
		return res
	}
	if req.IfNoneMatch != "" {
		if matchesAny(req.IfNoneMatch, v.etag) {
			return r.unchanged(v)
		}
		if coding != encoding.Identity {
			if etag := r.hadVariant(req.IfNoneMatch, coding); etag != "" {
				return Result{Status: http.StatusNotModified, fields: withETag(notModifiedFields(r.plain.full.fields), etag)}
			}
		}
	} else if req.IfModifiedSince != "" && notModifiedSince(req.IfModifiedSince, r.lastModified) {
		return r.unchanged(v)
	}
	if part {
		cut(&res, req.Range)
	}
	return res
}

// unchanged answers that the client has a variant.
func (r *representation) unchanged(v *variant) Result {
	f := v.notModified.Load()
	if f == nil {
		f = &form{fields: notModifiedFields(v.full.fields)}
		if v.notModified.CompareAndSwap(nil, f) {
			r.grow(formBytes + fieldBytes*cap(f.fields))
		} else {
			f = v.notModified.Load()
		}
	}
	return Result{Status: http.StatusNotModified, fields: f.fields, form: f}
}

// cut makes a 206 or a 416 of a 200 (RFC 9110, sections 15.3.7 and 15.5.17).
func cut(res *Result, spec string) {
	size := len(res.Body)
	start, end, kind := parseRange(spec, size)
	switch kind {
	case rangeSatisfiable:
		res.Status, res.form = http.StatusPartialContent, nil
		res.Body = res.Body[start:end:end]
		res.add("Content-Range", "bytes "+strconv.Itoa(start)+"-"+strconv.Itoa(end-1)+"/"+strconv.Itoa(size))
	case rangeUnsatisfiable:
		res.Status = http.StatusRequestedRangeNotSatisfiable
		res.Body, res.fields, res.form = nil, nil, nil
		res.add("Content-Range", "bytes */"+strconv.Itoa(size))
	}
}

// at returns the fields of a hit of an age, which one second shares.
func (r *representation) at(name string, age, ttl time.Duration) *moment {
	ageSeconds, ttlSeconds := int64(age/time.Second), int64(ttl/time.Second)
	if m := r.moment.Load(); m != nil && m.age == ageSeconds && m.ttl == ttlSeconds {
		return m
	}
	left := strconv.FormatInt(ttlSeconds-ageSeconds, 10)
	m := &moment{
		age: ageSeconds, ttl: ttlSeconds,
		ageField:    strconv.FormatInt(ageSeconds, 10),
		cacheStatus: name + "; hit; ttl=" + left,
	}
	r.moment.Store(m)
	return m
}

// The bytes that a field's strings' headers occupy, and what has fields without them.
const (
	fieldBytes          = 32
	formBytes           = int(unsafe.Sizeof(form{}))
	variantBytes        = int(unsafe.Sizeof(variant{}))
	representationBytes = int(unsafe.Sizeof(representation{}))
)

// grow accounts for bytes that the representation holds more, once it is stored.
func (r *representation) grow(bytes int) {
	if r.layer != nil {
		r.layer.Grow(r.key, r, bytes)
	}
}

// cost returns the bytes that the representation occupies.
func (r *representation) cost() int {
	n := representationBytes - variantBytes + r.plain.cost()
	for _, f := range r.plain.full.fields {
		n += len(f.name) + len(f.value)
	}
	for i := range r.encoded {
		if v := r.encoded[i].Load(); v != nil && v != &r.plain {
			n += v.cost()
		}
	}
	return n
}

// compact returns b without more spare capacity than an eighth.
func compact(b []byte) []byte {
	if cap(b)-len(b) > len(b)/8 {
		return bytes.Clone(b)
	}
	return b
}

func withETag(fields []field, etag string) []field {
	changed := slices.Clone(fields)
	for i := range changed {
		if changed[i].name == "ETag" {
			changed[i].value = etag
		}
	}
	return changed
}
