package modelmock

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// request is what the server reads of a request for a completion.
type request struct {
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           int `json:"max_tokens"`
	MaxCompletionTokens int `json:"max_completion_tokens"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// answer is one answer on its way.
type answer struct {
	w       http.ResponseWriter
	flush   func() error
	ctx     context.Context
	profile Profile
	faults  map[Kind]int
	random  *rand.Rand
	request request
	asked   time.Time // the request's end
	base    chunk     // what every chunk has
	tokens  []string
	finish  string
	usage   usage
	phase   Phase
	done    bool
}

const (
	maxRequest = 8 << 20 // bytes of a request
	hugeLine   = 8 << 20 // bytes of a huge line
)

// complete answers a request for a completion, or misbehaves.
func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	a := &answer{w: w, flush: http.NewResponseController(w).Flush, ctx: r.Context(), phase: BeforeHeaders}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	a.asked = time.Now()
	if err == nil {
		err = json.Unmarshal(body, &a.request)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request_error", fmt.Sprintf("decode request: %v", err))
		return
	}
	var config Config
	config, a.faults, a.random = s.begin()
	a.profile = config.Profile
	defer func() { s.end(a, r.Context().Err() != nil) }()
	a.speak(config.Text)
	a.base = chunk{
		ID: fmt.Sprintf("chatcmpl-%016x", a.random.Uint64()), Created: time.Now().Unix(), Model: config.Model, Object: "chat.completion.chunk",
	}
	switch {
	case a.has(Refused):
		hangUp(w)
	case a.has(HangBeforeHeaders):
		<-a.ctx.Done()
	case a.has(RateLimited):
		writeError(w, http.StatusTooManyRequests, "rate_limit_error", "too many requests")
	case a.has(RateLimitedWithHint):
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusTooManyRequests, "rate_limit_error", "too many requests")
	case a.has(ServerError):
		writeError(w, http.StatusInternalServerError, "server_error", "the model has failed")
	case a.has(WrongContentType):
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>Welcome</title><p>Sign in to go on.</p>\n"))
	case a.request.Stream:
		a.stream()
	default:
		a.whole()
	}
}

func (a *answer) has(k Kind) bool {
	_, ok := a.faults[k]
	return ok
}

// at says whether a fault happens after n tokens. An answer that is shorter meets it at its end.
func (a *answer) at(k Kind, n int) bool {
	after, ok := a.faults[k]
	return ok && n == min(after, len(a.tokens))
}

// hangUp resets the connection.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // not HTTP/1.1
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// pause sends what is written, and waits. It returns false when the client has left.
func (a *answer) pause(d time.Duration) bool {
	if d <= 0 {
		return a.ctx.Err() == nil
	}
	if a.flush() != nil {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// hang sends what is written, and nothing more until the client has left.
func (a *answer) hang() {
	_ = a.flush() // what it fails of has left
	<-a.ctx.Done()
}

// write writes what is sent with the next pause, or at the end. It returns false when the client has left.
func (a *answer) write(s string) bool {
	if a.ctx.Err() != nil {
		return false
	}
	_, err := io.WriteString(a.w, s)
	return err == nil
}

// send writes what must have been sent when it returns.
func (a *answer) send(s string) bool { return a.write(s) && a.flush() == nil }

func (a *answer) event(v any) bool { return a.write("data: " + encode(v) + "\n\n") }

// encode encodes what always encodes: texts and numbers.
func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// chunk is a piece of a streamed answer. It has a type, and no map, because what the mock computes its neighbours cannot: benchmarks
// have it, the gateway and their client on the same processors.
type chunk struct {
	Choices any    `json:"choices"`
	Created int64  `json:"created"`
	ID      string `json:"id"`
	Model   string `json:"model"`
	Object  string `json:"object"`
	Padding string `json:"padding,omitempty"`
	Usage   *usage `json:"usage,omitempty"`
}

type choice struct {
	Delta        delta   `json:"delta"`
	FinishReason *string `json:"finish_reason"`
	Index        int     `json:"index"`
}

type delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

func (a *answer) chunk(choices any) chunk {
	c := a.base
	c.Choices = choices
	return c
}

// says is a chunk that adds a text to the answer, with the role before the first.
func (a *answer) says(role, text string) chunk {
	return a.chunk([]choice{{Delta: delta{Role: role, Content: &text}}})
}

// stream answers in events.
func (a *answer) stream() {
	a.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	a.w.Header().Set("Cache-Control", "no-cache")
	if a.flush() != nil {
		return
	}
	a.phase = BeforeFirstToken
	if a.has(HangBeforeFirstToken) {
		a.hang()
		return
	}
	if !a.pause(a.profile.FirstToken.draw(a.random) - time.Since(a.asked)) {
		return
	}
	if a.has(ErrorAfterStatus) {
		a.event(errorBody("server_error", "the model has failed"))
		return
	}
	if a.has(ChoicesNull) && !a.event(a.chunk(nil)) {
		return
	}
	if a.has(HugeLine) {
		huge := a.chunk([]choice{})
		huge.Padding = strings.Repeat(" ", hugeLine)
		if !a.event(huge) {
			return
		}
	}
	if !a.event(a.says("assistant", "")) || !a.streamTokens() {
		return
	}
	last := a.chunk([]choice{{FinishReason: &a.finish}})
	wanted := a.request.StreamOptions.IncludeUsage && !a.has(NoUsage)
	if wanted && a.has(UsageOnChoices) {
		last.Usage = &a.usage
	}
	ok := a.event(last)
	if ok && wanted && !a.has(UsageOnChoices) {
		count := a.chunk([]choice{})
		if a.has(ChoicesNull) {
			count.Choices = nil
		}
		count.Usage = &a.usage
		ok = a.event(count)
	}
	a.done = ok && a.send("data: [DONE]\n\n")
}

// streamTokens sends the text. It returns false when that is the end.
func (a *answer) streamTokens() bool {
	for i := range len(a.tokens) + 1 {
		switch {
		case a.at(Stall, i):
			a.hang()
			return false
		case a.at(Cut, i):
			_ = a.flush()
			panic(http.ErrAbortHandler)
		case a.at(EndedEarly, i):
			return false
		case a.at(BrokenJSON, i) && !a.write("data: "+half(encode(a.says("", "…")))+"\n\n"):
			return false
		case i == len(a.tokens):
			return true
		case i > 0 && !a.pause(a.profile.PerToken.draw(a.random)):
			return false
		case !a.event(a.says("", a.tokens[i])):
			return false
		}
		a.phase = Streaming
	}
	return true
}

// whole answers in one piece, after the time that a stream would take.
func (a *answer) whole() {
	v := map[string]any{"id": a.base.ID, "created": a.base.Created, "model": a.base.Model, "object": "chat.completion"}
	v["choices"] = []map[string]any{{
		"index": 0, "message": map[string]any{"role": "assistant", "content": strings.Join(a.tokens, "")}, "finish_reason": a.finish,
	}}
	if a.has(ChoicesNull) {
		v["choices"] = nil
	}
	if !a.has(NoUsage) {
		v["usage"] = a.usage
	}
	if a.has(HugeLine) {
		v["padding"] = strings.Repeat(" ", hugeLine)
	}
	if a.has(ErrorAfterStatus) {
		v = errorBody("server_error", "the model has failed")
	}
	took := a.profile.FirstToken.draw(a.random)
	for range len(a.tokens) - 1 {
		took += a.profile.PerToken.draw(a.random)
	}
	a.w.Header().Set("Content-Type", "application/json")
	if a.has(HangBeforeFirstToken) {
		a.phase = BeforeFirstToken
		a.hang()
		return
	}
	if !a.pause(took - time.Since(a.asked)) {
		return
	}
	a.phase = Streaming
	body := encode(v)
	switch {
	case a.has(Stall):
		if a.write(half(body)) {
			a.hang()
		}
	case a.has(Cut):
		a.send(half(body))
		panic(http.ErrAbortHandler)
	case a.has(EndedEarly), a.has(BrokenJSON):
		a.send(half(body))
	default:
		a.done = a.send(body) && !a.has(ErrorAfterStatus) && !a.has(ChoicesNull)
	}
}

func half(s string) string { return s[:len(s)/2] }
