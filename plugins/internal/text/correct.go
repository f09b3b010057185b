package text

import "slices"

// Corrector writes words with a typo as they are meant. It is immutable and may be used concurrently.
type Corrector struct {
	lex     *lexicon
	known   map[string]bool
	speller *speller
}

// NewCorrector returns a corrector towards the words of the synonyms. Those given are left as they are as well.
func NewCorrector(known []string) *Corrector {
	c := &Corrector{lex: shopLexicon(), known: map[string]bool{}}
	words := make([]string, 0, len(c.lex.surface))
	for folded := range c.lex.surface {
		words = append(words, folded)
	}
	slices.Sort(words)
	c.speller = newSpeller(words)
	for _, s := range known {
		for _, t := range Tokens(s) {
			c.known[t.Folded] = true
		}
	}
	return c
}

// Correct returns the word of the synonyms that is one edit away from a word that nothing knows, or else the word itself.
func (c *Corrector) Correct(t Token) Token {
	if c.means(t) || c.known[t.Folded] && !isArabic(t.Folded) {
		return t
	}
	if isArabic(t.Folded) {
		if rest, ok := withoutParticle(t.Folded); ok && c.means(Token{rest, rest}) {
			return Token{rest, rest}
		}
	}
	if c.known[t.Folded] {
		return t
	}
	if known := c.speller.correct(t.Folded); known != "" {
		return Token{c.lex.surface[known], known}
	}
	return t
}

// means reports whether the synonyms or the small words have a word.
func (c *Corrector) means(t Token) bool {
	if c.lex.tells[t.Folded] != 0 || c.lex.surface[t.Folded] != "" {
		return true
	}
	for lang := range nLanguages {
		if c.lex.phrases[lang][c.lex.stem(t, lang)] != nil {
			return true
		}
	}
	return false
}
