package grounding

import (
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// source is what a text of the shop says: of a product, of an answer, of an offer.
type source struct {
	raw    string
	claims map[claim]bool // with no place
	links  []string
	phones []string
	lines  []line
}

// line is a sentence of a source that makes promises.
type line struct {
	classes []bool   // of promises
	from    []string // amounts in it
}

// read makes a source of texts. Of terms, which answers and offers are, the promises are read too.
func read(terms bool, texts ...string) *source {
	s := &source{raw: strings.Join(texts, "\n"), claims: map[claim]bool{}}
	folded := fold(s.raw)
	for _, c := range claimsIn(folded) {
		s.claims[claim{c.kind, c.value, 0}] = true
	}
	s.links, s.phones = links(s.raw), phones(folded)
	if terms {
		for _, part := range strings.FieldsFunc(strings.ReplaceAll(folded, ". ", "\n"), func(r rune) bool { return r == '\n' }) {
			s.lines = append(s.lines, line{classesOf(part), amounts(claimsIn(part))})
		}
	}
	return s
}

// each returns a text in every language that it has.
func each(texts ...shop.Text) []string {
	var all []string
	for _, t := range texts {
		for _, language := range text.Languages {
			if s, actual := t.In(language); actual == language && s != "" {
				all = append(all, s)
			}
		}
	}
	return all
}

// known is what one answer may say.
type known struct {
	*Shop
	found   []product
	sources []*source
	asked   map[claim]bool // what the customer says, with no place
}

// knows collects what an answer may speak from.
func (s *Shop) knows(e responder.Evidence, message string) *known {
	k := &known{Shop: s, asked: map[claim]bool{}}
	for _, p := range s.products {
		if slices.Contains(e.Products, p.Product) {
			k.found = append(k.found, p)
			k.sources = append(k.sources, p.source)
		}
	}
	for _, entry := range e.FAQ {
		k.sources = append(k.sources, s.answers[entry])
	}
	for _, p := range e.Promotions {
		k.sources = append(k.sources, s.offers[p.ID])
	}
	k.sources = slices.DeleteFunc(k.sources, func(one *source) bool { return one == nil })
	for _, c := range claimsIn(fold(message)) {
		k.asked[claim{c.kind, c.value, 0}] = true
	}
	return k
}

// says reports whether a source says so.
func (k *known) says(is func(*source) bool) bool { return slices.ContainsFunc(k.sources, is) }
