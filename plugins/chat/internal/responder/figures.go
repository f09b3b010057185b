package responder

import (
	"iter"
	"regexp"
	"strconv"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// amount is a number with what may say that it is money, in folded text.
var amount = regexp.MustCompile(`(€|eur )?\s?(\d{1,4}(?:[.,]\d{1,2})?)\s?(€|euros?\b|eur\b|e\b|balles\b|يورو|اورو|ليورو)?`)

// digits are in every text that amount, between or order match; to look for them takes a hundredth of the time.
const digits = "0123456789"

// between is two limits at once, in folded text.
var between = regexp.MustCompile(`(?:entre|between|from|de|بين|من)\s+(\d{1,4})\s*(?:€|euros?|e|يورو)?\s*(?:et|and|to|a|-|و|الي|ل|لحد|لغايه|حتي)\s*(\d{1,4})\s*(?:€|euros?\b|e\b|يورو)`)

// span is two limits at once with nothing before them: "20 à 30 euros".
var span = regexp.MustCompile(`(\d{1,4})\s*(?:€|euros?|e)?\s*(?:a|to|-|ل|الي)\s*(\d{1,4})\s*(?:€|euros?\b|e\b|eur\b|يورو)`)

// leastBare is the least amount that a bare "e" makes money: "2e" is the second.
const leastBare = 5

// lessThan is "- de" before an amount.
var lessThan = regexp.MustCompile(`(?:^|\s)-\s*(?:de\s*)?$`)

// maxAmounts is how many numbers of a message are looked at.
const maxAmounts = 5

// prices returns the limits that a message sets to a price, 0 for none: a number after "moins de" or "plus de", or an amount of
// money, which is the most.
func (c *cues) prices(message string) (from, upTo float64) {
	folded := c.figures(text.Fold(message))
	if !strings.ContainsAny(folded, digits) {
		return 0, 0
	}
	folded = plainAmounts(folded)
	if severalNumbers(folded) {
		for _, form := range []*regexp.Regexp{between, span} {
			if m := form.FindStringSubmatch(folded); m != nil {
				if from, upTo = number(m[1]), number(m[2]); from < upTo {
					return from, upTo
				}
			}
		}
	}
	from, upTo = 0, 0
	for _, m := range amount.FindAllStringSubmatchIndex(folded, maxAmounts) {
		before := cutWords(tail(folded[:m[0]], 60))
		before = before[max(0, len(before)-farthestLimit):]
		after := cutWords(folded[m[1]:min(len(folded), m[1]+24)])
		after = after[:min(2, len(after))]
		value := number(folded[m[4]:m[5]])
		money := m[2] >= 0 || m[6] >= 0 && (folded[m[6]:m[7]] != "e" || value >= leastBare)
		most, least := c.Price.Most.longest(before), c.Price.Least.longest(before)
		if least > most && c.exceeds(before) {
			most, least = least, 0
		}
		limited := most > 0 && most >= least || lessThan.MatchString(folded[:m[0]])
		switch {
		case value <= 0, m[6] < 0 && (m[5] < len(folded) && isLetter(folded[m[5]]) || m[4] > 0 && isLetter(folded[m[4]-1])): // "3etr", "khirwe3"
		case least > 0 && !limited, !limited && money && c.Price.Least.in(after):
			if from == 0 && (money || m[1] == len(folded)) {
				from = value
			}
		case upTo == 0 && (money || limited || c.Price.Most.in(after)):
			upTo = value
		}
	}
	return from, upTo
}

const (
	farthestLimit    = 6 // words before an amount that may limit it
	farthestNegation = 3 // words before a limit that may turn it round
)

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }

