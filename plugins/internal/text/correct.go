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

// Correct returns the word of the synonyms that is one edit away from a word that nothing knows, or else the word itself; see Look.
func (c *Corrector) Correct(t Token) Token {
	t.entry = c.lex.entry(t)
	if t.entry.known || c.known[t.Folded] && !isArabic(t.Folded) {
		return t
	}
	if isArabic(t.Folded) {
		for _, without := range []func(string) (string, bool){withoutParticle, withoutAlef} {
			if rest, ok := without(t.Folded); ok {
				if meant := c.instead(t, rest, rest); meant.entry.known {
					return meant
				}
			}
		}
	}
	if rest, ok := withoutElision(t.Folded); ok && c.lex.surface[rest] != "" {
		return c.instead(t, c.lex.surface[rest], rest)
	}
	if c.known[t.Folded] {
		return t
	}
	if known := c.speller.correct(t.Folded); known != "" {
		return c.instead(t, c.lex.surface[known], known)
	}
	return t
}

// instead returns a word in the place of another one.
func (c *Corrector) instead(t Token, surface, folded string) Token {
	t = Token{Surface: surface, Folded: folded, Clause: t.Clause}
	t.entry = c.lex.entry(t)
	return t
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
