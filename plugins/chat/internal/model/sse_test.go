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
	for _, s := range []string{
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\u00e9\"}}]}\n\n",
		"data: a\n\n", "\r\r\n\n:x\rdata:1\r\n\r\n", "\ufeffdata:\n\n", "data: [DONE]\n\n", "data: {\"choices\":null}\n\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one, err1 := readAll(strings.NewReader(s))
		two, err2 := readAll(iotest.OneByteReader(strings.NewReader(s)))
		if one != two || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q, %v; in pieces %q, %v", one, err1, two, err2)
		}
		var d decoder
		for data := range strings.SplitSeq(one, "|") {
			c1, text1, finish1, err1 := decodeChunk([]byte(data))
			c2, text2, finish2, err2 := d.decode([]byte(data))
			if text1 != text2 || finish1 != finish2 || (err1 == nil) != (err2 == nil) || (c1.Usage == nil) != (c2.Usage == nil) {
				t.Errorf("%q is decoded as %q, %q, %v; after others as %q, %q, %v", data, text1, finish1, err1, text2, finish2, err2)
			}
		}
	})
}

// What is cut out of an event must be what decoding finds.
func TestEventsThatAreAlike(t *testing.T) {
	event := func(content string) string {
		return `{"id":"a","choices":[{"index":0,"delta":{"content": ` + content + `},"finish_reason":null}],"x":"\"content\":\"a\""}`
	}
	for name, c := range map[string]struct {
		first string
		like  bool
	}{
		"plain":           {event(`"a"`), true},
		"escaped":         {event(`"\u0061"`), false},
		"twice":           {`{"choices":[{"delta":{"content":"a","content":"a"}}]}`, false},
		"two choices":     {`{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}`, false},
		"another choice":  {`{"choices":[{"index":1,"delta":{"content":"a"}},{"delta":{"content":"a"}}]}`, false},
		"another field":   {`{"content":"a","choices":[{"delta":{"content":"a"}}]}`, false},
		"the last":        {`{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`, false},
		"one with usage":  {`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}`, false},
		"without content": {event(`""`), false},
	} {
		t.Run(name, func(t *testing.T) {
			var d decoder
			if _, _, _, err := d.decode([]byte(c.first)); err != nil {
				t.Fatal(err)
			}
			if got := d.before != nil; got != c.like {
				t.Errorf("others are taken for alike: %v", got)
			}
			for _, content := range []string{
				`"b"`, `"é"`, `""`, `"\n"`, `"\""`, `"a`, `"a"b"`, "\"\n\"", "\"\xff\"", `null`, `1`, `"b"},"x":{"y":"z"`,
			} {
				data := []byte(strings.Replace(c.first, `"a"`, content, 1))
				_, want, finish, wantErr := decodeChunk(data)
				if _, got, also, err := d.decode(data); got != want || also != finish || (err == nil) != (wantErr == nil) {
					t.Errorf("%s is %q, %q, %v; want %q, %q, %v", data, got, also, err, want, finish, wantErr)
				}
			}
		})
	}
}
