package chat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// fromCache is the source of answers that a model gave to another customer.
const fromCache = "cache"

// reusable is the answer of a model, as it is kept for others.
type reusable struct{ Text string }

// reuse gives the answer that a model gave to another customer who asked the same, where nothing but the question matters: the intent
// is declared free of context. What a model was told of an earlier conversation is never given to others, nor what was cut short or
// flagged.
func (c *chat) reuse(ctx context.Context, t *turn, next func(context.Context) error) error {
	info, _ := c.responder.IntentInfo(t.reply.Intent.Name)
	if !info.ContextFree || c.options.Reuse <= 0 || t.MaxTokens != nil || len(t.Stop) > 0 {
		return next(ctx)
	}
	key := c.sameQuestion(t)
	var kept reusable
	if c.cache.Get(ctx, key, &kept) {
		t.reply.Source, t.reply.Language, t.reply.Text = fromCache, t.language, kept.Text
		return c.speak(ctx, t)
	}
	err := next(ctx)
	if err == nil && len(t.window(c.options.PromptTokens)) == 0 && t.reply.FinishReason == "stop" && len(t.reply.Flagged) == 0 {
		if err := c.cache.Set(ctx, key, reusable{t.reply.Text}, c.options.Reuse.D()); err != nil {
			c.notKept(ctx, "cache", err)
		}
	}
	return err
}

// sameQuestion names a question: what it is about and asks for, and all that the answer is made from, so that another catalogue, other
// rules or another model make another question of it. The words are those that carry meaning, in any order: similar meanings are not
// enough (a cache by similarity takes "with" for "without"), and who tells their name asks a question of their own.
func (c *chat) sameQuestion(t *turn) string {
	words := text.Terms(t.Message, t.language)
	slices.Sort(words)
	parts := []string{
		t.reply.Intent.Name, t.reply.Slots, t.language, strings.Join(slices.Compact(words), " "),
		c.shop.Basis(t.language, t.reply.Evidence), fmt.Sprint(c.options.MaxTokens, c.options.Temperature),
	}
	for _, name := range c.options.Names() {
		u := c.options.Upstreams[name]
		parts = append(parts, u.URL, u.Model)
	}
	return digest(parts...)
}
