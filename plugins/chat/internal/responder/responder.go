// Package responder answers customers from the shop's catalogue and FAQ alone: no model, no network, well under a millisecond.
//
// It reads a message's words as they are meant (spelling.go), takes from them what is asked for and what is refused (needs.go), and
// has the classifier of package intent tell what is wanted (understand.go). Each intent has one way to be answered (answers
// below), with phrases of its own (phrases.json) and with what catalogue and FAQ say: every name, price and promise in an
// answer comes from them. What the answer leaves (Memory) is how the next turn can be short.
package responder

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/intent"
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
	Order  string   // number of the order told last, or ""

	Problem string // intent of the complaint made last, or ""

	Refused []string // ingredients that the customer does not want, in all turns: whoever is allergic says so once

	Pending *desk.Draft // a ticket that waits for the number of the order; nil when none does
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
	catalogue  *shop.Catalogue
	faq        *shop.FAQ
	entries    map[string][]*shop.Entry // of the FAQ, by intent, the usual one first
	owned      map[*shop.Entry]bool     // by an intent
	menu       Menu
	choices    map[string]chosen // of the menu, by label
	intents    map[string]IntentInfo
	classifier *intent.Classifier
	phrases    *phrases
	cues       *cues
	spelling   *spelling
	names      []named
	starts     map[string][]start // of the names, by their first term
	abroad     cueSet             // countries
	now        func() time.Time
}

// New returns a responder for a shop. The clock decides which promotions run.
func New(
	catalogue *shop.Catalogue, faq *shop.FAQ, menu Menu, classifier *intent.Classifier, now func() time.Time,
) (*Responder, error) {
	r := &Responder{catalogue: catalogue, faq: faq, menu: menu, choices: menu.index(), classifier: classifier, now: now}
	var err error
	if r.phrases, err = loadPhrases(); err != nil {
		return nil, err
	}
	if r.cues, err = loadCues(); err != nil {
		return nil, err
	}
	r.cues.substances = newSubstances(catalogue)
	if r.intents, err = loadIntents(intentsFile); err != nil {
		return nil, err
	}
	r.abroad = foreignCountries()
	r.names = productNames(catalogue)
	r.starts = nameStarts(r.names)
	if r.spelling, err = loadSpelling(spellingsFile, r.vocabulary()); err != nil {
		return nil, err
	}
	refuse := &r.cues.Refuse
	for _, set := range []cueSet{
		refuse.Strong, refuse.Weak, refuse.Dismissed, refuse.Denied, refuse.WithoutIt, refuse.NoIssue, refuse.Enough, refuse.Only,
	} {
		set.spell(r.spelling.corrector)
	}
	r.assignEntries()
	return r, nil
}

// vocabulary returns texts whose words are no typos: those of the training files, the refusals, the catalogue and the FAQ.
func (r *Responder) vocabulary() []string {
	all := slices.AppendSeq(r.classifier.Vocabulary(), strings.Lines(refusalsFile))
	for _, n := range r.names {
		for _, l := range text.Languages {
			v := n.product.In(l)
			all = append(all, v.Name, v.Description)
		}
	}
	for i := range r.faq.Entries {
		for _, l := range text.Languages {
			question, answer, _ := r.faq.Entries[i].In(l)
			all = append(all, question, answer)
		}
	}
	return all
}

// answers are the ways to answer, by intent. An intent that is not here is answered by its entry of the FAQ.
func (r *Responder) answers(intent string) func(*question, *Answer) {
	switch intent {
	case "recommend":
		return r.products
	case "cheapest":
		return r.cheapest
	case "more":
		return r.others
	case refine:
		return r.refined
	case "product_info", "product_price", "product_ingredients", "product_usage", "product_stock":
		return r.product
	case "product_compare":
		return r.compare
	case "promotions":
		return r.promotions
	case "human":
		return r.human
	case orderNumber:
		return r.orderTold
	case "ticket_status":
		return r.ticketStatus
	case "off_topic":
		return r.offTopic
	case unsure:
		return r.clarify
	}
	switch info := r.intents[intent]; {
	case info.Topic == SmallTalk:
		return r.smallTalk
	case info.Ticket:
		return r.problem
	}
	return r.information
}

// Answer answers a turn. Its time is linear in the length of the message.
func (r *Responder) Answer(t Turn) Answer {
	a := Answer{Language: t.Language}
	q := r.read(t)
	if !r.fromMenu(q, &a) {
		a.is(r.topic(q), q.intent, q.sure)
		if q.sure < doubtful && r.either(q, &a) {
			r.finish(q, &a)
			return a
		}
		r.answers(q.intent)(q, &a)
	}
	r.finish(q, &a)
	return a
}

// topic returns the topic of what a question wants.
func (r *Responder) topic(q *question) string {
	if q.intent == otherEntry {
		return r.entryTopic(q.entry)
	}
	return r.intents[q.intent].Topic
}

// finish fills what every answer has.
func (r *Responder) finish(q *question, a *Answer) {
	if a.Suggestions == nil {
		key := a.Topic
		if r.phrases.suggestions[key] == nil {
			key = "start"
		}
		a.Suggestions = r.phrases.suggest(key, q.Language, q.raw)
	}
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
	a.Slots = r.canonical(q, a)
	a.Memory.Topic, a.Memory.Refused = a.Topic, q.refused
	a.Memory.Ticket = cmp.Or(a.Memory.Ticket, q.Before.Ticket)
	a.Memory.Order = cmp.Or(q.order, q.Before.Order)
	a.Memory.Problem = cmp.Or(a.Memory.Problem, q.Before.Problem)
	if a.Desk == nil && a.Memory.Pending == nil && a.Topic != Other {
		a.Memory.Pending = q.Before.Pending // a question in between does not end the matter
	}
	if a.Memory.Needs == nil && a.Topic != Products {
		// A question in between does not end the talk about products.
		a.Memory.Needs, a.Memory.Shown, a.Memory.Last = q.Before.Needs, q.Before.Shown, q.Before.Last
		if n := &q.needs; (q.intent == "care_advice" || q.intent == "suitability") && len(n.Concerns)+len(n.HairType)+len(n.SkinType) > 0 { // which products may follow
			a.Memory.Needs, a.Memory.Shown, a.Memory.Last = n, nil, nil
		}
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
	if len(q.raw) > maxLabelWords {
		return false
	}
	choice := r.choices[label(q.raw)]
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
			a.is(Information, "choose_question", 1)
			r.say(q, a, "ask_question")
			a.Suggestions = r.phrases.suggest(Information, q.Language, q.raw)
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
			q.needs = Needs{Needs: shop.Needs{Types: types}}
			a.is(Products, "recommend", 1)
			r.products(q, a)
			return true
		}
		for name, info := range r.intents {
			if q.entry = r.faq.Find(choice.id); q.entry != nil && slices.Contains(info.Entries, choice.id) {
				q.is(name, 1)
				a.is(info.Topic, name, 1)
				r.answers(name)(q, a)
				return true
			}
		}
		return false
	default:
		return false
	}
	return true
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
