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
	facts  map[string]string // the line of a prompt, by language
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
	found   []*product
	sources []*source
	message string
}

// knows collects what an answer may speak from.
func (s *Shop) knows(e responder.Evidence, message string) *known {
	k := &known{
		Shop: s, message: message, found: make([]*product, 0, len(e.Products)),
		sources: make([]*source, 0, len(e.Products)+len(e.FAQ)+len(e.Promotions)),
	}
	for _, p := range e.Products {
		if one := s.byProduct[p]; one != nil {
			k.found, k.sources = append(k.found, one), append(k.sources, one.source)
		}
	}
	for _, entry := range e.FAQ {
		if one := s.answers[entry]; one != nil {
			k.sources = append(k.sources, one)
		}
	}
	for _, p := range e.Promotions {
		if one := s.offers[p.ID]; one != nil {
			k.sources = append(k.sources, one)
		}
	}
	return k
}

// asked reports whether the customer's message says something, wherever it stands.
func (k *known) asked(kind Kind, value string) bool {
	return slices.ContainsFunc(claimsIn(fold(k.message)), func(c claim) bool { return c.kind == kind && c.value == value })
}

// says reports whether a source says so.
func (k *known) says(is func(*source) bool) bool { return slices.ContainsFunc(k.sources, is) }
