package grounding

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/innatural/chatbot/plugins/chat/internal/responder"
)

// Guard reads an answer as it comes and lets through what catalogue and evidence bear out. What could begin a claim waits for the
// end of its sentence; words before it go on at once, so that a customer does not wait for the guard. It is for one answer.
//
// It compares what can be compared: amounts, sizes, shares, spans of time, what is said to be free or guaranteed, names of products
// as far as they are written like names, addresses, numbers, codes, and the rules of the prompt. It does not understand a text.
type Guard struct {
	known    *known
	pending  string // not let through yet
	sentence string // let through, of the sentence that pending goes on with
	last     []word // the last words let through
	waits    bool   // for the end of the sentence
}

// maxSentence bounds what waits: a longer text is taken for a sentence.
const maxSentence = 2000

// NewGuard returns a guard of an answer to a message.
func (s *Shop) NewGuard(e responder.Evidence, message string) *Guard {
	return &Guard{known: s.knows(e, message)}
}

// Write takes a piece of the answer and returns what may be sent of it and of what waited, and what is wrong with it, or "".
func (g *Guard) Write(piece string) (out string, wrong Kind) {
	g.pending += piece
	for {
		end := sentenceEnd(g.pending)
		if end < 0 && len(g.pending) > maxSentence {
			end = len(g.pending)
		}
		if end < 0 {
			break
		}
		text, kind := g.take(end, true)
		out += text
		if kind != "" {
			return out, kind
		}
	}
	if g.waits {
		return out, ""
	}
	text, kind := g.take(g.harmless(), false)
	return out + text, kind
}

// Close returns the rest of the answer, and what is wrong with it.
func (g *Guard) Close() (out string, wrong Kind) { return g.take(len(g.pending), true) }

// take lets the first n bytes through that wait, which may be the end of a sentence.
func (g *Guard) take(n int, whole bool) (out string, wrong Kind) {
	out = g.pending[:n]
	g.pending = g.pending[n:]
	g.sentence += out
	if wrong = g.leaks(out); wrong == "" && whole && (g.waits || g.claims(out)) {
		wrong = g.known.check(g.sentence)
	}
	if whole {
		g.sentence, g.waits = "", false
	}
	return out, wrong
}

// claims reports whether a claim may begin in a text.
func (g *Guard) claims(s string) bool {
	return slices.ContainsFunc(strings.Fields(s), func(w string) bool { return g.risky(w, false) })
}

// leaks reports whether what was let through last recites the rules.
func (g *Guard) leaks(out string) Kind {
	for _, w := range wordsOf(fold(out)) {
		if g.last = append(g.last, w); len(g.last) > sequence {
			g.last = g.last[1:]
		}
		if len(g.last) == sequence && g.known.rules[sequenceOf(g.last)] {
			return Leak
		}
	}
	return ""
}

// sentenceEnd returns where the first sentence of a text ends, its space included, or -1 when that is not known yet.
func sentenceEnd(s string) int {
	for i, r := range s {
		switch r {
		case '\n':
			return i + 1
		case '.', '!', '?', '…', '؟', '۔', ';', '؛':
			next := i + utf8.RuneLen(r)
			if after, n := utf8.DecodeRuneInString(s[next:]); n > 0 && unicode.IsSpace(after) {
				return next + n
			}
		}
	}
	return -1
}

// harmless returns how much of what waits no claim can begin in.
func (g *Guard) harmless() int {
	done := 0
	for {
		rest := g.pending[done:]
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			return done
		}
		w := rest[:end]
		if w != "" && g.risky(w, strings.TrimSpace(g.sentence+g.pending[:done]) == "") {
			g.waits = true
			return done
		}
		_, n := utf8.DecodeRuneInString(rest[end:])
		done += end + n
	}
}

// risky reports whether a claim may begin with a word: one that is more than letters, a capital within a sentence, or a word of
// products or of terms.
func (g *Guard) risky(w string, first bool) bool {
	trimmed := strings.Trim(w, ".,;:!?…،؛؟'’")
	for i, r := range trimmed {
		letter := unicode.IsLetter(r) || unicode.IsMark(r) || r == '\'' || r == '’' || r == '-'
		if !letter || unicode.IsUpper(r) && (!first || i > 0) {
			return true
		}
	}
	folded := fold(trimmed)
	if folded != "1" && strings.ContainsAny(folded, "0123456789") { // "deux", but not "un", which is an article too
		return true
	}
	if trigger.MatchString(folded) {
		return true
	}
	return slices.ContainsFunc(wordsOf(folded), func(w word) bool {
		return g.known.isNoun(w.text) || g.known.names[w.text]
	})
}

