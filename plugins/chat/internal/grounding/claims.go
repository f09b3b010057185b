package grounding

import (
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// claim is something that a text says and that can be looked up: an amount, a size, a share, a time.
type claim struct {
	kind  Kind
	value string // in one form: "11.90", "250 ml", "10 %", "3 day"
	at    int    // where it begins in the folded text
}

const number = `(\d+(?:[.,]\d+)?)`

var (
	moneyAfter = regexp.MustCompile(number + `\s*(?:€|euros?\b|eur\b|\$|usd\b|dollars?\b|£|gbp\b|dhs?\b|mad\b|dirhams?\b|egp\b|` +
		`يورو|جنيه|دولار|درهم)\s?(\d\d\b)?`)
	moneyBefore = regexp.MustCompile(`(?:€|\$|£|\beur|\busd|\bgbp|\bmad|\begp)\s?` + number)
	moneyWord   = regexp.MustCompile(`€|\$|£|\beuros?\b|\bdollars?\b|\bdirhams?\b|\bcents?\b|\bcentimes?\b|يورو|جنيه|دولار|درهم`)
	priced      = regexp.MustCompile(`(?:\bprix|\bcout\w*|\bprices?|\bpriced|\bcosts?|\btarif|سعر\p{L}*|ثمن\p{L}*|يكلف|تكلف)[^\d.!?]{1,16}` + number)
	share       = regexp.MustCompile(number + `\s*(?:%|٪|pour ?cent\b|percent\b|per cent\b|في الميه|بالميه)`)
	size        = regexp.MustCompile(number + `\s*(ml|cl|dl|l|litres?|liters?|g|gr|grammes?|grams?|kg|mg|oz|مل|ملل|لتر|غ|جم|غرام|جرام|كجم)(?:[^\p{L}]|$)`)
	span        = regexp.MustCompile(`(\d+)\s*(?:(?:a|to|-|–|ou|or|et|and|الي|او)\s*(\d+)\s*)?` +
		`(?:(?:working|business|full)\s+)?(jours?|days?|heures?|hours?|h|semaines?|weeks?|minutes?|min|mois|months?|ans?|years?|` +
		`ساعه|ساعات|يوم|ايام|يوما|اسبوع|اسابيع|شهر|اشهر|سنه|سنوات|دقيقه|دقائق)(?:[^\p{L}]|$)`)
	address = regexp.MustCompile(`(?i)\b(?:https?://|www\.)[^\s<>"'()\[\]{}|]+|` + // with a scheme
		`\b[\p{L}\d._%+-]+@[\p{L}\d.-]+\.\p{L}{2,}|` + // a mailbox
		`\b(?:[a-z\d-]+\.)+(?:com|net|org|fr|io|co|shop|store|info|biz|app|dev|eu|eg|ma|tn|dz|uk|de|ru|cn|xyz|example|test)\b` +
		`(?:/[^\s<>"'()\[\]{}|]*)?|` + // a host, with a path or without
		`(?:^|[\s(])/[a-z\d][^\s<>"'()\[\]{}|]*`) // a path
	phone = regexp.MustCompile(`\+?\d[\d .()-]{7,}\d`)
	code  = regexp.MustCompile(`\b[A-Z][A-Z-]+\d[A-Z\d-]*\b|\b\d+[A-Z]{2,}[A-Z\d-]*\b`)
	named = regexp.MustCompile(`(?i)(?:\bcode|\bcoupon|كود)(?:\W+(?:is|est|promo|هو))?\W{1,4}([\p{L}\d-]{4,})`)
)

// sizeUnits are what sizes are written in, and what it is in the unit that measures the same.
var sizeUnits = map[string]struct {
	name string
	per  float64
}{
	"ml": {"ml", 1}, "cl": {"ml", 10}, "dl": {"ml", 100}, "l": {"ml", 1000}, "litre": {"ml", 1000}, "liter": {"ml", 1000},
	"مل": {"ml", 1}, "ملل": {"ml", 1}, "لتر": {"ml", 1000},
	"g": {"g", 1}, "gr": {"g", 1}, "gramme": {"g", 1}, "gram": {"g", 1}, "kg": {"g", 1000}, "mg": {"g", .001}, "oz": {"oz", 1},
	"غ": {"g", 1}, "جم": {"g", 1}, "غرام": {"g", 1}, "جرام": {"g", 1}, "كجم": {"g", 1000},
}

// spanUnits are what spans of time are written in.
var spanUnits = map[string]string{
	"jour": "day", "day": "day", "يوم": "day", "ايام": "day", "يوما": "day",
	"heure": "hour", "hour": "hour", "h": "hour", "ساعه": "hour", "ساعات": "hour",
	"semaine": "week", "week": "week", "اسبوع": "week", "اسابيع": "week",
	"minute": "minute", "min": "minute", "دقيقه": "minute", "دقائق": "minute",
	"moi": "month", "month": "month", "شهر": "month", "اشهر": "month", "an": "year", "year": "year", "سنه": "year", "سنوات": "year",
}

// numbers are words that are read as digits.
var numbers = map[string]string{
	"un": "1", "une": "1", "one": "1", "deux": "2", "two": "2", "trois": "3", "three": "3", "quatre": "4", "four": "4", "cinq": "5",
	"five": "5", "six": "6", "sept": "7", "seven": "7", "huit": "8", "eight": "8", "neuf": "9", "nine": "9", "dix": "10", "ten": "10",
	"douze": "12", "twelve": "12", "quinze": "15", "fifteen": "15", "vingt": "20", "twenty": "20", "trente": "30", "thirty": "30",
	"forty": "40", "cinquante": "50", "fifty": "50", "cent": "100", "hundred": "100",
	"عشره": "10", "عشرين": "20", "عشرون": "20", "ثلاثين": "30", "ثلاثون": "30", "اربعين": "40", "اربعون": "40", "خمسين": "50", "خمسون": "50",
	"ستين": "60", "سبعين": "70", "ثمانين": "80", "تسعين": "90",
}

// currencies are how amounts of each are written.
var currencies = map[string]*regexp.Regexp{
	"EUR": regexp.MustCompile(`€|\beuros?\b|\beur\b|يورو|اورو`),
	"USD": regexp.MustCompile(`\$|\busd\b|\bdollars?\b|دولار`),
	"GBP": regexp.MustCompile(`£|\bgbp\b|\bpounds?\b|\blivres? sterling\b|استرليني`),
	"MAD": regexp.MustCompile(`\bmad\b|\bdhs?\b|\bdirhams?\b|درهم`),
	"EGP": regexp.MustCompile(`\begp\b|جنيه`),
}

// duals are what Arabic says for two of something.
var duals = strings.NewReplacer("يومين", "2 يوم", "يومان", "2 يوم", "ساعتين", "2 ساعه", "اسبوعين", "2 اسبوع", "شهرين", "2 شهر", "٫", ".", "،", " ، ",
	"pour cent", "%", "per cent", "%")

// fold writes a text the one way in which claims are looked for.
func fold(s string) string {
	s = text.Fold(s)
	if strings.Contains(s, " cent") || strings.ContainsFunc(s, isArabic) { // most texts hold nothing of it, and would be copied
		s = duals.Replace(s)
	}
	var b strings.Builder
	done := 0
	for w := range wordsIn(s) {
		if digits, ok := numbers[w.text]; ok {
			b.WriteString(s[done:w.at] + digits)
			done = w.at + len(w.text)
		}
	}
	if done == 0 {
		return s
	}
	return b.String() + s[done:]
}

// claimsIn returns what a folded text says.
func claimsIn(s string) []claim {
	if !strings.ContainsAny(s, "0123456789") {
		return nil
	}
	var all []claim
	for _, m := range moneyAfter.FindAllStringSubmatchIndex(s, -1) {
		value := s[m[2]:m[3]]
		if m[4] >= 0 && !strings.ContainsAny(value, ".,") { // 11€90
			value += "." + s[m[4]:m[5]]
		}
		all = append(all, claim{Price, amount(value), m[0]})
	}
	for _, m := range moneyBefore.FindAllStringSubmatchIndex(s, -1) {
		c := claim{Price, amount(s[m[2]:m[3]]), m[0]}
		if !slices.ContainsFunc(all, func(other claim) bool { return other.kind == Price && other.at == m[2] }) {
			all = append(all, c)
		}
	}
	for _, m := range share.FindAllStringSubmatchIndex(s, -1) {
		all = append(all, claim{Discount, amount(s[m[2]:m[3]]), m[0]})
	}
	for _, m := range size.FindAllStringSubmatchIndex(s, -1) {
		u, ok := sizeUnits[s[m[4]:m[5]]]
		if !ok {
			u = sizeUnits[strings.TrimSuffix(s[m[4]:m[5]], "s")]
		}
		value, err := strconv.ParseFloat(strings.Replace(s[m[2]:m[3]], ",", ".", 1), 64)
		if err == nil {
			all = append(all, claim{Size, strconv.FormatFloat(value*u.per, 'f', -1, 64) + " " + u.name, m[0]})
		}
	}
	for _, m := range span.FindAllStringSubmatchIndex(s, -1) {
		word := s[m[6]:m[7]]
		name, ok := spanUnits[word]
		if !ok {
			name = spanUnits[strings.TrimSuffix(word, "s")]
		}
		all = append(all, claim{Promise, s[m[2]:m[3]] + " " + name, m[0]})
		if m[4] >= 0 {
			all = append(all, claim{Promise, s[m[4]:m[5]] + " " + name, m[4]})
		}
	}
	for _, m := range priced.FindAllStringSubmatchIndex(s, -1) {
		if !slices.ContainsFunc(all, func(c claim) bool { return m[2] >= c.at && m[2] <= c.at+len(c.value)+len("€") }) {
			all = append(all, claim{Price, amount(s[m[2]:m[3]]), m[2]})
		}
	}
	return all
}

// amount writes a number with two digits after the point.
func amount(s string) string {
	v, err := strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// links returns the addresses that a text names, of pages and of mailboxes, in lower case without what ends a sentence.
func links(s string) []string {
	var all []string
	for _, l := range address.FindAllString(s, -1) {
		l = strings.ToLower(strings.Trim(l, " \t\n(.,;:!?*_"))
		l = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(l, "https://"), "http://"), "www.")
		if l = strings.TrimRight(l, "/"); l != "" {
			all = append(all, l)
		}
	}
	return all
}

