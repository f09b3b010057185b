package chat

import (
	"context"
	"errors"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

// The events of a stream, in their order.
type (
	connectedEvent struct {
		Type      string `json:"type"`
		SessionID string `json:"sessionId"`
		RequestID string `json:"requestId"`
	}
	contentEvent struct {
		Success  bool   `json:"success"`
		Content  string `json:"content"`
		Done     bool   `json:"done"`
		Language string `json:"language"`
	}
	productsEvent struct {
		ShowProducts bool        `json:"showProducts"`
		Products     []shop.Card `json:"products"`
		Language     string      `json:"language"`
		Done         bool        `json:"done"`
	}
	lastEvent struct {
		contentEvent
		FullMessage  string           `json:"fullMessage"`
		SessionID    string           `json:"sessionId"`
		Source       string           `json:"source"`
		Degraded     bool             `json:"degraded"`
		Intent       responder.Intent `json:"intent"`
		Topic        string           `json:"topic"`
		Products     []shop.Card      `json:"products"`
		Suggestions  []string         `json:"suggestions"`
		Usage        usage            `json:"usage"`
		FinishReason string           `json:"finishReason"`
		RequestID    string           `json:"requestId"`
		buttons
	}
	failedEvent struct {
		Success bool   `json:"success"`
		Done    bool   `json:"done"`
		Error   string `json:"error"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
)

func (c *chat) stream(_ context.Context, req *framework.Request) (*framework.Response, error) {
	began := time.Now()
	r, err := readChat(req)
	if err != nil {
		return nil, err
	}
	conversation, _ := c.conversations.Get(r.SessionID)
	language := conversation.language(r)
	resp := framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
		return c.interrupted(ctx, c.write(ctx, w, r, req.ID(), began))
	})
	resp.StreamFailed = func(err error) []byte { return c.failed(err, language) }
	return resp, nil
}

// write answers a message as events.
func (c *chat) write(ctx context.Context, w *framework.Stream, r *chatRequest, id string, began time.Time) error {
	if err := w.Event(connectedEvent{"connected", r.SessionID, id}); err != nil {
		return err
	}
	// The turn is kept before its answer is sent: the next message may come as soon as the last event is read.
	a, u := c.turn(r)
	for i, piece := range pieces(a.Text) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := w.Event(contentEvent{Success: true, Content: piece, Language: a.Language}); err != nil {
			return err
		}
		if i == 0 {
			c.metrics.firstToken.With(embedded).Observe(time.Since(began).Seconds())
		}
	}
	if len(a.Products) > 0 {
		if err := w.Event(productsEvent{ShowProducts: true, Products: a.Products, Language: a.Language}); err != nil {
			return err
		}
	}
	err := w.Event(lastEvent{
		contentEvent: contentEvent{Success: true, Done: true, Language: a.Language}, FullMessage: a.Text,
		SessionID: r.SessionID, Source: embedded, Intent: a.Intent, Topic: a.Topic, Products: a.Products,
		Suggestions: a.Suggestions, Usage: u, FinishReason: "stop", RequestID: id, buttons: buttonsOf(a),
	})
	c.metrics.durations.With(embedded).Observe(time.Since(began).Seconds())
	return err
}

// interrupted counts a stream whose client left, and returns its error.
func (c *chat) interrupted(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), framework.ErrClientGone) {
		c.metrics.clientGone.With("stream").Inc()
	}
	return err
}

// failed returns the last event of a stream that broke off. It says nothing of the cause but its kind.
func (c *chat) failed(err error, language string) []byte {
	code := "internal"
	switch {
	case errors.Is(err, framework.ErrStopping):
		code = "stopping"
	case errors.Is(err, framework.ErrTimeout), errors.Is(err, framework.ErrStreamIdle), errors.Is(err, framework.ErrStreamMax),
		errors.Is(err, context.DeadlineExceeded):
		code = "timeout"
	}
	event, err := framework.EncodeEvent(failedEvent{
		Done: true, Error: "the answer was interrupted", Code: code, Message: c.message("interrupted", language),
	})
	if err != nil { // strings always encode
		return nil
	}
	return event
}

// wordsPerPiece is how many words a piece of a streamed answer has: enough not to drown a browser in events.
const wordsPerPiece = 3

// pieces cuts a text after every few words. Together the pieces are the text.
func pieces(s string) []string {
	var all []string
	words := 0
	start := 0
	for i := range len(s) {
		if s[i] != ' ' {
			continue
		}
		if words++; words == wordsPerPiece {
			all = append(all, s[start:i+1])
			start, words = i+1, 0
		}
	}
	if start < len(s) {
		all = append(all, s[start:])
	}
	return all
}
