package responder

import (
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// refuse reads what a negation is about; around are the concepts of the rest of the message.
func (r *Responder) refuse(n *Needs, segment words, around []string) {
	ingredient := false
	said := segment.String()
	concepts := text.Concepts(said)
	if hair, skin := r.cues.described(segment, append(concepts, around...)); !slices.ContainsFunc(concepts, isProperty) {
		n.NotHair, n.NotSkin = nonEmpty(n.NotHair, hair), nonEmpty(n.NotSkin, skin)
	}
	for _, c := range concepts {
		switch id := freeOf(c); {
		case c == "colorants" && slices.Contains(concepts, "color_protection"): // of hair
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
		if s := part.String(); s != "" && len(part.concepts()) == 0 && !ofPhrase(segment, i-len(part)) {
			n.Avoid, n.Without = append(n.Avoid, s), append(n.Without, s)
			ingredient = true
		}
	}
	n.NotConcerns = union(n.NotConcerns, segment.most(shop.Concerns.Among(concepts)))
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

// most returns the concepts whose words are not a part of another one's: "dark spots" are no spots.
func (w words) most(concepts []string) []string {
	return slices.DeleteFunc(slices.Clone(concepts), func(c string) bool {
		said := w.saying(c).String()
		return slices.ContainsFunc(concepts, func(other string) bool {
			longer := w.saying(other).String()
			return longer != said && strings.Contains(longer, said)
		})
	})
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
// they refuse something ("pas pour cheveux gras") rather than deny ("je ne sais pas"). "Sans rinçage" refuses nothing. What ends
// with a "no" that asks for consent, as a message that asks may, does not either: "un savon au miel, non ?".
//
// What may be or not ("avec ou sans argan") is open, neither wanted nor refused; what is forgotten ("oubliez l'argan") is wanted no more,
// which lifts no refusal.
func (c *cues) splitRefused(w words, asks bool) *splitter {
	s := &splitter{cues: c, w: w, asks: asks}
	s.dismisses = c.Refuse.Dismissed.in(w) || c.Refuse.NoIssue.in(w) || c.Refuse.Denied.in(w) || c.Refuse.Enough.in(w) || c.Refuse.It.in(w)
	s.waives = c.Refuse.Optional.in(w)
	s.prefers = c.Refuse.Prefer.in(w)
	for s.at < len(w) {
		if len(s.refused) == maxRefinements ||
			!s.only() && !s.letGo() && !s.withoutIt() && !s.refusedBefore() && !s.waived() && !s.dismissed() && !s.negated() {
			s.want(1)
		}
	}
	return s
}

// splitter goes through words. Each of its rules reads those from at on, and reports whether it has taken some.
type splitter struct {
	*cues
	w    words
	asks bool
	at   int

	dismisses, waives, prefers bool // the words that rules look for are somewhere

	wanted                   words
	refused, open, forgotten []words
}

// want takes words as wanted.
func (s *splitter) want(n int) {
	s.wanted = append(s.wanted, s.w[s.at:s.at+n]...)
	s.at += n
}

// only takes "nothing but", which refuses nothing.
func (s *splitter) only() bool {
	n := s.Refuse.Only.match(s.w, s.at)
	s.want(n)
	return n > 0
}

// letGo takes "oubliez l'argan" and "peu importe l'argan".
func (s *splitter) letGo() bool {
	to, n := &s.forgotten, s.Refuse.Forget.match(s.w, s.at)
	if n == 0 {
		to, n = &s.open, s.Refuse.Whatever.match(s.w, s.at)
	}
	part := s.w[s.at+n : min(s.at+n+farthestObject, len(s.w))]
	if n == 0 || !isSubstance(first(part.concepts())) {
		return false
	}
	*to = append(*to, part)
	s.at += n + len(part)
	return true
}

// withoutIt takes "sans", of what was spoken of: "le miel j'en ai assez, un savon sans".
func (s *splitter) withoutIt() bool {
	n := s.Refuse.WithoutIt.match(s.w, s.at)
	if n == 0 || !s.w.endsAt(s.at+n) || s.Refuse.Either.before(s.w, s.at) || len(s.refused) > 0 {
		return false
	}
	at, size := s.wanted.lastSubstance()
	if size == 0 {
		return false
	}
	s.refused = append(s.refused, s.wanted[at:at+size])
	s.wanted = slices.Concat(s.wanted[:at], s.wanted[at+size:])
	s.at += n
	return true
}

// refusedBefore takes "silicone free".
func (s *splitter) refusedBefore() bool {
	at, after := s.at, s.at+1
	if after == len(s.w) {
		return false
	}
	n := s.Refuse.After.match(s.w, after)
	if n == 0 || !isSubstance(first(s.w[at:after].concepts())) {
		return false
	}
	if s.Refuse.Denied.match(s.w, after) == n && (!s.w.endsAt(after+n) || s.asks && after+n == len(s.w)) {
		return false // "au karité, non parfumé", "au miel, non ?"
	}
	s.refused = append(s.refused, s.w[at:after])
	s.at = after + n
	return true
}

// waived takes "le karité c'est pas obligé".
func (s *splitter) waived() bool {
	rest := s.w[s.at:]
	if !s.waives || !isSubstance(first(rest[:1].concepts())) {
		return false
	}
	for at := 1; at <= farthestObject && at < len(rest) && !s.startsProperty(rest[at:]); at++ {
		if n := s.Refuse.Optional.match(rest, at); n > 0 {
			s.open = append(s.open, rest[:at])
			s.at += at + n
			return true
		}
	}
	return false
}

// dismissed takes "l'argan, surtout pas".
func (s *splitter) dismissed() bool {
	if !s.dismisses {
		return false
	}
	n, all := s.dismissal(s.w[s.at:], s.asks, s.Refuse.Own.before(s.w, s.at))
	if n == 0 {
		return false
	}
	part := s.w[s.at : s.at+n]
	s.refused = append(s.refused, part[:max(1, s.refusedWords(part, true, 0))])
	s.at += all
	return true
}

// negated takes a negation and what it is about: "sans parfum", "pas pour cheveux gras", "je ne perds pas mes cheveux".
func (s *splitter) negated() bool {
	w := s.w
	if s.refuses(s.Refuse.Strong.match(w, s.at), false) {
		return true
	}
	n := s.Refuse.Weak.match(w, s.at)
	if n == 0 && s.prefers {
		n = s.Refuse.Than.match(w, s.at)
	}
	if before, after := s.denies(n); after > 0 {
		s.wanted = s.wanted[:len(s.wanted)-before]
		s.refused = append(s.refused, slices.Concat(w[s.at-before:s.at], w[s.at+n:s.at+n+after]))
		s.at += n + after
		return true
	}
	return s.refuses(n, true)
}

// refuses takes a negation of n words and what follows, if that is something to refuse.
func (s *splitter) refuses(n int, weak bool) bool {
	w := s.w
	if n == 0 || w.endsAt(s.at+n) {
		return false
	}
	from := s.at + n
	if next := w[from : from+1]; !weak && shop.Types.Among(next.concepts()) == nil && shop.Types.Among(w[s.at:from+1].concepts()) != nil {
		s.want(n + 1) // "sans rinçage" is what a product is
		return true
	}
	weak = weak || s.Refuse.Purpose.match(w, from) > 0
	lead := 0
	if weak {
		if lead = s.Refuse.AfterWeak.match(w, from); lead == 1 && w[from].Surface == "à" {
			lead = 0 // it is no English "a": "je n'arrive pas à démêler"
		}
	}
	taken := 0
	if !weak || (lead > 0 || s.startsProperty(w[from:])) && !s.lacks(w, s.at, from) {
		following := w[from:min(from+longestRefused, len(w))]
		taken = s.refusedWords(following, weak, lead)
		if run := s.substances.run(following); !weak && run > taken && len(following[:run].concepts()) == 0 {
			taken = run
		}
		taken += s.madeOf(w[from:from+taken], w[from+taken:])
	}
	switch part := w[from : from+taken]; {
	case taken == 0:
		return false
	case s.at > 1 && s.Refuse.Either.before(w, s.at) && s.Refuse.Until.match(w, s.at-2) > 0: // "avec ou sans argan"
		s.open = append(s.open, part)
	default:
		s.refused = append(s.refused, part)
	}
	s.at = from + taken
	return true
}

// madeOf returns how many words after a kind of product that is refused say what of it is, where no other kind is wanted: "pas de
// shampoing avec des sulfates".
func (s *splitter) madeOf(refused, rest words) int {
	held := refused.concepts()
	if shop.Types.Among(held) == nil || slices.ContainsFunc(held, isSubstance) || len(rest) == 0 || shop.Types.Among(s.wanted.concepts()) != nil {
		return 0
	}
	n := s.With.match(rest, 0)
	for to := n + 1; n > 0 && to <= min(n+farthestObject, len(rest)) && !rest[to-1].Clause; to++ {
		if isSubstance(first(rest[n:to].concepts())) {
			return to
		}
	}
	return 0
}

// Words on both sides of a negation that mention a concern together: "je ne perds pas mes cheveux", "mes cheveux ne tombent pas".
const (
	farthestVerb = 3
	farthestNoun = 2
)

// denies returns how many words before a negation of n words, which were taken as wanted, and after it, say what is not so, 0 for none.
func (s *splitter) denies(n int) (before, after int) {
	if n == 0 {
		return 0, 0
	}
	rest := s.w[s.at+n:]
	for before := 1; before <= min(farthestVerb, s.at, len(s.wanted)); before++ {
		verb := s.w[s.at-before : s.at]
		if !slices.Equal(verb, s.wanted[len(s.wanted)-before:]) {
			break // another refusal has taken it
		}
		for after := 1; after <= min(farthestNoun, len(rest)) && !rest[after-1].Clause; after++ {
			noun := rest[:after]
			if found := shop.Concerns.Among(slices.Concat(verb, noun).concepts()); len(found) > 0 && !lacking(found[0]) &&
				shop.Concerns.Among(verb.concepts()) == nil && shop.Concerns.Among(noun.concepts()) == nil {
				return before, after
			}
		}
	}
	return 0, 0
}

// lacking reports whether a concern is of what hair lacks: "mes cheveux ne poussent pas" is no refusal of what makes them grow.
func lacking(concern string) bool {
	switch concern {
	case "slow_growth", "volume", "dullness":
		return true
	}
	return false
}

// farthestLacked is how many words what is lacked ends from its negation: "pas de volume".
const farthestLacked = 2

// lacks reports whether a negation, from a word up to another, is of what hair lacks.
func (c *cues) lacks(w words, at, from int) bool {
	if c.Refuse.Purpose.match(w, from) > 0 || c.Refuse.Wish.match(w, from) > 0 || c.Refuse.Wish.before(w, at) || c.Refuse.Wish.in(w[at:from]) {
		return false
	}
	found := w[from:min(from+farthestLacked, len(w))].concepts()
	return len(found) == 1 && lacking(found[0])
}

// refusedWords returns how many words a negation is about. A weak one may be about hair and skin, a strong one is about what
// a product is made of or is. The first words, so many as lead, only lead to it: "pas ceux avec du miel".
func (c *cues) refusedWords(w words, weak bool, lead int) int {
	taken := 0
	var before []string // concepts of the words taken
	crossed := false    // the end of the clause that they stand in
	for n := 1; n <= len(w); n++ {
		if taken == 0 && n > 1 && w[n-1].Clause {
			break // "no wait, a soap"
		}
		crossed = crossed || taken > 0 && w[n-1].Clause
		if crossed && weak && !isSubstance(first(before)) {
			break // "not for dandruff, shampoo"
		}
		if crossed && (c.Meant.in(w[n-1:]) || shop.Types.Among(w[n-1:min(n+1, len(w))].concepts()) != nil) {
			break // "pas d'amande, à l'olive plutôt", "not coconut, argan oil"
		}
		if !weak && taken > 0 && c.Refuse.Purpose.match(w, n-1) > 0 {
			return w.completed(taken) // "بدون كحول ضد رائحة العرق"
		}
		if n > lead && c.Refuse.Until.match(w, n-1) > 0 || taken > 0 && c.Refuse.Again.match(w, n-1) > 0 && !c.Refuse.Either.before(w, n-1) && w[n-1].Surface != "à" { // "au karité et à l'argan"
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
			break // "not for dandruff shampoo"
		}
		if !refusable(concepts) && (!weak || isSubstance(first(before))) {
			if taken == 0 && n < len(w) && refusable(w[:n+1].concepts()) {
				continue // "scalp lotion"
			}
			break
		}
		if crossed && shop.Types.Among(concepts) != nil {
			break // "je déteste l'argan, une huile ?"
		}
		taken, before = n, concepts
	}
	return taken
}

// longestPurpose is how many words may complete a type of product: "une huile pour le corps".
const longestPurpose = 3

// completed returns how many words a type of product takes that may be another one with its purpose.
func (w words) completed(taken int) int {
	for n := min(taken+longestPurpose, len(w)); n > taken; n-- {
		if concepts := w[:n].concepts(); shop.Types.Among(concepts) != nil && !slices.Equal(concepts, w[:taken].concepts()) && refusable(concepts) {
			return n
		}
	}
	return taken
}

// farthestDismissal is how many words may stand between what is refused and the words that refuse it.
const farthestDismissal = 6

// dismissal returns the number of words from a property to what dismisses it ("parabens are not ok", "l'argan, surtout pas"), 0 for
// none, and to the end of that. What is the customer's own ("mon savon") is not all of its kind.
func (c *cues) dismissal(w words, asks, own bool) (n, all int) {
	if !c.startsProperty(w) {
		return 0, 0
	}
	for at := 1; at <= farthestDismissal && at < len(w); at++ {
		if n := c.dismissedAt(w, at, own); n > 0 {
			if rest := w[at+n:]; len(rest) > 0 && (rest.endsAt(c.Refuse.Weak.match(rest, 0)) || rest.startsObject()) {
				return 0, 0 // "l'alcool ne me gêne pas"; "l'argan, je déteste le miel": it is what follows
			}
			return at, at + n
		}
		if c.startsProperty(w[at:]) && (w[at].Clause || !c.startsProperty(w[at-1:])) {
			return 0, 0 // it is this one that may be dismissed
		}
		if shop.Types.Among(w[:1].concepts()) != nil && (w[at].Clause || !ofPhrase(w[:at], at-1)) {
			continue // "un baume, et non, mes lèvres ne sont pas sèches"
		}
		if n := c.Refuse.Denied.match(w, at); n > 0 && w.endsAt(at+n) && !c.Refuse.Either.before(w, at) && (!asks || at+n < len(w)) {
			return at, at + n
		}
	}
	return 0, 0
}

// dismissedAt returns how many words from one on dismiss what is before it, 0 for none.
func (c *cues) dismissedAt(w words, at int, own bool) int {
	before := w[:at].concepts()
	switch {
	case isSubstance(first(before)):
		return max(c.Refuse.Dismissed.match(w, at), c.refusesIt(w, at))
	case shop.Types.Among(before) == nil:
		return c.Refuse.NoIssue.match(w, at)
	case own || len(before) > 1:
		return 0
	}
	if n := max(c.Refuse.Enough.match(w, at), c.Refuse.Dismissed.match(w, at), c.refusesIt(w, at)); n > 0 && w.endsAt(at+n) {
		return n
	}
	return 0 // "un savon, je déteste l'odeur du laurier"
}

// refusesIt returns how many words from one on refuse what "it" stands for: "je déteste ça". A word alone does not: "sans ça".
func (c *cues) refusesIt(w words, at int) int {
	if n := c.Refuse.Strong.match(w, at); n > 1 {
		if it := c.Refuse.It.match(w, at+n); it > 0 && w.endsAt(at+n+it) {
			return n + it
		}
	}
	return 0
}

// farthestObject is how many words from a verb its object ends.
const farthestObject = 3

// startsObject reports whether words of the same clause go on with a substance.
func (w words) startsObject() bool {
	return !w[0].Clause && isSubstance(first(w[:min(farthestObject, len(w))].concepts()))
}

// endsAt reports whether a clause ends after so many words.
func (w words) endsAt(n int) bool { return n > 0 && (n == len(w) || w[n].Clause) }

// longestSubstance is how many words the name of one has: "حبة البركة".
const longestSubstance = 3

// lastSubstance returns where the last substance stands, and how many words its name has, 0 for none.
func (w words) lastSubstance() (at, size int) {
	for at := range slices.Backward(w) {
		for size := min(longestSubstance, len(w)-at); size > 0; size-- {
			if found := w[at : at+size].concepts(); len(found) == 1 && isSubstance(found[0]) && w[at+1:at+size].concepts() == nil {
				return at, size
			}
		}
	}
	return 0, 0
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
	if len(w) > 1 && len(w[:1].concepts()) == 0 && slices.Equal(concepts, w[1:2].concepts()) {
		return false // it is the second word's alone
	}
	return slices.ContainsFunc(concepts, isProperty)
}

// isProperty reports whether a concept is what a product can be, be for or be made of.
func isProperty(concept string) bool {
	one := []string{concept}
	return concept == "vegan" || isSubstance(concept) || shop.Types.Among(one) != nil || shop.HairTypes.Among(one) != nil ||
		shop.SkinTypes.Among(one) != nil || shop.Concerns.Among(one) != nil
}

// adjective reports whether a word says how hair or skin is.
func (c *cues) adjective(w words, at int) bool {
	for _, set := range c.Adjectives {
		if set.match(w, at) > 0 {
			return true
		}
	}
	return false
}

// refusable reports whether what follows "sans" is types of product, or substances ("huile de coco et sulfates").
func refusable(concepts []string) bool {
	if len(shop.Types.Among(concepts)) == len(concepts) {
		return true
	}
	return !slices.ContainsFunc(concepts, func(c string) bool { return !isSubstance(c) && !slices.Contains(alsoSubstances, c) })
}

func isSubstance(concept string) bool {
	return slices.Contains(ingredientConcepts, concept) || freeOf(concept) != ""
}

// freeOf returns the value of shop.FreeOf that refuses a concept, or "".
func freeOf(concept string) string { return first(shop.FreeOf.Among([]string{"no_" + concept})) }
