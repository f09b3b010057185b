// Package wire reads a chatbot's answers, as JSON or as a stream of server-sent events, while they arrive.
package wire

import "bytes"

// events splits a stream of server-sent events, as the HTML standard defines it: lines end in LF, CR or CRLF, several data lines
// make one event, comments and other fields are ignored. It holds back what has no end yet, up to max bytes.
type events struct {
	line    []byte // the part of a line whose end has not come
	data    []byte // of the event that has not ended
	has     bool   // the event has a data line
	cr      bool   // the last byte was CR: a LF that follows belongs to it
	started bool   // a line was read, so a byte order mark is no longer one
	max     int
}

// feed reads the next bytes and calls each with the data of every event that they complete; data is valid during the call only.
// It stops, and returns false, when each does or when an event is longer than max.
func (e *events) feed(p []byte, each func(data []byte) bool) bool {
	for len(p) > 0 {
		if e.cr && p[0] == '\n' {
			p = p[1:]
			e.cr = false
			continue
		}
		e.cr = false
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			e.line = append(e.line, p...)
			return len(e.line)+len(e.data) <= e.max
		}
		line := p[:end]
		if len(e.line) > 0 {
			e.line = append(e.line, line...)
			line = e.line
		}
		if len(line)+len(e.data) > e.max || !e.field(line, each) {
			return false
		}
		e.line = e.line[:0]
		e.cr = p[end] == '\r'
		p = p[end+1:]
	}
	return true
}

func (e *events) field(line []byte, each func([]byte) bool) bool {
	if !e.started {
		e.started = true
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	if len(line) == 0 {
		if !e.has {
			return true
		}
		ok := each(e.data)
		e.data, e.has = e.data[:0], false
		return ok
	}
	value, ok := bytes.CutPrefix(line, []byte("data"))
	if !ok || len(value) > 0 && value[0] != ':' {
		return true
	}
	if len(value) > 0 {
		value = bytes.TrimPrefix(value[1:], []byte(" "))
	}
	if e.has {
		e.data = append(e.data, '\n')
	}
	e.data, e.has = append(e.data, value...), true
	return true
}

// pending says whether the stream broke off within an event.
func (e *events) pending() bool { return e.has || len(e.line) > 0 }
