package responder

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
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
}

func loadPhrases() (*phrases, error) {
	var file struct {
		Texts       map[string]map[string][]string `json:"texts"`
		Forms       map[string]map[string]string   `json:"forms"`
		Suggestions map[string]map[string][]string `json:"suggestions"`
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
	return &phrases{file.Texts, file.Forms, file.Suggestions}, nil
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

func fill(template string, values []string) string {
	if len(values) == 0 {
		return template
	}
	pairs := make([]string, 0, len(values))
	for i := 0; i+1 < len(values); i += 2 {
		pairs = append(pairs, "{"+values[i]+"}", values[i+1])
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

//go:embed cues.json
var cuesFile []byte

// cues are words that tell what a message wants, in all languages at once.
type cues struct {
	talk                                   []kindOfTalk
	more, cheapest, and, how, sorry, other cueSet
	refuse, refuseWeakly, afterWeak, until cueSet
	mostPrice, leastPrice, giftService     cueSet
	questions                              []rephrased
}

// rephrased are cues of a question that the FAQ knows in other words.
type rephrased struct {
	question string // in French
	cues     cueSet
}

type kindOfTalk struct {
	name string
	cues cueSet
}

func loadCues() (*cues, error) {
	var file struct {
		SmallTalk, Questions                   map[string][]string
		More, Cheapest, And, How, Sorry, Other []string
		GiftService                            []string
		Refuse                                 struct {
			Strong, Weak, Until []string
			AfterWeak           []string `json:"after_weak"`
		}
		Price struct{ Most, Least []string }
	}
	if err := json.Unmarshal(cuesFile, &file); err != nil {
		return nil, fmt.Errorf("read cues.json: %w", err)
	}
	c := &cues{
		more: newCueSet(file.More), cheapest: newCueSet(file.Cheapest), and: newCueSet(file.And), how: newCueSet(file.How),
		sorry: newCueSet(file.Sorry), other: newCueSet(file.Other),
		refuse: newCueSet(file.Refuse.Strong), refuseWeakly: newCueSet(file.Refuse.Weak),
		afterWeak: newCueSet(file.Refuse.AfterWeak), until: newCueSet(file.Refuse.Until),
		giftService: newCueSet(file.GiftService), mostPrice: newCueSet(file.Price.Most), leastPrice: newCueSet(file.Price.Least),
	}
	// The most telling first: "bonjour, ça va ?" asks how one is, "merci, au revoir" is a farewell.
	for _, name := range []string{"who_are_you", "how_are_you", "goodbye", "thanks", "greeting"} {
		c.talk = append(c.talk, kindOfTalk{name, newCueSet(file.SmallTalk[name])})
	}
	for question, list := range file.Questions {
		c.questions = append(c.questions, rephrased{question, newCueSet(list)})
	}
	slices.SortFunc(c.questions, func(a, b rephrased) int { return strings.Compare(a.question, b.question) })
	return c, nil
}

// smallTalk returns the kind of small talk in a message, "" for none, and the words that belong to no small talk.
func (c *cues) smallTalk(w words) (kind string, rest words) {
	rest = w
	for _, k := range c.talk {
		left, found := k.cues.cut(rest)
		if found && kind == "" {
			kind = k.name
		}
		rest = left
	}
	return kind, rest
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

// cut returns the words without the phrases of the set.
func (s cueSet) cut(w words) (rest words, found bool) {
	for i := 0; i < len(w); {
		if n := s.match(w, i); n > 0 {
			found, i = true, i+n
			continue
		}
		rest = append(rest, w[i])
		i++
	}
	return rest, found
}

// words are the words of a text.
type words []text.Token

func cutWords(s string) words { return text.Tokens(s) }

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
