package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// facts are what an answer can't make up: numbers, with prices and sizes among them, addresses of the web and of e-mail, codes.
var facts = regexp.MustCompile(`\d+(?:[.,]\d+)?|\S+@\S+\.\w+|https?://\S+|\b[A-Z]{4,}\d+\b`)

// untraced returns the facts of answers that neither the catalogue, nor the FAQ, nor the message itself, nor one before, nor the desk
// states.
func untraced(s *testShop, answers []outcome) []string {
	known := map[string]bool{}
	for _, source := range s.sources {
		for _, f := range facts.FindAllString(source, -1) {
			known[strings.TrimRight(f, ".,\"")] = true
		}
	}
	for _, p := range s.catalogue.Products {
		prices(known, p)
	}
	for _, b := range s.catalogue.Bundles {
		prices(known, &b.Product)
	}
	var wrong []string
	for _, o := range answers {
		said := text.Fold(o.text)
		for _, f := range facts.FindAllString(o.answer.Text, -1) {
			f = strings.TrimRight(f, ".,")
			if !known[f] && f != o.answer.Memory.Order && !strings.Contains(said, text.Fold(f)) && (o.answer.Ticket == nil || !strings.Contains(o.answer.Ticket.ID, f)) {
				wrong = append(wrong, fmt.Sprintf("%s: %q says %s", o.text, o.answer.Text, f))
			}
		}
		for _, card := range o.answer.Products {
			p := s.catalogue.Find(card.ID)
			if p == nil || card.Price != p.Price || card.URL != p.URL || card.Image != p.Image || card.Currency != p.Currency {
				wrong = append(wrong, fmt.Sprintf("%s: the card of %s is not the catalogue's", o.text, card.ID))
				continue
			}
			if size, _ := p.Size.In(o.answer.Language); size != card.Size && !slices.Contains(s.sources, card.Size) {
				wrong = append(wrong, fmt.Sprintf("%s: the card of %s is of size %s", o.text, card.ID, card.Size))
			}
		}
	}
	return wrong
}

// prices adds the price of a product as each language writes it.
func prices(known map[string]bool, p *shop.Product) {
	for _, l := range text.Languages {
		for _, f := range facts.FindAllString(shop.FormatPrice(p.Price, p.Currency, l), -1) {
			known[f] = true
		}
	}
}
