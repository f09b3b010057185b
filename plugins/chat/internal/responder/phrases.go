package responder

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

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

// cues are words that tell what is asked for or refused, in all languages at once, as cues.json has them. What a message wants is told
// by package intent.
type cues struct {
	And     cueSet // begins what goes on with a talk: "et pour", "what about"
	Lead    cueSet // stands before that: "ok", "perfect"
	Correct cueSet // the same, before what is wanted instead: "finalement"
	Meant   cueSet // anywhere: "je voulais dire"
	With    cueSet // begins what a product is made of: "au karité"
	General cueSet // what is asked of all that the shop has
	Abroad  cueSet // places that are not in France, beside countries
	Between cueSet // two things that are compared
	Ticket  cueSet
	Refuse  struct {
		Strong    cueSet // "sans", "allergic to": what follows is refused
		Weak      cueSet // "pas", "not": it may be
		AfterWeak cueSet `json:"after_weak"` // leads from a weak one to what it refuses
		Until     cueSet // ends what is refused: "mais"
		Again     cueSet // begins a new thought after it: "pas de pellicules, un shampoing"
		Purpose   cueSet // makes it about whom a product is for: "ni pour cheveux secs"
		Dismissed cueSet // after a substance: "l'argan me gratte"
		NoIssue   cueSet `json:"no_issue"` // after a concern: "frizz is not an issue"
		Denied    cueSet // after either, at the end of a clause: "l'argan, surtout pas"
		After     cueSet // right after it: "silicone free", "parfum interdit"
		WithoutIt cueSet `json:"without_it"` // of the substance spoken of: "une huile sans"
		Only      cueSet // no refusal, though it begins as one: "nothing but argan"
		Optional  cueSet // after a substance that matters no more: "le karité c'est pas obligé"
		Whatever  cueSet // before it: "peu importe le karité"
		Forget    cueSet // before a substance that was wanted: "oubliez le karité"
		Wish      cueSet // says that what is lacked is not wanted: "je ne veux pas de volume"
		Either    cueSet // before a refusal, makes it none: "with or without"
	}
	Price struct {
		Most, Least cueSet
		Not         cueSet // before a least, makes it a most: "won't cost more than"
		Any         cueSet // "oubliez le budget"
	}
	Cream, Wash, Shower cueSet   // kinds of product that a part of the body or a place completes
	Ordinals            []cueSet // the first one, the second one…
	Last                cueSet
	Filler              cueSet            // between what is and how it is: "ma peau est très sèche"
	Adjectives          map[string]cueSet // of hair and skin, by type
	Numbers             map[string]int    // folded
	substances          substances        // of the catalogue
}

func loadCues() (*cues, error) {
	c := &cues{}
	if err := json.Unmarshal(cuesFile, c); err != nil {
		return nil, fmt.Errorf("read cues.json: %w", err)
	}
	for _, set := range c.Adjectives {
		set.addArticles()
	}
	numbers := map[string]int{}
	for word, n := range c.Numbers {
		numbers[text.Fold(word)] = n
	}
	c.Numbers = numbers
	return c, nil
}

// cueSet holds phrases by their first word, folded.
type cueSet map[string][][]string

// UnmarshalJSON reads a list of phrases.
func (s *cueSet) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*s = cueSet{}
	for _, phrase := range list {
		if folded := foldedWords(phrase); len(folded) > 0 {
			s.add(folded)
		}
	}
	return nil
}

// foldedWords returns the words of a text, folded.
func foldedWords(s string) (all []string) {
	for _, t := range text.Tokens(s) {
		all = append(all, t.Folded)
	}
	return all
}

func (s cueSet) add(phrase []string) { s[phrase[0]] = append(s[phrase[0]], phrase) }

// addArticles adds the phrases with the Arabic article, and with that and "for".
func (s cueSet) addArticles() {
	for first, list := range maps.Clone(s) {
		if strings.HasPrefix(first, "ال") {
			continue
		}
		for _, phrase := range list {
			for _, article := range []string{"ال", "لل"} {
				s.add(append([]string{article + first}, phrase[1:]...))
			}
		}
	}
}

// spell adds the Arabic phrases as a corrector writes them, without particles, which is how it writes them in a message.
func (s cueSet) spell(c *text.Corrector) {
	for first, list := range maps.Clone(s) {
		if !unicode.In([]rune(first)[0], unicode.Arabic) {
			continue
		}
		for _, phrase := range list {
			spelt := make([]string, len(phrase))
			for i, word := range phrase {
				spelt[i] = c.Correct(text.Token{Surface: word, Folded: word}).Folded
			}
			if !slices.Equal(spelt, phrase) {
				s.add(spelt)
			}
		}
	}
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

// before reports whether the word before one is in the set.
func (s cueSet) before(w words, at int) bool { return at > 0 && s.match(w[:at], at-1) > 0 }

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
	clause := false
	for i := 0; i < len(w); {
		if n := s.match(w, i); n > 0 {
			clause = clause || w[i].Clause
			i += n
			continue
		}
		rest = append(rest, w[i])
		rest[len(rest)-1].Clause = clause || w[i].Clause // which may have begun with a word left out
		clause = false
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