// free is the first of classes.
const free = 0

// classes are kinds of promises, by the words that make them.
var classes = []*regexp.Regexp{
	regexp.MustCompile(`gratui\w*|\boffert\w*|\boffer(?:ed)?\b|\bcomplimentary\b|\bsans frais\b|مجان`),
	regexp.MustCompile(`\bgaranti\w*|\bguarant\w*|\bwarrant\w*|مضمون|ضمان`),
	regexp.MustCompile(`\brembours\w*|\brefund\w*|\bmoney back\b|استرداد|استرجاع`),
	regexp.MustCompile(`\bcadeau\w*|\bgifts?\b|هديه|هدايا`),
	regexp.MustCompile(`\bindemni\w*|\bdedommag\w*|\bcompensat\w*|تعويض`),
	regexp.MustCompile(`\bdemain\b|\baujourd'?hui\b|\btomorrow\b|\btoday\b|\btonight\b|غدا|اليوم|الليله`),
}

var (
	freeWord = regexp.MustCompile(`(?:^|[^\w-])free(?:$|[^\w-])`) // not sulfate-free
	freeOf   = regexp.MustCompile(`(?:^|[^\w-])free\s+(?:of|from)\b`)
	service  = regexp.MustCompile(`livr|expedi|envoi|envoy|colis|commande|retour|rembours|echang|garanti|recev|recu|deliver|shipp|arriv|parcel|` +
		`order|refund|return|guarant|warrant|توصيل|شحن|طلب|ارجاع|استرداد|استبدال|يصل|تصل|ضمان`)
	terms = regexp.MustCompile(`livr|expedi|frais|port|achat|panier|commande|remise|promo|reduc|code|econom|moins|carte|etiquette|deliver|shipp|` +
		`order|basket|spend|off\b|discount|save|fee|label|card|توصيل|شحن|طلب|خصم|كود|سله|رسوم|ملصق`)
	limitWord = regexp.MustCompile(`moins|maximum|\bmax\b|budget|jusqu|depasse|sous\b|under|below|less|within|up to|limit|اقل|حدود|ميزاني|تحت`)
	// trigger are words before which a sentence waits.
	trigger = regexp.MustCompile(`gratui|offert|offer|free|garant|guarant|warrant|rembours|refund|cadeau|gift|indemn|dedommag|compens|demain|` +
		`aujourd|tomorrow|today|tonight|livr|deliver|shipp|expedi|envoy|recev|recoi|arriv|code|coupon|promo|remise|reduc|discount|prix|cout|price|cost|euro|dollar|dirham|cent|www|http|` +
		`مجان|ضمان|مضمون|استرداد|استرجاع|هدي|هدايا|تعويض|غدا|اليوم|توصيل|شحن|وصل|يصل|كود|خصم|سعر|ثمن|يورو|جنيه|دولار|درهم`)
)

// check returns what a sentence says that is not known, or "".
func (k *known) check(sentence string) Kind {
	s := fold(sentence)
	claims := claimsIn(s)
	mentions := k.mentions(wordsOf(s))
	for _, c := range claims {
		if !k.bearsOut(c, s, mentions) {
			return c.kind
		}
	}
	if moneyWord.MatchString(s) && !slices.ContainsFunc(claims, func(c claim) bool { return c.kind == Price }) {
		return Price // in words that cannot be read
	}
	if !k.promises(s, claims) {
		return Promise
	}
	if k.unknownProduct(sentence) {
		return Product
	}
	for _, l := range links(sentence) {
		if !k.knowsLink(l) {
			return Link
		}
	}
	for _, digits := range phones(s) {
		if !k.says(func(one *source) bool { return slices.Contains(one.phones, digits) }) {
			return Link
		}
	}
	for _, c := range codes(sentence) {
		if !k.says(func(one *source) bool { return strings.Contains(one.raw, c) }) {
			return Code
		}
	}
	return ""
}

// limitReach is how many bytes before an amount a word makes it a limit: "moins de 15 €".
const limitReach = 12

// bearsOut reports whether a claim of a sentence is known.
func (k *known) bearsOut(c claim, s string, mentions []mention) bool {
	said := k.says(func(one *source) bool { return one.claims[claim{c.kind, c.value, 0}] })
	switch c.kind {
	case Price:
		near := nearest(c, mentions)
		if slices.ContainsFunc(near, func(p product) bool { return p.price == c.value }) {
			return true
		}
		if said && (len(near) == 0 || terms.MatchString(s)) {
			return true
		}
		if k.asked[claim{Price, c.value, 0}] && limitWord.MatchString(s[max(0, c.at-limitReach):c.at]) {
			return !slices.ContainsFunc(near, func(p product) bool { return dearer(p.price, c.value) })
		}
		return len(near) == 0 && slices.ContainsFunc(k.found, func(p product) bool { return p.price == c.value })
	case Size:
		near := nearest(c, mentions)
		if slices.ContainsFunc(near, func(p product) bool { return slices.Contains(p.sizes, c.value) }) || said {
			return true
		}
		return len(near) == 0 && slices.ContainsFunc(k.found, func(p product) bool { return slices.Contains(p.sizes, c.value) })
	case Promise:
		return said || !service.MatchString(s)
	}
	return said
}

