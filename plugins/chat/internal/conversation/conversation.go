// Package conversation is what the chat remembers of each customer's conversation, and for how long.
package conversation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/responder"
)

// Conversation is what is kept of one. It is immutable.
type Conversation struct {
	Asked   string           `json:"asked,omitempty"` // language that the customer asked for, or ""
	Last    string           `json:"last,omitempty"`  // language of the last answer
	Profile Profile          `json:"profile"`
	Turns   []Turn           `json:"turns"` // the latest, the oldest of them first
	Count   int              `json:"count"` // of all turns
	Memory  responder.Memory `json:"memory"`
	Answers []string         `json:"answers,omitempty"` // keys of the answers that are kept to be given again
}

// Profile is what a customer told of themselves.
type Profile struct {
	Language string   `json:"language,omitempty"`
	HairType string   `json:"hairType,omitempty"`
	Concerns []string `json:"concerns,omitempty"`
	Name     string   `json:"name,omitempty"`
	Email    string   `json:"email,omitempty"`
}

// With returns the profile with what another one says in its place.
func (p Profile) With(now Profile) Profile {
	if now.Concerns != nil {
		p.Concerns = now.Concerns
	}
	p.Language, p.HairType = cmp.Or(now.Language, p.Language), cmp.Or(now.HairType, p.HairType)
	p.Name, p.Email = cmp.Or(now.Name, p.Name), cmp.Or(now.Email, p.Email)
	return p
}

// Turn is a message and its answer.
type Turn struct {
	At           time.Time `json:"at"`
	Message      string    `json:"message"`
	Answer       string    `json:"answer,omitempty"`  // "" while it is made, and when there never was one
	Partial      bool      `json:"partial,omitempty"` // the answer broke off
	Language     string    `json:"language,omitempty"`
	Intent       string    `json:"intent,omitempty"`
	Source       string    `json:"source,omitempty"`
	InputTokens  int       `json:"inputTokens,omitempty"`
	OutputTokens int       `json:"outputTokens,omitempty"`
}

// Window returns the latest turns that hold at most maxTokens together, by an estimate for a text, and at most maxTurns of them. Turns
// that were never answered are left out.
func (c Conversation) Window(maxTurns, maxTokens int, tokens func(string) int) []Turn {
	var window []Turn
	for _, t := range slices.Backward(c.Turns) {
		if t.Answer == "" {
			continue
		}
		if maxTokens -= tokens(t.Message) + tokens(t.Answer); maxTokens < 0 || len(window) == maxTurns {
			break
		}
		window = append(window, t)
	}
	slices.Reverse(window)
	return window
}

// maxBytes bounds the turns that one conversation keeps, in bytes of their texts.
const maxBytes = 256 << 10

// append returns the conversation with one more turn, of which the latest are kept.
func (c Conversation) append(t Turn, maxTurns int) Conversation {
	c.Turns = bounded(append(slices.Clone(c.Turns), t), maxTurns)
	c.Count++
	return c
}

// bounded returns the latest of some turns, and always the last.
func bounded(turns []Turn, maxTurns int) []Turn {
	turns = turns[max(0, len(turns)-maxTurns):]
	total := 0
	for i, t := range slices.Backward(turns) {
		if total += len(t.Message) + len(t.Answer); total > maxBytes && i < len(turns)-1 {
			return turns[i+1:]
		}
	}
	return turns
}

// Merge makes one value of two that a store has under one key: see store.RedisOptions. The turns of both are kept, in the order of
// their times, each once: one that both have was begun in Redis. What is remembered is that of the later one.
func Merge(shared, here []byte) []byte {
	a, errA := decode(shared)
	b, errB := decode(here)
	switch {
	case errB != nil:
		return shared
	case errA != nil:
		return here
	}
	merged := b
	if len(a.Turns) > 0 && len(b.Turns) > 0 && a.Turns[len(a.Turns)-1].At.After(b.Turns[len(b.Turns)-1].At) {
		merged = a
	}
	merged.Profile = a.Profile.With(b.Profile)
	merged.Answers = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Answers, b.Answers))))
	merged.Turns = slices.Clone(a.Turns)
	merged.Count = a.Count + b.Count
	for _, t := range b.Turns {
		at := slices.IndexFunc(merged.Turns, t.same)
		if at < 0 {
			merged.Turns = append(merged.Turns, t)
			continue
		}
		if merged.Turns[at].Answer == "" || merged.Turns[at].Partial {
			merged.Turns[at] = t
		}
		merged.Count = max(a.Count, b.Count)
	}
	slices.SortStableFunc(merged.Turns, func(a, b Turn) int { return a.At.Compare(b.At) })
	merged.Count = max(merged.Count, len(merged.Turns))
	value, err := encode(merged)
	if err != nil {
		return here
	}
	return value
}

// same reports whether two are one turn, at different stages of it.
func (t Turn) same(other Turn) bool { return t.At.Equal(other.At) && t.Message == other.Message }

func decode(value []byte) (c Conversation, err error) {
	if value == nil {
		return c, nil
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return Conversation{}, fmt.Errorf("read conversation: %w", err)
	}
	return c, nil
}

func encode(c Conversation) ([]byte, error) {
	value, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write conversation: %w", err)
	}
	return value, nil
}
