package responder

import (
	"slices"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// refuse reads what a negation is about; around are the concepts of the rest of the message.
func (r *Responder) refuse(n *Needs, segment words, around []string) {
	ingredient := false
	said := segment.String()
	concepts := text.Concepts(said)
	if hair, skin := r.cues.described(segment, append(concepts, around...)); len(concepts) == 0 {
		n.NotHair, n.NotSkin = nonEmpty(n.NotHair, hair), nonEmpty(n.NotSkin, skin)
	}
	for _, c := range concepts {
		switch id := freeOf(c); {
		case id != "":
			if !slices.Contains(n.Free, id) {
				n.Free = append(n.Free, id)
			}
			ingredient = true
		case slices.Contains(ingredientConcepts, c):
			n.Avoid, n.Without = append(n.Avoid, segment.saying(c).String()), append(n.Without, c)
			ingredient = true
		}
	}
	for i := 0; i < len(segment) && (ingredient || len(concepts) == 0); {
		part := segment[i : i+r.cues.substances.run(segment[i:])]
		i += max(1, len(part))
		if s := part.String(); s != "" && len(part.concepts()) == 0 {
			n.Avoid, n.Without = append(n.Avoid, s), append(n.Without, s)
			ingredient = true
		}
	}
	n.NotConcerns = union(n.NotConcerns, shop.Concerns.Among(concepts))
	n.NotHair = union(n.NotHair, shop.HairTypes.Among(concepts))
	n.NotSkin = union(n.NotSkin, shop.SkinTypes.Among(concepts))
	if !ingredient { // "huile de coco" is an ingredient, "huile" a type
		n.NotTypes = union(n.NotTypes, shop.Types.Among(concepts))
	}
}

// saying returns the fewest words that mention a concept, or all: of "argan et karité" those that are an ingredient of its own.
func (w words) saying(concept string) words {
	for n := 1; n < len(w); n++ {
		for i := range len(w) - n + 1 {
			if part := w[i : i+n]; slices.Contains(part.concepts(), concept) {
				return part
			}
		}
	}
	return w
}

// substances are the stems of what the shop's products are made of, beside what synonyms.txt has a concept for.
type substances map[string]bool

func newSubstances(c *shop.Catalogue) substances {
	all := substances{}
	for _, p := range c.Products {
		for _, l := range text.Languages {
			for _, s := range p.Ingredients.In(l) {
				for _, t := range text.Terms(s, l) {
					if t[0] != '#' {
						all[t] = true
					}
				}
			}
		}
	}
	return all
}

// of are the words that join those of one ingredient: "cire d'abeille".
var of = []string{"de", "d", "du", "des", "of"}

// run returns how many words at the start name one ingredient.
func (s substances) run(w words) (n int) {
	for i := range w {
		if slices.Contains(of, w[i].Folded) && n > 0 {
			continue
		}
		known := slices.ContainsFunc(text.Languages[:], func(l string) bool {
			terms := text.TermsOf(w[i:i+1], l)
			return len(terms) == 1 && s[terms[0]]
		})
		if !known {
			return n
		}
		n = i + 1
	}
	return n
}

// longestRefused is how many words after a negation are looked at.
const longestRefused = 6

// splitRefused parts what is wanted from what is refused: the words after "sans", "without", "بدون", and after "pas" or "not" where
// they refuse something ("pas pour cheveux gras") rather than deny ("je ne sais pas"). "Sans rinçage" refuses nothing.
func (c *cues) splitRefused(w words) (wanted words, refused []words) {
	dismisses := c.dismissed.in(w)
	for i := 0; i < len(w); {
		if i+1 < len(w) && c.refusedBefore.match(w, i+1) > 0 && isSubstance(first(w[i:i+1].concepts())) {
			refused = append(refused, w[i:i+1])
			i += 1 + c.refusedBefore.match(w, i+1)
			continue
		}
		if dismisses {
			if n := c.dismissal(w[i:]); n > 0 {
				refused = append(refused, w[i:i+n])
				i += n
				continue
			}
		}
		n, weak := c.refuse.match(w, i), false
		if n == 0 {
			n, weak = c.refuseWeakly.match(w, i), true
		}
		if n == 0 || i+n == len(w) || len(refused) == maxRefinements {
			wanted = append(wanted, w[i])
			i++
			continue
		}
		from := i + n
		if next := w[from : from+1]; !weak && shop.Types.Among(next.concepts()) == nil && shop.Types.Among(w[i:from+1].concepts()) != nil {
			wanted = append(wanted, w[i:from+1]...) // "sans rinçage" is what a product is
			i = from + 1
			continue
		}
		weak = weak || c.purpose.match(w, from) > 0
		if weak && c.afterWeak.match(w, from) == 0 && !c.startsProperty(w[from:]) {
			wanted = append(wanted, w[i:from]...)
			i = from
			continue
		}
		following := w[from:min(from+longestRefused, len(w))]
		taken := c.refusedWords(following, weak)
		if run := c.substances.run(following); !weak && run > taken && len(following[:run].concepts()) == 0 {
			taken = run
		}
		if taken == 0 {
			wanted = append(wanted, w[i:from]...)
			i = from
			continue
		}
		refused = append(refused, w[from:from+taken])
		i = from + taken
	}
	return wanted, refused
}

// refusedWords returns how many words a negation is about. A weak one may be about hair and skin, a strong one is about what
// a product is made of or is.
func (c *cues) refusedWords(w words, weak bool) int {
	taken := 0
	var before []string // concepts of the words taken
	for n := 1; n <= len(w); n++ {
		if c.until.match(w, n-1) > 0 || taken > 0 && c.again.match(w, n-1) > 0 && w[n-1].Surface != "à" { // "au karité et à l'argan"
			break
		}
		concepts := w[:n].concepts()
		if len(concepts) == len(before) {
			if taken > 0 && !slices.Equal(concepts, before) { // "gel douche" is not what "gel" is
				taken, before = n, concepts
				continue
			}
			if weak && (taken == n-1 || taken == 0) && c.adjective(w, n-1) {
				taken = n
			}
			continue
		}
		if weak && taken > 0 && shop.Types.Among(before) == nil && shop.Types.Among(concepts) != nil && !isSubstance(first(before)) {
			break // "not for dandruff, shampoo"
		}
		if !refusable(concepts) && (!weak || isSubstance(first(before))) {
			break
		}
		taken, before = n, concepts
	}
	return taken
}

// farthestDismissal is how many words may stand between what is refused and the words that refuse it.
const farthestDismissal = 3

// dismissal returns the number of words from a property to the end of what dismisses it ("parabens are not ok"), 0 for none.
func (c *cues) dismissal(w words) int {
	for at := 1; at <= farthestDismissal && at < len(w); at++ {
		if n := c.dismissed.match(w, at); n > 0 && c.startsProperty(w[:at]) && shop.Types.Among(w[:at].concepts()) == nil {
			if at+n < len(w) && c.refuseWeakly.match(w, at+n) > 0 {
				return 0 // "l'alcool ne me gêne pas"
			}
			if next := w[at+n : min(at+n+2, len(w))]; isSubstance(first(next.concepts())) && !slices.ContainsFunc(w[:at].concepts(), isSubstance) {
				return 0 // "cheveux abîmés, je déteste le miel": it is what follows
			}
			return at + n
		}
		if c.startsProperty(w[at:]) {
			return 0 // it is this one that may be dismissed
		}
	}
	return 0
}

// startsProperty reports whether words start with what a product can be, be for or be made of: "not soap".
func (c *cues) startsProperty(w words) bool {
	if len(w) == 0 {
		return false
	}
	if c.adjective(w, 0) {
		return true
	}
	concepts := w[:min(2, len(w))].concepts()
	if len(w) > 1 && len(w[:1].concepts()) == 0 && len(concepts) == len(w[1:2].concepts()) {
		return false // it is the second word's alone
	}
	return slices.ContainsFunc(concepts, func(c string) bool {
		one := []string{c}
		return c == "vegan" || isSubstance(c) || shop.Types.Among(one) != nil || shop.HairTypes.Among(one) != nil ||
			shop.SkinTypes.Among(one) != nil || shop.Concerns.Among(one) != nil
	})
}

// adjective reports whether a word says how hair or skin is.
func (c *cues) adjective(w words, at int) bool {
	for _, set := range c.adjectives {
		if set.match(w, at) > 0 {
			return true
		}
	}
	return false
}

// refusable reports whether what follows "sans" is one type of product, or substances ("huile de coco et sulfates").
func refusable(concepts []string) bool {
	if len(concepts) == 1 {
		return isSubstance(concepts[0]) || shop.Types.Among(concepts) != nil
	}
	return !slices.ContainsFunc(concepts, func(c string) bool { return !isSubstance(c) && c != "oil" && c != "body_butter" })
}

func isSubstance(concept string) bool {
	return slices.Contains(ingredientConcepts, concept) || freeOf(concept) != ""
}

// freeOf returns the value of shop.FreeOf that refuses a concept, or "".
func freeOf(concept string) string { return first(shop.FreeOf.Among([]string{"no_" + concept})) }