// dearer compares two amounts with two digits after the point.
func dearer(a, b string) bool { return len(a) > len(b) || len(a) == len(b) && a > b }

// nearest returns the products that a claim may be about: those named last before it and first after it.
func nearest(c claim, mentions []mention) []product {
	var before, after []product
	for _, m := range mentions {
		if m.from <= c.at {
			before = m.products
		} else if after == nil {
			after = m.products
		}
	}
	return slices.Concat(before, after)
}

// classesOf returns which promises a folded text makes.
func classesOf(s string) []bool {
	made := make([]bool, len(classes))
	for i, class := range classes {
		made[i] = class.MatchString(s)
	}
	made[free] = made[free] || freeWord.MatchString(s) && !freeOf.MatchString(s)
	return made
}

// promises reports whether what a sentence promises is promised somewhere. What is free from an amount on must be said with it.
func (k *known) promises(s string, claims []claim) bool {
	served := service.MatchString(s)
	for class, made := range classesOf(s) {
		if !made || class != free && !served {
			continue
		}
		if !k.says(func(one *source) bool {
			return slices.ContainsFunc(one.lines, func(l line) bool {
				if !l.classes[class] {
					return false
				}
				return class != free || !served || len(l.from) == 0 ||
					slices.ContainsFunc(amounts(claims), func(a string) bool { return slices.Contains(l.from, a) })
			})
		}) {
			return false
		}
	}
	return true
}

func amounts(claims []claim) []string {
	var all []string
	for _, c := range claims {
		if c.kind == Price {
			all = append(all, c.value)
		}
	}
	return all
}

// quoted is what stands between quotation marks, or in bold.
var quoted = regexp.MustCompile(`«\s*([^»]{3,80}?)\s*»|“([^”]{3,80})”|"([^"]{3,80})"|\*\*([^*]{3,80})\*\*`)

// unknownProduct reports whether a sentence names a product like a name, and there is none that is called so.
func (k *known) unknownProduct(sentence string) bool {
	for _, m := range quoted.FindAllStringSubmatch(sentence, -1) {
		words := wordsOf(fold(strings.Join(m[1:], "")))
		noun := slices.ContainsFunc(words, func(w word) bool { return k.isNoun(w.text) })
		if noun && len(content(words)) > 1 && len(k.named(words)) == 0 {
			return true
		}
	}
	// Words with capitals around what a kind of product is called.
	fields := strings.FieldsFunc(sentence, func(r rune) bool { return !isLetter(r) })
	for i, f := range fields {
		if !k.isNoun(fold(f)) {
			continue
		}
		run := []word{{text: fold(f)}}
		capitals := 0
		for j := i + 1; j < len(fields) && (isCapital(fields[j]) || joining[fold(fields[j])]); j++ {
			if isCapital(fields[j]) {
				capitals++
			}
			run = append(run, word{text: fold(fields[j])})
		}
		for j := i - 1; j > 0 && isCapital(fields[j]); j-- { // the first word of a sentence has one anyway
			capitals++
			run = append(run, word{text: fold(fields[j])})
		}
		if capitals > 0 && len(k.named(run)) == 0 && !k.several(run) {
			return true
		}
	}
	return false
}

// several reports whether words name more than one known thing: "Argan Shampoo and Shea Mask" is no name, and nothing new.
func (k *known) several(words []word) bool {
	nouns := 0
	for _, w := range words {
		switch {
		case k.isNoun(w.text):
			nouns++
		case !joining[w.text] && !k.names[w.text]:
			return false
		}
	}
	return nouns > 1
}

func content(words []word) []word {
	return slices.DeleteFunc(slices.Clone(words), func(w word) bool { return joining[w.text] })
}

func isCapital(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(r)
}

// knowsLink reports whether an address is one of the shop's: of a product, or of a text that was found.
func (k *known) knowsLink(link string) bool {
	if k.says(func(one *source) bool { return slices.Contains(one.links, link) }) {
		return true
	}
	return slices.ContainsFunc(k.products, func(p product) bool { return p.link == link })
}
