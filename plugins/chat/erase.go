package chat

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework"
)

// erase removes what is kept of a customer: the conversation, and of its tickets the words and the link to it. An error says that
// something may be left.
func (c *chat) erase(ctx context.Context, id string) error {
	ctx = context.WithoutCancel(ctx) // half of it is worse than none
	if err := errors.Join(c.talks.Delete(ctx, id), c.desk.Erase(ctx, id)); err != nil {
		c.notKept(ctx, "conversations", err)
		return &framework.Error{
			Status: http.StatusServiceUnavailable, Code: "not_erased", RetryAfter: 5 * time.Second,
			Message: "the conversation could not be erased now; try again in a moment",
		}
	}
	c.active.Delete(id)
	return nil
}
