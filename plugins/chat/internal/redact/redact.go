// Package redact takes personal data out of what customers write, for logs. It looks for forms, not for meaning: what it finds is
// gone, what has no form (a rare name in the middle of a sentence) is not found. So content logging is off unless a policy turns it on.
package redact

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// rule puts a word in the place of what a pattern finds: of its first group, where it has one.
type rule struct {
	pattern *regexp.Regexp
	word    string
	is      func(found string) bool // nil is always
}

const (
	gap    = `[\s.\-/]?` // within a number
	street = `rue|avenue|av\.|bd\.?|boulevard|chemin|impasse|all[ée]e|place|quai|cours|route|square|passage|r[ée]sidence|lotissement|faubourg|villa`
	road   = `street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|square|sq|way|close|terrace|gardens|crescent`
)

// rules, in their order: the longer forms come before those that are parts of them, and any long number is the last.
var rules = []rule{
	{regexp.MustCompile(`(?i)[\p{L}\p{N}._%+'\-]+(?:@|\s?[(\[]\s?(?:at|arobase|chez)\s?[)\]]\s?|\s+arobase\s+)[\p{L}\p{N}\-]+(?:(?:\.|\s?[(\[]\s?(?:dot|point)\s?[)\]]\s?|\s+point\s+)[\p{L}\p{N}\-]+)+`), "[e-mail]", nil},
	{regexp.MustCompile(`(?i)\b[a-z]{2}\d{2}(?:[ .\-]?[a-z0-9]{4}){3,7}(?:[ .\-]?[a-z0-9]{1,3})?\b`), "[iban]", digits(8)},
	{regexp.MustCompile(`\b(?:\d[ \-]?){12,18}\d\b`), "[card]", isCard},
	{regexp.MustCompile(`(?i)\b[1-478]` + gap + `\d{2}` + gap + `\d{2}` + gap + `\d[\dab]` + gap + `\d{3}` + gap + `\d{3}(?:` + gap + `\d{2})?\b`), "[nir]", nil},
	{regexp.MustCompile(`(?:\+|\b00)` + gap + `\d{1,3}(?:[\s.\-/]{0,2}(?:\(0\)[\s.\-]?)?\d){6,12}\b`), "[phone]", nil},
	{regexp.MustCompile(`\b0[1-9](?:` + gap + `\d{2}){4}\b`), "[phone]", nil},
	{regexp.MustCompile(`\b0\d{2,4}[\s.\-]?\d{3,4}[\s.\-]?\d{3,4}\b`), "[phone]", nil},
	{regexp.MustCompile(`(?:\(\d{3}\)|\b\d{3})[\s.\-]?\d{3}[\s.\-]\d{4}\b`), "[phone]", nil},
	{regexp.MustCompile(`(?i)\b\d{1,4}(?:\s?(?:bis|ter|quater))?,?\s+(?:` + street + `)\s+[^\n,;!?]{1,60}`), "[address]", nil},
	{regexp.MustCompile(`(?i)\b\d{1,5}[a-z]?,?\s+(?:[\p{L}'.\-]+\s+){1,4}(?:` + road + `)\b\.?`), "[address]", nil},
	{regexp.MustCompile(`(?:شارع|طريق|ميدان|عمارة|شقة|حي)\s+[^\n،,.؟?!]{1,40}`), "[address]", nil},
	{regexp.MustCompile(`\b(?:F-?)?\d{5},?\s+\p{Lu}[\p{L}'\-]+(?:[ \-]\p{L}[\p{L}'\-]*){0,4}`), "[address]", nil},
	{regexp.MustCompile(`(?i)\b(?:gir ?0aa|[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2})\b`), "[address]", nil},
	{regexp.MustCompile(`(?i)(?:\b(?:commande|cmd|order|colis|parcel|tracking|suivi|num[ée]ro|number)|طلب\S*|(?:ال)?رقم)(?:\s+(?:est|is|num[ée]ro|number|no\.?|n[°º]|رقم|هو))*\s*[:#=]*\s*((?:[a-z]{1,4}[\-#]?)?\d[\da-z\-]{2,})`), "[order]", nil},
	{regexp.MustCompile(`(?i)#\s?((?:[a-z]{1,4}-?)?\d[\da-z\-]{2,})`), "[order]", nil},
	{regexp.MustCompile(`(?i)\b(?:cmd|cde|ord|inn?)-?\d[\d\-]{2,}`), "[order]", nil},
	{regexp.MustCompile(`(?i:\b(?:je m['’ ]?appelle|mon (?:nom|pr[ée]nom) est|my (?:first |last )?name is|(?:mme|madame|monsieur|mlle|mrs|mr|dr)\b\.?)|اسمي|إسمي)\s+(\p{L}[\p{L}'’\-]+(?:\s+\p{Lu}[\p{L}'’\-]+){0,2})`), "[name]", nil},
	{regexp.MustCompile(`\d(?:[\s.\-/]?\d){4,}`), "[number]", nil},
}

// Text returns a text without the personal data that has a known form, and without the names given. Digits become Western ones, and
// look-alikes of characters what they look like (Unicode NFKC). It may be called concurrently; its time is linear in the text.
func Text(s string, names ...string) string {
	s = plain(s)
	for _, r := range rules {
		s = r.apply(s)
	}
	for _, name := range names {
		for part := range strings.FieldsSeq(plain(name)) {
			s = without(s, part)
		}
	}
	return s
}

// plain returns a text without what would hide a form in it.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r): // invisible: zero-width spaces, marks of direction
			return -1
		case r < unicode.MaxASCII:
			return r
		case unicode.IsDigit(r):
			for _, digits := range unicode.Nd.R16 { // each begins with a zero
				if uint32(digits.Lo) <= uint32(r) && uint32(r) <= uint32(digits.Hi) {
					return '0' + (r-rune(digits.Lo))%10
				}
			}
		case unicode.Is(unicode.Pd, r): // dashes of every length
			return '-'
		}
		return r
	}, norm.NFKC.String(strings.ToValidUTF8(s, "�")))
}

func (r rule) apply(s string) string {
	var out strings.Builder
	end := 0
	for _, at := range r.pattern.FindAllStringSubmatchIndex(s, -1) {
		from, to := at[0], at[1]
		if len(at) > 2 {
			from, to = at[2], at[3]
		}
		if r.is != nil && !r.is(s[from:to]) {
			continue
		}
		out.WriteString(s[end:from])
		out.WriteString(r.word)
		end = to
	}
	out.WriteString(s[end:])
	return out.String()
}

// without returns a text without a word, in whatever case.
func without(s, word string) string {
	if len([]rune(word)) < 2 {
		return s
	}
	pattern := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(word))
	return rule{pattern: pattern, word: "[name]"}.apply(s)
}

// digits says whether a text has that many digits at least: words have none.
func digits(least int) func(string) bool {
	return func(s string) bool {
		n := 0
		for _, r := range s {
			if unicode.IsDigit(r) {
				n++
			}
		}
		return n >= least
	}
}

// isCard says whether a number is one of a payment card, by its last digit (Luhn; ISO/IEC 7812-1, annex B).
func isCard(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if n++; n%2 == 0 {
			d = d*2%10 + d*2/10
		}
		sum += d
	}
	return sum%10 == 0
}
