// Package responder answers customers from the shop's catalogue and FAQ alone: no model, no network, well under a millisecond.
// It finds out what a message is about by search and a few cues, in a fixed order, and writes the answer from phrases of
// its own and from what catalogue and FAQ say: every name, price and promise in an answer comes from them.
package responder

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// The topics of the HTTP contract.
const (
	Products    = "products"
	AfterSales  = "sav"
	Information = "information"
	SmallTalk   = "smalltalk"
	Other       = "other"
)

// MaxProducts is how many products an answer shows.
const MaxProducts = 4

// Turn is one message and what is known when it comes.
type Turn struct {
	Message  string
	Language string // to answer in: one of text.Languages
	Profile  Profile
	Session  string // varies the wording from one conversation to another
	Number   int    // of the turn in its conversation, from 0
	Before   Memory // what the answer before left
}

// Profile is what a customer told of themselves.
type Profile struct {
	Name     string
	HairType string   // an id of shop.HairTypes, or ""
	Concerns []string // ids of shop.Concerns, or words
}

// Memory is what an answer leaves for the next turn. It is immutable.
type Memory struct {
	Topic  string
	Needs  *Needs   // what the products shown were chosen for; nil when none were
	Shown  []string // ids of the products shown for these needs, in all turns
	Last   []string // ids of the products shown last
	Unsure int      // answers in a row that did not help
	Ticket string   // id of the ticket opened or asked for last, or ""
}

// Answer is what to say and to show. Its lists are never nil.
type Answer struct {
	Text          string
	Language      string // of the text: the asked one, or the one that the shop has it in
	Intent        Intent
	Topic         string
	Products      []shop.Card
	Suggestions   []string
	Categories    []Button
	Subcategories []Button
	Evidence      Evidence
	Slots         string       // what the message asks for, in one canonical form, refusals included
	Desk          *DeskRequest // what the desk has to do before the answer is sent, or nil: see Responder.Desked
	Ticket        *desk.Ticket // opened or found by the desk, or nil
	Memory        Memory
}

// Evidence is what an answer to the message may speak from, the best first, whether or not this one does.
type Evidence struct {
	Products   []*shop.Product  // at most 6
	FAQ        []*shop.Entry    // at most 4
	Promotions []shop.Promotion // those that run and are asked about
}

// Intent is what a message was taken for.
type Intent struct {
	Name       string  `json:"name"`
	Confidence float64 `json:"confidence"` // 0 to 1
}

// Responder answers. It is immutable and may be used concurrently.
type Responder struct {
	catalogue *shop.Catalogue
	faq       *shop.FAQ
	menu      Menu
	choices   map[string]chosen // of the menu, by label
	intents   map[string]IntentInfo
	phrases   *phrases
	cues      *cues
	names     []named
	now       func() time.Time
}

// New returns a responder for a shop. The clock decides which promotions run.
func New(catalogue *shop.Catalogue, faq *shop.FAQ, menu Menu, now func() time.Time) (*Responder, error) {
	p, err := loadPhrases()
	if err != nil {
		return nil, err
	}
	c, err := loadCues()
	if err != nil {
		return nil, err
	}
	intents, err := loadIntents(intentsFile)
	if err != nil {
		return nil, err
	}
	return &Responder{
		catalogue: catalogue, faq: faq, menu: menu, choices: menu.index(), intents: intents, phrases: p, cues: c,
		names: productNames(catalogue), now: now,
	}, nil
}

// question is a turn once it is read.
type question struct {
	Turn
	words    words
	concepts []string
	needs    Needs
	refuses  bool        // it says what is not wanted
	entry    *shop.Entry // of the FAQ, or nil
	order    string      // number of an order, or ""
}

func (q *question) about(concepts ...string) bool {
	return slices.ContainsFunc(concepts, func(c string) bool { return slices.Contains(q.concepts, c) })
}

// Answer answers a turn. Its time is linear in the length of the message.
func (r *Responder) Answer(t Turn) Answer {
	q := &question{Turn: t, words: cutWords(t.Message), concepts: text.Concepts(t.Message), order: orderNumber(t.Message)}
	q.needs = r.understand(q)
	q.entry = r.entry(q)
	a := Answer{Language: t.Language}
	for _, try := range []func(*question, *Answer) bool{
		r.fromMenu, r.smallTalk, r.followUp, r.offTopic, r.namedProduct, r.afterSales, r.promotions, r.information, r.products,
		r.search, r.clarify,
	} {
		if try(q, &a) {
			break
		}
	}
	r.finish(q, &a)
	return a
}

// entry returns the entry of the FAQ that answers a question, or nil. What customers say in words that the FAQ does not use
// is asked in its words.
func (r *Responder) entry(q *question) *shop.Entry {
	for _, known := range r.cues.questions {
		if known.cues.in(q.words) {
			if e, _, ok := r.faq.Search(known.question, text.French); ok {
				return e
			}
		}
	}
	if e, _, ok := r.faq.Search(q.Message, q.Language); ok {
		return e
	}
	return nil
}

