package responder

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/innatural/chatbot/plugins/chat/internal/pattern"
	"github.com/innatural/chatbot/plugins/internal/text"
)

//go:embed phrases.json
var phrasesFile []byte

// phrases are the responder's own words, by key and language. They hold no fact of the shop.
type phrases struct {
	texts       map[string]map[string][]string
	forms       map[string]map[string]string
	suggestions map[string]map[string][]suggestion
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
	suggestions := map[string]map[string][]suggestion{}
	for key, byLanguage := range file.Suggestions {
		suggestions[key] = map[string][]suggestion{}
		for l, list := range byLanguage {
			for _, s := range list {
				suggestions[key][l] = append(suggestions[key][l], suggestion{s, label(cutWords(s))})
			}
		}
	}
	return &phrases{file.Texts, file.Forms, suggestions, file.Labels}, nil
}

// suggestion is something to ask next, and how that is compared.
type suggestion struct{ text, label string }

// text returns a variant of a phrase with its {placeholders} filled from pairs of name and value.
func (p *phrases) text(key, language string, variant int, values ...string) string {
	variants := p.texts[key][language]
	return fill(variants[variant%len(variants)], values)
}

func (p *phrases) form(key, language string, values ...string) string {
	return fill(p.forms[key][language], values)
}

// suggest returns what may be asked next, but for what was just said.
func (p *phrases) suggest(key, language string, said words) []string {
	list := p.suggestions[key][language]
	all, asked := make([]string, 0, len(list)), label(said)
	for _, s := range list {
		if s.label != asked {
			all = append(all, s.text)
		}
	}
	return all
}

