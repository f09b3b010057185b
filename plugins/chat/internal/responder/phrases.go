package responder

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/text"
)

//go:embed phrases.json
var phrasesFile []byte

// phrases are the responder's own words, by key and language. They hold no fact of the shop.
type phrases struct {
	texts       map[string]map[string][]string
	forms       map[string]map[string]string
	suggestions map[string]map[string][]string
	labels      map[string]map[string]string // of intents: what a question is about
}

func loadPhrases() (*phrases, error) {
	var file struct {
		Texts       map[string]map[string][]string `json:"texts"`
		Forms       map[string]map[string]string   `json:"forms"`
		Suggestions map[string]map[string][]string `json:"suggestions"`
		Labels      map[string]map[string]string   `json:"labels"`
	}
	if err := json.Unmarshal(phrasesFile, &file); err != nil {
		return nil, fmt.Errorf("read phrases.json: %w", err)
	}
	for key, byLanguage := range file.Texts {
		for _, l := range text.Languages {
			if len(byLanguage[l]) == 0 {
				return nil, fmt.Errorf("read phrases.json: %s has no %s", key, l)
			}
		}
	}
	return &phrases{file.Texts, file.Forms, file.Suggestions, file.Labels}, nil
}

// text returns a variant of a phrase with its {placeholders} filled from pairs of name and value.
func (p *phrases) text(key, language string, variant int, values ...string) string {
	variants := p.texts[key][language]
	return fill(variants[variant%len(variants)], values)
}

func (p *phrases) form(key, language string, values ...string) string {
	return fill(p.forms[key][language], values)
}

func (p *phrases) suggest(key, language string) []string { return p.suggestions[key][language] }

// fill puts values in the place of the {names} of a template; names that have none stay.
func fill(template string, values []string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		at := 0
		for closed && at+1 < len(values) && values[at] != name {
			at += 2
		}
		if !closed || at+1 >= len(values) {
			b.WriteByte('{')
			template = rest
			continue
		}
		b.WriteString(values[at+1])
		template = after
	}
}

//go:embed cues.json
var cuesFile []byte

// cues are words that tell what is asked for or refused, in all languages at once. What a message wants is told by package intent.
type cues struct {
	and, between, ticket                   cueSet
	refuse, refuseWeakly, afterWeak, until cueSet
	purpose                                cueSet // what makes "sans" about whom a product is for: "ni pour cheveux secs"
	again                                  cueSet // what begins a new thought after a refusal: "pas de pellicules, un shampoing"
	dismissed                              cueSet // "frizz is not an issue"
	refusedBefore                          cueSet // "silicone free", "parfum interdit"
	mostPrice, leastPrice                  cueSet
	cream, wash, shower                    cueSet   // kinds of product that a part of the body or a place completes
	ordinals                               []cueSet // the first one, the second one…
	last                                   cueSet
	filler                                 cueSet            // between what is and how it is: "ma peau est très sèche"
	adjectives                             map[string]cueSet // of hair and skin, by type
	numbers                                map[string]int    // folded
	substances                             substances        // of the catalogue
}

func loadCues() (*cues, error) {
	var file struct {
		And, Between, Ticket, Last []string
		Cream, Wash, Shower        []string
		Filler                     []string
		Adjectives                 map[string][]string
		Refuse                     struct {
			Strong, Weak, Until []string
			After, Purpose      []string
			Dismissed, Again    []string
			AfterWeak           []string `json:"after_weak"`
		}
		Price    struct{ Most, Least []string }
		Ordinals [][]string
		Numbers  map[string]int
	}
	if err := json.Unmarshal(cuesFile, &file); err != nil {
		return nil, fmt.Errorf("read cues.json: %w", err)
	}
	c := &cues{
		and: newCueSet(file.And), between: newCueSet(file.Between), ticket: newCueSet(file.Ticket), last: newCueSet(file.Last),
		refuse: newCueSet(file.Refuse.Strong), refuseWeakly: newCueSet(file.Refuse.Weak),
		purpose: newCueSet(file.Refuse.Purpose), dismissed: newCueSet(file.Refuse.Dismissed), again: newCueSet(file.Refuse.Again),
		refusedBefore: newCueSet(file.Refuse.After), afterWeak: newCueSet(file.Refuse.AfterWeak), until: newCueSet(file.Refuse.Until),
		mostPrice: newCueSet(file.Price.Most), leastPrice: newCueSet(file.Price.Least), numbers: map[string]int{},
		cream: newCueSet(file.Cream), wash: newCueSet(file.Wash), shower: newCueSet(file.Shower),
		filler: newCueSet(file.Filler), adjectives: map[string]cueSet{},
	}
	for id, list := range file.Adjectives {
		for _, word := range list { // with the article, and with that and "for"
			if !strings.HasPrefix(word, "ال") {
				list = append(list, "ال"+word, "لل"+word)
			}
		}
		c.adjectives[id] = newCueSet(list)
	}
	for _, list := range file.Ordinals {
		c.ordinals = append(c.ordinals, newCueSet(list))
	}
	for word, n := range file.Numbers {
		c.numbers[text.Fold(word)] = n
	}
	return c, nil
}

// cueSet holds phrases by their first word, folded.
type cueSet map[string][][]string

func newCueSet(list []string) cueSet {
	set := cueSet{}
	for _, s := range list {
		var phrase []string
		for _, t := range text.Tokens(s) {
			phrase = append(phrase, t.Folded)
		}
		if len(phrase) > 0 {
			set[phrase[0]] = append(set[phrase[0]], phrase)
		}
	}
	return set
}

// match returns the number of words of the longest phrase that starts at a word, 0 for none.
func (s cueSet) match(w words, at int) int {
	longest := 0
	for _, phrase := range s[w[at].Folded] {
		if len(phrase) <= longest || at+len(phrase) > len(w) {
			continue
		}
		same := true
		for i, word := range phrase {
			same = same && w[at+i].Folded == word
		}
		if same {
			longest = len(phrase)
		}
	}
	return longest
}

func (s cueSet) in(w words) bool {
	for i := range w {
		if s.match(w, i) > 0 {
			return true
		}
	}
	return false
}

// longest returns the number of words of the longest phrase in a text, 0 for none.
func (s cueSet) longest(w words) int {
	n := 0
	for i := range w {
		n = max(n, s.match(w, i))
	}
	return n
}

// without returns the words that are not in the set.
func (s cueSet) without(w words) words {
	rest := make(words, 0, len(w))
	for i := 0; i < len(w); {
		if n := s.match(w, i); n > 0 {
			i += n
			continue
		}
		rest = append(rest, w[i])
		i++
	}
	return rest
}

// words are the words of a text.
type words []text.Token

func cutWords(s string) words { return text.Tokens(s) }

// concepts returns what the words mention: see text.ConceptsOf.
func (w words) concepts() []string { return text.ConceptsOf(w) }

// String joins the words as they were written, without punctuation.
func (w words) String() string {
	var b strings.Builder
	for i, t := range w {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.Surface)
	}
	return b.String()
}
