package httpcache

import "strings"

// Source is where a template takes a part of a key from.
type Source int

// The sources. A key's Query, Headers and Cookies hold what is declared; segments are those of its Path, numbered from 0.
const (
	Literal Source = iota
	FromPath
	FromHost
	FromSegment // one segment of the path
	FromRest    // the path from a segment on
	FromQuery
	FromHeader
	FromCookie
)

// TemplatePart is a part of a template.
type TemplatePart struct {
	From    Source
	Text    string // the literal, or the input's name; that of a header in lower case
	Segment int
}

// Template writes the keys of a route in a form of its own, such as user:7 for user:{id}.
//
// A value has every byte escaped that stands in a literal and is neither letter nor digit, and between two inputs stands a literal
// with such a byte. So a key can be taken apart again, and different inputs have different keys. What is absent is written %,
// several values are joined by %%, and neither comes of escaping.
type Template struct {
	parts  []TemplatePart
	escape [256]bool
}

// NewTemplate returns the template of parts that a policy was checked to have.
func NewTemplate(parts []TemplatePart) *Template {
	t := &Template{parts: parts}
	for c := range t.escape {
		t.escape[c] = c <= ' ' || c == 0x7f || c == '%'
	}
	for _, part := range parts {
		if part.From != Literal {
			continue
		}
		for i := range len(part.Text) {
			if c := part.Text[i]; !isAlphanumeric(c) {
				t.escape[c] = true
			}
		}
	}
	return t
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// append appends what the template makes of a key.
func (t *Template) append(b []byte, k *Key, hide bool) []byte {
	for i := range t.parts {
		switch part := &t.parts[i]; part.From {
		case Literal:
			b = append(b, part.Text...)
		case FromPath:
			b = t.appendValue(b, k.Path)
		case FromHost:
			b = t.appendValue(b, lower(k.Host))
		case FromSegment:
			segment, _, _ := strings.Cut(segmentsFrom(k.Path, part.Segment), "/")
			b = t.appendValue(b, segment)
		case FromRest:
			b = t.appendValue(b, segmentsFrom(k.Path, part.Segment))
		case FromQuery:
			b = t.appendInputs(b, k.Query, part.Text, false)
		case FromHeader:
			b = t.appendInputs(b, k.Headers, part.Text, hide && isCredential(part.Text))
		case FromCookie:
			b = t.appendInputs(b, k.Cookies, part.Text, hide)
		}
	}
	return b
}

// appendInputs appends the values of an input.
func (t *Template) appendInputs(b []byte, inputs []Input, name string, hide bool) []byte {
	n := 0
	for _, in := range inputs {
		if in.Name != name {
			continue
		}
		if n++; n > 1 {
			b = append(b, "%%"...)
		}
		if hide {
			b = append(b, hidden...)
		} else {
			b = t.appendValue(b, in.Value)
		}
	}
	if n == 0 {
		b = append(b, '%')
	}
	return b
}

func (t *Template) appendValue(b []byte, value string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(value) {
		if c := value[i]; t.escape[c] {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// segmentsFrom returns what of a path follows its first n segments.
func segmentsFrom(path string, n int) string {
	rest := strings.TrimPrefix(path, "/")
	for range n {
		_, rest, _ = strings.Cut(rest, "/")
	}
	return rest
}
