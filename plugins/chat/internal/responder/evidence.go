package responder

import (
	"slices"
	"strconv"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
)

// How much evidence there is at most.
const (
	evidenceProducts = 6
	evidenceEntries  = 4
)

// evidence returns what an answer to the question may speak from: what is shown first, then what fits the needs and what search
// finds.
func (r *Responder) evidence(q *question, a *Answer) Evidence {
	var e Evidence
	if a.Topic == SmallTalk || a.Topic == Other {
		return e
	}
	add := func(p *shop.Product) {
		refused := p != nil && !slices.Contains(q.products, p) && p.Holds(q.avoid)
		if p != nil && !refused && len(e.Products) < evidenceProducts && !slices.Contains(e.Products, p) {
			e.Products = append(e.Products, p)
		}
	}
	for _, card := range a.Products {
		add(r.catalogue.Find(card.ID))
	}
	if needs := a.Memory.Needs; needs != nil && a.Topic == Products {
		if q.fitsFor != needs {
			q.fits = r.recommend(needs, q.Language)
		}
		for _, rec := range q.fits {
			add(rec.Product)
		}
	}
	if len(e.Products) < evidenceProducts {
		hits := r.productsFound(q)
		for _, hit := range hits[:min(evidenceProducts, len(hits))] {
			add(hit.Product)
		}
	}
	if q.entry != nil {
		e.FAQ = append(e.FAQ, q.entry)
	}
	for _, hit := range r.entriesFound(q) {
		if hit.Rank < evidenceEntries && len(e.FAQ) < evidenceEntries && !slices.Contains(e.FAQ, hit.Entry) {
			e.FAQ = append(e.FAQ, hit.Entry)
		}
	}
	for _, p := range r.catalogue.Promotions {
		about := a.Intent.Name == "promotions" || slices.ContainsFunc(e.Products, p.AppliesTo)
		if about && p.Active(r.now()) {
			e.Promotions = append(e.Promotions, p)
		}
	}
	return e
}

// canonical writes the needs in one form: keys and values in a fixed order, nothing for what is not asked.
func (n *Needs) canonical() string {
	var b strings.Builder
	one := func(key, value string) {
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(value)
	}
	list := func(key string, values []string) {
		switch len(values) {
		case 0:
		case 1:
			one(key, values[0])
		default:
			one(key, strings.Join(slices.Compact(slices.Sorted(slices.Values(values))), ","))
		}
	}
	list("type", n.Types)
	list("hair", nonEmpty(nil, n.HairType))
	list("skin", nonEmpty(nil, n.SkinType))
	list("concern", n.Concerns)
	list("with", n.With)
	list("without", slices.Concat(n.Free, n.Without))
	list("not_type", n.NotTypes)
	list("not_hair", n.NotHair)
	list("not_skin", n.NotSkin)
	list("not_concern", n.NotConcerns)
	if n.Vegan {
		one("vegan", "yes")
	}
	if n.MinPrice > 0 {
		one("min", strconv.FormatFloat(n.MinPrice, 'f', -1, 64))
	}
	if n.MaxPrice > 0 {
		one("max", strconv.FormatFloat(n.MaxPrice, 'f', -1, 64))
	}
	if n.Quantity > 0 {
		one("quantity", strconv.Itoa(n.Quantity))
	}
	if n.Cheapest {
		one("cheapest", "true")
	}
	return b.String()
}
