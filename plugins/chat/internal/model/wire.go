package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Message is one message of a prompt.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Request is what a model is asked.
type Request struct {
	Messages  []Message
	MaxTokens int
	Stop      []string
}

// Usage counts tokens.
type Usage struct {
	Input, Output int
	Estimated     bool // the upstream did not say
}

// body is a request as the protocol has it. It offers no tools.
type body struct {
	Model         string         `json:"model"`
	Messages      []Message      `json:"messages"`
	MaxTokens     int            `json:"max_tokens"`
	Temperature   float64        `json:"temperature"`
	Stop          []string       `json:"stop,omitempty"`
	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// chunk is an event of an answer, as far as it is read: choices may be null, and usage may come with or without them.
type chunk struct {
	Choices []struct {
		Index int `json:"index"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// decoder reads the events of one answer. What stands around the text is the same in most of them: once it is known, the text is cut
// out, for a fraction of what decoding costs.
type decoder struct {
	before, after []byte // of the text, in an event that says nothing else
	tried         bool   // to find them
}

func (d *decoder) decode(data []byte) (c chunk, text, finish string, err error) {
	if text, ok := d.cut(data); ok {
		return chunk{}, text, "", nil
	}
	c, text, finish, err = decodeChunk(data)
	if err == nil && !d.tried && text != "" && finish == "" && c.Usage == nil {
		d.learn(data, text)
	}
	return c, text, finish, err
}

// cut returns the text of an event that differs in nothing else from the one that was learned.
func (d *decoder) cut(data []byte) (text string, ok bool) {
	if d.before == nil || !bytes.HasPrefix(data, d.before) {
		return "", false
	}
	between, ok := bytes.CutSuffix(data[len(d.before):], d.after)
	if !ok || !utf8.Valid(between) {
		return "", false
	}
	for _, c := range between {
		if c < ' ' || c == '"' || c == '\\' {
			return "", false
		}
	}
	return string(between), true
}

// learn finds what is around the text of an event. That another text there, which is JSON in a string only, is decoded as itself
// proves that any text is.
func (d *decoder) learn(data []byte, text string) {
	_, rest, _ := bytes.Cut(data, []byte(`"content":`))
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte(`"`+text))
	if !ok || !bytes.HasPrefix(rest, []byte(`"`)) {
		return // it is escaped, or stands elsewhere
	}
	d.tried = true
	other := text + "x"
	before := data[:len(data)-len(rest)-len(text)]
	if _, got, _, err := decodeChunk(slices.Concat(before, []byte(other), rest)); err == nil && got == other {
		d.before, d.after = bytes.Clone(before), bytes.Clone(rest)
	}
}

// decodeChunk reads an event, of which text is what it adds to the answer.
func decodeChunk(data []byte) (c chunk, text, finish string, err error) {
	if err := json.Unmarshal(data, &c); err != nil {
		return c, "", "", fmt.Errorf("decode event: %w", err)
	}
	if len(c.Error) > 0 && string(c.Error) != "null" {
		return c, "", "", errors.New("the upstream sent an error in place of an answer: " + errorCode(c.Error))
	}
	for _, choice := range c.Choices {
		if choice.Index == 0 {
			text += choice.Delta.Content
			finish = choice.FinishReason
		}
	}
	return c, text, finish, nil
}

// errorCode returns what kind of error an upstream told. Its message may quote the prompt and is left out.
func errorCode(data []byte) string {
	var e struct {
		Type string `json:"type"`
		Code any    `json:"code"`
	}
	if json.Unmarshal(data, &e) != nil {
		return "of no known form"
	}
	code := e.Type
	if e.Code != nil {
		code += fmt.Sprintf(" %v", e.Code)
	}
	const most = 100
	return code[:min(len(code), most)]
}
