package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	connected = `data: {"type":"connected","sessionId":"s","requestId":"r"}` + "\n\n"
	one       = `data: {"success":true,"content":"Bon","done":false}` + "\n\n"
	two       = `data: {"success":true,"content":"jour \u00e9","done":false}` + "\n\n"
	last      = `data: {"success":true,"content":"","done":true,"fullMessage":"Bonjour é","sessionId":"s","usage":{"inputTokens":3,"outputTokens":5}}` + "\n\n"
)

func chunk(content string) string {
	return `data: {"choices":[{"delta":{"content":` + content + `}}]}` + "\n\n"
}

// read feeds a body in pieces of a size, a millisecond apart.
func read(e Expect, stream bool, body string, size int) Answer {
	var r Reader
	r.Reset(e, stream)
	at := now
	for len(body) > 0 {
		n := min(size, len(body))
		r.Feed([]byte(body[:n]), at)
		body, at = body[n:], at.Add(time.Millisecond)
	}
	return r.Close(true)
}

func TestAnswers(t *testing.T) {
	ours := Expect{Protocol: Innatural, Session: "s", Request: "r", Keep: true}
	openai := Expect{Protocol: OpenAI, Keep: true}
	cases := map[string]struct {
		expect Expect
		stream bool
		body   string
		want   Answer // without times
		detail string
	}{
		"stream":            {ours, true, connected + one + ": ping\n\n" + two + last, Answer{Text: "Bonjour é", Tokens: 2, Input: 3, Output: 5}, ""},
		"cards in between":  {ours, true, connected + one + `data: {"showProducts":true,"products":[],"done":false}` + "\n\n" + two + last, Answer{Text: "Bonjour é", Tokens: 2, Input: 3, Output: 5}, ""},
		"no last event":     {ours, true, connected + one, Answer{Text: "Bon", Tokens: 1, Error: ErrStream, Rule: RuleTerminator}, "without its last event"},
		"broken off":        {ours, true, connected + one[:20], Answer{Error: ErrStream, Rule: RuleTerminator}, "broke off within an event"},
		"nothing":           {ours, true, "", Answer{Error: ErrStream, Rule: RuleTerminator}, "without its last event"},
		"after the last":    {ours, true, connected + one + two + last + one, Answer{Text: "Bonjour é", Tokens: 2, Input: 3, Output: 5, Error: ErrContract, Rule: RuleOrder}, "after the last"},
		"not connected":     {ours, true, one, Answer{Error: ErrContract, Rule: RuleOrder}, "not the connected one"},
		"connected twice":   {ours, true, connected + connected, Answer{Error: ErrContract, Rule: RuleOrder}, "unexpected event"},
		"another's session": {ours, true, strings.Replace(connected, `"s"`, `"t"`, 1), Answer{Error: ErrContract, Rule: RuleForeign}, `sessionId is "t", and "s" was sent`},
		"another's request": {ours, true, strings.Replace(connected, `"r"`, `"q"`, 1), Answer{Error: ErrContract, Rule: RuleForeign}, `requestId is "q"`},
		"another text":      {ours, true, connected + one + last, Answer{Text: "Bon", Tokens: 1, Input: 3, Output: 5, Error: ErrContract, Rule: RuleText}, "not the sum"},
		"failed":            {ours, true, connected + `data: {"success":false,"done":true,"error":"no"}` + "\n\n", Answer{Error: ErrStream}, "the server failed"},
		"no JSON event":     {ours, true, connected + "data: {oops\n\n", Answer{Error: ErrDecode}, "no JSON"},
		"object":            {ours, false, `{"response":"Oui","sessionId":"s","requestId":"r","usage":{"inputTokens":0,"outputTokens":1}}`, Answer{Text: "Oui", Output: 1}, ""},
		"object of another": {ours, false, `{"response":"Oui","sessionId":"t"}`, Answer{Text: "Oui", Error: ErrContract, Rule: RuleForeign}, "sessionId"},
		"no response":       {ours, false, `{"success":true}`, Answer{Error: ErrDecode}, "has no response"},
		"no JSON":           {ours, false, `<html>`, Answer{Error: ErrDecode}, "no JSON"},
		"empty":             {ours, false, ``, Answer{Error: ErrDecode}, "no JSON"},
		"openai stream":     {openai, true, `data: {"choices":[{"delta":{"role":"assistant","content":""}}]}` + "\r\n\r\n" + chunk(`"Hel"`) + chunk(`"lo"`) + `data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}}` + "\n\ndata: [DONE]\n\n", Answer{Text: "Hello", Tokens: 2, Input: 4, Output: 2}, ""},
		"openai not done":   {openai, true, chunk(`"a"`), Answer{Text: "a", Tokens: 1, Error: ErrStream, Rule: RuleTerminator}, "without its last event"},
		"openai error":      {openai, true, `data: {"error":{"message":"no"}}` + "\n\n", Answer{Error: ErrStream}, "the server failed"},
		"openai object":     {openai, false, `{"choices":[{"message":{"content":"Yes"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, Answer{Text: "Yes", Input: 1, Output: 1}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.want.Input == 0 && c.want.Output == 0 {
				c.want.Input, c.want.Output = -1, -1
			}
			for _, size := range []int{1, 7, 1 << 20} {
				got := read(c.expect, c.stream, c.body, size)
				if c.want.Tokens > 0 && got.FirstToken.IsZero() {
					t.Error("no time of the first token")
				}
				if !strings.Contains(got.Detail, c.detail) || (c.detail == "") != (got.Detail == "") {
					t.Errorf("detail %q, want %q", got.Detail, c.detail)
				}
				got.FirstToken, got.LastToken, got.Detail = time.Time{}, time.Time{}, ""
				if got != c.want {
					t.Errorf("in pieces of %d:\ngot  %+v\nwant %+v", size, got, c.want)
				}
			}
		})
	}
}

func TestEventsOfTheStandard(t *testing.T) {
	for stream, want := range map[string]string{
		"data: a\n\n":                              "[a]",
		"data:a\r\rdata: b\r\n\r\n":                "[a][b]",
		"\uFEFFdata: a\n\n":                        "[a]",
		"data: a\ndata\ndata: b\n\n":               "[a\n\nb]",
		"event: x\nid: 1\nretry: 5\ndata: a\n\n\n": "[a]",
		": comment\n\ndatabase: x\n\n":             "",
		"data: a\n":                                "",
		"data:  a\n\n":                             "[ a]",
	} {
		for size := 1; size <= len(stream); size++ {
			e := events{max: 100}
			got := ""
			for rest := stream; rest != ""; {
				n := min(size, len(rest))
				e.feed([]byte(rest[:n]), func(data []byte) bool { got += fmt.Sprintf("[%s]", data); return true })
				rest = rest[n:]
			}
			if got != want {
				t.Errorf("%q in pieces of %d: %q, want %q", stream, size, got, want)
			}
		}
	}
}

func TestLongAnswersAreRefused(t *testing.T) {
	long := strings.Repeat("x", maxAnswer+1)
	for name, body := range map[string]string{"object": long, "line": "data: " + long, "event": strings.Repeat("data: "+long[:1<<20]+"\n", 9)} {
		if got := read(Expect{Protocol: Innatural}, name != "object", body, 64<<10); got.Error != ErrDecode || !strings.Contains(got.Detail, "longer than") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Splitting a stream costs nothing on the heap.
func TestEventsDoNotAllocate(t *testing.T) {
	e := events{max: maxAnswer, data: make([]byte, 0, 1024), line: make([]byte, 0, 1024)}
	piece := []byte(one)
	seen := 0
	each := func([]byte) bool { seen++; return true }
	if n := testing.AllocsPerRun(1000, func() { e.feed(piece[:30], each); e.feed(piece[30:], each) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if seen == 0 {
		t.Error("no event was seen")
	}
}

func BenchmarkEvents(b *testing.B) {
	e := events{max: maxAnswer}
	piece := []byte(one)
	b.ReportAllocs()
	for b.Loop() {
		e.feed(piece, func([]byte) bool { return true })
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(connected+one+two+last), 7, true)
	f.Add([]byte(`{"response":"x"}`), 3, false)
	f.Fuzz(func(t *testing.T, body []byte, size int, stream bool) {
		e := Expect{Protocol: Innatural, Session: "s", Request: "r", Keep: true}
		whole := read(e, stream, string(body), max(1, len(body)))
		pieces := read(e, stream, string(body), max(1, size%64))
		whole.FirstToken, whole.LastToken, pieces.FirstToken, pieces.LastToken = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		if whole != pieces {
			t.Errorf("whole  %+v\npieces %+v", whole, pieces)
		}
	})
}
