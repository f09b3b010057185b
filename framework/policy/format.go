package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	formatWidth  = 100     // columns within which an array stays on one line
	formatIndent = "  "    // of the elements of an array on several lines
	unbounded    = 1 << 20 // width of what cannot stand on one line
)

// Format lays a TOML document out in the one form that policies have: `key = value`, one blank line before each header and
// at most one elsewhere, arrays on one line where they fit. Comments, the order of keys, the form of strings and the meaning
// stay as they are. It is idempotent and may be called concurrently. A document that Load could not read as TOML is an
// error whose text starts with line:col.
func Format(text []byte) ([]byte, error) {
	if _, problem := parse(Source{Text: text}); problem != nil {
		return nil, fmt.Errorf("%d:%d: %s", problem.Line, problem.Col, problem.What)
	}
	// From here on the document is known to be TOML (1.1, which go-toml reads), so the scanner need only find where things end.
	s := scanner{text: string(trimBOM(text))}
	entries := s.entries(0)
	separateHeaders(entries)
	var p printer
	for i, e := range entries {
		if e.blank && i > 0 {
			p.write("\n")
		}
		p.entry(e, "", "")
		p.write("\n")
	}
	return []byte(p.out.String()), nil
}

// separateHeaders puts a blank line before each header, above the comments that stand directly on it.
func separateHeaders(entries []entry) {
	for i, e := range entries {
		if e.header {
			for !entries[i].blank && i > 0 && entries[i-1].isComment() {
				i--
			}
			entries[i].blank = true
		}
	}
}

// entry is a member of a document, an array or an inline table: a header, a key and its value, a value, or a comment.
type entry struct {
	blank   bool // after a blank line
	header  bool // the value's text is a table header
	key     string
	value   value
	comment string // behind the value, or all there is
}

func (e entry) isComment() bool { return e.value.text == "" && e.value.closer == 0 }

// value is a scalar, or an array or inline table.
type value struct {
	text   string // of a scalar, as written
	closer byte   // ']' or '}', or 0 for a scalar
	items  []entry
	width  int // columns on one line
}

// commented reports whether comments force one item a line.
func (v value) commented() bool {
	return slices.ContainsFunc(v.items, func(e entry) bool { return e.comment != "" })
}

// measure returns the columns that v takes on one line.
func (v value) measure() int {
	switch {
	case v.closer == 0 && strings.Contains(v.text, "\n"), v.commented():
		return unbounded
	case v.closer == 0:
		return utf8.RuneCountInString(v.text)
	}
	width := len("[]")
	for i, e := range v.items {
		width += e.value.width
		if e.key != "" {
			width += utf8.RuneCountInString(e.key) + len(" = ")
		}
		if i > 0 {
			width += len(", ")
		}
	}
	if v.closer == '}' && len(v.items) > 0 {
		width += len("  ")
	}
	return width
}

// scanner splits a valid TOML document into its entries.
type scanner struct {
	text string
	pos  int
}

