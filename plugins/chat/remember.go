package chat

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
	"github.com/innatural/chatbot/plugins/internal/text"
)

var errBusy = &framework.Error{
	Status: http.StatusConflict, Code: "conversation_busy", RetryAfter: time.Second,
	Message: "the message before this one is still being answered; send this one again in a moment",
}

// converse makes the turn the only one of its conversation and reads what was said before. Without its store the chat answers as if
// nothing had been said. A conversation that the client holds is answered again, for what its last messages leave to refer to.
func (c *chat) converse(ctx context.Context, t *turn, next func(context.Context) error) error {
	if t.SessionID == "" {
		c.replay(t)
		return c.admit(ctx, t, next)
	}
	talk, err := c.talks.Begin(ctx, t.SessionID)
	switch {
	case err == nil:
		defer talk.End()
		t.talk, t.before = talk, talk.Conversation
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, store.ErrBusy):
		return errBusy
	default:
		c.notKept(ctx, "conversations", err)
	}
	return c.admit(ctx, t, next)
}

// replay answers again what the customer said before.
func (c *chat) replay(t *turn) {
	for _, s := range t.said() {
		a := c.responder.Answer(question(t.before, &turnRequest{Message: s}))
		t.before.Last, t.before.Memory = a.Language, a.Memory
		t.before.Count++
	}
}

// admit tells the client that the answer is being made.
func (c *chat) admit(ctx context.Context, t *turn, next func(context.Context) error) error {
	if t.Admitted != nil {
		if err := t.Admitted(); err != nil {
			return err
		}
	}
	return next(ctx)
}

// notKept counts and logs what a store did not do. The answer is given all the same.
func (c *chat) notKept(ctx context.Context, name string, err error) {
	c.metrics.storeErrors.With(name).Inc()
	if name == "conversations" || name == "tickets" {
		c.watch.failure(err)
	}
	c.log.WarnContext(ctx, "The chat's store failed", "store", name, "error", err)
}

// remember keeps the message before its answer is made, and the turn as far as it was said.
func (c *chat) remember(ctx context.Context, t *turn, next func(context.Context) error) error {
	if t.talk == nil {
		return next(ctx)
	}
	kept := conversation.Turn{
		At: t.began.UTC(), Message: t.Message, Language: t.reply.Language, Intent: t.reply.Intent.Name, InputTokens: t.Tokens,
	}
	answer := ""
	if t.Repeatable != nil {
		answer = t.Repeatable.key
		if all := t.before.Answers; len(all) >= conversation.MaxAnswers {
			if err := c.forgetAnswers(ctx, all[:1]); err != nil { // nobody would know of it later
				c.notKept(ctx, "answers", err)
			}
		}
	}
	c.keep(ctx, t, t.talk.Ask(ctx, kept, answer))
	err := next(ctx)
	if t.sent.Len() == 0 {
		return err
	}
	kept.Answer, kept.Partial, kept.Source = t.sent.String(), err != nil, t.reply.Source
	kept.Language, kept.Intent = t.reply.Language, t.reply.Intent.Name
	kept.InputTokens, kept.OutputTokens = t.reply.Usage.InputTokens, t.reply.Usage.OutputTokens
	// The client may have left: what it was told is kept still.
	c.keep(ctx, t, t.talk.Answer(context.WithoutCancel(ctx), kept, func(now conversation.Conversation) conversation.Conversation {
		now.Asked = cmp.Or(t.Language, t.Profile.Language, now.Asked)
		now.Last = t.reply.Language
		now.Profile = now.Profile.With(t.Profile)
		now.Memory = t.reply.Memory
		return now
	}))
	return err
}

// keep takes note of how a part of a turn was kept. A conversation that was erased meanwhile stays so.
func (c *chat) keep(ctx context.Context, t *turn, err error) {
	switch {
	case err == nil:
		c.active.Update(t.SessionID, func(struct{}, bool) struct{} { return struct{}{} })
	case errors.Is(err, store.ErrLost):
		t.erased = true
	default:
		c.notKept(ctx, "conversations", err)
	}
}

// consult has the desk do what the answer needs, and completes the answer.
func (c *chat) consult(ctx context.Context, t *turn, next func(context.Context) error) error {
	if order := t.reply.Desk; order != nil {
		c.consulted(ctx, t, order)
	}
	return next(ctx)
}

func (c *chat) consulted(ctx context.Context, t *turn, order *responder.DeskRequest) {
	var ticket *desk.Ticket
	var err error
	if order.Open != nil {
		ticket, err = c.desk.Open(ctx, t.SessionID, *order.Open)
	} else {
		ticket, err = c.desk.Find(ctx, t.SessionID, order.Find, order.With)
	}
	if err != nil && !errors.Is(err, desk.ErrNotFound) && !errors.Is(err, desk.ErrTooMany) {
		c.notKept(ctx, "tickets", err)
	}
	t.reply.Answer = c.responder.Desked(t.reply.Answer, question(t.before, t.turnRequest), ticket, err)
}

// recall reads a conversation for what surrounds it: the language of a greeting, say.
func (c *chat) recall(ctx context.Context, id string) conversation.Conversation {
	if id == "" {
		return conversation.Conversation{}
	}
	now, err := c.talks.Read(ctx, id)
	if err != nil {
		c.notKept(ctx, "conversations", err)
	}
	return now
}

// question returns what the responder is asked for a message that comes now.
func question(c conversation.Conversation, r *turnRequest) responder.Turn {
	p := c.Profile.With(r.Profile)
	return responder.Turn{
		Message: r.Message, Language: languageOf(c, r), Session: r.SessionID, Number: c.Count, Before: c.Memory,
		Profile: responder.Profile{Name: p.Name, HairType: p.HairType, Concerns: p.Concerns},
	}
}

// languageOf returns the language to answer in: the one asked for now or before, else that of the message, else that of the last
// answer, else French.
func languageOf(c conversation.Conversation, r *turnRequest) string {
	return cmp.Or(r.Language, r.Profile.Language, c.Asked, text.Detect(r.Message), c.Last, text.French)
}
