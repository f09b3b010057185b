package telemetry

import "strings"

// redactNumbers replaces phone numbers, bank accounts (IBAN), cards and French social security numbers. A number counts only
// where it stands by itself: within an id, a hash, a path or a decimal fraction it stays.
func redactNumbers(s string) string {
	var out strings.Builder
	done := 0
	for i := 0; i < len(s); {
		if n := personalNumber(s[i:]); n > 0 && isApart(s, i, i+n) {
			out.WriteString(s[done:i])
			out.WriteString(redacted)
			i += n
			done = i
			continue
		}
		for i++; i < len(s) && isWord(s[i-1]) && isWord(s[i]); i++ { // to the next word
		}
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80
}

// isApart says whether s[from:to] is not a part of something longer.
func isApart(s string, from, to int) bool {
	if from > 0 && (isWord(s[from-1]) || strings.IndexByte("/.-+%#", s[from-1]) >= 0) {
		return false
	}
	if to == len(s) {
		return true
	}
	if to+1 < len(s) && (s[to] == '.' || s[to] == '-') && isWord(s[to+1]) {
		return false
	}
	return !isWord(s[to])
}

// personalNumber returns the length of a personal number that s begins with, or 0.
func personalNumber(s string) int {
	c := s[0]
	switch {
	case c == '+':
		return internationalPhone(s, 1)
	case c == '%' && len(s) > 3 && s[1] == '2' && s[2]|0x20 == 'b':
		return internationalPhone(s, 3) // a + within a URL
	case isDigit(c):
		return nationalNumber(s)
	case isWord(c):
		return iban(s)
	}
	return 0
}

// internationalPhone reads a number as E.164 has it, of 8 to 15 digits, however it is grouped.
func internationalPhone(s string, plus int) int {
	digits, end := 0, 0
	for i := plus; i < len(s) && digits < 15; i++ {
		switch {
		case isDigit(s[i]):
			digits++
			if i+1 == len(s) || !isDigit(s[i+1]) {
				end = i + 1
			}
		case i == plus || strings.IndexByte(" .-()", s[i]) < 0 || i > end+1:
			i = len(s)
		}
	}
	if end > 0 && digits == 15 && len(s) > end && isDigit(s[end]) || digits < 8 {
		return 0
	}
	return end
}

// digitGroups are the digits at the beginning of a text, in groups divided by one separator, which is always the same.
type digitGroups struct {
	digits [32]byte
	sizes  [12]int // of the groups
	ends   [12]int // where they end in the text
	n      int
	sep    byte
}

func readGroups(s string) (g digitGroups) {
	total := 0
	for i := 0; g.n < len(g.sizes); i++ {
		start := i
		for ; i < len(s) && isDigit(s[i]) && total < len(g.digits); i++ {
			g.digits[total] = s[i]
			total++
		}
		if i == start {
			break
		}
		g.sizes[g.n], g.ends[g.n] = i-start, i
		g.n++
		if i == len(s) || g.n > 1 && s[i] != g.sep || strings.IndexByte(" .-", s[i]) < 0 {
			break
		}
		g.sep = s[i]
	}
	return g
}

// nationalNumber reads a French phone number, a card or a social security number.
func nationalNumber(s string) int {
	g := readGroups(s)
	total := 0
	for i := range g.n {
		total += g.sizes[i]
		sizes, digits := g.sizes[:i+1], g.digits[:total]
		if isFrenchPhone(sizes, digits) || g.sep != '.' && (isCard(sizes, digits) || isSocialSecurity(sizes, digits)) {
			if isApart(s, 0, g.ends[i]) {
				return g.ends[i]
			}
		}
	}
	return 0
}

// groupedAs says whether groups have these sizes, or are one group of them all.
func groupedAs(sizes []int, want ...int) bool {
	if len(sizes) == 1 {
		return true
	}
	if len(sizes) != len(want) {
		return false
	}
	for i := range want {
		if sizes[i] != want[i] {
			return false
		}
	}
	return true
}

func isFrenchPhone(sizes []int, digits []byte) bool {
	if len(digits) == 13 && string(digits[:4]) == "0033" {
		return digits[4] != '0'
	}
	return len(digits) == 10 && digits[0] == '0' && digits[1] != '0' &&
		(groupedAs(sizes, 2, 2, 2, 2, 2) || groupedAs(sizes, 4, 2, 2, 2) || groupedAs(sizes, 4, 3, 3))
}

// isCard says whether digits are a payment card's: its range of lengths and first digits (ISO/IEC 7812) and its check digit.
func isCard(sizes []int, digits []byte) bool {
	if len(digits) < 13 || len(digits) > 19 || digits[0] < '2' || digits[0] > '6' ||
		!groupedAs(sizes, 4, 4, 4, 4) && !groupedAs(sizes, 4, 4, 4, 4, 3) && !groupedAs(sizes, 4, 6, 5) {
		return false
	}
	sum := 0 // Luhn
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d = d*2%10 + d/5
		}
		sum += d
	}
	return sum%10 == 0
}

// isSocialSecurity says whether digits are a French social security number (NIR): sex, year, month, place, order, and the key
// modulo 97.
func isSocialSecurity(sizes []int, digits []byte) bool {
	if len(digits) != 15 || digits[0] != '1' && digits[0] != '2' ||
		!groupedAs(sizes, 1, 2, 2, 2, 3, 3, 2) && !groupedAs(sizes, 13, 2) {
		return false
	}
	number := 0
	for _, d := range digits[:13] {
		number = number*10 + int(d-'0')
	}
	return 97-number%97 == int(digits[13]-'0')*10+int(digits[14]-'0')
}

// iban reads a bank account number (ISO 13616): country, two check digits, and up to 30 letters and digits, in groups or
// not. The check leaves one text in 97 that only looks like one.
func iban(s string) int {
	if len(s) < 15 || !isDigit(s[2]) || !isDigit(s[3]) {
		return 0
	}
	want := ibanLength(strings.ToUpper(s[:2]))
	if want == 0 {
		return 0
	}
	var account [34]byte
	n, i := 0, 0
	for ; i < len(s) && n < want; i++ {
		switch c := s[i]; {
		case isDigit(c):
			account[n] = c
			n++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			account[n] = c &^ 0x20
			n++
		case c != ' ' || s[i-1] == ' ':
			return 0
		}
	}
	if n < want {
		return 0
	}
	rest := 0
	for k := range want {
		c := account[(k+4)%want]
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	if rest != 1 {
		return 0
	}
	return i
}

// ibanLength returns how long the account numbers of a country are, for the countries of SEPA and those that the shop's
// customers live in; 0 for others.
func ibanLength(country string) int {
	switch country {
	case "NO":
		return 15
	case "BE":
		return 16
	case "DK", "FI", "NL":
		return 18
	case "SI":
		return 19
	case "AT", "EE", "LT", "LU":
		return 20
	case "CH", "HR", "LI", "LV":
		return 21
	case "BG", "DE", "GB", "IE", "GE", "ME", "RS":
		return 22
	case "AE", "IL":
		return 23
	case "AD", "CZ", "ES", "RO", "SA", "SE", "SK", "TN":
		return 24
	case "PT":
		return 25
	case "IS", "TR":
		return 26
	case "FR", "GR", "IT", "MC", "SM", "MR":
		return 27
	case "CY", "HU", "LB", "MA", "PL":
		return 28
	case "EG", "QA":
		return 29
	case "JO", "KW":
		return 30
	case "MT":
		return 31
	}
	return 0
}
