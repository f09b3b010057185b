package grounding

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// Kind is what a sentence is wrong about.
type Kind string

// The kinds.
const (
	Price    Kind = "price"
	Size     Kind = "size"
	Discount Kind = "discount"
	Promise  Kind = "promise" // a time, something free, a guarantee, money back
	Product  Kind = "product"
	Link     Kind = "link" // an address, a mailbox, a number to call
	Code     Kind = "code" // of an offer, or the number of a ticket
	Leak     Kind = "leak" // the rules of the prompt
)

func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) }

// Shop is what is known of the catalogue, in the form in which sentences are checked. It is immutable and may be used
// concurrently.
type Shop struct {
	products  []*product
	byProduct map[*shop.Product]*product
	answers   map[*shop.Entry]*source
	offers    map[string]*source
	nouns     map[string]bool           // what kinds of products are called
	names     map[string]bool           // every word of the name of a product, but not those that join others
	rules     map[[sequence]string]bool // sequences of words of the rules

	currencies map[string]bool // in which it sells
}

// product is a product as sentences name it.
type product struct {
	*shop.Product
	names []name // by language
	price string
	sizes []string
	link  string
	*source
}

// name is how a product is called.
type name struct {
	words   map[string]bool // and those of its collection
	content int             // how many words the name itself has, but for those that join others
}

// joining are words that stand between the words of a name.
var joining = setOf("a au aux la le les l d de du des et en pour sans of and the for with to in notre nos our your votre vos " +
	"un une ce cet cette this these that my mon ma mes innatural و من مع في")

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

// NewShop prepares a catalogue and a FAQ.
func NewShop(c *shop.Catalogue, faq *shop.FAQ) *Shop {
	s := &Shop{
		byProduct: map[*shop.Product]*product{}, answers: map[*shop.Entry]*source{}, offers: map[string]*source{},
		nouns: map[string]bool{}, names: map[string]bool{}, rules: sequences(rules), currencies: map[string]bool{},
	}
	for i := range faq.Entries {
		entry := &faq.Entries[i]
		s.answers[entry] = read(true, each(entry.Question, entry.Answer)...)
		s.answers[entry].facts = answerFact(entry)
	}
	for _, p := range c.Promotions {
		s.offers[p.ID] = read(true, append(each(p.Name, p.Description), p.Code)...)
		s.offers[p.ID].facts = offerFact(p)
	}
	for _, id := range shop.Types.IDs() {
		for _, language := range text.Languages {
			s.noun(shop.Types.Label(id, language), language)
		}
	}
	collections := map[string]shop.Text{}
	for _, collection := range c.Collections {
		collections[collection.ID] = collection.Name
	}
	add := func(p *shop.Product) {
		s.currencies[p.Currency] = true
		one := &product{Product: p, link: strings.ToLower(strings.TrimRight(p.URL, "/"))}
		one.link = strings.TrimPrefix(strings.TrimPrefix(one.link, "https://"), "http://")
		if p.Price > 0 {
			one.price = strconv.FormatFloat(p.Price, 'f', 2, 64)
		}
		for _, language := range text.Languages {
			called, actual := p.Name.In(language)
			s.noun(called, actual)
			collection, _ := collections[p.Collection].In(language)
			n := name{words: map[string]bool{}}
			for _, w := range wordsOf(fold(collection)) {
				n.words[w.text] = true
			}
			for _, w := range wordsOf(fold(called)) {
				n.words[w.text] = true
				if !joining[w.text] {
					s.names[w.text] = true
					n.content++
				}
			}
			one.names = append(one.names, n)
			written, _ := p.Size.In(language)
			for _, c := range claimsIn(fold(written)) {
				one.sizes = append(one.sizes, c.value)
			}
		}
		texts := append(each(p.Name, p.Description, p.Usage), p.URL)
		for _, language := range text.Languages {
			texts = slices.Concat(texts, p.Benefits.In(language), p.Ingredients.In(language))
		}
		one.source = read(false, texts...)
		one.facts = productFact(p)
		s.products, s.byProduct[p] = append(s.products, one), one
	}
	for _, p := range c.Products {
		add(p)
	}
	for _, b := range c.Bundles {
		add(&b.Product)
	}
	return s
}

// noun learns what a kind of product is called: the first word in French and Arabic, the last in English.
func (s *Shop) noun(name, language string) {
	words := wordsOf(fold(name))
	if len(words) == 0 {
		return
	}
	w := words[0].text
	if language == text.English {
		w = words[len(words)-1].text
	}
	const shortest = 3
	if len(w) > shortest && w != "apres" && w != "free" && w != "hair" {
		s.nouns[w] = true
	}
}

// isNoun reports whether a word, in the singular or the plural, is what a kind of product is called.
func (s *Shop) isNoun(w string) bool {
	return s.nouns[w] || s.nouns[strings.TrimSuffix(w, "s")] || s.nouns[strings.TrimPrefix(w, "ال")]
}

// mention is where a sentence names products.
type mention struct {
	from, to int        // in the folded text
	products []*product // that may be meant
}

// mentions returns where a sentence names products: runs of words of names around what a kind of product is called. What fits no
// product is no mention.
func (s *Shop) mentions(words []word) []mention {
	var all []mention
	for i := 0; i < len(words); {
		if !s.names[words[i].text] {
			i++
			continue
		}
		last := i
		noun := s.isNoun(words[i].text)
		for j := i + 1; j < len(words) && (s.names[words[j].text] || joining[words[j].text]); j++ {
			if s.names[words[j].text] {
				last = j
				noun = noun || s.isNoun(words[j].text)
			}
		}
		if noun {
			if found := s.named(words[i : last+1]); len(found) > 0 {
				all = append(all, mention{words[i].at, words[last].at + len(words[last].text), found})
			}
		}
		i = last + 1
	}
	return all
}

// named returns the products whose names have all of the words, or those whose names have no others if there are any.
func (s *Shop) named(words []word) []*product {
	var found, exact []*product
	for _, p := range s.products {
		for _, n := range p.names {
			content := 0
			fits := !slices.ContainsFunc(words, func(w word) bool {
				if joining[w.text] {
					return false
				}
				content++
				return !n.words[w.text] && !n.words[strings.TrimSuffix(w.text, "s")] && !n.words[w.text+"s"]
			})
			if fits {
				found = append(found, p)
				if content >= n.content {
					exact = append(exact, p)
				}
				break
			}
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return found
}

// sequence is how many words in a row of the rules are no accident.
const sequence = 5

func sequences(s string) map[[sequence]string]bool {
	set := map[[sequence]string]bool{}
	words := wordsOf(text.Fold(s))
	for i := range len(words) - sequence + 1 {
		var one [sequence]string
		for j := range one {
			one[j] = words[i+j].text
		}
		set[one] = true
	}
	return set
}
