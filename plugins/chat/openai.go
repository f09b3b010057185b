package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/internal/lenient"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// The model that the façade serves. Clients may ask for any name: they get this one.
const (
	model        = "innatural"
	modelCreated = 1767225600 // 2026-01-01
)

// Limits of a request of OpenAI's protocol.
const (
	maxMessages = 500
	maxStops    = 4
	maxReplayed = 5 // messages of the customer that are read for what the last one refers to
)

// completionRequest is a request of OpenAI's protocol, as far as it changes the answer; other fields are ignored.
type completionRequest struct {
	Messages      []completionMessage `json:"messages"`
	Stream        bool                `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	N                   *int            `json:"n"`
	Stop                lenient.Strings `json:"stop"`
}

type completionMessage struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is a text, or a list of parts of which those of type text are read.
type content string

func (c *content) UnmarshalJSON(data []byte) error {
	if data[0] != '[' {
		return json.Unmarshal(data, (*string)(c))
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	var texts []string
	for _, p := range parts {
		if p.Type == "text" {
			texts = append(texts, p.Text)
		}
	}
	*c = content(strings.Join(texts, "\n"))
	return nil
}

// completion is an answer of OpenAI's protocol, whole or one chunk of it.
type completion struct {
	ID      string           `json:"id"`
	Object  string           `json:"object"`
	Created int64            `json:"created"`
	Model   string           `json:"model"`
	Choices []choice         `json:"choices"`
	Usage   *completionUsage `json:"usage,omitempty"`
	Shop    *extension       `json:"innatural,omitempty"`
}

type choice struct {
	Index        int      `json:"index"`
	Message      *message `json:"message,omitempty"`
	Delta        *message `json:"delta,omitempty"`
	Logprobs     *string  `json:"logprobs"`
	FinishReason *string  `json:"finish_reason"`
}

type message struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content"`
}

type completionUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// extension is what the shop adds to an answer; OpenAI's clients ignore it and make it readable.
type extension struct {
	Cards       []shop.Card      `json:"cards"`
	Intent      responder.Intent `json:"intent"`
	Topic       string           `json:"topic"`
	Language    string           `json:"language"`
	Suggestions []string         `json:"suggestions"`
	Source      string           `json:"source"`
	Degraded    bool             `json:"degraded"`
	Estimated   bool             `json:"estimated"` // whether usage is
}

func readCompletion(req *framework.Request) (*completionRequest, error) {
	var r completionRequest
	if err := decode(req, &r); err != nil {
		return nil, err
	}
	var w mistakes
	switch {
	case len(r.Messages) == 0:
		w.add("messages", "is required")
	case len(r.Messages) > maxMessages:
		w.add("messages", "must have at most %d entries", maxMessages)
	}
	if r.N != nil && *r.N != 1 {
		w.add("n", "must be 1: there is one answer")
	}
	for field, n := range map[string]*int{"max_tokens": r.MaxTokens, "max_completion_tokens": r.MaxCompletionTokens} {
		if n != nil && *n < 1 {
			w.add(field, "must be at least 1")
		}
	}
	if len(r.Stop) > maxStops {
		w.add("stop", "must have at most %d entries", maxStops)
	}
	said := r.said()
	if len(r.Messages) > 0 && len(said) == 0 {
		w.add("messages", "must hold a message of the user with a text")
	}
	for _, s := range said {
		if utf8.RuneCountInString(s) > maxMessage {
			return nil, &framework.Error{
				Status: http.StatusBadRequest, Code: "message_too_long", Message: "a message has at most 5,000 characters",
			}
		}
	}
	if len(w) > 0 {
		return nil, framework.BadRequest(w[0].Field+" "+w[0].Message, w...)
	}
	return &r, nil
}

// said returns the last messages of the customer.
func (r *completionRequest) said() []string {
	var said []string
	for _, m := range r.Messages {
		if s := strings.TrimSpace(string(m.Content)); m.Role == "user" && s != "" {
			said = append(said, s)
		}
	}
	return said[max(0, len(said)-maxReplayed):]
}

// tokens estimates the tokens of the prompt.
func (r *completionRequest) tokens() int {
	n := 0
	for _, m := range r.Messages {
		n += tokens(string(m.Content))
	}
	return n
}

