package responder

import (
	"cmp"
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/intent"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// Intents that the responder itself decides for, beside those of the training files.
const (
	orderNumber = "order_number"
	refine      = "refine"
	otherEntry  = "faq" // an entry of the FAQ that no intent knows
	unsure      = "unsure"
)

// question is a turn once it is read.
type question struct {
	Turn
	raw      words                         // of the message
	words    words                         // as they are meant: abbreviations written out, typos corrected
	said     [len(text.Languages)][]string // see terms
	concepts []string
	needs    Needs
	refuses  bool             // it says what is not wanted
	refused  []string         // ingredients that are not wanted, by it or by a turn before
	avoid    shop.Ingredients // the same
	products []*shop.Product  // that it is about, by name or by "the second one"
	order    string           // number of an order, or ""
	earlier  string           // that of a turn before, where this one is about an order and tells none, or ""
	ticket   string           // id of a ticket, or what stands in its place, or ""
	guesses  []intent.Guess   // the likeliest first; never empty
	intent   string
	sure     float64 // how sure that is, 0 to 1
	entry    *shop.Entry
	fitsFor  *Needs                // what fits was looked for with
	fits     []shop.Recommendation // all the products that do
	found    struct {              // by a search for the words; nil before
		entries  []shop.FAQHit
		products []shop.ProductHit
	}
}

// terms returns what the words say in a language, French for one that is not known: see text.TermsOf. They are found once.
func (q *question) terms(language string) []string {
	at := max(slices.Index(text.Languages[:], language), 0)
	if q.said[at] == nil {
		q.said[at] = text.TermsOf(q.words, language)
	}
	return q.said[at]
}

// entriesFound returns the entries of the FAQ that answer the words, best first. They are looked for once.
func (r *Responder) entriesFound(q *question) []shop.FAQHit {
	if q.found.entries == nil {
		q.found.entries = append([]shop.FAQHit{}, r.faq.SearchAll(q.words, q.Language, len(r.faq.Entries))...)
	}
	return q.found.entries
}

// productsFound returns the products that answer the words, best first. They are looked for once.
func (r *Responder) productsFound(q *question) []shop.ProductHit {
	if q.found.products == nil {
		q.found.products = append([]shop.ProductHit{}, r.catalogue.Search(q.words, q.Language, len(r.names))...)
	}
	return q.found.products
}

func (q *question) about(concepts ...string) bool {
	return slices.ContainsFunc(concepts, func(c string) bool { return slices.Contains(q.concepts, c) })
}

// read reads a turn: its words, what they ask for, and what the customer wants.
func (r *Responder) read(t Turn) *question {
	q := &question{Turn: t, raw: cutWords(t.Message)}
	text.Look(q.raw)
	q.words = r.spelling.words(q.raw, t.Language)
	q.concepts = q.words.concepts()
	q.ticket = r.ticketNumber(q)
	if q.ticket == "" {
		q.order = r.orderNumber(q)
	}
	q.needs = r.understand(q)
	q.refused = union(without(t.Before.Refused, slices.Concat(q.needs.With, q.needs.Open)), q.needs.Avoid)
	q.avoid = shop.IngredientsOf(q.refused)
	q.guesses = r.classifier.Classify(q.words, t.Language)
	if t.Before.Needs == nil { // nothing was shown to be cheaper than, or to have more of
		for i, g := range q.guesses {
			switch g.Intent {
			case "cheapest":
				q.guesses[i].Intent = "recommend"
			case "more":
				q.guesses[i].Intent = unsure
			}
		}
	}
	q.intent, q.sure = q.guesses[0].Intent, q.guesses[0].Probability
	q.products = r.mentioned(q)
	r.decide(q)
	if q.order == "" && r.topic(q) == AfterSales {
		q.earlier = t.Before.Order
	}
	return q
}

// What makes a guess certain enough, and what makes it none.
const (
	certain   = 0.8
	doubtful  = 0.35 // below it, two intents that are about as likely are asked about
	closeness = 0.6  // of the likeliest: the second is about as likely
	strange   = 0.25 // below it, what has no word of the shop is none of its business
)

// decide settles what a message wants. What stands in the conversation and in the message for certain (a number, a name) outweighs
// what its words resemble.
func (r *Responder) decide(q *question) {
	info := r.intents[q.intent]
	switch {
	case meansNothing(q.words), r.cues.Refuse.Strong.match(q.words, 0) == len(q.words): // "je n'aime pas": what?
		q.is(unsure, strange)
	case q.ticket != "" && strings.HasPrefix(q.ticket, "SAV-"):
		q.is("ticket_status", 1)
	case q.order != "" && r.onlyOrder(q) && (q.Before.Pending != nil || q.intent != "order_tracking" || !asks(q.Message)):
		q.is(orderNumber, 0.95)
	case asksWhatIsIn(q):
		q.products = r.append(nil, q.Before.Last[0])
		q.is("product_ingredients", max(q.sure, certain))
	case r.wantsCheapest(q):
		q.is("cheapest", q.sure)
	case r.refines(q):
		q.is(refine, max(q.sure, 0.7))
	case q.intent == "more" && q.Before.Needs != nil && len(minus(q.needs.Types, q.Before.Needs.Types)) > 0: // "something else: soaps?"
		q.is("recommend", max(q.sure, 0.7))
	case len(q.products) == 1 && q.about("vegan") && !q.refuses:
		q.is("product_ingredients", max(q.sure, certain)) // it is what a product is or is not made of
	case len(q.Before.Last) > 0 && r.asksOfOneShown(q):
		q.products = r.placed(q)
	case q.intent == "product_ingredients" && len(q.products) == 1 && q.products[0].Type == "bundle":
		q.is("product_info", q.sure) // what is in it are products
	case q.sure < doubtful && len(q.needs.Types) > 0 && len(q.words) <= maxBareWords && info.Topic != Products && info.Topic != SmallTalk && info.Topic != Other &&
		q.order == "" && !q.about(afterSalesConcepts...):
		q.is("recommend", q.sure) // it names a product at least
	case q.sure < certain && (info.Topic != Products || aboutOne(q.intent) && len(q.products) == 0) && r.asksForProduct(q),
		(aboutOne(q.intent) || q.intent == "suitability" && !asks(q.Message)) && len(q.needs.Avoid) > 0 && len(q.needs.Types) > 0 && q.refusesAll():
		q.is("recommend", q.sure)
	case q.intent != "more" && q.intent != "cheapest" && len(q.terms(q.Language)) == 0 &&
		(q.sure < certain || q.intent == "off_topic") && info.Topic != SmallTalk && q.order == "":
		q.is(unsure, 0.2)
	case q.intent != "off_topic" && q.sure < strange && len(q.concepts) == 0 && q.order == "":
		q.is("off_topic", 1-q.sure)
	case len(q.products) > 0 && q.sure < certain:
		r.aboutProduct(q)
	}
	if q.intent == "delivery" && (r.abroad.in(q.raw) || r.cues.Abroad.in(q.raw)) {
		q.is("delivery_abroad", q.sure)
	}
	if loose := r.looseEntry(q); loose != nil {
		q.is(otherEntry, max(q.sure, 0.7))
		q.entry = loose
		return
	}
	q.entry = r.entry(q)
}

// maxAboutPlaced is how many words a message has at most that asks of a product by its place.
const maxAboutPlaced = 10

// asksOfOneShown reports whether a message asks something of a product by its place in the list shown before, and sets what: "et le
// prix du premier ?".
func (r *Responder) asksOfOneShown(q *question) bool {
	if aboutOne(q.intent) || len(q.words) > maxAboutPlaced || len(r.placed(q)) == 0 {
		return false
	}
	asked := "product_info"
	for _, g := range q.guesses {
		if aboutOne(g.Intent) {
			asked = g.Intent
			break
		}
	}
	switch q.intent {
	case "care_advice":
		asked = "product_usage"
	case "certification", "ingredients":
		asked = "product_ingredients"
	case "off_topic", "suitability":
	default:
		if q.sure >= certain {
			return false
		}
	}
	if q.about("price") {
		asked = "product_price"
	}
	q.is(asked, max(q.sure, certain))
	return true
}

// meansNothing reports whether each word is one letter over and over: "aaaa".
func meansNothing(w words) bool {
	const shortest = 3
	for _, t := range w {
		letters := []rune(t.Folded)
		if len(letters) < shortest || strings.Trim(t.Folded, string(letters[0])) != "" {
			return false
		}
	}
	return len(w) > 0
}

// asksForProduct reports whether a message names what a product should be and nothing else, or also what it may cost or must not be.
func (r *Responder) asksForProduct(q *question) bool {
	if !q.needs.specific() {
		return false
	}
	if topic := r.intents[q.intent].Topic; topic == Information && (q.needs.limited() || q.intent == "care_advice" && q.needs.Types != nil) {
		return true
	}
	if n := &q.needs; q.intent == "product_ingredients" && len(n.With)+len(n.Free)+len(n.Avoid) == 0 && !q.about("ingredients") {
		return true // "بلسم بدون شطف" is a kind of product
	}
	if aboutOne(q.intent) {
		if q.about("price", "use", "ingredients", "stock") || !q.needs.limited() && len(q.words) > maxBareWords {
			return false
		}
		if r.cues.And.match(q.words, 0) > 0 || q.onlyConcepts() { // "et côté savons ?", "baume à lèvres"
			return true
		}
		return !asks(q.Message) && (q.guesses[1].Intent == "recommend" || r.cues.Refuse.Again.match(q.words, 0) > 0 || r.cues.Refuse.Wish.in(q.words))
	}
	return q.onlyConcepts()
}

// onlyConcepts reports whether a message says nothing but what the shop has concepts for.
func (q *question) onlyConcepts() bool {
	return !slices.ContainsFunc(q.terms(q.Language), func(t string) bool { return t[0] != '#' })
}

// asksWhatIsIn reports whether a message asks whether the one product talked of holds an ingredient: "is there almond in it?".
func asksWhatIsIn(q *question) bool {
	return len(q.Before.Last) == 1 && (q.intent == "product_ingredients" || q.intent == "ingredients") && asks(q.Message) &&
		len(q.needs.With) > 0 && len(q.needs.Types) == 0
}

// wantsCheapest reports whether a message wants the cheapest of the kind of product talked of, rather than of all of the kind: "le moins
// cher des masques alors".
func (r *Responder) wantsCheapest(q *question) bool {
	n := &q.needs
	fits := q.intent == "recommend" || aboutOne(q.intent) && q.sure < certain
	return q.Before.Needs != nil && n.Cheapest && fits && len(n.Concerns)+len(n.HairType)+len(n.SkinType) == 0 &&
		(len(n.Types) == 0 || slices.Equal(n.Types, q.Before.Needs.Types))
}

// maxBareWords is how many words a message has at most that only names what is wanted: "une huile d'argan".
const maxBareWords = 6

// refusesAll reports whether the message names no product but by what it refuses: "allergic to shea and argan, which conditioner?".
func (q *question) refusesAll() bool {
	if len(q.products) == 1 || q.intent == "product_compare" && q.sure >= certain {
		return false
	}
	return !slices.ContainsFunc(q.products, func(p *shop.Product) bool { return !p.Holds(q.avoid) })
}

// is sets what a message is taken for.
func (q *question) is(intent string, sure float64) { q.intent, q.sure = intent, sure }

// onlyOrder reports whether a message tells the number of an order and little else.
func (r *Responder) onlyOrder(q *question) bool {
	rest := 0
	for _, term := range q.terms(q.Language) {
		if !slices.Contains(orderTerms, term) && !strings.ContainsAny(term, "0123456789") {
			rest++
		}
	}
	expected := q.Before.Pending != nil || q.Before.Topic == AfterSales
	return rest == 0 || expected && rest <= 2 && q.sure < certain
}

// orderTerms say that a number is one.
var orderTerms = []string{"#order", "#parcel", "numero", "number", "num", "رقم", "n", "no", "ref", "referenc"}

// aboutProduct takes what is asked of products in general for what is asked of the one that the message names.
func (r *Responder) aboutProduct(q *question) {
	switch q.intent {
	case "ingredients", "certification":
		q.is("product_ingredients", q.sure)
	case "care_advice":
		q.is("product_usage", q.sure)
	}
}

// ticketNumber returns the id of a ticket, or the number that a message calls one, or "".
func (r *Responder) ticketNumber(q *question) string {
	if id := desk.FindID(q.Message); id != "" {
		return id
	}
	for i := range q.words {
		if r.cues.Ticket.match(q.words, i) == 0 {
			continue
		}
		for _, w := range q.words[i+1 : min(i+4, len(q.words))] {
			if n := len(w.Folded); n >= 3 && n <= 12 && strings.Trim(w.Folded, "0123456789") == "" {
				return w.Folded
			}
		}
	}
	return ""
}

// canonical writes what a message asks for, with what the turns before said where it goes on with them, in one form, for an answer
// that may be used again. What a question to the FAQ asks lies in its words, so they stand there as well.
func (r *Responder) canonical(q *question, a *Answer) string {
	needs := &q.needs
	switch a.Intent.Name {
	case "cheapest", "more", refine:
		needs = a.Memory.Needs
	}
	parts := []string{needs.canonical()}
	for _, p := range q.products {
		parts = append(parts, "product="+p.ID)
	}
	if len(q.refused) > 0 {
		parts = append(parts, "refused="+strings.Join(slices.Sorted(slices.Values(q.refused)), ","))
	}
	if order := cmp.Or(q.order, q.earlier); order != "" {
		parts = append(parts, "order="+order)
	}
	if q.ticket != "" {
		parts = append(parts, "ticket="+q.ticket)
	}
	if r.intents[q.intent].ContextFree {
		terms := slices.Sorted(slices.Values(q.terms(q.Language)))
		parts = append(parts, "words="+strings.Join(slices.Compact(terms), ","))
	}
	return strings.Trim(strings.Join(parts, ";"), ";")
}
