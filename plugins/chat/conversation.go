package chat

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// conversation is what is kept of one. It is immutable.
type conversation struct {
	asked   string // language that the customer asked for, or ""
	last    string // language of the last answer
	profile profile
	turns   []turn // the latest
	count   int    // of all turns
	memory  responder.Memory
}

// turn is a message and its answer.
type turn struct {
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

// language returns the language to answer in: the one asked for now or before, else that of the message, else that of the
// last answer, else French.
func (c conversation) language(r *chatRequest) string {
	return cmp.Or(r.Language, r.UserProfile.Language, c.asked, text.Detect(r.Message), c.last, text.French)
}

// with returns the conversation after a turn, of which at most maxTurns are kept.
func (c conversation) with(r *chatRequest, a responder.Answer, maxTurns int) conversation {
	c.asked = cmp.Or(r.Language, r.UserProfile.Language, c.asked)
	c.last = a.Language
	c.profile = c.profile.with(r.UserProfile)
	kept := c.turns[max(0, len(c.turns)-maxTurns+1):]
	c.turns = append(slices.Clone(kept), turn{r.Message, a.Text, a.Language, a.Intent.Name})
	c.count++
	c.memory = a.Memory
	return c
}

// tokens estimates how many tokens a text is to a model: about one for four characters.
func tokens(s string) int { return (utf8.RuneCountInString(s) + 3) / 4 }
