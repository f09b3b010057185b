package wire

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// maxAnswer bounds an answer, and one event of a stream, in bytes.
const maxAnswer = 8 << 20

// Protocol is how a chatbot is spoken to.
type Protocol string

// The protocols.
const (
	Innatural Protocol = "innatural" // /api/chat and /api/chat/stream
	OpenAI    Protocol = "openai"    // /v1/chat/completions
)

// Kinds of errors of an answer that came with a good status.
const (
	ErrStream   = "stream"   // a stream that failed, or broke off
	ErrDecode   = "decode"   // not the JSON or the events that were expected
	ErrContract = "contract" // well formed, but a rule of the contract is broken
)

// Rules of the contract.
const (
	RuleForeign    = "foreign"    // the answer belongs to another conversation or request
	RuleOrder      = "order"      // an event came before one that it has to follow, or after the last
	RuleTerminator = "terminator" // a stream ended without its last event
	RuleText       = "text"       // the whole text is not the sum of its pieces
	RuleStream     = "stream"     // an answer in one piece where a stream was asked for, or the reverse
)

// Expect is what an answer is held against.
type Expect struct {
	Protocol Protocol
	Session  string // of the conversation
	Request  string // the id sent with the request
	Keep     bool   // keep the text
}

// Answer is what was read.
type Answer struct {
	Text       string
	FirstToken time.Time // when the first piece of text came; zero without a stream
	LastToken  time.Time
	Tokens     int    // pieces of text in a stream
	Input      int64  // tokens, as the server reports them; -1 when it doesn't
	Output     int64  // the same for what it wrote
	Error      string // "", or one of the kinds of errors
	Rule       string // of the contract that is broken, or ""
	Detail     string // what was wrong, in words
}

// Reader takes the bytes of one answer as they arrive. It may be used again after Reset.
type Reader struct {
	expect Expect
	stream bool
	answer Answer
	body   []byte // of an answer in one piece
	text   []byte // of a stream
	events events
	at     time.Time // when the bytes being read arrived
	opened bool      // the connected event came
	closed bool      // the last event came
}

// Reset prepares for an answer. stream says whether its content type is text/event-stream.
func (r *Reader) Reset(expect Expect, stream bool) {
	*r = Reader{
		expect: expect, stream: stream, answer: Answer{Input: -1, Output: -1}, body: r.body[:0], text: r.text[:0],
		events: events{line: r.events.line[:0], data: r.events.data[:0], max: maxAnswer},
	}
}

// Feed takes bytes that arrived at a time.
func (r *Reader) Feed(p []byte, at time.Time) {
	r.at = at
	switch {
	case r.answer.Error != "":
	case r.stream:
		if !r.events.feed(p, r.event) && r.answer.Error == "" {
			r.fail(ErrDecode, "", "an event is longer than %d bytes", maxAnswer)
		}
	case len(r.body)+len(p) > maxAnswer:
		r.fail(ErrDecode, "", "the answer is longer than %d bytes", maxAnswer)
	default:
		r.body = append(r.body, p...)
	}
}

// Close ends an answer, which arrived whole or didn't, and returns it. What broke off is judged by how it broke off, not here.
func (r *Reader) Close(whole bool) Answer {
	switch {
	case r.answer.Error != "" || !whole:
	case !r.stream:
		r.object(r.body)
	case r.events.pending():
		r.fail(ErrStream, RuleTerminator, "the stream broke off within an event")
	case !r.closed:
		r.fail(ErrStream, RuleTerminator, "the stream ended without its last event")
	}
	if r.stream && r.expect.Keep {
		r.answer.Text = string(r.text)
	}
	return r.answer
}

func (r *Reader) fail(kind, rule, format string, args ...any) {
	r.answer.Error, r.answer.Rule, r.answer.Detail = kind, rule, fmt.Sprintf(format, args...)
}

// event reads the data of one event and says whether to go on.
func (r *Reader) event(data []byte) bool {
	switch {
	case r.closed:
		r.fail(ErrContract, RuleOrder, "an event came after the last: %s", excerpt(data))
	case r.expect.Protocol == OpenAI && string(data) == "[DONE]":
		r.closed = true
	case !gjson.ValidBytes(data):
		r.fail(ErrDecode, "", "an event is no JSON: %s", excerpt(data))
	case r.expect.Protocol == OpenAI:
		r.chunk(data)
	default:
		r.piece(data)
	}
	return r.answer.Error == ""
}

