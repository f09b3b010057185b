// Package text reads what customers write in French, English and Arabic: it tells the language, folds spelling, cuts words, stems
// them, knows the shop's synonyms, forgives a typo, and ranks documents by BM25F.
//
// Words go through one pipeline: tokens, stems in each language, then concepts. A concept is what a group of synonyms.txt
// stands for ("#hair_loss" for "chute de cheveux", "hair fall" and "تساقط الشعر"), so that a question finds an answer that was
// written in another language. Everything is immutable once built and may be used concurrently, and every step is bounded:
// MaxRunes of input, MaxTokens words, maxTokenRunes letters in a word.
package text

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The languages, as the HTTP contract writes them.
const (
	French  = "fr"
	English = "en"
	Arabic  = "ar"
)

// Languages lists them in the order in which a missing one is replaced.
var Languages = [...]string{French, English, Arabic}

// Limits of what is read of one text.
const (
	MaxRunes      = 5000 // the longest chat message
	MaxTokens     = 512
	maxTokenRunes = 40
)

// Token is one word of a text. One that is changed is a new one: see Look.
type Token struct {
	Surface string // lower case, composed (NFKC), with its accents
	Folded  string // see Fold
	Clause  bool   // a comma, a full stop or the like stands before it

	entry *entry // what is known of the word, once somebody looked: see Look
}

// Tokens cuts a text into words: runs of letters, marks and digits. Hyphens and apostrophes separate ("l'huile" is two
// words), but English "don't", "can't" and the like become "not", so that a negation survives. It reads MaxRunes of the text
// and returns at most MaxTokens words.
func Tokens(s string) []Token {
	s, _ = head(s, MaxRunes)
	if !isUsual(s) && !norm.NFKC.IsNormalString(s) {
		s = norm.NFKC.String(s)
	}
	const usualWord = 6 // bytes, with the space
	tokens := make([]Token, 0, min(len(s)/usualWord+1, MaxTokens))
	start, letters, clause := -1, 0, false
	for i, r := range s {
		if isWord(r) {
			if start < 0 {
				start, letters = i, 0
			}
			letters++
			continue
		}
		if start >= 0 && !unicode.Is(unicode.Cf, r) {
			if tokens = appendToken(tokens, s[start:i], letters, clause); len(tokens) == MaxTokens {
				return tokens
			}
			start, clause = -1, false
		}
		clause = clause || endsClause(r)
	}
	if start >= 0 {
		tokens = appendToken(tokens, s[start:], letters, clause)
	}
	return tokens
}

// endsClause reports whether a sign stands between two clauses.
func endsClause(r rune) bool {
	switch r {
	case ',', ';', ':', '.', '!', '?', '…', '\n', '،', '؛', '؟':
		return true
	}
	return false
}

// appendToken adds one word, cut to maxTokenRunes.
func appendToken(tokens []Token, word string, letters int, clause bool) []Token {
	if letters > maxTokenRunes {
		word, _ = head(word, maxTokenRunes)
	}
	word = strings.ToLower(word)
	if n := len(tokens); word == "t" && n > 0 && len(tokens[n-1].Folded) > 2 && strings.HasSuffix(tokens[n-1].Folded, "n") {
		tokens[n-1].Surface, tokens[n-1].Folded = "not", "not" // don't, isn't, doesn't
		return tokens
	}
	word = withoutTanwin(word)
	folded := Fold(word)
	if folded == "" {
		return tokens
	}
	return append(tokens, Token{Surface: word, Folded: folded, Clause: clause})
}

// withoutTanwin returns an Arabic word without the ending of the indefinite accusative, which is written with an alef of its own: "زيتاً"
// is "زيت".
func withoutTanwin(word string) string {
	const fathatan, alef = "\u064b", "ا"
	if !strings.HasSuffix(word, fathatan) && !strings.HasSuffix(word, fathatan+alef) {
		return word
	}
	if bare := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(word, fathatan), alef), fathatan); bare != "" {
		return bare
	}
	return word
}

// head returns the first n runes of s, and how many bytes it read to find them: the cost does not depend on the rest of s.
func head(s string, n int) (string, int) {
	if len(s) <= n {
		return s, len(s)
	}
	end := 0
	for ; n > 0 && end < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	return s[:end], end
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// isUsual reports whether a text holds nothing but ASCII, the letters of Latin-1 and those of Arabic: all composed already, and none
// that combines with another. To know so takes a tenth of the time that norm's tables take.
func isUsual(s string) bool {
	for _, r := range s {
		if r >= utf8.RuneSelf && (r < 'À' || r > 'ÿ') && (r < 'ء' || r > 'ي' || r == 'ـ') && r != '،' && r != '؟' && r != '’' && r != '€' {
			return false
		}
	}
	return true
}

// Fold writes a text the one way in which it is compared: lower case, no accents and no Arabic vowel marks, œ and æ as two
// letters, أ إ آ ٱ as ا, ى ئ as ي, ؤ as و, ة as ه, no tatweel, no invisible characters, digits and full-width letters as ASCII.
func Fold(s string) string {
	if isPlain(s) {
		return s
	}
	folded := foldings()
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if int(r) >= len(folded) {
			return foldAny(s)
		}
		b.WriteString(folded[r])
	}
	return b.String()
}

// foldings are the foldings of the characters of Latin, Greek, Cyrillic, Hebrew and Arabic, which are folded one by one.
var foldings = sync.OnceValue(func() *[0x700]string {
	var all [0x700]string
	for r := range all {
		all[r] = foldAny(string(rune(r)))
	}
	return &all
})

func foldAny(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFKD.String(strings.ToLower(s)) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r), r == 'ـ':
		case r == 'œ':
			b.WriteString("oe")
		case r == 'æ':
			b.WriteString("ae")
		case r >= '٠' && r <= '٩':
			b.WriteRune(r - '٠' + '0')
		case r >= '۰' && r <= '۹':
			b.WriteRune(r - '۰' + '0')
		default:
			b.WriteRune(foldLetter(r))
		}
	}
	return b.String()
}

// foldLetter maps the letters that decomposition leaves apart.
func foldLetter(r rune) rune {
	switch r {
	case 'ٱ':
		return 'ا'
	case 'ى', 'ی':
		return 'ي'
	case 'ة', 'ۀ', 'ہ':
		return 'ه'
	case 'ک':
		return 'ك'
	}
	return r
}

// isPlain reports whether s is its own folding: ASCII without capitals.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return true
}
