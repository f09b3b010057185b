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

// terms turns words into what is compared in a language, and yields it in order: concepts, and stems of the words that are no stop words.
func terms(words []*entry, language int, yield func(term)) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		p := longest(words[i:], language)
		if p != nil && len(p.stems) > 1 {
			for _, c := range p.concepts {
				yield(term{c, i, len(p.stems), p.alone})
			}
			if p.alone {
				i += len(p.stems) - 1
				continue
			}
			p = longest(words[i:i+1], language)
		}
		switch {
		case p != nil && !w.stop:
			for _, c := range p.concepts {
				yield(term{c, i, 1, true})
			}
		case !w.stop:
			yield(term{w.stems[language], i, 1, false})
		}
	}
}

// longest returns the longest phrase that words start with in a language, or nil.
func longest(words []*entry, language int) *phrase {
	list := words[0].phrases[language]
phrases:
	for i := range list {
		stems := list[i].stems
		if len(stems) > len(words) {
			continue
		}
		for at := 1; at < len(stems); at++ {
			if words[at].stems[language] != stems[at] {
				continue phrases
			}
		}
		return &list[i]
	}
	return nil
}

// Look has tokens remember what is known of their words, so that to ask for their stems, terms and concepts again costs little.
func Look(tokens []Token) {
	l := shopLexicon()
	for i, t := range tokens {
		tokens[i].entry = l.entry(t)
	}
}

// StemOf returns the stem of a word in a language.
func StemOf(t Token, language string) string {
	return shopLexicon().entry(t).stems[max(languageIndex(language), 0)]
}

// Terms returns what a text says: see TermsOf.
func Terms(s, language string) []string { return TermsOf(Tokens(s), language) }

// TermsOf returns what words say in a language, in order: stems, stop words left out, and concepts, which start with "#" and are the same
// in every language. Negation words are kept.
func TermsOf(tokens []Token, language string) []string {
	var space [usual]*entry
	out := make([]string, 0, len(tokens))
	words := shopLexicon().entries(space[:0], tokens)
	terms(words, max(languageIndex(language), 0), func(t term) { out = append(out, t.text) })
	return out
}

// ConceptsOf returns the names of the concepts that words mention in any of the languages, without their mark, in order and once
// each: "je perds mes cheveux" mentions hair_loss and hair. A phrase that stands alone does so in every language: "shampooing" is
// a word of English too, and "après-shampooing" none the less no shampoo.
func ConceptsOf(tokens []Token) []string {
	var places [usual]*entry
	words := shopLexicon().entries(places[:0], tokens)
	var space [usual]term
	found := space[:0]
	var room [usual]int
	covered := room[:] // by how long a phrase that stands alone
	if len(tokens) > usual {
		covered = make([]int, len(tokens))
	}
	for lang := range nLanguages {
		terms(words, lang, func(t term) {
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
