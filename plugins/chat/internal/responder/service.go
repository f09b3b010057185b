package responder

import (
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// Concepts of text/synonyms.txt that are about the shop's service rather than about products.
var (
	afterSalesConcepts = []string{
		"tracking", "parcel", "damaged_parcel", "order", "cancel", "return", "exchange", "refund", "invoice",
	}
	informationConcepts = []string{
		"delivery", "delay", "payment", "promotion", "gift", "loyalty", "shop", "contact", "account", "stock", "personal_data",
		"storage", "recycling", "international", "allergy", "pregnancy", "baby", "cruelty_free", "ingredients",
	}
)

// afterSales answers what happens after an order, from the FAQ.
func (r *Responder) afterSales(q *question, a *Answer) bool {
	about := q.about(afterSalesConcepts...)
	switch {
	case q.entry != nil && r.topic(q.entry) == AfterSales && (about || !q.needs.specific()):
		a.is(AfterSales, q.entry.ID, 0.85)
	case q.order != "" && (about || q.Before.Topic == AfterSales || q.needs.none() && q.entry == nil):
		a.is(AfterSales, "order_number", 0.7)
		r.say(q, a, "order", "order", q.order)
		r.say(q, a, "ask_sav")
		return true
	case about && q.entry == nil && !q.needs.specific():
		a.is(AfterSales, "ask_order", 0.6)
		r.say(q, a, "ask_sav")
		return true
	default:
		return false
	}
	if r.cues.sorry.in(q.words) {
		r.say(q, a, "sorry")
	}
	if q.order != "" {
		r.say(q, a, "order", "order", q.order)
	}
	r.quote(q, a)
	return true
}

// information answers what anyone may ask, from the FAQ.
func (r *Responder) information(q *question, a *Answer) bool {
	if q.entry == nil {
		return false
	}
	howTo := r.cues.how.in(q.words) && (q.about("use") || len(q.needs.Concerns)+len(q.needs.HairType)+len(q.needs.SkinType) == 0)
	about := q.about(informationConcepts...)
	if q.about("allergy") && q.needs.specific() && q.about("sensitive_skin", "sensitive_scalp") {
		about = false // one word in Arabic
	}
	if !q.needs.none() && !about && !howTo {
		return false
	}
	if slices.Contains(q.needs.Types, "bundle") && !q.about("delivery", "payment", "promotion") {
		return false
	}
	a.is(r.topic(q.entry), q.entry.ID, 0.8)
	r.quote(q, a)
	return true
}

// quote adds the FAQ's answer.
func (r *Responder) quote(q *question, a *Answer) {
	_, answer, actual := q.entry.In(q.Language)
	if a.Text != "" {
		a.Text += " "
	}
	a.Text += answer
	a.Language = actual
}

// topic returns the topic of an entry: what the file says, or else what its question is about.
func (r *Responder) topic(e *shop.Entry) string {
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

// promotions tells the offers that run, those for the products that are asked about if there are any.
func (r *Responder) promotions(q *question, a *Answer) bool {
	if !q.about("promotion") || q.about("use") || r.cues.how.in(q.words) {
		return false
	}
	a.is(Information, "promotions", 0.9)
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
		return true
	}
	r.say(q, a, "promotions", "list", strings.Join(all, " "))
	return true
}
