package httpcache

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/innatural/chatbot/framework/encoding"
)

const (
	// bestAfter is how many hits a variant has before it is worth compressing at the best level, which takes a hundred times
	// as long as at the usual one.
	bestAfter = 5
	// bestWithin bounds that.
	bestWithin = time.Minute
)

// codings are the content codings in the order of their slots.
var codings = [...]string{encoding.Gzip, encoding.Brotli, encoding.Zstd}

// slot returns where the variant of a coding is.
func slot(coding string) int {
	for i, c := range codings {
		if c == coding {
			return i
		}
	}
	return -1
}

// encode makes the variant of a coding, once, whoever asks. A body that does not shrink is its own variant.
func (r *representation) encode(coding string, e *encoding.Encoder) *variant {
	r.encoding.Lock()
	defer r.encoding.Unlock()
	place := &r.encoded[slot(coding)]
	if v := place.Load(); v != nil {
		return v
	}
	v := &r.plain
	if body, ok := e.Encode(coding, r.plain.body); ok {
		v = r.newEncoded(coding, body, false)
		r.grow(v.cost())
	}
	place.Store(v)
	return v
}

// newEncoded returns the variant of a body in a coding.
func (r *representation) newEncoded(coding string, body []byte, best bool) *variant {
	etag := encodedETag(r.plain.etag, coding, best)
	v := &variant{body: body, etag: etag, best: best}
	v.full.fields = append(withETag(r.plain.full.fields, etag), field{"Content-Encoding", coding})
	if !best {
		v.left.Store(bestAfter)
	}
	return v
}

// encodedETag returns the entity tag of a body in a content coding. Each needs its own, and so does the result of another level,
// as their bytes differ (RFC 9110, sections 8.8.3 and 8.8.3.3).
func encodedETag(etag, coding string, best bool) string {
	if etag == "" {
		return ""
	}
	suffix := [...]string{`-gz`, `-br`, `-zs`}[slot(coding)]
	if best {
		suffix += "-best"
	}
	return strings.TrimSuffix(etag, `"`) + suffix + `"`
}

// hadVariant returns the entity tag of a variant of a coding that an If-None-Match names, at whatever level it was made, or "". Of
// two variants with the same content the server may choose the one that the client has (RFC 9110, section 12.1), and a body need
// not be made to say that it has not changed.
func (r *representation) hadVariant(ifNoneMatch, coding string) string {
	for _, best := range []bool{false, true} {
		if etag := encodedETag(r.plain.etag, coding, best); matchesAny(ifNoneMatch, etag) {
			return etag
		}
	}
	return ""
}

// made returns the codings of which there are variants.
func (r *representation) codings() []string {
	var list []string
	for i := range r.encoded {
		if v := r.encoded[i].Load(); v != nil && v != &r.plain {
			list = append(list, codings[i])
		}
	}
	return list
}

// negotiate returns the coding in which a request would get a body, if any.
func (r *Rule) negotiate(req *Request) []string {
	if r.Encoder == nil || req.NoCompression {
		return nil
	}
	coding, _ := encoding.Negotiate(req.AcceptEncoding, r.Encoder.Offered())
	if coding == encoding.Identity {
		return nil
	}
	return []string{coding}
}

// encodeAs makes variants before anybody asks for them, so that the layers have them.
func (r *representation) encodeAs(codings []string, e *encoding.Encoder) {
	if !r.negotiable || e == nil || len(r.plain.body) < e.MinSize() {
		return
	}
	for _, coding := range codings {
		r.encode(coding, e)
	}
}

// improver returns what compresses a stored answer once more, at the best level: one body at a time, on a thread that other work
// goes before. The result takes the place of the variant if it is smaller, here and in the shared layer.
func (c *Cache) improver(key string, rule *Rule, r *representation, share func()) func(string) bool {
	return func(coding string) bool {
		return c.best.Start(context.Background(), "", bestWithin, func(context.Context) (struct{}, error) {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and its priority with it
			yieldToOthers()
			place := &r.encoded[slot(coding)]
			old := place.Load()
			body, ok := rule.Best.Encode(coding, r.plain.body)
			if !ok || len(body) >= len(old.body) || c.stored(key).representation != r {
				return struct{}{}, nil
			}
			v := r.newEncoded(coding, body, true)
			if place.CompareAndSwap(old, v) {
				r.grow(v.cost() - old.cost())
				share()
			}
			return struct{}{}, nil
		})
	}
}

// cost returns the bytes that the variant occupies, without the strings that it shares.
func (v *variant) cost() int {
	n := variantBytes + cap(v.body) + fieldBytes*cap(v.full.fields) + cap(v.full.prepared())
	if f := v.notModified.Load(); f != nil {
		n += formBytes + fieldBytes*cap(f.fields) + cap(f.prepared())
	}
	return n
}
