package responder

import (
	"slices"

	"github.com/innatural/chatbot/plugins/internal/shop"
)

// followUp answers what only makes sense after the products of the turns before: "le moins cher ?", "et en savon ?",
// "sans parfum ?", "autre chose ?".
func (r *Responder) followUp(q *question, a *Answer) bool {
	before := q.Before.Needs
	if before == nil || len(q.words) > maxFollowUpWords || q.about(afterSalesConcepts...) {
		return false
	}
	asked := &q.needs
	switch {
	case asked.Cheapest && !asked.specific() && len(asked.Free)+len(asked.With) == 0 && len(q.Before.Last) > 0:
		a.is(Products, "cheapest", 0.9)
		r.cheapestShown(q, a)
	case r.cues.more.in(q.words) && asked.none():
		a.is(Products, "more", 0.9)
		r.others(q, a)
	case asked.none():
		return false
	case q.entry != nil && !asked.specific() && q.about(informationConcepts...):
		return false
	case len(asked.Types) > 0 && !r.refines(q):
		return false
	default:
		merged := merge(before, asked)
		a.is(Products, "refine", 0.85)
		r.show(q, a, merged, r.recommend(merged, q.Language), "products")
	}
	return true
}

const maxFollowUpWords = 8

// refines reports whether a message that names a type of product goes on with the needs before, rather than begins anew.
func (r *Responder) refines(q *question) bool {
	begins := r.cues.and.match(q.words, 0) > 0
	forWhat := len(q.needs.Concerns)+len(q.needs.HairType)+len(q.needs.SkinType) > 0
	return begins || len(q.words) <= 3 && !forWhat
}

// merge returns the needs before with what is asked now in their place.
func merge(before, asked *Needs) *Needs {
	n := *before
	n.Cheapest = asked.Cheapest
	if len(asked.Types) > 0 {
		n.Types = asked.Types
	}
	if len(asked.Concerns)+len(asked.HairType)+len(asked.SkinType) > 0 {
		n.Concerns, n.HairType, n.SkinType = asked.Concerns, asked.HairType, asked.SkinType
	}
	if asked.MaxPrice > 0 {
		n.MaxPrice = asked.MaxPrice
	}
	if len(asked.With) > 0 {
		n.With = asked.With
	}
	n.Vegan = n.Vegan || asked.Vegan
	n.Free = union(n.Free, asked.Free)
	n.Avoid = union(n.Avoid, asked.Avoid)
	n.NotTypes = union(n.NotTypes, asked.NotTypes)
	n.NotConcerns = union(n.NotConcerns, asked.NotConcerns)
	return &n
}

// maxRefinements bounds each list that a conversation builds up.
const maxRefinements = 20

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) && len(all) < maxRefinements {
			all = append(all, s)
		}
	}
	return all
}

// cheapestShown picks the cheapest of the products shown last.
func (r *Responder) cheapestShown(q *question, a *Answer) {
	var shown []shop.Recommendation
	for _, id := range q.Before.Last {
		if p := r.catalogue.Find(id); p != nil { // the catalogue may have changed
			shown = append(shown, shop.Recommendation{Product: p, Reason: r.reason(p, q.Before.Needs, q.Language)})
		}
	}
	byPrice(shown)
	needs := *q.Before.Needs
	if len(shown) > 0 {
		r.show(q, a, &needs, shown[:1], "cheapest")
		a.Memory.Shown, a.Memory.Last = q.Before.Shown, q.Before.Last
		return
	}
	needs.Cheapest = true
	r.show(q, a, &needs, r.recommend(&needs, q.Language), "cheapest")
}

// reason says why a product was chosen.
func (r *Responder) reason(p *shop.Product, needs *Needs, language string) string {
	for _, rec := range r.recommend(needs, language) {
		if rec.Product == p {
			return rec.Reason
		}
	}
	description, _ := p.Description.In(language)
	return description
}

// others shows products for the needs that were not shown yet.
func (r *Responder) others(q *question, a *Answer) {
	needs := *q.Before.Needs
	needs.Cheapest = false
	found := slices.DeleteFunc(r.recommend(&needs, q.Language), func(rec shop.Recommendation) bool {
		return slices.Contains(q.Before.Shown, rec.Product.ID)
	})
	if len(found) == 0 {
		r.say(q, a, "no_more")
		a.Categories = r.menu.categories(q.Language)
		a.Memory.Needs, a.Memory.Shown, a.Memory.Last = q.Before.Needs, q.Before.Shown, q.Before.Last
		return
	}
	r.show(q, a, &needs, found, "more")
	a.Memory.Shown = slices.Concat(q.Before.Shown, a.Memory.Last)
}
