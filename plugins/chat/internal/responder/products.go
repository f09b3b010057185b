package responder

import (
	"cmp"
	"slices"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// products recommends what fits the needs; when none are told it searches, and asks for the kind of product when that finds nothing.
func (r *Responder) products(q *question, a *Answer) {
	needs := q.needs
	if needs.none() && q.Profile.HairType == "" && len(q.Profile.Concerns) == 0 {
		r.search(q, a)
		return
	}
	if needs.HairType == "" && needs.SkinType == "" && len(needs.Concerns) == 0 {
		needs.HairType, needs.Concerns = q.Profile.HairType, q.Profile.Concerns
	}
	if len(needs.Types) > 0 && !r.sells(needs.Types) { // the words may be of a name all the same
		r.search(q, a)
		return
	}
	r.showFitting(q, a, &needs, "products")
}

// showFitting presents the products that fit, and keeps them for the evidence of the answer.
func (r *Responder) showFitting(q *question, a *Answer, needs *Needs, phrase string) {
	if len(q.refused) > 0 {
		kept := *needs
		kept.Avoid = union(needs.Avoid, q.refused)
		needs = &kept
	}
	q.fitsFor, q.fits = needs, r.recommend(needs, q.Language)
	r.show(q, a, needs, q.fits, phrase)
}

// sells reports whether the shop has products of one of the types.
func (r *Responder) sells(types []string) bool {
	return slices.ContainsFunc(r.names, func(n named) bool { return slices.Contains(types, n.product.Type) })
}

// recommend returns all the products that fit, the best first, bundles where they are asked for.
func (r *Responder) recommend(needs *Needs, language string) []shop.Recommendation {
	if slices.Contains(needs.Types, "bundle") {
		return r.withIngredients(r.bundles(needs, language), needs.With)
	}
	found := r.catalogue.Recommend(needs.Needs, language, len(r.catalogue.Products))
	found = slices.DeleteFunc(found, func(rec shop.Recommendation) bool {
		return refuses(needs, rec.Product) || rec.Product.Price < needs.MinPrice
	})
	found = r.withIngredients(found, needs.With)
	if needs.Cheapest {
		byPrice(found)
	}
	if available := slices.DeleteFunc(slices.Clone(found), outOfStock); len(available) > 0 {
		return available
	}
	return found
}

func outOfStock(rec shop.Recommendation) bool { return !rec.Product.InStock }

func byPrice(list []shop.Recommendation) {
	slices.SortStableFunc(list, func(a, b shop.Recommendation) int { return cmp.Compare(a.Product.Price, b.Product.Price) })
}

// refuses reports whether a product is what the customer does not want.
func refuses(needs *Needs, p *shop.Product) bool {
	if slices.Contains(needs.NotTypes, p.Type) {
		return true
	}
	if specificallyFor(p.HairTypes, needs.NotHair) || specificallyFor(p.SkinTypes, needs.NotSkin) {
		return true
	}
	if len(needs.NotConcerns) > 0 {
		for _, concern := range p.Concerns.In(text.French) {
			for _, id := range shop.Concerns.Understand(concern) {
				if slices.Contains(needs.NotConcerns, id) {
					return true
				}
			}
		}
	}
	return false
}

// mostSpecific is for how many types of hair or skin a product is at most to be made for each of them.
const mostSpecific = 3

// specificallyFor reports whether a product that is for the types is made for one of those refused.
func specificallyFor(types, refused []string) bool {
	return len(types) <= mostSpecific && slices.ContainsFunc(refused, func(t string) bool { return slices.Contains(types, t) })
}

// withIngredients keeps the products that have the ingredients, or, when there is none, all.
func (r *Responder) withIngredients(found []shop.Recommendation, concepts []string) []shop.Recommendation {
	kept := slices.DeleteFunc(slices.Clone(found), func(rec shop.Recommendation) bool { return !r.hasAll(rec.Product, concepts) })
	if len(kept) == 0 {
		return found
	}
	return kept
}

// hasAll reports whether the name and the ingredients of a product mention all of the concepts.
func (r *Responder) hasAll(p *shop.Product, concepts []string) bool {
	has := r.names[slices.IndexFunc(r.names, func(n named) bool { return n.product == p })].concepts
	return !slices.ContainsFunc(concepts, func(c string) bool { return !slices.Contains(has, c) })
}

// lacksWanted reports whether a product was found though it lacks an ingredient that was asked for, as all do then.
func (r *Responder) lacksWanted(p *shop.Product, needs *Needs) bool {
	return !r.hasAll(p, needs.ingredients())
}

// bundles returns the bundles whose contents fit, the best first, or all.
func (r *Responder) bundles(needs *Needs, language string) []shop.Recommendation {
	inner := needs.Needs
	inner.Types, inner.MaxPrice = nil, 0
	score := map[*shop.Product]int{}
	if needs.specific() {
		for i, rec := range r.catalogue.Recommend(inner, language, len(r.catalogue.Products)) {
			score[rec.Product] = max(1, 10-i)
		}
	}
	var found []shop.Recommendation
	total := map[*shop.Product]int{}
	avoid := shop.IngredientsOf(needs.Avoid)
	for _, b := range r.catalogue.Bundles {
		if needs.MaxPrice > 0 && b.Price > needs.MaxPrice || b.Price < needs.MinPrice ||
			slices.ContainsFunc(b.Products, func(p *shop.Product) bool {
				return p.Holds(avoid) || needs.Vegan && !p.Vegan || len(minus(needs.Free, p.Free)) > 0
			}) {
			continue
		}
		for _, p := range b.Products {
			total[&b.Product] += score[p]
		}
		description, _ := b.Description.In(language)
		found = append(found, shop.Recommendation{Product: &b.Product, Reason: description})
	}
	slices.SortStableFunc(found, func(a, b shop.Recommendation) int { return total[b.Product] - total[a.Product] })
	if needs.Cheapest {
		byPrice(found)
	}
	return found
}

// show presents the first of the products found, under a phrase, and remembers them. What is not what was asked for is told, and not
// shown.
func (r *Responder) show(q *question, a *Answer, needs *Needs, found []shop.Recommendation, phrase string) {
	a.Memory.Needs = needs
	if len(found) == 0 {
		a.Intent.Name = "no_product"
		r.say(q, a, "no_product")
		a.Categories = r.menu.categories(q.Language)
		return
	}
	if missed := found[0].Missed; slices.Contains(missed, "types") {
		a.Intent.Name = "no_product"
		r.say(q, a, "missed_type")
		a.Categories = r.menu.categories(q.Language)
		return
	} else if slices.Contains(missed, "maxPrice") {
		a.Intent.Name = "no_product"
		found = slices.Clone(found)
		byPrice(found)
		r.say(q, a, "missed_price", "item", r.item(found[0].Product, q.Language))
		return
	}
	most := MaxProducts
	if needs.Cheapest {
		most = 1
		phrase = "cheapest"
	}
	found = found[:min(most, len(found))]
	switch {
	case phrase == "products" && r.lacksWanted(found[0].Product, needs):
		phrase = "missed_ingredient"
	case len(found) == 1 && phrase == "products":
		phrase = "product"
	}
	items := make([]string, len(found))
	var ids []string
	for i, rec := range found {
		card := rec.Product.Card(q.Language, rec.Reason)
		a.Products = append(a.Products, card)
		ids = append(ids, card.ID)
		items[i] = r.item(rec.Product, q.Language)
	}
	r.say(q, a, phrase, "list", r.join(items, q.Language))
	if len(found) == 1 && !found[0].Product.InStock {
		r.say(q, a, "out_of_stock", "name", a.Products[0].Name)
	}
	a.Memory.Shown, a.Memory.Last = ids, ids
}

// item is a product in a sentence: its name, and its price where the shop's file has one.
func (r *Responder) item(p *shop.Product, language string) string {
	name, _ := p.Name.In(language)
	if p.Price <= 0 {
		return name
	}
	return r.phrases.form("item", language, "name", name, "price", shop.FormatPrice(p.Price, p.Currency, language))
}

// search finds products by the words of the message.
func (r *Responder) search(q *question, a *Answer) {
	hits := slices.DeleteFunc(slices.Clone(r.productsFound(q)), func(h shop.ProductHit) bool { return h.Product.Holds(q.avoid) })
	hits = hits[:min(MaxProducts, len(hits))]
	if len(hits) == 0 || hits[0].Coverage < enoughFound || q.onlyArea() {
		area := ""
		switch {
		case q.about("hair"):
			area = "hair"
		case q.about("skin", "body", "face", "hands"):
			area = "body"
		}
		r.askArea(q, a, area)
		return
	}
	var found []shop.Recommendation
	for _, h := range hits {
		description, _ := h.Product.Description.In(q.Language)
		found = append(found, shop.Recommendation{Product: h.Product, Reason: description})
	}
	r.show(q, a, &Needs{}, found, "found")
}

// onlyArea reports whether a message says nothing but a part of the body.
func (q *question) onlyArea() bool {
	return len(q.concepts) > 0 && !slices.ContainsFunc(q.concepts, func(c string) bool {
		return !slices.Contains([]string{"hair", "scalp", "skin", "body", "face", "hands"}, c)
	})
}

// enoughFound is the share of a question that the best product has to answer.
const enoughFound = 0.5

// Recommend answers needs that were told outside of a conversation. Whatever they are, it finds something.
func (r *Responder) Recommend(needs shop.Needs, language, session string) Answer {
	q := &question{Turn: Turn{Language: language, Session: session}}
	a := Answer{Language: language}
	a.is(Products, "recommend", 1)
	n := Needs{Needs: needs}
	r.showFitting(q, &a, &n, "products")
	r.finish(q, &a)
	return a
}
