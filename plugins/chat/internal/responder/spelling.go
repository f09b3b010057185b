package responder

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/innatural/chatbot/plugins/chat/internal/pattern"
	"github.com/innatural/chatbot/plugins/internal/text"
)

//go:embed data/spellings.txt
var spellingsFile string

// spelling writes words as they are meant.
type spelling struct {
	short     map[string]map[string]words // by language, then by the word
	corrector *text.Corrector
}

// loadSpelling reads data/spellings.txt; known are words that are no typos.
func loadSpelling(file string, known []string) (*spelling, error) {
	s := &spelling{short: map[string]map[string]words{}, corrector: text.NewCorrector(known)}
	for l := range pattern.Lines(file) {
		if l.Text == "" {
			s.short[l.Section] = map[string]words{}
			continue
		}
		from, to, ok := strings.Cut(l.Text, " = ")
		if !ok || l.Section == "" {
			return nil, fmt.Errorf("read spellings.txt:%d: %q is not \"short = long\"", l.Number, l.Text)
		}
		for word := range strings.FieldsSeq(from) {
			long := cutWords(to)
			text.Look(long)
			s.short[l.Section][text.Fold(word)] = long
		}
	}
	return s, nil
}

// words returns the words of a message as they are meant.
func (s *spelling) words(tokens words, language string) words {
	out := make(words, 0, len(tokens))
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if long, ok := s.short[language][t.Folded]; ok {
			out = append(out, long...)
			out[len(out)-len(long)].Clause = t.Clause
			if i+1 < len(tokens) && tokens[i+1].Folded == long[len(long)-1].Folded {
				i++ // "c'est", of which "c" alone would mean both
			}
			continue
		}
		out = append(out, s.corrector.Correct(t))
	}
	return out
}