// exceeds reports whether words say that something is not to be more than what follows: "won't cost more than".
func (c *cues) exceeds(w words) bool {
	for at := range w {
		if n := c.Price.Least.match(w, at); n > 0 {
			for before := at - 1; before >= max(0, at-farthestNegation) && !w[before+1].Clause; before-- {
				if c.Price.Not.match(w, before) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// severalNumbers reports whether a text has more than one.
func severalNumbers(s string) bool {
	first := strings.IndexAny(s, digits)
	rest := strings.TrimLeft(s[max(first, 0):], digits)
	return strings.ContainsAny(rest, digits)
}

func number(s string) float64 {
	f, err := strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
	if err != nil {
		return 0
	}
	return f
}

// figures writes numbers in words as figures: "vingt-cinq" is 25, "quatre-vingt" 80, "خمسة وعشرين" 25. Only what stands before money
// or after a limit matters, so that "un" and "deux" elsewhere do no harm.
func (c *cues) figures(folded string) string {
	var out []string
	sum := 0
	flush := func() {
		if sum > 0 {
			out = append(out, strconv.Itoa(sum))
			sum = 0
		}
	}
	for f := range c.numerals(folded) {
		word := strings.TrimPrefix(strings.Trim(f, ".,!?؟;:"), "ال")
		n := c.Numbers[word]
		rest, and := strings.CutPrefix(word, "و")
		if and = and && n == 0; and {
			if n = c.Numbers[rest]; n > 1 && (sum == 0 || sum >= 10 || n < 20) { // "بين عشرة وعشرين" is two numbers
				flush()
				out = append(out, "و")
			}
		}
		switch {
		case n < 2:
			flush()
			out = append(out, f)
		case n == 20 && sum%100 == 4:
			sum += 80 - 4 // "quatre-vingt"
		case n == 100 && sum > 1 && sum < 10:
			sum *= n
		case and && sum > 0, goesOn(sum, n):
			sum += n
		default:
			flush()
			sum = n
		}
	}
	flush()
	return strings.Join(out, " ")
}

// numerals yields the fields of a text, those of a number in words one by one: "vingt-cinq".
func (c *cues) numerals(folded string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for f := range strings.FieldsSeq(folded) {
			parts := []string{f}
			if first, _, ok := strings.Cut(f, "-"); ok && c.Numbers[first] > 0 {
				parts = strings.Split(f, "-")
			}
			for _, part := range parts {
				if !yield(part) {
					return
				}
			}
		}
	}
}

// plainAmounts writes amounts in one form: "5e50" is 5.50 €, and "1,000" and "1 000" are 1000.
func plainAmounts(s string) string {
	var b strings.Builder
	from := 0
	digitsAt := func(at int) (n int) {
		for at+n < len(s) && isDigit(s[at+n]) {
			n++
		}
		return n
	}
	for i := 1; i < len(s); i++ {
		if !isDigit(s[i-1]) || isDigit(s[i]) {
			continue
		}
		switch unit := max(1, len("€")*strings.Count(s[i:min(len(s), i+len("€"))], "€")); {
		case strings.ContainsRune(",. ", rune(s[i])) && digitsAt(i+1) == 3:
			b.WriteString(s[from:i])
			from = i + 1
		case (s[i] == 'e' || unit > 1) && digitsAt(i+unit) == 2:
			b.WriteString(s[from:i] + "." + s[i+unit:i+unit+2] + " €")
			from = i + unit + 2
		}
	}
	return b.String() + s[from:]
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// goesOn reports whether two numbers in words are one: "vingt cinq", "soixante dix", "cent vingt", "dix sept".
func goesOn(sum, n int) bool {
	units, tens := sum%10, sum/10%10
	switch {
	case sum == 0, sum < 10 && n == 10: // "خمسة عشر"
		return true
	case units > 0:
		return false
	case tens == 0:
		return n < 100
	case tens == 1, tens == 7, tens == 9:
		return n >= 7 && n < 10
	}
	return n < 20
}

// maxQuantity is the most pieces that a number before a product is taken for.
const maxQuantity = 99

// dual ends Arabic words for two of a thing.
const dual = "تين"

// quantity returns how many pieces a message asks for: a number right before a kind of product; 0 for none.
func (c *cues) quantity(w words) int {
	for i := range w {
		if strings.HasSuffix(w[i].Folded, dual) && shop.Types.Among(text.Concepts(strings.TrimSuffix(w[i].Surface, dual)+"ة")) != nil {
			return 2
		}
		n := c.Numbers[w[i].Folded]
		if isDigit(w[i].Folded[0]) {
			n, _ = strconv.Atoi(w[i].Folded) // "250ml" is no number of pieces
		}
		if n < 2 || n > maxQuantity {
			continue
		}
		if shop.Types.Among(w[min(i+1, len(w)):min(i+4, len(w))].concepts()) != nil {
			return n
		}
	}
	return 0
}

// tail returns the end of s, of about n bytes.
func tail(s string, n int) string { return strings.ToValidUTF8(s[max(0, len(s)-n):], "") }

// The number of an order as a customer writes it has five digits at least; where one is waited for, or called that, four do.
var order, expectedOrder = orderOf(5), orderOf(4)

// orderOf returns the form of the number of an order: so many digits at least, with letters before them or none.
func orderOf(digits int) *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[^\p{L}\p{N}.,-])([A-Za-z]{0,4}-?\d{` + strconv.Itoa(digits) + `,12})(?:$|[^\p{L}\p{N}€-])`)
}

// calledOrder ends where the number of an order is to follow, in folded text.
var calledOrder = regexp.MustCompile(`(?:commande|cmd|order|طلب\p{L}{0,3}|اوردر)\s*(?:n[o°]?|num|numero|number|no|nr|رقم)?\s*[.:#°]*\s*$`)

// orderNumber returns the first number of an order in a message, or "".
func (r *Responder) orderNumber(q *question) string {
	said := text.Fold(q.Message)
	if !strings.ContainsAny(said, digits) {
		return ""
	}
	if m := order.FindStringSubmatch(said); m != nil {
		return strings.ToUpper(m[1])
	}
	for _, m := range expectedOrder.FindAllStringSubmatchIndex(said, -1) {
		if q.Before.Pending != nil || calledOrder.MatchString(tail(said[:m[2]], longestCall)) {
			return strings.ToUpper(said[m[2]:m[3]])
		}
	}
	return ""
}

// longestCall is how many bytes before a number may call it that of an order.
const longestCall = 40
