package text

import "slices"

// usual is how many words most texts have at most: what is found out of them needs no memory of the heap.
const usual = 24

// term is a stem or a concept at a place in a text.
type term struct {
	text  string
	at    int  // the token where it starts
	words int  // how many tokens it is; a stem is one
	alone bool // its tokens mean nothing else
}

// terms turns words into what is compared, and yields it in order: concepts, and stems of the words that are no stop words. The stem of
// a word in the language comes from stem.
func (l *lexicon) terms(tokens []Token, language int, stem func(Token) string, yield func(term)) {
	var space [usual]string
	stems := space[:0]
	for _, t := range tokens {
		stems = append(stems, stem(t))
	}
	for i := 0; i < len(tokens); i++ {
		p := l.phrases[language].longest(stems[i:])
		if p != nil && len(p.stems) > 1 {
			for _, c := range p.concepts {
				yield(term{c, i, len(p.stems), p.alone})
			}
			if p.alone {
				i += len(p.stems) - 1
				continue
			}
			p = l.phrases[language].longest(stems[i : i+1])
		}
		switch {
		case p != nil && !l.stop[tokens[i].Folded]:
			for _, c := range p.concepts {
				yield(term{c, i, 1, true})
			}
		case !l.stop[tokens[i].Folded]:
			yield(term{stems[i], i, 1, false})
		}
	}
}

// longest returns the longest phrase that stems start with, or nil.
func (p phrases) longest(stems []string) *phrase {
	list := p[stems[0]]
	for i := range list {
		if n := len(list[i].stems); n <= len(stems) && slices.Equal(list[i].stems, stems[:n]) {
			return &list[i]
		}
	}
	return nil
}

// StemOf returns the stem of a word in a language.
func StemOf(t Token, language string) string {
	return shopLexicon().stem(t, max(languageIndex(language), 0))
}

// Terms returns what a text says: see TermsOf.
func Terms(s, language string) []string { return TermsOf(Tokens(s), language) }

// TermsOf returns what words say in a language, in order: stems, stop words left out, and concepts, which start with "#" and are the same
// in every language. Negation words are kept.
func TermsOf(tokens []Token, language string) []string {
	l, lang := shopLexicon(), max(languageIndex(language), 0)
	out := make([]string, 0, len(tokens))
	l.terms(tokens, lang, func(t Token) string { return l.stem(t, lang) }, func(t term) { out = append(out, t.text) })
	return out
}

// ConceptsOf returns the names of the concepts that words mention in any of the languages, without their mark, in order and once
// each: "je perds mes cheveux" mentions hair_loss and hair. A phrase that stands alone does so in every language: "shampooing" is
// a word of English too, and "après-shampooing" none the less no shampoo.
func ConceptsOf(tokens []Token) []string {
	l := shopLexicon()
	var space [usual]term
	found := space[:0]
	var room [usual]int
	covered := room[:] // by how long a phrase that stands alone
	if len(tokens) > usual {
		covered = make([]int, len(tokens))
	}
	for lang := range nLanguages {
		l.terms(tokens, lang, func(t Token) string { return l.stem(t, lang) }, func(t term) {
			if t.text[0] != conceptMark[0] {
				return
			}
			found = append(found, t)
			for i := t.at; t.alone && i < t.at+t.words; i++ {
				covered[i] = max(covered[i], t.words)
			}
		})
	}
	found = slices.DeleteFunc(found, func(t term) bool { return covered[t.at] > t.words })
	slices.SortStableFunc(found, func(a, b term) int { return a.at - b.at })
	var names []string
	for _, t := range found {
		if name := t.text[len(conceptMark):]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Concepts returns the concepts that a text mentions: see ConceptsOf.
func Concepts(s string) []string { return ConceptsOf(Tokens(s)) }
