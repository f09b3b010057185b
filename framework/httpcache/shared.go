package httpcache

import (
	"encoding/binary"
	"slices"
	"time"
	"unsafe"

	"github.com/innatural/chatbot/framework/cache"
)

// marshal returns what the shared layer keeps of a representation: what newRepresentation made of the response, the identity body,
// and its variants as long as all bodies have at most so many bytes. Others are made again where they are asked for.
func (r *representation) marshal(most int) []byte {
	room := most - len(r.plain.body)
	var slots []int
	for i := range r.encoded {
		if v := r.encoded[i].Load(); v != nil && v != &r.plain && len(v.body) <= room {
			slots, room = append(slots, i), room-len(v.body)
		}
	}
	fields := r.plain.full.fields
	if r.plain.etag != "" {
		fields = fields[:len(fields)-1] // begin adds the ETag again
	}
	size := most - room + len(r.plain.etag) + 96
	for _, f := range fields {
		size += len(f.name) + len(f.value) + 4
	}
	b := binary.AppendUvarint(make([]byte, 0, size), uint64(r.status))
	b = binary.AppendVarint(b, r.made.UnixNano())
	var modified int64
	if !r.lastModified.IsZero() {
		modified = r.lastModified.Unix()
	}
	b = binary.AppendVarint(b, modified)
	var negotiable uint64
	if r.negotiable {
		negotiable = 1
	}
	b = binary.AppendUvarint(b, negotiable)
	b = appendText(b, r.plain.etag)
	b = binary.AppendUvarint(b, uint64(len(fields)))
	for _, f := range fields {
		b = appendText(appendText(b, f.name), f.value)
	}
	b = appendText(b, r.plain.body)
	for _, i := range slots {
		v := r.encoded[i].Load()
		kind := uint64(i) << 1
		if v.best {
			kind |= 1
		}
		b = appendText(binary.AppendUvarint(b, kind), v.body)
	}
	return b
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unmarshal reads what marshal wrote, and reports whether it could. Bodies and strings share b.
func unmarshal(b []byte, tags []string) (*representation, bool) {
	d := decoder{b: b}
	r := &representation{status: int(d.uvarint()), tags: tags}
	r.made = time.Unix(0, d.varint())
	if now := time.Now(); r.made.After(now) {
		r.made = now // another instance's clock is ahead
	}
	if modified := d.varint(); modified != 0 {
		r.lastModified = time.Unix(modified, 0).UTC()
	}
	r.negotiable = d.uvarint() == 1
	etag := d.text()
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		return nil, false
	}
	fields := make([]field, 0, n+1)
	for range n {
		fields = append(fields, field{d.text(), d.text()})
	}
	r.plain.begin(d.bytes(), fields, etag)
	for len(d.b) > 0 {
		kind := d.uvarint()
		if body := d.bytes(); !d.bad && kind>>1 < uint64(len(codings)) {
			r.encoded[kind>>1].Store(r.newEncoded(codings[kind>>1], body, kind&1 == 1))
		} else {
			return nil, false
		}
	}
	return r, !d.bad && r.status >= 100 && r.status <= 999
}

// decoder reads values off the beginning of b until one is not there.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.b)
	d.skip(size)
	return n
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.b)
	d.skip(size)
	return n
}

// text returns a part of b, which does not change any more.
func (d *decoder) text() string {
	part := d.bytes()
	return unsafe.String(unsafe.SliceData(part), len(part))
}

// bytes returns a part of b.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.skip(0)
		return nil
	}
	part := slices.Clip(d.b[:n])
	d.b = d.b[n:]
	return part
}

func (d *decoder) skip(size int) {
	if size <= 0 {
		d.b, d.bad = nil, true
		return
	}
	d.b = d.b[size:]
}

// take keeps in memory what was found in the shared layer, and has the flight answer with it if it serves.
func (c *Cache) take(key string, rule *Rule, why purpose, found cache.Found, got *fetched) bool {
	there, ok := c.open(key, rule, found)
	if !ok {
		return false
	}
	c.adopt(key, there, found.Expires, got)
	if !rule.serves(there, why, true) {
		return false
	}
	got.held, got.stored, got.shared = there, true, true
	return true
}

// open returns what was found in the shared layer, if it can be read.
func (c *Cache) open(key string, rule *Rule, found cache.Found) (held, bool) {
	r, ok := unmarshal(found.Value, found.Tags)
	if !ok {
		return held{}, false
	}
	r.begin(rule, r.status, key, r.made)
	if rule.Best != nil {
		r.improve = c.improver(key, rule, r, func() {}) // who made the answer shares what it makes of it
	}
	return held{r, found.Stale}, true
}

// adopt keeps in memory what was found in the shared layer, unless what is there is younger.
func (c *Cache) adopt(key string, there held, expires time.Time, got *fetched) {
	if old := c.stored(key); old.representation == nil || there.made.After(old.made) {
		c.keep(key, there, time.Until(expires), got.began)
	}
}
