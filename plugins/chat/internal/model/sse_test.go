package model

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll returns the data of all events, joined by bars.
func readAll(r io.Reader) (string, error) {
	events := newEventReader(r)
	var all []string
	for {
		data, err := events.next()
		if errors.Is(err, io.EOF) {
			return strings.Join(all, "|"), nil
		} else if err != nil {
			return "", err
		}
		all = append(all, string(data))
	}
}

func TestEvents(t *testing.T) {
	for _, c := range []struct{ stream, want string }{
		{"", ""},
		{"data: a\n\n", "a"},
		{"data:a\r\n\r\ndata:  b\r\rdata\n\n", "a| b|"},
		{"data: a\ndata: b\n\n", "a\nb"},
		{": ping\n\nevent: x\nid: 1\nretry: 2\ndata: a\nother\n\n\n\n", "a"},
		{"\ufeffdata: a\n\n\ufeffdata: b\n\n", "a"},
		{"data: a\n\ndata: b\n", "a"}, // not whole
		{"data: a\n\ndata: b", "a"},
		{"data: é\n\n", "é"},
	} {
		for name, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.stream), "by bytes": iotest.OneByteReader(strings.NewReader(c.stream)),
		} {
			if got, err := readAll(r); err != nil || got != c.want {
				t.Errorf("%q %s is %q, %v; want %q", c.stream, name, got, err, c.want)
			}
		}
	}
	for stream, want := range map[string]error{
		"data: " + strings.Repeat("a", maxLine+1):                                     errLine,
		strings.Repeat("data: "+strings.Repeat("a", maxLine/2)+"\n", 9):               errEvent,
		strings.Repeat(": "+strings.Repeat("a", maxLine/2)+"\n", 2*maxStream/maxLine): errStream,
	} {
		if _, err := readAll(strings.NewReader(stream)); !errors.Is(err, want) {
			t.Errorf("%.20q… is read with %v, want %v", stream, err, want)
		}
	}
}

// FuzzEvents wants that no stream makes the reader fail otherwise than by its limits, or depend on how it is cut.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "\r\r\n\n:x\rdata:1\r\n\r\n", "\ufeffdata:\n\n", "data: [DONE]\n\n", "data: {\"choices\":null}\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one, err1 := readAll(strings.NewReader(s))
		two, err2 := readAll(iotest.OneByteReader(strings.NewReader(s)))
		if one != two || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q, %v; in pieces %q, %v", one, err1, two, err2)
		}
		for data := range strings.SplitSeq(one, "|") {
			_, _, _, _ = decodeChunk([]byte(data))
		}
	})
}
