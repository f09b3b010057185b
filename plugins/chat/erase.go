package chat

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/internal/session"
)

// forgetAnswers removes answers that were kept to be given again.
func (c *chat) forgetAnswers(ctx context.Context, keys []string) error {
	var errs []error
	for _, key := range keys {
		errs = append(errs, c.answers.Delete(ctx, key))
	}
	return errors.Join(errs...)
}

// erase removes what is kept of a customer: the conversation, the answers that would be given again, and of the tickets the words and the link to it. An error says that
// something may be left.
func (c *chat) erase(ctx context.Context, id string) error {
	ctx = context.WithoutCancel(ctx) // half of it is worse than none
	before, err := c.talks.Read(ctx, id)
	err = errors.Join(err, c.talks.Delete(ctx, id), c.forgetAnswers(ctx, before.Answers), c.desk.Erase(ctx, id))
	if err != nil {
		c.notKept(ctx, "conversations", err)
		return &framework.Error{
			Status: http.StatusServiceUnavailable, Code: "not_erased", RetryAfter: 5 * time.Second,
			Message: "the conversation could not be erased now; try again in a moment",
		}
	}
	c.active.Delete(id)
	return nil
}

// eraseFor erases a customer's data for the shop's operator.
func (c *chat) eraseFor(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	var r struct {
		SessionID string `json:"sessionId"`
	}
	if err := decode(req, &r); err != nil {
		return nil, err
	}
	if wrong := session.CheckID(nil, r.SessionID); len(wrong) > 0 {
		return nil, framework.BadRequest("the request is not valid", wrong...)
	}
	if err := c.erase(ctx, r.SessionID); err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "A customer's data was erased", "client", req.Client().String())
	return private(map[string]any{"success": true})
}

// readable refuses what an operator asks while the stores can't be read: nothing found would be taken for nothing kept.
func (c *chat) readable(ctx context.Context) error {
	err := errors.Join(c.stored.conversations.Check(ctx), c.stored.tickets.Check(ctx))
	if err == nil {
		return nil
	}
	return &framework.Error{
		Status: http.StatusServiceUnavailable, Code: "not_readable", RetryAfter: 5 * time.Second, Err: err,
		Message: "what is kept cannot be read now; try again in a moment",
	}
}

// export answers with all that is kept of a customer, for the shop's operator.
func (c *chat) export(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	id := req.Query("sessionId")
	if wrong := session.CheckID(nil, id); len(wrong) > 0 {
		return nil, framework.BadRequest("the query is not valid", wrong...)
	}
	if err := c.readable(ctx); err != nil {
		return nil, err
	}
	kept, err := c.talks.Read(ctx, id)
	if err != nil {
		return nil, err
	}
	tickets, err := c.desk.List(ctx, id)
	if err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "A customer's data was exported", "client", req.Client().String())
	return private(struct {
		Success      bool                      `json:"success"`
		SessionID    string                    `json:"sessionId"`
		Conversation conversation.Conversation `json:"conversation"`
		Tickets      []*desk.Ticket            `json:"tickets"`
		Timestamp    string                    `json:"timestamp"`
	}{true, id, kept, tickets, time.Now().UTC().Format(time.RFC3339)})
}