// piece is an event of /api/chat/stream.
func (r *Reader) piece(data []byte) {
	if kind := gjson.GetBytes(data, "type"); kind.Exists() {
		if kind.Str != "connected" || r.opened {
			r.fail(ErrContract, RuleOrder, "unexpected event: %s", excerpt(data))
			return
		}
		r.opened = true
		r.own(data)
		return
	}
	if !r.opened {
		r.fail(ErrContract, RuleOrder, "the first event is not the connected one: %s", excerpt(data))
		return
	}
	if !gjson.GetBytes(data, "done").Bool() {
		r.append(gjson.GetBytes(data, "content").Str)
		return
	}
	r.closed = true
	if !gjson.GetBytes(data, "success").Bool() {
		r.fail(ErrStream, "", "the server failed: %s", excerpt(data))
		return
	}
	r.usage(data, "usage.inputTokens", "usage.outputTokens")
	r.own(data)
	full := gjson.GetBytes(data, "fullMessage")
	switch {
	case r.answer.Error != "":
	case full.Type != gjson.String:
		r.fail(ErrDecode, "", "the last event has no fullMessage: %s", excerpt(data))
	case full.Str != string(r.text):
		r.fail(ErrContract, RuleText, "fullMessage is not the sum of the pieces: %s", excerpt(data))
	}
}

// chunk is an event of OpenAI's stream.
func (r *Reader) chunk(data []byte) {
	if failure := gjson.GetBytes(data, "error"); failure.Exists() && failure.Type != gjson.Null {
		r.fail(ErrStream, "", "the server failed: %s", excerpt(data))
		return
	}
	r.append(gjson.GetBytes(data, "choices.0.delta.content").Str)
	r.usage(data, "usage.prompt_tokens", "usage.completion_tokens")
}

// object is an answer in one piece.
func (r *Reader) object(data []byte) {
	if !gjson.ValidBytes(data) {
		r.fail(ErrDecode, "", "the answer is no JSON: %s", excerpt(data))
		return
	}
	path, input, output := "response", "usage.inputTokens", "usage.outputTokens"
	if r.expect.Protocol == OpenAI {
		path, input, output = "choices.0.message.content", "usage.prompt_tokens", "usage.completion_tokens"
	}
	text := gjson.GetBytes(data, path)
	if text.Type != gjson.String || text.Str == "" {
		r.fail(ErrDecode, "", "the answer has no %s: %s", path, excerpt(data))
		return
	}
	if r.expect.Keep {
		r.answer.Text = text.Str
	}
	r.usage(data, input, output)
	r.own(data)
}

// own checks that an answer belongs to this conversation and this request. OpenAI's protocol has nothing to tell by.
func (r *Reader) own(data []byte) {
	if r.expect.Protocol == OpenAI {
		return
	}
	for _, id := range [...]struct{ key, want string }{{"sessionId", r.expect.Session}, {"requestId", r.expect.Request}} {
		if got := gjson.GetBytes(data, id.key); got.Exists() && got.Str != id.want && r.answer.Error == "" {
			r.fail(ErrContract, RuleForeign, "%s is %q, and %q was sent", id.key, got.Str, id.want)
		}
	}
}

func (r *Reader) append(content string) {
	if content == "" {
		return
	}
	if len(r.text)+len(content) > maxAnswer {
		r.fail(ErrDecode, "", "the answer is longer than %d bytes", maxAnswer)
		return
	}
	if r.answer.Tokens == 0 {
		r.answer.FirstToken = r.at
	}
	r.answer.Tokens++
	r.answer.LastToken = r.at
	r.text = append(r.text, content...)
}

func (r *Reader) usage(data []byte, input, output string) {
	if in := gjson.GetBytes(data, input); in.Type == gjson.Number {
		r.answer.Input = in.Int()
	}
	if out := gjson.GetBytes(data, output); out.Type == gjson.Number {
		r.answer.Output = out.Int()
	}
}

// excerpt is the start of data, for a message.
func excerpt(data []byte) string {
	const most = 120
	data = bytes.TrimSpace(data)
	if len(data) <= most {
		return string(data)
	}
	return strings.ToValidUTF8(string(data[:most]), "") + "…"
}
