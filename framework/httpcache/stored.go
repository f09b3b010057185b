package httpcache

import (
	"encoding/binary"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// stored is a response as standard mode keeps it: its own fields, its body byte for byte. It never changes; an update makes another
// one, which shares the body.
type stored struct {
	status    int
	fields    []field // end to end, by name, without Age and Content-Length
	body      []byte
	part      part          // of the whole, which body is
	arrived   time.Time     // when it came, or was last validated
	age       time.Duration // that it had then
	secondary string        // of the request that it answered, by the fields of vary
	tags      []string

	// What follows is read from the fields.
	control      control
	vary         []string // canonical names, sorted
	etag         string
	date         time.Time
	lastModified time.Time // zero when there is none
	lifetime     time.Duration
	explicit     bool // the response itself says how long it is fresh
	notModified  []field
}

// newStored reads what the fields of a response say. The other members are set by the caller.
func newStored(status int, fields []field, body []byte, arrived time.Time) *stored {
	v := &stored{status: status, fields: slices.Clip(fields), body: body, arrived: arrived}
	h := v.header()
	v.control = responseControl(h)
	v.vary = varyNames(h)
	if etag := h.Get("Etag"); isETag(etag) {
		v.etag = etag
	}
	var ok bool
	if v.date, ok = parseDate(h.Get("Date"), arrived); !ok {
		v.date = arrived
	}
	v.lastModified, _ = parseDate(h.Get("Last-Modified"), arrived)
	v.lifetime, v.explicit = freshnessLifetime(&v.control, h, status, v.date, arrived)
	for _, f := range v.fields {
		switch f.name {
		case "Cache-Control", "Cdn-Cache-Control", "Content-Location", "Date", "Etag", "Expires", "Vary":
			v.notModified = append(v.notModified, f)
		case "Last-Modified": // it guides the client's update when nothing else does (RFC 9110, section 15.4.5)
			if v.etag == "" {
				v.notModified = append(v.notModified, f)
			}
		}
	}
	return v
}

// header returns the fields in a map of the caller's own.
func (v *stored) header() http.Header {
	h := make(http.Header, len(v.fields))
	for _, f := range v.fields {
		h[f.name] = append(h[f.name], f.value)
	}
	return h
}

// ageAt returns the response's age (RFC 9111, section 4.2.3).
func (v *stored) ageAt(now time.Time) time.Duration { return v.age + max(0, now.Sub(v.arrived)) }

// fresh reports whether the response may be reused without asking, at an age (RFC 9111, section 4.2).
func (v *stored) fresh(age time.Duration) bool { return v.lifetime > age && !v.control.noCache }

// validator reports whether the origin can be asked if the response still holds.
func (v *stored) validator() bool { return v.etag != "" || !v.lastModified.IsZero() }

// matches reports whether the response may answer a request, by the fields that its Vary names (RFC 9111, section 4.1).
func (v *stored) matches(values func(string) []string) bool {
	return len(v.vary) == 0 || secondary(v.vary, values) == v.secondary
}

// keepStale is how long after its lifetime a response is kept: to be validated, or for when the origin is away.
const keepStale = 24 * time.Hour

// keptUntil returns when the response is of no use any more.
func (v *stored) keptUntil(rule *StandardRule) time.Time {
	stale := max(rule.StaleWhileRevalidate, rule.StaleIfError, v.control.staleWhileRevalidate.seconds,
		v.control.staleIfError.seconds, keepStale)
	return v.arrived.Add(max(0, v.lifetime-v.age) + min(stale, maxKept))
}

// maxKept bounds how long a stale response is kept.
const maxKept = 365 * 24 * time.Hour

// storedBytes is what a response occupies without its contents.
const storedBytes = 640

// cost returns the bytes that the response occupies.
func (v *stored) cost() int {
	n := storedBytes + cap(v.body) + len(v.secondary) + fieldBytes*(cap(v.fields)+cap(v.notModified))
	for _, f := range v.fields {
		n += len(f.name) + len(f.value)
	}
	return n
}

// varyNames returns the names of Vary, canonical and sorted.
func varyNames(h http.Header) []string {
	var names []string
	for _, line := range h.Values("Vary") {
		for name := range listMembers(line) {
			names = append(names, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// secondary returns the secondary key of a request for the names of a Vary. Lines of one field are combined and whitespace between the
// members of a list does not count (RFC 9111, section 4.1); a field that is not there differs from an empty one.
func secondary(names []string, values func(string) []string) string {
	var b []byte
	for _, name := range names {
		lines := values(name)
		b = binary.AppendUvarint(b, uint64(len(lines)))
		if len(lines) == 0 {
			continue
		}
		b[len(b)-1] = 1
		start := len(b)
		for _, line := range lines {
			for member := range listMembers(line) {
				if len(b) > start {
					b = append(b, ',')
				}
				b = append(b, member...)
			}
		}
		b = append(b, '\n') // no field value holds one
	}
	return string(b)
}

// marshal appends what the shared layer keeps of the response.
func (v *stored) marshal(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(v.status))
	b = binary.AppendVarint(b, v.arrived.UnixNano())
	b = binary.AppendVarint(b, int64(v.age))
	b = binary.AppendUvarint(b, uint64(v.part.first))
	b = binary.AppendUvarint(b, uint64(v.part.size))
	b = appendText(b, v.secondary)
	b = binary.AppendUvarint(b, uint64(len(v.fields)))
	for _, f := range v.fields {
		b = appendText(appendText(b, f.name), f.value)
	}
	b = binary.AppendUvarint(b, uint64(len(v.body)))
	return append(b, v.body...)
}

// unmarshalStored reads what marshal wrote. The body shares the decoder's bytes.
func unmarshalStored(d *decoder, tags []string) (*stored, bool) {
	status := int(d.uvarint())
	arrived, age := time.Unix(0, d.varint()), time.Duration(d.varint())
	var p part
	p.first, p.size = int64(d.uvarint()), int64(d.uvarint())
	key := d.text()
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		return nil, false
	}
	fields := make([]field, 0, n)
	for range n {
		fields = append(fields, field{d.text(), d.text()})
	}
	size := d.uvarint()
	if d.bad || size > uint64(len(d.b)) || status < 200 || status > 999 || age < 0 || p.first < 0 || p.size < 0 {
		return nil, false
	}
	if p.size > 0 && (p.first > p.size || uint64(p.size-p.first) < size) || p.size == 0 && p.first > 0 {
		return nil, false
	}
	body := d.b[:size:size]
	d.b = d.b[size:]
	if now := time.Now(); arrived.After(now) {
		arrived = now // another instance's clock is ahead
	}
	v := newStored(status, fields, body, arrived)
	v.age, v.secondary, v.tags, v.part = age, key, tags, p
	return v, true
}

// authorized reports whether a request carries credentials.
func authorized(values func(string) []string) bool { return len(values("Authorization")) > 0 }

// unstorable says why a response to a GET is not stored, or "" (RFC 9111, section 3; Set-Cookie is this cache's own rule).
func (v *stored) unstorable(h http.Header, rule *StandardRule, req *StandardRequest, asked *requestControl) string {
	c := &v.control
	usable := v.lifetime > 0 || v.validator() || max(rule.StaleWhileRevalidate, rule.StaleIfError,
		c.staleWhileRevalidate.seconds, c.staleIfError.seconds) > 0
	switch {
	case asked.noStore:
		return "request-no-store"
	case v.status < 200 || v.status == http.StatusNotModified, c.mustUnderstand && !understood(v.status):
		return "status"
	case c.noStore && !c.mustUnderstand:
		return "no-store"
	case c.private:
		return "private"
	case len(h.Values("Set-Cookie")) > 0 && !slices.Contains(c.hidden, "Set-Cookie"):
		return "set-cookie"
	case authorized(req.Values) && !c.sharedThoughAuthorized():
		return "authorization"
	case slices.Contains(v.vary, "*"):
		return "vary"
	case !v.explicit && !c.public && !heuristic(v.status):
		return "status"
	case !usable:
		return "no-freshness"
	case isEventStream(h) && !v.explicit:
		return "event-stream"
	}
	return ""
}

func isEventStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.Trim(media, " \t"), "text/event-stream")
}

// withoutHidden returns a response without the fields that it allows no reuse of (RFC 9111, sections 5.2.2.4 and 5.2.2.7), nor cookies.
func withoutHidden(fields []field, hidden []string) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool {
		return f.name == "Set-Cookie" || slices.Contains(hidden, f.name)
	})
}