// finish fills what every answer has.
func (r *Responder) finish(q *question, a *Answer) {
	if a.Suggestions == nil {
		key := a.Topic
		if r.phrases.suggestions[key] == nil {
			key = "start"
		}
		a.Suggestions = r.phrases.suggest(key, q.Language)
	}
	said := label(q.words)
	a.Suggestions = slices.DeleteFunc(slices.Clone(a.Suggestions), func(s string) bool { return label(cutWords(s)) == said })
	if a.Products == nil {
		a.Products = []shop.Card{}
	}
	if a.Categories == nil {
		a.Categories = []Button{}
	}
	if a.Subcategories == nil {
		a.Subcategories = []Button{}
	}
	a.Evidence = r.evidence(q, a)
	a.Slots = q.needs.canonical()
	a.Memory.Topic = a.Topic
	a.Memory.Ticket = cmp.Or(a.Memory.Ticket, q.Before.Ticket)
	if a.Memory.Needs == nil && a.Topic != Products {
		// A question in between does not end the talk about products.
		a.Memory.Needs, a.Memory.Shown, a.Memory.Last = q.Before.Needs, q.Before.Shown, q.Before.Last
	}
}

// is sets what a message was taken for.
func (a *Answer) is(topic, intent string, confidence float64) {
	a.Topic, a.Intent = topic, Intent{intent, confidence}
}

// say adds a phrase to the answer, in one of its variants.
func (r *Responder) say(q *question, a *Answer, key string, values ...string) {
	if a.Text != "" {
		a.Text += " "
	}
	a.Text += r.phrases.text(key, q.Language, q.variant(), values...)
}

// variant is the same for the same turn of the same conversation, so that an answer can be reproduced.
func (q *question) variant() int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(q.Session))
	return int(h.Sum32()>>1) + q.Number
}

// fromMenu answers the label or the id of a button.
func (r *Responder) fromMenu(q *question, a *Answer) bool {
	if len(q.words) > maxLabelWords {
		return false
	}
	choice := r.choices[label(q.words)]
	switch choice.kind {
	case initialOption:
		switch choice.id {
		case Products:
			a.is(Products, "choose_category", 1)
			r.say(q, a, "ask_area")
			a.Categories = r.menu.categories(q.Language)
		case AfterSales:
			a.is(AfterSales, "ask_order", 1)
			r.say(q, a, "ask_sav")
		default:
			return false
		}
	case category:
		a.Subcategories = r.menu.subcategories(choice.id, q.Language)
		if len(a.Subcategories) == 0 {
			return false
		}
		a.is(Products, "choose_subcategory", 1)
		r.say(q, a, "ask_area")
	case subcategory:
		if types := shop.Types.Understand(choice.id); types != nil {
			q.needs.Types = types
			return r.products(q, a)
		}
		return false
	default:
		return false
	}
	return true
}

// smallTalk answers what has no other content than a greeting, thanks, a farewell.
func (r *Responder) smallTalk(q *question, a *Answer) bool {
	kind, rest := r.cues.smallTalk(q.words)
	if kind == "" || len(rest) > 0 && (q.order != "" || len(text.Terms(rest.String(), q.Language)) > 0) {
		return false
	}
	a.is(SmallTalk, kind, 1)
	name := ""
	if kind == "greeting" && q.Profile.Name != "" && q.Number == 0 {
		name = r.phrases.form("name", q.Language, "name", q.Profile.Name)
	}
	r.say(q, a, kind, "name", name)
	if kind != "goodbye" {
		a.Suggestions = r.phrases.suggest("start", q.Language)
	} else {
		a.Suggestions = []string{}
	}
	return true
}

// offTopic refuses what the shop has no business with, unless the message is about the shop as well.
func (r *Responder) offTopic(q *question, a *Answer) bool {
	if !r.cues.other.in(q.words) || len(q.needs.Types) > 0 || q.about(afterSalesConcepts...) {
		return false
	}
	a.is(Other, "off_topic", 0.9)
	r.say(q, a, "other")
	return true
}

// clarify asks back when nothing else answers: openly when the message is about hair, skin or the shop, and refuses when
// it is about nothing that is known here. Whoever was not helped twice is shown the way to people.
func (r *Responder) clarify(q *question, a *Answer) bool {
	a.Memory.Unsure = q.Before.Unsure + 1
	known := len(q.concepts) > 0 || len(text.Terms(q.Message, q.Language)) <= 1
	switch contact := r.contact(q); {
	case a.Memory.Unsure > 2 && contact != "":
		a.is(Information, "human", 0.3)
		r.say(q, a, "human")
		a.Text += " " + contact
	case q.about("hair"):
		r.ask(q, a, "hair")
	case q.about("skin", "body", "face", "hands"):
		r.ask(q, a, "body")
	case known:
		a.is(Information, "unsure", 0.2)
		r.say(q, a, "unsure")
		a.Categories = r.menu.categories(q.Language)
	default:
		a.is(Other, "off_topic", 0.5)
		r.say(q, a, "other")
	}
	return true
}

func (r *Responder) ask(q *question, a *Answer, area string) {
	a.is(Products, "clarify_"+area, 0.5)
	r.say(q, a, "ask_area")
	a.Subcategories = r.menu.subcategories(area, q.Language)
}

// contact returns how to reach people, as the FAQ says it.
func (r *Responder) contact(q *question) string {
	entry, _, ok := r.faq.Search("contacter le service client", text.French)
	if !ok {
		return ""
	}
	_, answer, _ := entry.In(q.Language)
	return answer
}

// join writes a list as the language does.
func (r *Responder) join(items []string, language string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	comma, and := r.phrases.form("comma", language), r.phrases.form("and", language)
	return strings.Join(items[:last], comma) + and + items[last]
}
