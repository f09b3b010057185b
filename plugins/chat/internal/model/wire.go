package model

import (
	"encoding/json"
	"errors"
	"fmt"
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
