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
	concepts []string   // of its name and its ingredients
}

func productNames(c *shop.Catalogue) []named {
	var all []named
	add := func(p *shop.Product) {
		n := named{product: p}
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
		add(p)
	}
	for _, b := range c.Bundles {
		add(&b.Product)
	}
	return all
}

// namedProduct answers about the product whose whole name the message holds: its use, its ingredients, its stock, or
// what it is.
func (r *Responder) namedProduct(q *question, a *Answer) bool {
	if q.about(afterSalesConcepts...) || q.about("delivery", "payment", "allergy", "pregnancy", "baby", "promotion") {
		return false
	}
	terms := map[string]bool{}
	for _, l := range text.Languages {
		for _, t := range text.Terms(q.Message, l) {
			terms[t] = true
		}
	}
	var p *shop.Product
	longest := 0
	for _, n := range r.names {
		for _, name := range n.names {
			if len(name) > longest && !slices.ContainsFunc(name, func(t string) bool { return !terms[t] }) {
				p, longest = n.product, len(name)
			}
		}
	}
	if p == nil || q.refuses {
		return false
	}
	v := p.In(q.Language)
	price := shop.FormatPrice(p.Price, p.Currency, q.Language)
	key, intent := "description", "product_info"
	switch {
	case v.Usage != "" && (q.about("use") || r.cues.how.in(q.words) && !q.about("price")):
		key, intent = "usage", "product_usage"
	case q.about("ingredients") && len(v.Ingredients) > 0:
		key, intent = "ingredients", "product_ingredients"
	case q.about("stock") && p.InStock:
		key, intent = "in_stock", "product_stock"
	case !p.InStock:
		key, intent = "out_of_stock", "product_stock"
	case p.Price <= 0 || v.Size == "" || v.Description == "": // a shop's file may not say
		return false
	}
	a.is(Products, intent, 0.95)
	a.Language = v.Language
	r.say(q, a, key, "name", v.Name, "size", v.Size, "price", price, "description", v.Description,
		"usage", v.Usage, "ingredients", strings.Join(v.Ingredients, r.phrases.form("comma", q.Language)))
	a.Products = []shop.Card{p.Card(q.Language, v.Description)}
	a.Memory.Needs = &Needs{Needs: shop.Needs{Types: []string{p.Type}}}
	a.Memory.Shown, a.Memory.Last = []string{p.ID}, []string{p.ID}
	return true
}
