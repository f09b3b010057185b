package chat

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/desk"
)

// How many tickets a page has.
const (
	ticketPage    = 100
	maxTicketPage = 1000
)

// tickets answers with a page of the tickets of all customers, for the shop's people.
func (c *chat) tickets(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	var wrong mistakes
	q := desk.Query{Status: req.Query("status"), After: req.Query("after"), Limit: ticketPage}
	if q.Status != "" {
		wrong.status(q.Status)
	}
	if limit := req.Query("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > maxTicketPage {
			wrong.add("limit", "must be a number from 1 to %d", maxTicketPage)
		}
		q.Limit = n
	}
	if len(wrong) > 0 {
		return nil, framework.BadRequest("the query is not valid", wrong...)
	}
	if err := c.readable(ctx); err != nil {
		return nil, err
	}
	page, next, err := c.desk.Page(ctx, q)
	if errors.Is(err, desk.ErrCursor) {
		wrong.add("after", "must be what next was in the page before")
		return nil, framework.BadRequest("the query is not valid", wrong...)
	}
	if err != nil {
		return nil, err
	}
	return private(struct {
		Success   bool           `json:"success"`
		Tickets   []*desk.Ticket `json:"tickets"`
		Next      string         `json:"next,omitempty"` // what to ask for as after
		Timestamp string         `json:"timestamp"`
	}{true, page, next, time.Now().UTC().Format(time.RFC3339)})
}

// settle closes a ticket or opens it again, for the shop's people.
func (c *chat) settle(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	var r struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	if err := decode(req, &r); err != nil {
		return nil, err
	}
	var wrong mistakes
	id := desk.FindID(r.ID)
	if id == "" {
		wrong.add("id", "must be the id of a ticket, such as SAV-7K4M2Q")
	}
	wrong.status(r.Status)
	if len(wrong) > 0 {
		return nil, framework.BadRequest("the request is not valid", wrong...)
	}
	if err := c.readable(ctx); err != nil {
		return nil, err
	}
	ticket, err := c.desk.SetStatus(ctx, id, r.Status)
	if errors.Is(err, desk.ErrNotFound) {
		return nil, &framework.Error{Status: http.StatusNotFound, Code: "unknown_ticket", Message: "there is no ticket " + id}
	}
	if err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "A ticket's status was set", "ticket", id, "status", r.Status, "client", req.Client().String())
	return private(struct {
		Success   bool         `json:"success"`
		Ticket    *desk.Ticket `json:"ticket"`
		Timestamp string       `json:"timestamp"`
	}{true, ticket, time.Now().UTC().Format(time.RFC3339)})
}

func (m *mistakes) status(s string) {
	if s != desk.Open && s != desk.Closed {
		m.add("status", "must be %s or %s", desk.Open, desk.Closed)
	}
}
