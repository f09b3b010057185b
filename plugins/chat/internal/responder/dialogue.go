package responder

import (
	"slices"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

const maxFollowUpWords = 8

// refines reports whether a message goes on with the needs before rather than begins anew: "et pour cheveux secs ?", "sans
// parfum ?", "en savon plutôt".
func (r *Responder) refines(q *question) bool {
	asked := &q.needs
	if q.Before.Needs == nil || len(q.words) == 0 || len(q.words) > maxFollowUpWords || q.order != "" {
		return false
	}
	bare := *asked
	bare.Cheapest = false
	if bare.none() {
		return false
	}
	limit := asked.MaxPrice > 0 || asked.MinPrice > 0 // "et moins de 12 €" is no wish for the cheapest
	if info := r.intents[q.intent]; q.intent != "recommend" && (q.intent != "cheapest" || !limit) && q.sure >= certain && (info.Topic != Products || q.intent != "more") {
		return false
	}
	begins := r.cues.and.match(q.words, 0) > 0 || r.cues.until.match(q.words, 0) > 0
	forWhat := len(asked.Concerns)+len(asked.HairType)+len(asked.SkinType) > 0
	if len(asked.Types) > 0 {
		return begins || len(q.words) <= 4 && !forWhat
	}
	return begins || len(q.words) <= 5 || q.intent == "cheapest" || q.intent == "more"
}

// refined answers needs that go on with those before.
func (r *Responder) refined(q *question, a *Answer) {
	merged := merge(q.Before.Needs, &q.needs)
	r.showFitting(q, a, merged, "products")
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
	if asked.MinPrice > 0 {
		n.MinPrice = asked.MinPrice
	}
	if asked.Quantity > 0 {
		n.Quantity = asked.Quantity
	}
	if len(asked.With) > 0 {
		n.With = asked.With
	}
	n.Vegan = n.Vegan || asked.Vegan
	n.Free = union(n.Free, asked.Free)
	n.Avoid = union(without(n.Avoid, asked.With), asked.Avoid)
	n.Without = union(without(n.Without, asked.With), asked.Without)
	n.NotTypes = union(n.NotTypes, asked.NotTypes)
	n.NotConcerns = union(n.NotConcerns, asked.NotConcerns)
	n.NotHair = union(n.NotHair, asked.NotHair)
	n.NotSkin = union(n.NotSkin, asked.NotSkin)
	return &n
}

// without returns the ingredients refused but for those that are wanted after all, by their concepts.
func without(refused, wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(refused), func(s string) bool {
		return slices.Contains(wanted, s) || slices.ContainsFunc(text.Concepts(s), func(c string) bool { return slices.Contains(wanted, c) })
	})
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

// cheapest picks the cheapest of the products shown last, or of those that a message asks for.
func (r *Responder) cheapest(q *question, a *Answer) {
	needs := *q.Before.Needs
	if q.needs.specific() {
		needs = q.needs
	}
	var shown []shop.Recommendation
	for _, id := range q.Before.Last {
		if p := r.catalogue.Find(id); p != nil && !q.needs.specific() && !p.Holds(q.avoid) { // the catalogue may have changed
			shown = append(shown, shop.Recommendation{Product: p, Reason: r.reason(p, &needs, q.Language)})
		}
	}
	byPrice(shown)
	if len(shown) > 0 {
		r.show(q, a, &needs, shown[:1], "cheapest")
		a.Memory.Shown = q.Before.Shown
		return
	}
	needs.Cheapest = true
	r.showFitting(q, a, &needs, "cheapest")
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
