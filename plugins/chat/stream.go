package chat

import (
	"context"
	"errors"

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
		Reason       string           `json:"degradedReason,omitempty"`
		Flagged      []string         `json:"flagged,omitempty"`
		Intent       responder.Intent `json:"intent"`
		Topic        string           `json:"topic"`
		Products     []shop.Card      `json:"products"`
		Ticket       *ticketBody      `json:"ticket,omitempty"`
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

// stream answers a message as events.
func (c *chat) stream(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	r, err := readChat(req, "chat.stream")
	if err != nil {
		return nil, err
	}
	resp := framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
		p := &pinged{w: w}
		r.Admitted = func() error {
			if err := w.Event(connectedEvent{"connected", r.SessionID, r.ID}); err != nil {
				return err
			}
			p.start(pingWaiting)
			return nil
		}
		a, err := c.answer(ctx, r, func(language, piece string) error {
			return p.event(contentEvent{Success: true, Content: piece, Language: language})
		})
		p.end()
		if err != nil {
			return err
		}
		return writeLast(w, r, a)
	})
	resp.StreamFailed = func(err error) []byte {
		return c.failed(err, languageOf(c.recall(context.WithoutCancel(ctx), r.SessionID), r))
	}
	return resp, nil
}

// writeLast writes what follows the text of an answer.
func writeLast(w *framework.Stream, r *turnRequest, a *reply) error {
	if len(a.Products) > 0 {
		if err := w.Event(productsEvent{ShowProducts: true, Products: a.Products, Language: a.Language}); err != nil {
			return err
		}
	}
	return w.Event(lastEvent{
		contentEvent: contentEvent{Success: true, Done: true, Language: a.Language}, FullMessage: a.Text,
		SessionID: r.SessionID, Source: a.Source, Degraded: a.Degraded, Reason: a.Reason, Flagged: a.Flagged, Intent: a.Intent,
		Topic: a.Topic, Products: a.Products, Ticket: ticketOf(a), Suggestions: a.Suggestions, Usage: a.Usage,
		FinishReason: a.FinishReason, RequestID: r.ID, buttons: buttonsOf(a.Answer),
	})
}

// failed returns the last event of a stream that broke off. It says nothing of the cause but its kind.
func (c *chat) failed(err error, language string) []byte {
	code := "internal"
	var known *framework.Error
	switch {
	case errors.As(err, &known):
		code = known.Code
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
