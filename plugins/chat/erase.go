package chat

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework"
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