// fill puts values in the place of the {names} of a template; names that have none stay.
func fill(template string, values []string) string {
	var b strings.Builder
	size := len(template)
	for i := 1; i < len(values); i += 2 {
		size += len(values[i])
	}
	b.Grow(size)
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
	Also    cueSet // anywhere: adds to what was asked before
	Correct cueSet // the same, before what is wanted instead: "finalement"
	Meant   cueSet // anywhere: "je voulais dire"
	With    cueSet // begins what a product is made of: "au karité"
	General cueSet // what is asked of all that the shop has
	Abroad  cueSet // places that are not in France, beside countries
	Between cueSet // two things that are compared
	Ticket  cueSet
	Refuse  refusals `json:"-"`
	Price   struct {
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

//go:embed data/refusals.txt
var refusalsFile string

// refusals are words that tell what is refused, as refusals.txt has them.
type refusals struct {
	Strong    cueSet // "sans", "allergic to": what follows is refused
	Weak      cueSet // "pas", "not": it may be
	AfterWeak cueSet // leads from a weak one to what it refuses
	Until     cueSet // ends what is refused: "mais"
	Again     cueSet // begins a new thought after it: "pas de pellicules, un shampoing"
	Purpose   cueSet // makes it about whom a product is for: "ni pour cheveux secs"
	Dismissed cueSet // after a substance: "l'argan me gratte"
	NoIssue   cueSet // after a concern: "frizz is not an issue"
	Enough    cueSet // after a type: "les huiles j'en ai assez"
	It        cueSet // after a strong one, refuses what is before both: "les huiles je déteste ça"
	Own       cueSet // before a type, makes it none: "mon savon"
	Prefer    cueSet // has Than refuse what follows: "plutôt une huile qu'un savon"
	Than      cueSet
	Denied    cueSet // after either, at the end of a clause: "l'argan, surtout pas"
	After     cueSet // right after it: "silicone free", "parfum interdit"
	WithoutIt cueSet // of the substance spoken of: "une huile sans"
	Only      cueSet // no refusal, though it begins as one: "nothing but argan"
	Optional  cueSet // after a substance that matters no more: "le karité c'est pas obligé"
	Whatever  cueSet // before it: "peu importe le karité"
	Forget    cueSet // before a substance that was wanted: "oubliez le karité"
	Wish      cueSet // says that what is lacked is not wanted: "je ne veux pas de volume"
	Either    cueSet // before a refusal, makes it none: "with or without"
}

// match returns the number of words of the longest phrase that starts at a word and refuses something, or looks as if it did.
func (r *refusals) match(w words, at int) int {
	return max(r.Strong.match(w, at), r.Dismissed.match(w, at), r.Enough.match(w, at), r.NoIssue.match(w, at), r.Only.match(w, at), r.Weak.match(w, at))
}

// load reads refusals.txt. An error starts with the number of its line.
func (r *refusals) load(file string) error {
	sections := map[string]*cueSet{
		"strong":     &r.Strong,
		"weak":       &r.Weak,
		"after_weak": &r.AfterWeak,
		"until":      &r.Until,
		"again":      &r.Again,
		"purpose":    &r.Purpose,
		"dismissed":  &r.Dismissed,
		"no_issue":   &r.NoIssue,
		"enough":     &r.Enough,
		"it":         &r.It,
		"own":        &r.Own,
		"prefer":     &r.Prefer,
		"than":       &r.Than,
		"denied":     &r.Denied,
		"after":      &r.After,
		"without_it": &r.WithoutIt,
		"only":       &r.Only,
		"optional":   &r.Optional,
		"whatever":   &r.Whatever,
		"forget":     &r.Forget,
		"wish":       &r.Wish,
		"either":     &r.Either,
	}
	for l := range pattern.Lines(file) {
		set := sections[l.Section]
		if l.Text == "" {
			if set == nil {
				return fmt.Errorf("%d: there is no section [%s]", l.Number, l.Section)
			}
			*set = cueSet{}
			continue
		}
		p, err := pattern.Parse(l.Text)
		if err != nil {
			return fmt.Errorf("%d: %w", l.Number, err)
		}
		if set == nil || insideWord.MatchString(l.Text) {
			return fmt.Errorf("%d: %q is in no section, or has alternatives within a word", l.Number, l.Text)
		}
		set.addPattern(p)
	}
	return nil
}

// insideWord finds a bracket that touches a word.
var insideWord = regexp.MustCompile(`[^\s'(|]\(|\)[^\s)|]`)

func loadCues() (*cues, error) {
	c := &cues{}
	if err := json.Unmarshal(cuesFile, c); err != nil {
		return nil, fmt.Errorf("read cues.json: %w", err)
	}
	if err := c.Refuse.load(refusalsFile); err != nil {
		return nil, fmt.Errorf("read refusals.txt:%w", err)
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

// cueSet holds phrases, folded, as an automaton of their words: the states that their first words lead to.
type cueSet map[string][]*cueState

// cueState is where words lead, and the words that lead on.
type cueState struct {
	ends bool // a phrase does here
	next []cueStep
}

type cueStep struct {
	word string
	to   *cueState
}

// UnmarshalJSON reads a list of phrases.
func (s *cueSet) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*s = cueSet{}
	for _, phrase := range list {
		s.add(foldedWords(phrase))
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

// cuePlace is between two words of a phrase: after the states, and at the start of the phrase or not.
type cuePlace struct {
	states []*cueState
	start  bool
}

// step leads from a place over words.
func (s cueSet) step(from cuePlace, phrase []string) cuePlace {
	for _, word := range phrase {
		to := &cueState{}
		if from.start {
			s[word] = append(s[word], to)
		}
		for _, state := range from.states {
			state.next = append(state.next, cueStep{word, to})
		}
		from = cuePlace{states: []*cueState{to}}
	}
	return from
}

func (s cueSet) end(at cuePlace) {
	for _, state := range at.states {
		state.ends = true
	}
}

func (s cueSet) add(phrase []string) { s.end(s.step(cuePlace{start: true}, phrase)) }

// addPattern adds all phrases that a pattern stands for, of which there may be thousands.
func (s cueSet) addPattern(p pattern.Pattern) {
	s.end(pattern.Fold(p, cuePlace{start: true},
		func(from cuePlace, words string) cuePlace { return s.step(from, foldedWords(words)) },
		func(a, b cuePlace) cuePlace { return cuePlace{slices.Concat(a.states, b.states), a.start || b.start} }))
}

// addArticles adds the phrases with the Arabic article, and with that and "for".
func (s cueSet) addArticles() {
	for first, states := range maps.Clone(s) {
		if strings.HasPrefix(first, "ال") {
			continue
		}
		for _, article := range []string{"ال", "لل"} {
			s[article+first] = append(s[article+first], states...)
		}
	}
}

// spell adds the Arabic words of the phrases as a corrector writes them, without particles, which is how it writes them in a message.
func (s cueSet) spell(c *text.Corrector) {
	spelt := func(word string) (string, bool) {
		if !unicode.In([]rune(word)[0], unicode.Arabic) {
			return "", false
		}
		other := c.Correct(text.Token{Surface: word, Folded: word}).Folded
		return other, other != word
	}
	done := map[*cueState]bool{}
	var spell func(state *cueState)
	spell = func(state *cueState) {
		if done[state] {
			return
		}
		done[state] = true
		for _, step := range state.next {
			if other, ok := spelt(step.word); ok {
				state.next = append(state.next, cueStep{other, step.to})
			}
			spell(step.to)
		}
	}
	for first, states := range maps.Clone(s) {
		for _, state := range states {
			spell(state)
		}
		if other, ok := spelt(first); ok {
			s[other] = append(s[other], states...)
		}
	}
}

// match returns the number of words of the longest phrase that starts at a word, 0 for none.
func (s cueSet) match(w words, at int) int {
	if at >= len(w) {
		return 0
	}
	longest := 0
	states := s[w[at].Folded]
	if rest, ok := strings.CutPrefix(w[at].Folded, "و"); ok && states == nil { // "and"
		states = s[rest]
	}
	for _, state := range states {
		longest = max(longest, 1+state.match(w[at+1:]))
	}
	return longest
}

// match returns the number of the first words that lead on to the end of a phrase, -1 where none do.
func (c *cueState) match(w words) int {
	longest := -1
	if c.ends {
		longest = 0
	}
	for _, step := range c.next {
		if len(w) > 0 && step.word == w[0].Folded {
			if n := step.to.match(w[1:]); n >= 0 {
				longest = max(longest, 1+n)
			}
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

// plain returns words without those that say nothing here, "very", but for those of a refusal: "j'en ai assez".
func (c *cues) plain(w words) words {
	rest := make(words, 0, len(w))
	clause := false
	for i := 0; i < len(w); {
		kept := max(1, c.Refuse.match(w, i))
		if n := c.Filler.match(w, i); n > 0 && kept == 1 {
			clause = clause || w[i].Clause
			i += n
			continue
		}
		rest = append(rest, w[i:i+kept]...)
		at := len(rest) - kept
		rest[at].Clause = clause || w[i].Clause // which may have begun with a word left out
		clause = false
		i += kept
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