// shorten applies max_tokens and stop to an answer, and returns why it ends.
func (r *completionRequest) shorten(s string) (short, finish string) {
	for _, stop := range r.Stop {
		if before, _, found := strings.Cut(s, stop); stop != "" && found {
			s = before
		}
	}
	most := cmp.Or(r.MaxCompletionTokens, r.MaxTokens)
	if most == nil || tokens(s) <= *most {
		return s, "stop"
	}
	s = string([]rune(s)[:*most*4])
	if at := strings.LastIndexByte(s, ' '); at > 0 {
		s = s[:at]
	}
	return s, "length"
}

// replay answers the last message of a conversation that the client holds: the ones before it are answered first, for
// what they leave to refer to.
func (c *chat) replay(r *completionRequest) responder.Answer {
	t := responder.Turn{Language: text.French}
	var a responder.Answer
	for i, s := range r.said() {
		t.Message, t.Number, t.Before = s, i, a.Memory
		t.Language = cmp.Or(text.Detect(s), t.Language)
		a = c.responder.Answer(t)
	}
	return a
}

func (c *chat) completions(_ context.Context, req *framework.Request) (*framework.Response, error) {
	began := time.Now()
	r, err := readCompletion(req)
	if err != nil {
		return nil, err
	}
	a := c.replay(r)
	finish := ""
	a.Text, finish = r.shorten(a.Text)
	said := r.said()
	c.count(said[len(said)-1], a)
	base := completion{ID: "chatcmpl-" + req.ID(), Object: "chat.completion", Created: began.Unix(), Model: model}
	used := &completionUsage{PromptTokens: r.tokens(), CompletionTokens: tokens(a.Text)}
	used.TotalTokens = used.PromptTokens + used.CompletionTokens
	ext := &extension{
		Cards: a.Products, Intent: a.Intent, Topic: a.Topic, Language: a.Language, Suggestions: a.Suggestions,
		Source: embedded, Estimated: true,
	}
	observe := func() { c.metrics.durations.With(embedded).Observe(time.Since(began).Seconds()) }
	if !r.Stream {
		observe()
		base.Choices = []choice{{Message: &message{Role: "assistant", Content: a.Text}, FinishReason: &finish}}
		base.Usage, base.Shop = used, ext
		return private(base)
	}
	base.Object = "chat.completion.chunk"
	resp := framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
		defer observe()
		return c.interrupted(ctx, writeChunks(ctx, w, r, base, a.Text, finish, used, ext))
	})
	resp.StreamFailed = func(error) []byte { return streamError() }
	return resp, nil
}

// writeChunks writes an answer as chunks. Only the first has the role, only the last choice has a reason to finish, and
// usage comes once, alone, and only if it was asked for: clients add it up.
func writeChunks(
	ctx context.Context, w *framework.Stream, r *completionRequest, base completion, text, finish string,
	used *completionUsage, ext *extension,
) error {
	send := func(delta message, finish *string, ext *extension) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		chunk := base
		chunk.Choices, chunk.Shop = []choice{{Delta: &delta, FinishReason: finish}}, ext
		return w.Event(chunk)
	}
	if err := send(message{Role: "assistant"}, nil, nil); err != nil {
		return err
	}
	for _, piece := range pieces(text) {
		if err := send(message{Content: piece}, nil, nil); err != nil {
			return err
		}
	}
	if err := send(message{}, &finish, ext); err != nil {
		return err
	}
	if r.StreamOptions.IncludeUsage {
		last := base
		last.Choices, last.Usage = []choice{}, used
		if err := w.Event(last); err != nil {
			return err
		}
	}
	_, err := w.Write([]byte("data: [DONE]\n\n"))
	return err
}

// streamError is the last event of a stream that broke off, in the form that OpenAI's clients raise as an error.
func streamError() []byte {
	event, err := framework.EncodeEvent(map[string]any{"error": map[string]any{
		"message": "the answer was interrupted", "type": "server_error", "param": nil, "code": "upstream_stream_interrupted",
	}})
	if err != nil { // strings always encode
		return nil
	}
	return event
}

func (c *chat) models(context.Context, *framework.Request) (*framework.Response, error) {
	return framework.JSON(map[string]any{"object": "list", "data": []map[string]any{
		{"id": model, "object": "model", "created": modelCreated, "owned_by": model},
	}})
}
