package chat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/grounding"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/internal/lenient"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

// The model that the façade serves. Clients may ask for any name: they get this one.
const (
	modelName    = "innatural"
	modelCreated = 1767225600 // 2026-01-01
)

// Limits of a request of OpenAI's protocol.
const (
	maxMessages = 500
	maxStops    = 4
	maxReplayed = 4 // messages of the customer that are read for what the last one refers to
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
	User                string          `json:"user"`
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
	Reason      string           `json:"degradedReason,omitempty"`
	Flagged     []string         `json:"flagged,omitempty"`
	Estimated   bool             `json:"estimated"` // whether usage is
}

func readCompletion(req *framework.Request) (*completionRequest, *turnRequest, error) {
	var r completionRequest
	if err := decode(req, &r); err != nil {
		return nil, nil, err
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
	t := r.turn(req)
	if len(r.Messages) > 0 && t == nil {
		w.add("messages", "must hold a message of the user with a text")
	}
	if t != nil && slices.ContainsFunc(append(t.said(), t.Message), tooLong) {
		return nil, nil, &framework.Error{
			Status: http.StatusBadRequest, Code: "message_too_long", Message: "a message has at most 5,000 characters",
		}
	}
	if len(w) > 0 {
		return nil, nil, framework.BadRequest(w[0].Field+" "+w[0].Message, w...)
	}
	var err error
	t.Repeatable, err = readRepeatable(req, "chat.completions", req.Header("Authorization"), req.Client().String(), r.User)
	if err != nil {
		return nil, nil, err
	}
	return &r, t, nil
}

func tooLong(s string) bool { return utf8.RuneCountInString(s) > maxMessage }

// turn returns the customer's last message, with what was said before it. Other roles than the two of a conversation would
// speak for the shop, and are not read.
func (r *completionRequest) turn(req *framework.Request) *turnRequest {
	t := &turnRequest{
		ID: req.ID(), Client: req.Client(), MaxTokens: cmp.Or(r.MaxCompletionTokens, r.MaxTokens), Stop: r.Stop, Whole: !r.Stream,
		Program: true,
	}
	for _, m := range r.Messages {
		t.Tokens += model.Tokens(string(m.Content))
		if s := strings.TrimSpace(string(m.Content)); s != "" && (m.Role == "user" || m.Role == "assistant") {
			t.History = append(t.History, grounding.Utterance{ByCustomer: m.Role == "user", Text: s})
		}
	}
	for i, u := range slices.Backward(t.History) {
		if u.ByCustomer {
			t.Message, t.History = u.Text, t.History[:i]
			return t
		}
	}
	return nil
}

// completions answers the last message of a conversation that the client holds.
func (c *chat) completions(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	r, t, err := readCompletion(req)
	if err != nil {
		return nil, err
	}
	base := completion{ID: "chatcmpl-" + req.ID(), Created: time.Now().Unix(), Model: modelName}
	if !r.Stream {
		a, err := c.answer(ctx, t, whole)
		if err != nil {
			return nil, err
		}
		base.Object = "chat.completion"
		base.Choices = []choice{{Message: &message{Role: "assistant", Content: a.Text}, FinishReason: &a.FinishReason}}
		base.Usage, base.Shop = usageOf(a), extensionOf(a)
		return private(base)
	}
	base.Object = "chat.completion.chunk"
	usage := r.StreamOptions.IncludeUsage // and not the request, whose stream may take minutes
	resp := framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
		chunks := chunkWriter{pinged: &pinged{w: w}, base: base}
		begun := false
		a, err := c.answer(ctx, t, func(_, piece string) error {
			if !begun {
				begun = true
				chunks.start(pingSpeaking)
				if err := chunks.chunk(message{Role: "assistant"}, nil, nil); err != nil {
					return err
				}
			}
			return chunks.text(piece)
		})
		chunks.end()
		if err != nil {
			return err
		}
		return chunks.finish(a, usage)
	})
	resp.StreamFailed = func(error) []byte { return streamError() }
	return resp, nil
}

func usageOf(a *reply) *completionUsage {
	u := a.Usage
	return &completionUsage{u.InputTokens, u.OutputTokens, u.InputTokens + u.OutputTokens}
}

func extensionOf(a *reply) *extension {
	return &extension{
		Cards: a.Products, Intent: a.Intent, Topic: a.Topic, Language: a.Language, Suggestions: a.Suggestions,
		Source: a.Source, Degraded: a.Degraded, Reason: a.Reason, Flagged: a.Flagged, Estimated: a.Usage.Estimated,
	}
}

// chunkWriter writes an answer as chunks. Only the first has the role, only the last choice has a reason to finish, and
// usage comes once, alone, and only if it was asked for: clients add it up.
type chunkWriter struct {
	*pinged
	base         completion
	before, past []byte // of a piece of text, in an event
}

func (c *chunkWriter) chunk(delta message, finish *string, ext *extension) error {
	chunk := c.base
	chunk.Choices, chunk.Shop = []choice{{Delta: &delta, FinishReason: finish}}, ext
	return c.event(chunk)
}

// text sends a piece of text. All that is around it is the same for each piece, and encoded once.
func (c *chunkWriter) text(piece string) error {
	if c.before == nil {
		chunk := c.base
		chunk.Choices = []choice{{Delta: &message{}}}
		event, err := framework.EncodeEvent(chunk)
		if err != nil {
			return err
		}
		const field = `"content":`
		before, past, _ := bytes.Cut(event, []byte(field+`""`))
		c.before, c.past = append(slices.Clip(before), field...), past
	}
	encoded, err := json.Marshal(piece)
	if err != nil {
		return err
	}
	return c.send(slices.Concat(c.before, encoded, c.past))
}

func (c *chunkWriter) finish(a *reply, usage bool) error {
	if err := c.chunk(message{}, &a.FinishReason, extensionOf(a)); err != nil {
		return err
	}
	if usage {
		last := c.base
		last.Choices, last.Usage = []choice{}, usageOf(a)
		if err := c.event(last); err != nil {
			return err
		}
	}
	_, err := c.w.Write([]byte("data: [DONE]\n\n"))
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
		{"id": modelName, "object": "model", "created": modelCreated, "owned_by": modelName},
	}})
}
