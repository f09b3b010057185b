package responder

import (
	"cmp"
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// entry returns the entry of the FAQ that answers a question, or nil: of those of its intent the one that search ranks first,
// or else the usual one. An intent whose entries the shop's FAQ lacks is answered by what search finds.
func (r *Responder) entry(q *question) *shop.Entry {
	of := r.entries[q.intent]
	if len(of) == 1 {
		return of[0]
	}
	for _, hit := range r.entriesFound(q) {
		if len(of) == 0 || slices.Contains(of, hit.Entry) {
			return hit.Entry
		}
	}
	if len(of) > 0 {
		return of[0]
	}
	return nil
}

// enoughAsked is the share of a question that an entry of no intent has to answer.
const enoughAsked = 0.6

// looseEntry returns the entry of the FAQ that no intent knows and that answers the question, or nil: what only this shop is asked.
func (r *Responder) looseEntry(q *question) *shop.Entry {
	if len(r.owned) == len(r.faq.Entries) || q.sure >= certain && r.intents[q.intent].Topic != Other {
		return nil
	}
	hits := r.entriesFound(q)
	if len(hits) == 0 || hits[0].Rank > 0 || r.owned[hits[0].Entry] || hits[0].Coverage < enoughAsked {
		return nil
	}
	return hits[0].Entry
}

// afterSalesConcepts are the concepts of text/synonyms.txt that are about an order.
var afterSalesConcepts = []string{
	"tracking", "parcel", "damaged_parcel", "order", "cancel", "return", "exchange", "refund", "invoice",
}

// entryTopic returns the topic of an entry: what the file says, or else what its question is about.
func (r *Responder) entryTopic(e *shop.Entry) string {
	if e.Topic == AfterSales || e.Topic == Information {
		return e.Topic
	}
	for _, c := range text.Concepts(e.Question.String()) {
		if slices.Contains(afterSalesConcepts, c) {
			return AfterSales
		}
	}
	return Information
}

// information answers from the FAQ.
func (r *Responder) information(q *question, a *Answer) {
	if q.entry == nil {
		r.unknown(q, a)
		return
	}
	if r.intents[q.intent].Sorry {
		r.say(q, a, "sorry")
	}
	if q.order != "" {
		r.say(q, a, "order", "order", q.order)
	}
	r.quote(q, a)
}

// quote adds the FAQ's answer.
func (r *Responder) quote(q *question, a *Answer) {
	if q.entry == nil {
		return
	}
	_, answer, actual := q.entry.In(q.Language)
	if a.Text != "" {
		a.Text += " "
	}
	a.Text += answer
	a.Language = actual
}

// unknown says that the shop's texts do not answer, and who does.
func (r *Responder) unknown(q *question, a *Answer) {
	r.say(q, a, "unknown")
	if contact := r.contact(q); contact != "" {
		a.Text += " " + contact
	}
}

// problem answers what went wrong with an order: what the FAQ says of it, and a ticket, as soon as the number of the order is known.
func (r *Responder) problem(q *question, a *Answer) {
	r.say(q, a, "sorry")
	a.Memory.Problem = q.intent
	draft := &desk.Draft{Order: cmp.Or(q.order, q.earlier), Kind: q.intent, Summary: desk.Summary(q.Message)}
	if q.order == "" && q.Before.Ticket != "" && q.Before.Problem == q.intent { // more of what a ticket was opened for
		r.quote(q, a)
		a.Desk = &DeskRequest{Find: q.Before.Ticket, With: q.earlier}
		return
	}
	if draft.Order != "" {
		r.say(q, a, "order", "order", draft.Order)
		r.quote(q, a)
		a.Desk = &DeskRequest{Open: draft}
		return
	}
	r.quote(q, a)
	r.say(q, a, "ask_order")
	a.Memory.Pending = draft
}

// orderTold answers the number of an order: it completes what was told before, or asks what it is about.
func (r *Responder) orderTold(q *question, a *Answer) {
	r.say(q, a, "order", "order", q.order)
	pending := q.Before.Pending
	if pending == nil {
		r.say(q, a, "ask_sav")
		return
	}
	draft := *pending
	draft.Order = q.order
	a.Desk = &DeskRequest{Open: &draft}
}

// ticketStatus looks a ticket up: the one that the message names, or the one of the conversation.
func (r *Responder) ticketStatus(q *question, a *Answer) {
	id := q.ticket
	if id == "" {
		id = q.Before.Ticket
	}
	if id == "" {
		r.say(q, a, "ask_ticket")
		return
	}
	a.Desk = &DeskRequest{Find: id, With: r.orderNumber(q)}
}

// promotions tells the offers that run, those for the products that are asked about if there are any. Other questions on offers
// (how to use a code, samples) are the FAQ's.
func (r *Responder) promotions(q *question, a *Answer) {
	if q.entry != nil && len(r.entries[q.intent]) > 0 && q.entry != r.entries[q.intent][0] {
		r.quote(q, a)
		return
	}
	var all, matching []string
	for _, p := range r.catalogue.Promotions {
		if !p.Active(r.now()) {
			continue
		}
		description, _ := p.Description.In(q.Language)
		all = append(all, description)
		if slices.ContainsFunc(r.catalogue.Products, func(product *shop.Product) bool {
			return slices.Contains(q.needs.Types, product.Type) && p.AppliesTo(product)
		}) {
			matching = append(matching, description)
		}
	}
	if len(matching) > 0 {
		all = matching
	}
	if len(all) == 0 {
		r.say(q, a, "no_promotions")
		return
	}
	r.say(q, a, "promotions", "list", strings.Join(all, " "))
}
