package shop

import (
	"cmp"
	"slices"
	"time"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// Catalogue is what the shop sells.
type Catalogue struct {
	Version     string // as the file says, or ""
	Currency    string // ISO 4217
	Products    []*Product
	Bundles     []*Bundle
	Collections []Collection
	Promotions  []Promotion

	byID  map[string]*Product // bundles too
	items []*Product          // products, then bundles: the documents of the index
	index *text.Index
}

// Product is one article, in every language that the file has.
type Product struct {
	ID          string
	Collection  string // its id
	Type        string // an id of Types, or what the file says
	Name        Text
	Description Text
	Usage       Text
	Price       float64 // in Currency; 0 when the file has none
	Currency    string  // ISO 4217
	Size        Text
	Image, URL  string
	Concerns    Texts    // ids of Concerns, or words
	HairTypes   []string // ids
	SkinTypes   []string // ids
	Free        []string // ids of FreeOf
	Ingredients Texts
	Benefits    Texts
	Vegan       bool
	InStock     bool // true when the file doesn't say

	typeText       Text
	concernIDs     []string
	ingredientSets [][]string // the terms of each ingredient, in each language
}

// Bundle is products that are sold together. It is sold as a product is, and its Type is "bundle".
type Bundle struct {
	Product
	Products []*Product
}

// Collection is a range of products.
type Collection struct {
	ID          string
	Name        Text
	Description Text
	Concerns    Texts
	Ingredients Texts
}

// Promotion is an offer.
type Promotion struct {
	ID          string
	Name        Text
	Description Text
	Percent     float64 // off, or 0
	Amount      float64 // off, or 0
	Code        string  // "" when none is needed
	Products    []string
	Collections []string
	Types       []string  // with no products, collections and types it applies to everything
	Minimum     float64   // of the basket
	Until       time.Time // zero is without end
}

// Active reports whether the promotion runs at a time.
func (p Promotion) Active(now time.Time) bool { return p.Until.IsZero() || now.Before(p.Until) }

// AppliesTo reports whether the promotion is for a product.
func (p Promotion) AppliesTo(product *Product) bool {
	return len(p.Products)+len(p.Collections)+len(p.Types) == 0 || slices.Contains(p.Products, product.ID) ||
		slices.Contains(p.Collections, product.Collection) || slices.Contains(p.Types, product.Type)
}

// ProductView is a product in one language, as the HTTP contract writes it. Its lists are never nil.
type ProductView struct {
	ID          string   `json:"id"`
	Collection  string   `json:"collection"`
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Price       float64  `json:"price"`
	Currency    string   `json:"currency"`
	Size        string   `json:"size"`
	Image       string   `json:"image"`
	URL         string   `json:"url"`
	Concerns    []string `json:"concerns"`
	HairTypes   []string `json:"hairTypes"`
	SkinTypes   []string `json:"skinTypes"`
	Free        []string `json:"free"`
	Ingredients []string `json:"ingredients"`
	Benefits    []string `json:"benefits"`
	Description string   `json:"description"`
	Usage       string   `json:"usage"`
	Vegan       bool     `json:"vegan"`
	InStock     bool     `json:"inStock"`
	Language    string   `json:"language"` // of the texts: the asked one, or the one that replaces it
}

// In returns the product in a language.
func (p *Product) In(language string) ProductView {
	v := ProductView{
		ID: p.ID, Collection: p.Collection, Type: p.Type, Price: p.Price, Currency: p.Currency, Image: p.Image, URL: p.URL,
		Concerns: p.Concerns.In(language), HairTypes: p.HairTypes, SkinTypes: p.SkinTypes, Free: p.Free,
		Ingredients: p.Ingredients.In(language), Benefits: p.Benefits.In(language), Vegan: p.Vegan, InStock: p.InStock,
		Language: language,
	}
	v.Size, _ = p.Size.In(language)
	for _, t := range []struct {
		from Text
		to   *string
	}{{p.Usage, &v.Usage}, {p.Description, &v.Description}, {p.Name, &v.Name}} {
		s, actual := t.from.In(language)
		if *t.to = s; actual != language {
			v.Language = actual
		}
	}
	return v
}

// Card is a product in short, as a chat shows it.
type Card struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Price    float64 `json:"price"`
	Currency string  `json:"currency"`
	Size     string  `json:"size"`
	Image    string  `json:"image"`
	URL      string  `json:"url"`
	Reason   string  `json:"reason"` // why this one
}