// peek returns the next byte, or 0 at the end, where no valid document has one.
func (s *scanner) peek() byte {
	if s.pos == len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

// skipSpace moves to the next byte that is not white space within a line.
func (s *scanner) skipSpace() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// until takes what stands before the next byte out of stops, without the white space behind it.
func (s *scanner) until(stops string) string {
	rest := s.text[s.pos:]
	if end := strings.IndexAny(rest, stops); end >= 0 {
		rest = rest[:end]
	}
	s.pos += len(rest)
	return strings.TrimRight(rest, " \t\r")
}

// entries takes the entries of an array or inline table up to its closer, or of the document when that is 0.
func (s *scanner) entries(closer byte) []entry {
	var entries []entry
	for newlines := 0; ; {
		switch c := s.peek(); c {
		case closer:
			return entries
		case '\n':
			newlines++
			s.pos++
		case ' ', '\t', '\r':
			s.pos++
		case ',':
			newlines = 0
			s.pos++
		case '#':
			comment := s.until("\n")
			if last := len(entries) - 1; newlines == 0 && last >= 0 && entries[last].comment == "" {
				entries[last].comment = comment
			} else {
				entries = append(entries, entry{blank: newlines > 1, comment: comment})
			}
			newlines = 0
		default:
			e := s.entry(closer)
			e.blank = newlines > 1
			entries = append(entries, e)
			newlines = 0
		}
	}
}

// entry takes a header, a key with its value, or, in an array, a value.
func (s *scanner) entry(closer byte) entry {
	if closer == ']' {
		return entry{value: s.value()}
	}
	if closer == 0 && s.peek() == '[' {
		brackets := 1
		if strings.HasPrefix(s.text[s.pos:], "[[") {
			brackets = 2
		}
		s.pos += brackets
		key := s.key(']')
		s.pos += brackets
		return entry{header: true, value: value{text: strings.Repeat("[", brackets) + key + strings.Repeat("]", brackets)}}
	}
	key := s.key('=')
	s.pos++
	s.skipSpace()
	return entry{key: key, value: s.value()}
}

// key takes a key, dotted or not, up to stop, without the white space round its parts.
func (s *scanner) key(stop byte) string {
	var key strings.Builder
	for {
		switch c := s.peek(); c {
		case stop, 0:
			return key.String()
		case ' ', '\t':
			s.pos++
		case '"', '\'':
			key.WriteString(s.quoted())
		default:
			key.WriteByte(c)
			s.pos++
		}
	}
}

// value takes a value.
func (s *scanner) value() value {
	var v value
	switch c := s.peek(); c {
	case '[', '{':
		s.pos++
		v.closer = map[byte]byte{'[': ']', '{': '}'}[c]
		v.items = s.entries(v.closer)
		s.pos++
	case '"', '\'':
		v.text = s.quoted()
	default:
		v.text = s.until(",]}#\n")
	}
	v.width = v.measure()
	return v
}

// quoted takes a string in any of the four forms, with its quotes.
func (s *scanner) quoted() string {
	start, quote := s.pos, s.text[s.pos:s.pos+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.pos:], triple) {
		s.pos += len(triple)
		s.skipTo(triple)
		// Up to two quotes may stand directly before the closing three.
		for range 2 {
			if strings.HasPrefix(s.text[s.pos:], quote) {
				s.pos++
			}
		}
		return s.text[start:s.pos]
	}
	s.pos++
	s.skipTo(quote)
	return s.text[start:s.pos]
}

// skipTo moves behind the next end that no backslash escapes; in literal strings, which have ' as their end, none does.
func (s *scanner) skipTo(end string) {
	for s.pos < len(s.text) && !strings.HasPrefix(s.text[s.pos:], end) {
		if s.text[s.pos] == '\\' && end[0] == '"' {
			s.pos++
		}
		s.pos++
	}
	s.pos += len(end)
}

// printer writes entries and knows its column.
type printer struct {
	out    strings.Builder
	column int
}

func (p *printer) write(s string) {
	p.out.WriteString(s)
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		p.column = 0
		s = s[i+1:]
	}
	p.column += utf8.RuneCountInString(s)
}

// entry writes e on a line that is indented by indent; comma stands between its value and its comment.
func (p *printer) entry(e entry, indent, comma string) {
	if e.isComment() {
		p.write(e.comment)
		return
	}
	if e.key != "" {
		p.write(e.key + " = ")
	}
	p.value(e.value, indent)
	p.write(comma)
	if e.comment != "" {
		p.write(" " + e.comment)
	}
}

func (p *printer) value(v value, indent string) {
	open, padding := "[", ""
	switch v.closer {
	case 0:
		p.write(v.text)
		return
	case '}':
		open, padding = "{", " "
	}
	tooWide := v.closer == ']' && p.column+v.width > formatWidth
	p.write(open)
	switch {
	case len(v.items) == 0:
	case v.commented() || tooWide:
		for i, e := range v.items {
			if e.blank && i > 0 {
				p.write("\n")
			}
			p.write("\n" + indent + formatIndent)
			p.entry(e, indent+formatIndent, ",")
		}
		p.write("\n" + indent)
	default:
		p.write(padding)
		for i, e := range v.items {
			if i > 0 {
				p.write(", ")
			}
			p.entry(e, indent, "")
		}
		p.write(padding)
	}
	p.write(string(v.closer))
}
