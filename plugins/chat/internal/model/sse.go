package model

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Limits of what an upstream may send.
const (
	maxLine   = 256 << 10 // bytes of one line
	maxEvent  = 1 << 20   // bytes of one event
	maxStream = 64 << 20  // bytes of one answer
)

var (
	errLine   = errors.New("a line of the stream is too long")
	errEvent  = errors.New("an event of the stream is too long")
	errStream = errors.New("the stream is too long")
)

// eventReader reads server-sent events (HTML Standard, section 9.2), of which it returns the data. What has no data is passed over.
type eventReader struct {
	lines *bufio.Reader
	left  int
	text  []byte // of a line that did not come at once
	data  []byte // of the event
	begun bool
	cr    bool // the last line ended with a carriage return, which a line feed may follow
}

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{lines: bufio.NewReaderSize(r, eventBuffer), left: maxStream}
}

// next returns the data of the next event, until the next call, or io.EOF after the last that is whole.
func (r *eventReader) next() ([]byte, error) {
	r.data = r.data[:0]
	has := false
	for {
		line, err := r.line()
		if err != nil {
			return nil, err // an event that has no blank line is not whole
		}
		if len(line) == 0 {
			if has {
				return r.data, nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			continue
		}
		if has {
			r.data = append(r.data, '\n')
		}
		has = true
		r.data = append(r.data, bytes.TrimPrefix(value, []byte(" "))...)
		if len(r.data) > maxEvent {
			return nil, errEvent
		}
	}
}

// line returns the next line without its end, which is a line feed, a carriage return or both. It is good until the next call.
func (r *eventReader) line() ([]byte, error) {
	r.text = r.text[:0]
	for {
		if _, err := r.lines.Peek(1); err != nil {
			return nil, err
		}
		part, _ := r.lines.Peek(r.lines.Buffered()) // which is there
		text, whole := part, false
		if r.cr && part[0] == '\n' { // the second half of a line's end
			text, part = nil, part[:1]
		} else if end := bytes.IndexAny(part, "\r\n"); end >= 0 {
			text, part, whole = part[:end], part[:end+1], true
		}
		r.cr = whole && part[len(part)-1] == '\r'
		if !whole || len(r.text) > 0 { // otherwise it stays where it is, in the buffer
			r.text = append(r.text, text...)
			text = r.text
		}
		_, _ = r.lines.Discard(len(part))
		if r.left -= len(part); r.left < 0 {
			return nil, errStream
		}
		if len(r.text) > maxLine {
			return nil, errLine
		}
		if whole {
			if r.begun {
				return text, nil
			}
			r.begun = true
			return bytes.TrimPrefix(text, []byte("\ufeff")), nil
		}
	}
}
