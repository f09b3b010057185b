package text

import (
	"slices"
	"strings"
)

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
		for _, without := range []func(string) (string, bool){withoutParticle, withoutAlef} {
			if rest, ok := without(t.Folded); ok && c.means(Token{Surface: rest, Folded: rest}) {
				t.Surface, t.Folded = rest, rest
				return t
			}
		}
	}
	if rest, ok := withoutElision(t.Folded); ok && c.lex.surface[rest] != "" {
		t.Surface, t.Folded = c.lex.surface[rest], rest
		return t
	}
	if c.known[t.Folded] {
		return t
	}
	if known := c.speller.correct(t.Folded); known != "" {
		t.Surface, t.Folded = c.lex.surface[known], known
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

// withoutAlef returns an Arabic word without the alef of the indefinite accusative whose mark was left out: "بلسما" is "بلسم".
func withoutAlef(folded string) (string, bool) {
	const alef, shortest = "ا", 3 * 2 // bytes
	rest, ok := strings.CutSuffix(folded, alef)
	return rest, ok && len(rest) >= shortest
}

// withoutElision returns a word without the article that was written as its first letter: "laloe" is "l'aloe", "lbachra" "البشرة".
func withoutElision(folded string) (string, bool) {
	const article, shortest = 1, 4
	if len(folded) < article+shortest || folded[0] != 'l' && (folded[0] != 'd' || !strings.ContainsRune("aeiouh", rune(folded[article]))) {
		return "", false
	}
	return folded[article:], true
}