// codes returns what looks like a code of an offer, or like the number of a ticket.
func codes(s string) []string {
	all := code.FindAllString(s, -1)
	for _, m := range named.FindAllStringSubmatch(s, -1) {
		if w := m[1]; w == strings.ToUpper(w) && w != strings.ToLower(w) {
			all = append(all, w)
		}
	}
	return all
}

// phones returns the digits of what looks like a number to call.
func phones(s string) []string {
	var all []string
	for _, p := range phone.FindAllString(s, -1) {
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, p)
		const shortest = 9
		if len(digits) >= shortest {
			all = append(all, digits)
		}
	}
	return all
}

// word is a word of a folded text.
type word struct {
	text string
	at   int
}

func isArabic(r rune) bool { return r >= 0x600 && r < 0x700 } // with its punctuation

// wordsOf cuts a folded text into words; apostrophes and hyphens divide them.
func wordsOf(s string) []word { return slices.Collect(wordsIn(s)) }

func wordsIn(s string) iter.Seq[word] {
	return func(yield func(word) bool) {
		start := -1
		for i, r := range s {
			inside := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f && isLetter(r)
			switch {
			case inside && start < 0:
				start = i
			case !inside && start >= 0:
				if !yield(word{s[start:i], start}) {
					return
				}
				start = -1
			}
		}
		if start >= 0 {
			yield(word{s[start:], start})
		}
	}
}
