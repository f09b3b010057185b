package responder

import (
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// named is a product with what recognises it.
type named struct {
	product  *shop.Product
	names    [][]string // the terms of its name, by language
	concepts []string   // of its name and its ingredients, and of what a bundle holds
}

func productNames(c *shop.Catalogue) []named {
	var all []named
	add := func(p *shop.Product, holds []*shop.Product) {
		n := named{product: p}
		for _, inner := range holds {
			n.concepts = append(n.concepts, all[slices.IndexFunc(all, func(n named) bool { return n.product == inner })].concepts...)
		}
		for _, l := range text.Languages {
			name, _ := p.Name.In(l)
			terms := text.Terms(name, l)
			if len(terms) > 1 {
				n.names = append(n.names, terms)
			}
			for _, s := range append([]string{name}, p.Ingredients.In(l)...) {
				n.concepts = append(n.concepts, text.Concepts(s)...)
			}
		}
		slices.Sort(n.concepts)
		n.concepts = slices.Compact(n.concepts)
		all = append(all, n)
	}
	for _, p := range c.Products {
		add(p, nil)
	}
	for _, b := range c.Bundles {
		add(&b.Product, b.Products)
	}
	return all
}

// start is the name of a product by the term that it starts with.
type start struct {
	product int // its place in the list
	name    []string
}

func nameStarts(all []named) map[string][]start {
	starts := map[string][]start{}
	for at, n := range all {
		for _, name := range n.names {
			starts[name[0]] = append(starts[name[0]], start{at, name})
		}
	}
	return starts
}

// mentioned returns the products that a message is about: those that it calls by their whole names, or by their places in the list
// shown before ("the second one"), or, when it asks something of a product and names none, the one that was talked of last.
func (r *Responder) mentioned(q *question) []*shop.Product {
	var said []string
	for _, l := range text.Languages {
		said = append(said, q.terms(l)...)
	}
	slices.Sort(said)
	said = slices.Compact(said)
	var places []int // of the products whose names have the most of the words
	longest := 0
	for _, term := range said {
		for _, n := range r.starts[term] {
			if len(n.name) < longest || !holds(said, n.name) {
				continue
			}
			if len(n.name) > longest {
				places, longest = nil, len(n.name)
			}
			if !slices.Contains(places, n.product) {
				places = append(places, n.product)
			}
		}
	}
	slices.Sort(places) // the order of the catalogue
	var found []*shop.Product
	for _, at := range places {
		found = append(found, r.names[at].product)
	}
	if len(found) > 0 || !aboutOne(q.intent) {
		return found
	}
	found = r.placed(q)
	if len(found) == 0 && len(q.Before.Last) == 1 && !q.needs.specific() {
		found = r.append(found, q.Before.Last[0])
	}
	return found
}

// placed returns the products that a message calls by their places in the list shown before.
func (r *Responder) placed(q *question) (found []*shop.Product) {
	for i, ordinal := range r.cues.Ordinals {
		if i < len(q.Before.Last) && ordinal.in(q.words) {
			found = r.append(found, q.Before.Last[i])
		}
	}
	if n := len(q.Before.Last); n > 0 && r.cues.Last.in(q.words) {
		found = r.append(found, q.Before.Last[n-1])
	}
	return found
}

// holds reports whether sorted terms hold all those of a name.
func holds(terms, name []string) bool {
	return !slices.ContainsFunc(name, func(t string) bool {
		_, ok := slices.BinarySearch(terms, t)
		return !ok
	})
}

// append adds the product with an id, unless the catalogue has it no more.
func (r *Responder) append(list []*shop.Product, id string) []*shop.Product {
	if p := r.catalogue.Find(id); p != nil {
		return append(list, p)
	}
	return list
}

// aboutOne reports whether an intent asks something of a product.
func aboutOne(intent string) bool {
	switch intent {
	case "product_info", "product_price", "product_ingredients", "product_usage", "product_stock", "product_compare":
		return true
	}
	return false
}

// sought returns the one product among hits that is meant by some of the words of its name, or nil when there is none or several.
func sought(hits []shop.ProductHit) *shop.Product {
	switch {
	case len(hits) == 0 || hits[0].Coverage < enoughSought:
		return nil
	case len(hits) > 1 && hits[1].Score > hits[0].Score*clearlyLess:
		return nil
	}
	return hits[0].Product
}

// What makes the best product found the one that is meant.
const (
	enoughSought = 0.45 // of the text
	clearlyLess  = 0.93 // of its score: what the second one has at most
)

// product answers what is asked of one product: its price, its use, its ingredients, its stock, or what it is.
func (r *Responder) product(q *question, a *Answer) {
	var p *shop.Product
	if len(q.products) > 0 {
		p = q.products[0]
	} else if r.whichHolds(q, a) {
		return
	} else if p = sought(r.productsFound(q)); p == nil {
		r.whichProduct(q, a)
		return
	}
	v := p.In(q.Language)
	a.Language = v.Language
	key, told := heldAsked(q, p, v)
	switch {
	case q.about("vegan") && p.Vegan:
		key = "vegan"
	case q.about("vegan"):
		key = "not_vegan"
	case key != "":
	case q.intent == "product_usage" && v.Usage != "":
		key = "usage"
	case q.intent == "product_ingredients" && len(v.Ingredients) > 0:
		key = "ingredients"
	case q.intent == "product_stock" && p.InStock:
		key = "in_stock"
	case !p.InStock:
		key = "out_of_stock"
	case q.intent == "product_price" && p.Price > 0 && v.Size != "":
		key = "price"
	case p.Price > 0 && v.Size != "" && v.Description != "":
		key = "description"
	}
	if key == "" { // a shop's file may not say
		r.say(q, a, "found", "list", r.item(p, q.Language))
	} else {
		r.say(q, a, key, "name", v.Name, "size", v.Size, "price", shop.FormatPrice(p.Price, p.Currency, q.Language),
			"description", v.Description, "usage", v.Usage,
			"ingredients", strings.Join(v.Ingredients, r.phrases.form("comma", q.Language)), "told", told)
	}
	a.Products = []shop.Card{p.Card(q.Language, v.Description)}
	r.talkedOf(a, p)
	if q.intent == "product_stock" && !p.InStock {
		r.quote(q, a)
	}
}

// whichHolds answers which of the products shown before hold an ingredient, where a message asks that.
func (r *Responder) whichHolds(q *question, a *Answer) bool {
	asked := q.needs.ingredients()
	if q.intent != "product_ingredients" || !asks(q.Message) || len(asked) == 0 || len(q.Before.Last) < 2 || len(q.needs.Types) > 0 {
		return false
	}
	a.Memory.Needs, a.Memory.Shown, a.Memory.Last = q.Before.Needs, q.Before.Shown, q.Before.Last
	var items []string
	for _, id := range q.Before.Last {
		if p := r.catalogue.Find(id); p != nil && r.hasAll(p, asked) {
			items = append(items, r.item(p, q.Language))
			a.Products = append(a.Products, p.Card(q.Language, r.reason(p, q.Before.Needs, q.Language)))
		}
	}
	if len(items) == 0 {
		r.say(q, a, "none_holds")
		return true
	}
	r.say(q, a, "which_hold", "list", r.join(items, q.Language))
	return true
}

// heldAsked returns the phrase that tells whether a product holds what a question is about, with what its catalogue says of that; "" when
// none is asked about.
func heldAsked(q *question, p *shop.Product, v shop.ProductView) (key, told string) {
	asked := first(minus(slices.Concat(q.needs.With, q.needs.Free, q.needs.Without), text.Concepts(v.Name)))
	if q.intent != "product_ingredients" || asked == "" || len(v.Ingredients) == 0 {
		return "", ""
	}
	for _, ingredient := range v.Ingredients {
		if slices.Contains(text.Concepts(ingredient), asked) {
			return "holds", ingredient
		}
	}
	if id := freeOf(asked); id != "" && slices.Contains(p.Free, id) {
		return "free", shop.FreeOf.Label(id, q.Language)
	}
	return "not_listed", ""
}

// talkedOf remembers the products that an answer is about.
func (r *Responder) talkedOf(a *Answer, products ...*shop.Product) {
	a.Memory.Needs = &Needs{}
	for _, p := range products {
		if !slices.Contains(a.Memory.Needs.Types, p.Type) {
			a.Memory.Needs.Types = append(a.Memory.Needs.Types, p.Type)
		}
		a.Memory.Last = append(a.Memory.Last, p.ID)
	}
	a.Memory.Shown = a.Memory.Last
}

// whichProduct answers a question about a product that is not told: from the FAQ when it knows, or by showing what may be meant.
func (r *Responder) whichProduct(q *question, a *Answer) {
	if hits := r.entriesFound(q); len(hits) > 0 && hits[0].Rank == 0 && slices.Contains(r.entries[q.intent], hits[0].Entry) {
		r.quote(q, a)
		return
	}
	needs := q.needs
	needs.Quantity = 0
	if !needs.specific() {
		if hits := r.productsFound(q); len(hits) > 0 && hits[0].Coverage >= enoughFound {
			r.search(q, a)
			return
		}
		r.say(q, a, "which_product")
		a.Categories = r.menu.categories(q.Language)
		return
	}
	r.showFitting(q, a, &needs, "which_of")
}

// compare tells two products apart: those named, those between "or" and "and", or the first two shown before.
func (r *Responder) compare(q *question, a *Answer) {
	products := q.products
	if len(products) < 2 && (len(q.Before.Last) < 2 || q.needs.specific()) {
		products = nil
		for _, part := range r.cues.parts(q.words) {
			if p := sought(r.catalogue.Search(part, q.Language, 2)); p != nil && !slices.Contains(products, p) {
				products = append(products, p)
			}
		}
	}
	if len(products) < 2 {
		products = nil
		for _, id := range q.Before.Last[:min(2, len(q.Before.Last))] {
			products = r.append(products, id)
		}
	}
	if len(products) < 2 {
		r.whichProduct(q, a)
		return
	}
	products = products[:2]
	for _, p := range products {
		v := p.In(q.Language)
		r.say(q, a, "compared", "item", r.item(p, q.Language), "description", v.Description)
		a.Products = append(a.Products, p.Card(q.Language, v.Description))
	}
	r.talkedOf(a, products...)
}

// parts cuts words at those that stand between two things.
func (c *cues) parts(w words) []words {
	var all []words
	from := 0
	for i := range w {
		if c.Between.match(w, i) > 0 {
			all = append(all, w[from:i])
			from = i + 1
		}
	}
	return append(all, w[from:])
}
