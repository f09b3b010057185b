package text

import (
	"strings"
	"unicode"
)

// Detect tells the language of a text: by script for Arabic; by small words, by words of synonyms.txt, by accents and by
// Arabizi's digits ("sha3ri") for the rest. It returns "" when nothing or as much speaks for two languages, so that the caller
// keeps the language it had. It reads MaxTokens words at most.
func Detect(s string) string { return DetectOf(Tokens(s)) }

// DetectOf tells the language of words: see Detect.
func DetectOf(tokens []Token) string {
	l := shopLexicon()
	var votes [nLanguages]int
	for _, t := range tokens {
		if isArabic(t.Surface) {
			votes[ar] += 2
			continue
		}
		tells := l.tells[t.Folded]
		if tells == 0 && strings.HasSuffix(t.Folded, "s") {
			tells = l.tells[strings.TrimSuffix(t.Folded, "s")]
		}
		for lang := range nLanguages {
			if tells&(1<<lang) != 0 {
				votes[lang] += 2
			}
		}
		if tells&(1<<ar) != 0 {
			votes[ar]++ // whoever writes Arabic in Latin letters puts French words in between, hardly the other way round
		}
		if t.Surface != t.Folded && hasFrenchLetter(t.Surface) {
			votes[fr]++
		}
		if tells == 0 && isArabizi(t.Folded) {
			votes[ar] += 2
		}
	}
	best, tie := -1, false
	for lang, n := range votes {
		switch {
		case n == 0:
		case best < 0 || n > votes[best]:
			best, tie = lang, false
		case n == votes[best]:
			tie = true
		}
	}
	if best < 0 || tie {
		return ""
	}
	return Languages[best]
}

// hasFrenchLetter reports whether a word holds a letter that French has and English doesn't.
func hasFrenchLetter(word string) bool {
	return strings.ContainsAny(word, "éèêëàâçùûîïôœ")
}

// isArabizi reports whether a word in Latin letters uses digits for Arabic letters (2 ء, 3 ع, 5 خ, 7 ح, 9 ق or ص), as "sha3ri"
// and "3ayez" do. Quantities and ordinals ("3eme", "250ml") are none.
func isArabizi(word string) bool {
	if len(word) < 4 {
		return false
	}
	digits, run := 0, 0
	for i := range len(word) {
		c := word[i]
		switch {
		case strings.IndexByte("23579", c) >= 0:
			if digits++; i == len(word)-1 {
				return false
			}
			if run++; run > 1 {
				return false
			}
		case c >= 'a' && c <= 'z':
			run = 0
		default:
			return false
		}
	}
	if digits == 0 {
		return false
	}
	if unicode.IsDigit(rune(word[0])) {
		switch strings.TrimLeft(word, "0123456789") {
		case "eme", "emes", "ieme", "fois", "mois", "ans", "jours", "days", "pack", "pcs", "euros", "euro":
			return false
		}
	}
	return true
}
