package responder

import (
	"errors"

	"github.com/innatural/chatbot/plugins/chat/internal/desk"
)

// DeskRequest is what the desk has to do before an answer is sent: exactly one of Open and Find is set. The responder does no
// I/O; whoever does it hands the outcome to Responder.Desked.
type DeskRequest struct {
	Open *desk.Draft // a ticket to open
	Find string      // id of a ticket to look up
	With string      // with Find: the number of the order that the customer told, or ""
}

// Desked writes the final text of an answer whose Desk is set, once the desk has done it: opened or found the ticket, found
// none (desk.ErrNotFound) or failed. The answer says what to do next in each case and nothing of the error. It may be
// called concurrently.
func (r *Responder) Desked(a Answer, t Turn, ticket *desk.Ticket, err error) Answer {
	q := &question{Turn: t}
	request := a.Desk
	a.Desk = nil
	var said Answer
	switch {
	case errors.Is(err, desk.ErrNotFound):
		r.say(q, &said, "ticket_unknown", "ticket", request.Find)
	case errors.Is(err, desk.ErrTooMany):
		r.say(q, &said, "tickets_too_many")
		said.Text += " " + r.contact(q)
	case err != nil:
		r.say(q, &said, "desk_down")
		said.Text += " " + r.contact(q)
	case request.Open != nil:
		r.say(q, &said, "ticket_opened", "ticket", ticket.ID)
	case ticket.Status == desk.Open:
		r.say(q, &said, "ticket_open", "ticket", ticket.ID)
	default:
		r.say(q, &said, "ticket_closed", "ticket", ticket.ID)
	}
	if a.Text != "" {
		a.Text += " "
	}
	a.Text += said.Text
	a.Ticket = ticket
	if ticket != nil {
		a.Memory.Ticket = ticket.ID
	}
	return a
}
