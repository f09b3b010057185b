package text

import (
	"strings"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"github.com/kljensen/snowball/french"
)

// Stem reduces a word (a Token's Surface) to its folded stem in a language: Snowball for French and English, a light stemmer for
// Arabic. Accents are folded after stemming, because the French stemmer reads them. A word in a script that is not the
// language's own is only folded.
func Stem(word, language string) string {
	if language == Arabic {
		return stemArabic(Fold(word))
	}
	if isArabic(word) || strings.ContainsAny(word, "0123456789") {
		return Fold(word)
	}
	if language == English {
		return Fold(english.Stem(word, true))
	}
	return Fold(french.Stem(word, true))
}

// isArabic reports whether a word is written in Arabic letters; the first letter decides.
func isArabic(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return r >= 0x0600 && r <= 0x06FF || r >= 0x0750 && r <= 0x077F
}

// Arabic affixes, longest first, on folded text.
var (
	arabicArticles = []string{"وال", "بال", "كال", "فال", "ولل", "ال", "لل"}
	arabicSuffixes = []string{"ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي"}
)

// stemArabic is light10 of Larkey, Ballesteros and Connell ("Improving Stemming for Arabic Information Retrieval", SIGIR 2002) on
// folded text: it takes off a leading و, one article, then the suffixes in order, as long as enough of a word remains.
func stemArabic(word string) string {
	if !isArabic(word) {
		if len(word) >= 6 && (word[:2] == "el" || word[:2] == "al") {
			return word[2:] // the article, in Arabizi
		}
		return word
	}
	if rest, ok := strings.CutPrefix(word, "و"); ok && utf8.RuneCountInString(rest) >= 4 {
		word = rest
	}
	for _, article := range arabicArticles {
		if rest, ok := strings.CutPrefix(word, article); ok && utf8.RuneCountInString(rest) >= 2 {
			word = rest
			break
		}
	}
	for _, suffix := range arabicSuffixes {
		least := 3
		if suffix == "ون" {
			least = 4 // "زيتون", olives, is not "زيت", oil
		}
		if rest, ok := strings.CutSuffix(word, suffix); ok && utf8.RuneCountInString(rest) >= least {
			word = rest
		}
	}
	return word
}

// withoutParticle takes off one of the one-letter particles (ف and و and, ب with, ك like, ل for) that light10 leaves on, because many
// words start with these letters. It is for a word that nothing else explained.
func withoutParticle(folded string) (string, bool) {
	for _, particle := range [...]string{"ب", "ل", "ك", "ف", "و"} {
		if rest, ok := strings.CutPrefix(folded, particle); ok && utf8.RuneCountInString(rest) >= 2 {
			return rest, true
		}
	}
	return folded, false
}
