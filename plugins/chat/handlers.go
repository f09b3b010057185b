package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/internal/session"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// answerBody is an answer as the HTTP contract writes it.
type answerBody struct {
	Success      bool             `json:"success"`
	Response     string           `json:"response"`
	Message      string           `json:"message"`
	Language     string           `json:"language"`
	SessionID    string           `json:"sessionId"`
	Source       string           `json:"source"`
	Degraded     bool             `json:"degraded"`
	Reason       string           `json:"degradedReason,omitempty"`
	Flagged      []string         `json:"flagged,omitempty"` // what of the answer is not borne out: "price", "product"
	Intent       responder.Intent `json:"intent"`
	Topic        string           `json:"topic"`
	Products     []shop.Card      `json:"products"`
	Ticket       *ticketBody      `json:"ticket,omitempty"`
	Suggestions  []string         `json:"suggestions"`
	Usage        usage            `json:"usage"`
	FinishReason string           `json:"finishReason"`
	RequestID    string           `json:"requestId"`
	Timestamp    string           `json:"timestamp"`
	buttons
}

// ticketBody is what an answer tells of a ticket.
type ticketBody struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func ticketOf(a *reply) *ticketBody {
	if a.Ticket == nil {
		return nil
	}
	return &ticketBody{a.Ticket.ID, a.Ticket.Status}
}

// usage counts tokens.
type usage struct {
	InputTokens  int  `json:"inputTokens"`
	OutputTokens int  `json:"outputTokens"`
	Estimated    bool `json:"estimated"`
}

// buttons are the choices that an answer offers, when it does.
type buttons struct {
	ShowCategories    bool               `json:"showCategories,omitempty"`
	Categories        []responder.Button `json:"categories,omitempty"`
	ShowSubcategories bool               `json:"showSubcategories,omitempty"`
	Subcategories     []responder.Button `json:"subcategories,omitempty"`
}

func buttonsOf(a responder.Answer) buttons {
	return buttons{len(a.Categories) > 0, a.Categories, len(a.Subcategories) > 0, a.Subcategories}
}

// chat answers a message as JSON.
func (c *chat) chat(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	r, err := readChat(req, "chat")
	if err != nil {
		return nil, err
	}
	r.Whole = true
	a, err := c.answer(ctx, r, whole)
	if err != nil {
		return nil, err
	}
	return private(answerBody{
		Success: true, Response: a.Text, Message: a.Text, Language: a.Language, SessionID: r.SessionID, Source: a.Source,
		Degraded: a.Degraded, Reason: a.Reason, Flagged: a.Flagged, Intent: a.Intent, Topic: a.Topic, Products: a.Products,
		Ticket: ticketOf(a), Suggestions: a.Suggestions, Usage: a.Usage, FinishReason: a.FinishReason, RequestID: r.ID,
		Timestamp: time.Now().UTC().Format(time.RFC3339), buttons: buttonsOf(a.Answer),
	})
}

func (c *chat) greet(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	var w mistakes
	id, language := req.Query("sessionId"), req.Query("language")
	w.language("language", language)
	if id != "" {
		w = session.CheckID(w, id)
	}
	if len(w) > 0 {
		return nil, framework.BadRequest("the query is not valid", w...)
	}
	if id == "" {
		id = rand.Text()
	} else if language == "" {
		before := c.recall(ctx, id)
		language = cmp.Or(before.Asked, before.Last)
	}
	language = cmp.Or(language, text.French)
	message, _ := c.greeting.Message.In(language)
	return private(struct {
		Success           bool               `json:"success"`
		Message           string             `json:"message"`
		SessionID         string             `json:"sessionId"`
		Language          string             `json:"language"`
		Suggestions       []string           `json:"suggestions"`
		ShowInitialChoice bool               `json:"showInitialChoice"`
		InitialOptions    []responder.Button `json:"initialOptions"`
		ShowCategories    bool               `json:"showCategories"`
		Categories        []responder.Button `json:"categories"`
	}{
		true, message, id, language, c.greeting.Suggestions.In(language),
		true, responder.Buttons(c.greeting.InitialOptions, language),
		true, responder.Buttons(c.greeting.Categories, language),
	})
}

func (c *chat) clear(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	var r struct {
		SessionID string `json:"sessionId"`
		Language  string `json:"language"`
	}
	if err := decode(req, &r); err != nil {
		return nil, err
	}
	w := mistakes(session.CheckID(nil, r.SessionID))
	w.language("language", r.Language)
	if len(w) > 0 {
		return nil, framework.BadRequest("the request is not valid", w...)
	}
	before := c.recall(ctx, r.SessionID)
	if err := c.erase(ctx, r.SessionID); err != nil {
		return nil, err
	}
	language := cmp.Or(r.Language, before.Asked, before.Last, text.French)
	return private(map[string]any{"success": true, "message": c.message("cleared", language)})
}

func (c *chat) recommend(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	var r struct {
		HairType  string   `json:"hairType"`
		Concerns  []string `json:"concerns"`
		Language  string   `json:"language"`
		SessionID string   `json:"sessionId"`
	}
	if err := decode(req, &r); err != nil {
		return nil, err
	}
	var w mistakes
	w.hairType("hairType", r.HairType)
	w.concerns("concerns", r.Concerns)
	w.language("language", r.Language)
	if r.SessionID != "" {
		w = session.CheckID(w, r.SessionID)
	}
	if len(w) > 0 {
		return nil, framework.BadRequest("the request is not valid", w...)
	}
	before := c.recall(ctx, r.SessionID)
	detected := text.Detect(strings.Join(r.Concerns, " "))
	language := cmp.Or(r.Language, before.Asked, before.Last, detected, text.French)
	a := c.responder.Recommend(shop.Needs{HairType: r.HairType, Concerns: r.Concerns}, language, r.SessionID)
	return private(struct {
		Success   bool        `json:"success"`
		Message   string      `json:"message"`
		Products  []shop.Card `json:"products"`
		Language  string      `json:"language"`
		SessionID string      `json:"sessionId"`
	}{true, a.Text, a.Products, a.Language, r.SessionID})
}

// private is JSON that is meant for one customer.
func private(v any) (*framework.Response, error) {
	resp, err := framework.JSON(v)
	if err != nil {
		return nil, err
	}
	return resp.Set("Cache-Control", "no-store"), nil
}