// Card returns the product in short in a language, with the reason to show it.
func (p *Product) Card(language, reason string) Card {
	name, _ := p.Name.In(language)
	size, _ := p.Size.In(language)
	return Card{
		ID: p.ID, Name: name, Price: p.Price, Currency: p.Currency, Size: size, Image: p.Image, URL: p.URL, Reason: reason,
	}
}

// Find returns the product or bundle with an id, or nil.
func (c *Catalogue) Find(id string) *Product { return c.byID[id] }

// ProductHit is a product or bundle that answers a question. Scores of one search compare; those of two don't.
type ProductHit struct {
	Product  *Product
	Score    float64
	Coverage float64 // the share of the question that the product answers, 0 to 1
}

const (
	bundleWeight = 0.75 // a bundle is found, and comes after the product itself
	weakHit      = 0.25 // of the best score: what is less has nothing to do with the question
)

// Search returns the products and bundles that answer the words of a question in any of the languages, best first, at most limit. The
// language decides when the question itself doesn't tell its own. A question that is about none of them finds none.
func (c *Catalogue) Search(query []text.Token, language string, limit int) []ProductHit {
	found := c.index.Search(query, cmp.Or(text.DetectOf(query), language), len(c.items))
	hits := make([]ProductHit, 0, len(found))
	for _, h := range found {
		if !answers(h) {
			continue
		}
		hit := ProductHit{c.items[h.Doc], h.Score, h.Coverage}
		if h.Doc >= len(c.Products) {
			hit.Score *= bundleWeight
		}
		hits = append(hits, hit)
	}
	slices.SortStableFunc(hits, func(a, b ProductHit) int { return cmp.Compare(b.Score, a.Score) })
	if len(hits) == 0 {
		return nil
	}
	least := hits[0].Score * weakHit
	hits = slices.DeleteFunc(hits, func(h ProductHit) bool { return h.Score < least })
	return hits[:max(min(limit, len(hits)), 0)]
}

// What a question must share with a document to be answered by it. A word that the shop has a concept for weighs more than a name
// or a day that happens to occur in a text: "livraison à Tanger" is answered, "capitale de la France" is not.
const (
	enoughCovered   = 0.66 // of the question
	enoughWithTopic = 0.12 // of the question when they share a topic
)

func answers(h text.Hit) bool {
	return h.Coverage >= enoughCovered || h.Topics > 0 && h.Coverage >= enoughWithTopic
}

// Fields of the index.
const (
	nameField = iota
	ingredientField
	labelField
	descriptionField
)

// build makes what searching and recommending need.
func (c *Catalogue) build() {
	c.items = slices.Clone(c.Products)
	for _, b := range c.Bundles {
		c.items = append(c.items, &b.Product)
	}
	collections := map[string]Collection{}
	for _, collection := range c.Collections {
		collections[collection.ID] = collection
	}
	builder := text.NewBuilder(3, 2, 2, 1)
	for doc, p := range c.items {
		add := func(field int) func(language, s string) {
			return func(language, s string) { builder.Add(doc, field, language, s) }
		}
		p.Name.each(add(nameField))
		p.Ingredients.each(add(ingredientField))
		p.Ingredients.each(func(language, s string) {
			p.ingredientSets = append(p.ingredientSets, text.Terms(s, cmp.Or(language, text.French)))
		})
		p.eachLabel(add(labelField))
		p.Description.each(add(descriptionField))
		p.Benefits.each(add(descriptionField))
		p.Usage.each(add(descriptionField))
		collections[p.Collection].Name.each(add(descriptionField))
	}
	c.index = builder.Build()
}

// eachLabel yields what the product is and is for, in words.
func (p *Product) eachLabel(yield func(language, s string)) {
	each := func(property Property, ids ...string) {
		for _, id := range ids {
			if l := property.find(id); l != nil {
				l.name.each(yield)
			} else if id != "" {
				yield("", id)
			}
		}
	}
	each(Types, p.Type)
	each(Concerns, p.concernIDs...)
	each(HairTypes, p.HairTypes...)
	each(SkinTypes, p.SkinTypes...)
	each(FreeOf, p.Free...)
	if p.Vegan {
		each(veganness, "vegan")
	}
	p.typeText.each(yield)
}
