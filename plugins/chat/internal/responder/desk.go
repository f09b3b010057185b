package responder

import "github.com/innatural/chatbot/plugins/chat/internal/desk"

// DeskRequest is what the desk has to do before an answer is sent: exactly one of its fields is set. The responder does no I/O;
// whoever does it hands the outcome to Responder.Desked.
type DeskRequest struct {
	Open *TicketDraft // a ticket to open
	Find string       // a ticket to look up: its id as the customer wrote it, in capitals
}

// TicketDraft is a ticket that is to be opened.
type TicketDraft struct {
	Order   string // number of the order, or ""
	Kind    string // the intent, such as "parcel_damaged"
	Summary string // what the customer wrote, at most maxSummary characters
}

// maxSummary bounds what a ticket says of a message, in characters.
const maxSummary = 1000

// Desked writes the final text of an answer whose Desk is set, once the desk has done it: opened or found the ticket, found
// none (a nil ticket without an error) or failed. The answer says what to do next in each case and nothing of the error. It may be
// called concurrently.
func (r *Responder) Desked(a Answer, t Turn, ticket *desk.Ticket, err error) Answer {
	q := &question{Turn: t}
	request := a.Desk
	a.Desk = nil
	var said Answer
	switch {
	case err != nil:
		r.say(q, &said, "desk_down")
		said.Text += " " + r.contact(q)
	case ticket == nil:
		r.say(q, &said, "ticket_unknown", "ticket", request.Find)
	case request.Open != nil:
		r.say(q, &said, "ticket_opened", "ticket", ticket.ID)
	case ticket.Status == "open":
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
