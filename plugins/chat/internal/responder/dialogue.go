package responder

import (
	"cmp"
	"slices"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// How many words a message has at most that goes on with what was said: where it says so, where it tells what to change, and where
// that could be a wish of its own.
const (
	maxFollowUp  = 12
	maxProperty  = 6
	maxForWhat   = 5
	maxOtherType = 4
)

// refines reports whether a message goes on with the needs before rather than begins anew: "et pour cheveux secs ?", "sans
// parfum ?", "en savon plutôt", "finalement je monte à 20 euros".
func (r *Responder) refines(q *question) bool {
	asked, before := &q.needs, q.Before.Needs
	said, corrects := r.cues.leadIn(q.words)
	bare := *asked
	bare.Cheapest = false
	switch {
	case before == nil, q.order != "", len(said) == 0, len(said) > maxFollowUp, bare.none():
		return false
	case asks(q.Message) && len(r.placed(q)) > 0: // "le premier est sans alcool ?"
		return false
	case len(asked.Types) > 0 && len(before.Types) > 0 && !sameArea(asked.Types[0], before.Types[0]): // "et côté déodorants ?"
		return false
	case r.wantsOther(q) && (!corrects || len(said) > maxProperty && !q.refuses) && !r.states(q, said):
		return false
	case corrects, r.cues.And.match(said, 0) > 0, r.cues.Refuse.Until.match(said, 0) > 0:
		return true
	}
	forWhat := len(asked.Concerns)+len(asked.HairType)+len(asked.SkinType) > 0
	switch {
	case asked.Also:
		return true
	case len(asked.Types) > 0:
		return !forWhat && (len(said) <= maxOtherType || asked.limited() && slices.Equal(asked.Types, before.Types))
	case forWhat:
		return len(said) <= maxForWhat || q.intent == "cheapest" || q.intent == "more"
	}
	return !r.cues.General.in(said) // what it may cost or be made of, of whatever is talked of
}

// wantsOther reports whether a message certainly wants something else than products for its needs.
func (r *Responder) wantsOther(q *question) bool {
	limit := q.needs.MaxPrice > 0 || q.needs.MinPrice > 0 || q.needs.AnyPrice
	switch topic := r.intents[q.intent].Topic; {
	case q.intent == "recommend", q.intent == "more":
		return false
	case limit && (q.intent == "cheapest" || topic == SmallTalk || topic == Other):
		return false // "et moins de 12 €" is no wish for the cheapest, "allez, jusqu'à 20" no goodbye
	}
	return q.sure >= certain
}

// states reports whether words state what the product is to be, rather than ask what the shop's are: "et vegan", "mais pas d'argan".
func (r *Responder) states(q *question, said words) bool {
	if len(said)-r.cues.And.match(said, 0) > maxProperty || asks(q.Message) || r.cues.General.in(said) {
		return false
	}
	switch q.intent {
	case "certification", "ingredients", "product_ingredients", "suitability":
		return true
	}
	for i := range said {
		small := r.cues.And.match(said, i)+r.cues.Refuse.Until.match(said, i)+r.cues.Refuse.Weak.match(said, i)+r.cues.Refuse.Strong.match(said, i) > 0
		if terms := text.TermsOf(said[i:i+1], q.Language); !small && len(terms) > 0 && terms[0][0] != '#' && !ofPhrase(said, i) {
			return false
		}
	}
	return true
}

// longestPhrase is how many words the name of a property has at most.
const longestPhrase = 3

// ofPhrase reports whether a word mentions a property together with its neighbours.
func ofPhrase(w words, at int) bool {
	for from := max(0, at-longestPhrase+1); from <= at; from++ {
		for to := at + 1; to <= min(from+longestPhrase, len(w)); to++ {
			if slices.ContainsFunc(w[from:to].concepts(), isProperty) && !slices.ContainsFunc(slices.Concat(w[from:at], w[at+1:to]).concepts(), isProperty) {
				return true
			}
		}
	}
	return false
}

// sameArea reports whether two types of product are for hair, or for skin.
func sameArea(a, b string) bool {
	return a == "bundle" || b == "bundle" || slices.Contains(skinWords, a) == slices.Contains(skinWords, b)
}

// leadIn returns the words of a message after those that only lead to what it says, and whether these correct what was said before.
func (c *cues) leadIn(w words) (said words, corrects bool) {
	corrects = c.Meant.in(w)
	for len(w) > 0 {
		n := c.Correct.match(w, 0)
		corrects = corrects || n > 0
		if n = max(n, c.Lead.match(w, 0)); n == 0 {
			break
		}
		w = w[n:]
	}
	return w, corrects
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
	switch {
	case asked.Also:
		n.Concerns = union(n.Concerns, asked.Concerns)
		n.HairType, n.SkinType = cmp.Or(asked.HairType, n.HairType), cmp.Or(asked.SkinType, n.SkinType)
	case len(asked.Concerns)+len(asked.HairType)+len(asked.SkinType) > 0:
		n.Concerns, n.HairType, n.SkinType = asked.Concerns, asked.HairType, asked.SkinType
	}
	if asked.MaxPrice > 0 || asked.AnyPrice {
		n.MaxPrice = asked.MaxPrice
	}
	if asked.MinPrice > 0 {
		n.MinPrice = asked.MinPrice
	}
	if asked.Quantity > 0 {
		n.Quantity = asked.Quantity
	}
	n.With = minus(n.With, slices.Concat(asked.Free, asked.Without, asked.Open, asked.Forgotten))
	if len(asked.With) > 0 {
		n.With = asked.With
	}
	n.Vegan = n.Vegan || asked.Vegan
	allowed := slices.Concat(asked.With, asked.Open)
	n.Free = union(minus(n.Free, allowed), asked.Free)
	n.Avoid = union(without(n.Avoid, allowed), asked.Avoid)
	n.Without = union(without(n.Without, allowed), asked.Without)
	n.NotTypes = union(n.NotTypes, asked.NotTypes)
	n.NotConcerns = union(n.NotConcerns, asked.NotConcerns)
	n.NotHair = union(n.NotHair, asked.NotHair)
	n.NotSkin = union(n.NotSkin, asked.NotSkin)
	n.Types = minus(n.Types, n.NotTypes)
	return &n
}

// without returns the ingredients refused but for those that are wanted after all, by their concepts.
func without(refused, wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(refused), func(s string) bool {
		return slices.Contains(wanted, s) || slices.ContainsFunc(text.Concepts(s), func(c string) bool { return slices.Contains(wanted, c) })
	})
}

// minus returns the values that are not in another list.
func minus(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
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
	if slices.Equal(q.needs.Types, needs.Types) { // "le moins cher de ces masques"
		needs = *merge(&needs, &q.needs)
	} else if q.needs.specific() {
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
