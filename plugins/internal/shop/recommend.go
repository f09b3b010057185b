package shop

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// Needs is what a customer wants. Every value may be an id or words in any of the languages; what isn't understood is ignored.
// The zero value asks for nothing in particular.
type Needs struct {
	Types    []string
	Concerns []string
	HairType string
	SkinType string
	MaxPrice float64  // in the catalogue's currency; 0 is no limit
	Free     []string // free of
	Avoid    []string // ingredients
	Vegan    bool
}

// Recommendation is a product for a customer, and why.
type Recommendation struct {
	Product *Product
	Reason  string // a short sentence in the customer's language, from the catalogue's data
	// What was asked and is not so: "maxPrice" or "types", when no product has it. An answer has to say so.
	Missed []string
}

// wanted is Needs understood.
type wanted struct {
	types, concerns, hair, skin, free []string
	avoid                             Ingredients
	found                             map[*Product]float64 // by concerns that have no id, 0 to 1
	vegan                             bool
	maxPrice                          float64
}

// Recommend returns the products that fit best, in stock first, at most limit. Free, Vegan and Avoid are kept whatever it
// costs; a price or a type that no product has is given up, and said in Missed. So a concern alone always finds something.
func (c *Catalogue) Recommend(needs Needs, language string, limit int) []Recommendation {
	w := c.understand(needs)
	candidates := slices.DeleteFunc(slices.Clone(c.Products), func(p *Product) bool { return !w.allowed(p) })
	candidates, missed := w.narrow(candidates)
	type scored struct {
		*Product
		score float64
	}
	list := make([]scored, 0, len(candidates))
	best := 0.0
	for _, p := range candidates {
		score := w.score(p)
		best = max(best, score)
		list = append(list, scored{p, score})
	}
	if best > 0 {
		list = slices.DeleteFunc(list, func(s scored) bool { return s.score == 0 })
	}
	slices.SortStableFunc(list, func(a, b scored) int {
		if a.InStock != b.InStock {
			if a.InStock {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.score, a.score)
	})
	list = list[:max(min(limit, len(list)), 0)]
	out := make([]Recommendation, len(list))
	for i, s := range list {
		out[i] = Recommendation{s.Product, w.reason(s.Product, language), missed}
	}
	return out
}

func (c *Catalogue) understand(n Needs) *wanted {
	w := &wanted{vegan: n.Vegan, maxPrice: n.MaxPrice, found: map[*Product]float64{}}
	understand := func(p Property, all ...string) (ids []string) {
		for _, s := range all {
			ids = append(ids, p.Understand(s)...)
		}
		return ids
	}
	w.types = understand(Types, n.Types...)
	w.hair = understand(HairTypes, n.HairType)
	w.skin = understand(SkinTypes, n.SkinType)
	for _, s := range n.Free {
		ids := FreeOf.Understand(s)
		if ids == nil {
			ids = FreeOf.Understand("sans " + s) // "sulfate", "silicone"
		}
		w.free = append(w.free, ids...)
	}
	for _, s := range n.Concerns {
		ids := Concerns.Understand(s)
		if w.concerns = append(w.concerns, ids...); ids != nil {
			continue
		}
		for _, hit := range c.Search(text.Tokens(s), "", 5) {
			w.found[hit.Product] = max(w.found[hit.Product], hit.Coverage)
		}
	}
	w.avoid = IngredientsOf(n.Avoid)
	return w
}

// Ingredients are the terms by which ingredients are found in any of the languages.
type Ingredients [][]string

// IngredientsOf returns those with the names.
func IngredientsOf(names []string) (all Ingredients) {
	for _, s := range names {
		for _, l := range text.Languages {
			if terms := text.Terms(s, l); len(terms) > 0 {
				all = append(all, terms)
			}
		}
	}
	return all
}

// Holds reports whether a product has one of the ingredients.
func (p *Product) Holds(list Ingredients) bool {
	for _, terms := range list {
		for _, ingredient := range p.ingredientSets {
			if holdsAll(ingredient, terms) {
				return true
			}
		}
	}
	return false
}

// allowed reports whether a product keeps what is never given up.
func (w *wanted) allowed(p *Product) bool {
	if w.vegan && !p.Vegan {
		return false
	}
	for _, id := range w.free {
		if !slices.Contains(p.Free, id) {
			return false
		}
	}
	return !p.Holds(w.avoid)
}

func holdsAll(list, wanted []string) bool {
	for _, s := range wanted {
		if !slices.Contains(list, s) {
			return false
		}
	}
	return true
}

// narrow keeps the products of the asked types and price. When none is left it gives up the price first, then the types.
func (w *wanted) narrow(products []*Product) (kept []*Product, missed []string) {
	typed := func(p *Product) bool { return len(w.types) == 0 || slices.Contains(w.types, p.Type) }
	priced := func(p *Product) bool { return w.maxPrice <= 0 || p.Price > 0 && p.Price <= w.maxPrice }
	both := func(p *Product) bool { return typed(p) && priced(p) }
	switch {
	case slices.ContainsFunc(products, both):
		return having(products, both), nil
	case slices.ContainsFunc(products, typed):
		return having(products, typed), []string{"maxPrice"}
	case slices.ContainsFunc(products, priced):
		return having(products, priced), []string{"types"}
	}
	return products, []string{"maxPrice", "types"}
}

// having keeps the products that are so, in place.
func having(products []*Product, so func(*Product) bool) []*Product {
	return slices.DeleteFunc(products, func(p *Product) bool { return !so(p) })
}

// Weights of what matches. A product for few hair or skin types is a better match than one for all of them.
const (
	concernWeight  = 3
	typeWeight     = 2
	universalShare = 0.1 // less for each type that the product is for
)

func (w *wanted) score(p *Product) float64 {
	score := 3 * w.found[p]
	for _, id := range w.concerns {
		if at := slices.Index(p.concernIDs, id); at >= 0 {
			score += concernWeight - 0.05*float64(at) // a product names its main concern first
		}
	}
	for _, match := range []struct{ asked, has []string }{{w.hair, p.HairTypes}, {w.skin, p.SkinTypes}} {
		for _, id := range match.asked {
			if slices.Contains(match.has, id) {
				score += typeWeight - universalShare*float64(len(match.has))
			}
		}
	}
	return score
}

// sentences are the frames of a reason: its start, what is between the last two things and between the others, its end.
var sentences = map[string]struct{ start, and, comma, end string }{
	text.French:  {"Choisi pour ", " et ", ", ", "."},
	text.English: {"Chosen for ", " and ", ", ", "."},
	text.Arabic:  {"اخترناه من أجل ", " و", "، ", "."},
}

// reason says why a product fits, in one sentence.
func (w *wanted) reason(p *Product, language string) string {
	var matches, free []string
	add := func(to *[]string, property Property, asked, has []string) {
		for _, id := range asked {
			if s := property.Label(id, language); slices.Contains(has, id) && !slices.Contains(*to, s) {
				*to = append(*to, s)
			}
		}
	}
	add(&matches, Concerns, w.concerns, p.concernIDs)
	add(&matches, HairTypes, w.hair, p.HairTypes)
	add(&matches, SkinTypes, w.skin, p.SkinTypes)
	add(&free, FreeOf, w.free, p.Free)
	if w.vegan {
		free = append(free, veganness.Label("vegan", language))
	}
	if len(matches) == 0 {
		return p.praise(language)
	}
	s, ok := sentences[language]
	if !ok {
		s = sentences[text.French]
	}
	last := len(matches) - 1
	reason := matches[last]
	if last > 0 {
		reason = strings.Join(matches[:last], s.comma) + s.and + reason
	}
	return s.start + strings.Join(append([]string{reason}, free...), s.comma) + s.end
}

// praise is the first benefit of a product, or what it is.
func (p *Product) praise(language string) string {
	name, _ := p.Name.In(language)
	s := cmp.Or(p.typeName(language), name)
	if benefits := p.Benefits.In(language); len(benefits) > 0 {
		s = benefits[0]
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}

// typeName is what kind of product it is, in words.
func (p *Product) typeName(language string) string {
	if Types.find(p.Type) == nil && !p.typeText.IsZero() {
		s, _ := p.typeText.In(language)
		return s
	}
	return Types.Label(p.Type, language)
}
