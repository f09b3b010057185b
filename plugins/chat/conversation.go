package chat

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/innatural/chatbot/plugins/chat/internal/responder"
)

// conversation is what is kept of one. It is immutable.
type conversation struct {
	asked   string // language that the customer asked for, or ""
	last    string // language of the last answer
	profile profile
	turns   []exchange // the latest
	count   int        // of all turns
	memory  responder.Memory
}

// exchange is a message and its answer.
type exchange struct {
	message, answer string
	language        string
	intent          string
}

// turnOverhead is what a turn holds beside its texts, and conversationOverhead what a conversation holds beside its turns.
const (
	turnOverhead         = 64
	conversationOverhead = 512
)

// bytes returns about what the conversation holds.
func (c conversation) bytes() int {
	n := conversationOverhead + c.profile.bytes()
	for _, t := range c.turns {
		n += len(t.message) + len(t.answer) + turnOverhead
	}
	for _, id := range slices.Concat(c.memory.Shown, c.memory.Last) {
		n += len(id) + 16
	}
	if needs := c.memory.Needs; needs != nil {
		for _, list := range [][]string{
			needs.Types, needs.Concerns, needs.Free, needs.Avoid, needs.With, needs.NotTypes, needs.NotConcerns,
		} {
			for _, s := range list {
				n += len(s) + 16
			}
		}
	}
	return n
}

// with returns the conversation after a turn, of which at most maxTurns are kept.
func (c conversation) with(t *turn, maxTurns int) conversation {
	a := t.reply.Answer
	c.asked = cmp.Or(t.Language, t.Profile.Language, c.asked)
	c.last = a.Language
	c.profile = c.profile.with(t.Profile)
	kept := c.turns[max(0, len(c.turns)-maxTurns+1):]
	c.turns = append(slices.Clone(kept), exchange{t.Message, t.sent.String(), a.Language, a.Intent.Name})
	c.count++
	c.memory = a.Memory
	return c
}

// tokens estimates how many tokens a text is to a model: about one for four characters.
func tokens(s string) int { return (utf8.RuneCountInString(s) + 3) / 4 }
