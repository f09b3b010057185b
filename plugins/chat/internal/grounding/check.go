package grounding

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
	terms    = regexp.MustCompile(`livr|expedi|frais|port|achat|panier|commande|remise|promo|reduc|code|econom|moins|carte|etiquette|deliver|shipp|` +
		`order|basket|spend|off\b|discount|save|fee|label|card|توصيل|شحن|طلب|خصم|كود|سله|رسوم|ملصق`)
	limitWord = regexp.MustCompile(`moins|maximum|\bmax\b|budget|jusqu|depasse|sous\b|under|below|less|within|up to|limit|اقل|حدود|ميزاني|تحت`)
)

// service are parts of words that speak of what the shop does.
var service = newParts(`livr expedi envoi envoy colis commande retour rembours echang garanti recev recu deliver shipp arriv parcel
	order refund return guarant warrant توصيل شحن طلب ارجاع استرداد استبدال يصل تصل ضمان`)

// promising are parts of words without which no class matches. To look for them takes a fraction of what the classes take.
var promising = newParts(`gratui offer complimentary frais مجان free garanti guarant warrant مضمون ضمان rembours refund money استرداد استرجاع
	cadeau gift هديه هدايا indemni dedommag compensat تعويض demain aujourd tomorrow today tonight غدا اليوم الليله`)

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
	for code, written := range currencies {
		if !k.currencies[code] && written.MatchString(s) && !k.says(func(one *source) bool { return written.MatchString(one.raw) }) {
			return Price // 11,90 dollars are not 11,90 €
		}
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
		if slices.ContainsFunc(near, func(p *product) bool { return p.price == c.value }) {
			return true
		}
		if said && (len(near) == 0 || terms.MatchString(s)) {
			return true
		}
		if limitWord.MatchString(s[max(0, c.at-limitReach):c.at]) && k.asked(Price, c.value) {
			return !slices.ContainsFunc(near, func(p *product) bool { return dearer(p.price, c.value) })
		}
		return len(near) == 0 && slices.ContainsFunc(k.found, func(p *product) bool { return p.price == c.value })
	case Size:
		near := nearest(c, mentions)
		if slices.ContainsFunc(near, func(p *product) bool { return slices.Contains(p.sizes, c.value) }) || said {
			return true
		}
		return len(near) == 0 && slices.ContainsFunc(k.found, func(p *product) bool { return slices.Contains(p.sizes, c.value) })
	case Promise:
		return said || !service.in(s)
	}
	return said
}

// dearer compares two amounts with two digits after the point.
func dearer(a, b string) bool { return len(a) > len(b) || len(a) == len(b) && a > b }

// nearest returns the products that a claim may be about: those named last before it and first after it.
func nearest(c claim, mentions []mention) []*product {
	var before, after []*product
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
	if !promising.in(s) {
		return made
	}
	for i, class := range classes {
		made[i] = class.MatchString(s)
	}
	made[free] = made[free] || freeWord.MatchString(s) && !freeOf.MatchString(s)
	return made
}

// promises reports whether what a sentence promises is promised somewhere. What is free from an amount on must be said with it.
func (k *known) promises(s string, claims []claim) bool {
	served := service.in(s)
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
	return slices.ContainsFunc(k.products, func(p *product) bool { return p.link == link })
}
