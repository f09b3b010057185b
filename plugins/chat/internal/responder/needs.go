package responder

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// Needs is what a customer asks of a product.
type Needs struct {
	shop.Needs
	With        []string // concepts of substances wanted
	Without     []string // of ingredients refused
	NotTypes    []string // types refused
	NotConcerns []string // concerns that the product must not be for: "pas pour cheveux gras"
	NotHair     []string // types of hair that it must not be for
	NotSkin     []string // types of skin
	MinPrice    float64
	Quantity    int  // how many are wanted, 0 for not told
	Cheapest    bool // the cheapest first
}

// specific reports whether the needs say what for.
func (n *Needs) specific() bool {
	return len(n.Types)+len(n.Concerns)+len(n.HairType)+len(n.SkinType) > 0
}

// limited reports whether the needs say what a product may cost, or must not be.
func (n *Needs) limited() bool {
	return n.MaxPrice > 0 || n.MinPrice > 0 || len(n.Free)+len(n.Avoid) > 0
}

// none reports whether nothing is asked for.
func (n *Needs) none() bool {
	return !n.specific() && len(n.Free)+len(n.Avoid)+len(n.With)+len(n.NotTypes)+len(n.NotConcerns)+
		len(n.NotHair)+len(n.NotSkin) == 0 && n.MaxPrice == 0 && n.MinPrice == 0 && !n.Vegan && !n.Cheapest
}

// ingredientConcepts are the concepts of text/synonyms.txt that are ingredients to want or to refuse.
var ingredientConcepts = []string{
	"argan", "black_seed", "aloe", "shea", "olive", "laurel", "honey", "coconut", "castor", "almond", "clay", "rosemary",
	"glycerin",
}

// areaTypes are the types of product that a part of the body stands for.
var areaTypes = map[string]string{"face": "face_cream", "hands": "hand_cream", "chapped_lips": "lip_balm"}

// understand reads the needs from a message.
func (r *Responder) understand(q *question) Needs {
	var n Needs
	plain := r.cues.filler.without(q.words)
	wanted, refused := r.cues.splitRefused(plain)
	q.refuses = len(refused) > 0
	all := plain.concepts()
	concepts := all
	if q.refuses {
		concepts = wanted.concepts()
	}
	n.Types = r.cues.composed(shop.Types.Among(concepts), wanted, all)
	n.Concerns = shop.Concerns.Among(concepts)
	n.HairType = first(shop.HairTypes.Among(concepts))
	n.SkinType = first(shop.SkinTypes.Among(concepts))
	if hair, skin := r.cues.described(wanted, concepts); n.HairType == "" && n.SkinType == "" {
		n.HairType, n.SkinType = hair, skin
	}
	n.Free = shop.FreeOf.Among(all)
	n.Vegan = slices.Contains(all, "vegan")
	for _, segment := range refused {
		n.Vegan = n.Vegan && !slices.Contains(segment.concepts(), "vegan")
	}
	for _, c := range concepts {
		if isSubstance(c) {
			n.With = append(n.With, c)
		}
		if t := areaTypes[c]; t != "" && len(n.Types) == 0 {
			n.Types = []string{t}
		}
	}
	if len(n.Types) == 0 && slices.Contains(concepts, "gift") {
		n.Types = []string{"bundle"}
	}
	for _, segment := range refused {
		r.refuse(&n, segment, concepts)
	}
	if len(n.Types) > 1 && len(n.With)+len(n.Without) > 0 { // "à l'huile d'olive" is what a shampoo is made with
		n.Types = slices.DeleteFunc(n.Types, func(t string) bool { return t == "oil" || t == "body_butter" })
	}
	n.With = slices.DeleteFunc(n.With, func(c string) bool { return slices.Contains(n.Free, freeOf(c)) })
	if slices.Contains(concepts, "odor") { // that of sweat
		n.With = slices.DeleteFunc(n.With, func(c string) bool { return c == "perfume" })
	}
	n.Types = slices.DeleteFunc(n.Types, func(t string) bool { return slices.Contains(n.NotTypes, t) })
	n.MinPrice, n.MaxPrice = r.cues.prices(q.Message)
	n.Quantity = r.cues.quantity(q.words)
	n.Cheapest = n.MaxPrice == 0 && slices.Contains(concepts, "cheap")
	return n
}

// composed returns the types with those that words tell together which stand apart: "une huile parfumée pour le corps", "un gel bien
// moussant pour la douche".
func (c *cues) composed(types []string, w words, concepts []string) []string {
	body := slices.Contains(concepts, "body")
	switch {
	case len(types) == 0 && c.shower.in(w) && c.wash.in(w):
		return []string{"shower_gel"}
	case len(types) == 0 && body && c.cream.in(w):
		return []string{"body_lotion"}
	case len(types) == 0 && slices.Contains(concepts, "scalp") && c.cream.in(w):
		return []string{"scalp_lotion"}
	case len(types) == 0 && c.cream.in(w) && slices.ContainsFunc(concepts, ofFace):
		return []string{"face_cream"}
	case body && slices.Equal(types, []string{"oil"}):
		return []string{"body_oil"}
	}
	return types
}

// ofFace reports whether a concept is of skin, which stands for that of the face where nothing says otherwise.
func ofFace(concept string) bool {
	switch concept {
	case "skin", "blemishes", "dark_spots", "oily_skin", "sensitive_skin", "dry_skin":
		return true
	}
	return shop.SkinTypes.Among([]string{concept}) != nil
}

// Concepts and types of product that are about hair and about skin.
var (
	hairWords = []string{
		"hair", "scalp", "shampoo", "conditioner", "mask", "oil", "leave_in", "styling_cream", "scalp_lotion",
	}
	skinWords = []string{
		"skin", "face", "body", "hands", "soap", "shower_gel", "body_lotion", "body_butter", "body_oil", "scrub", "deodorant",
		"hand_cream", "face_cream",
	}
)

// described reads how hair or skin is, where an adjective stands apart from it: "ma peau, sèche", "shampoing gras". The concepts of
// the message tell of which of the two it is.
func (c *cues) described(w words, concepts []string) (hair, skin string) {
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(c string) bool { return slices.Contains(concepts, c) })
	}
	ofHair, ofSkin := in(hairWords), in(skinWords)
	if slices.Contains(concepts, "skin") {
		ofHair = slices.Contains(concepts, "hair")
	} else if slices.Contains(concepts, "hair") {
		ofSkin = false
	}
	for _, id := range adjectives {
		if !c.adjectives[id].in(w) {
			continue
		}
		if ofHair && !ofSkin && shop.HairTypes.Among([]string{"hair_" + id}) != nil {
			return id, ""
		}
		if ofSkin && !ofHair && shop.SkinTypes.Among([]string{"skin_" + id}) != nil {
			return "", id
		}
	}
	return "", ""
}

// adjectives are types of hair and skin, the most telling first.
var adjectives = []string{"sensitive", "curly", "damaged", "oily", "dry", "mixed", "straight", "normal"}

// refuse reads what a negation is about; around are the concepts of the rest of the message.
func (r *Responder) refuse(n *Needs, segment words, around []string) {
	ingredient := false
	said := segment.String()
	concepts := text.Concepts(said)
	if hair, skin := r.cues.described(segment, append(concepts, around...)); len(concepts) == 0 {
		n.NotHair, n.NotSkin = nonEmpty(n.NotHair, hair), nonEmpty(n.NotSkin, skin)
	}
	for _, c := range concepts {
		switch id := freeOf(c); {
		case id != "":
			if !slices.Contains(n.Free, id) {
				n.Free = append(n.Free, id)
			}
			ingredient = true
		case slices.Contains(ingredientConcepts, c):
			n.Avoid, n.Without = append(n.Avoid, said), append(n.Without, c)
			ingredient = true
		}
	}
	n.NotConcerns = union(n.NotConcerns, shop.Concerns.Among(concepts))
	n.NotHair = union(n.NotHair, shop.HairTypes.Among(concepts))
	n.NotSkin = union(n.NotSkin, shop.SkinTypes.Among(concepts))
	if !ingredient { // "huile de coco" is an ingredient, "huile" a type
		n.NotTypes = union(n.NotTypes, shop.Types.Among(concepts))
	}
}

// longestRefused is how many words after a negation are looked at.
const longestRefused = 6

// splitRefused parts what is wanted from what is refused: the words after "sans", "without", "بدون", and after "pas" or "not" where
// they refuse something ("pas pour cheveux gras") rather than deny ("je ne sais pas"). "Sans rinçage" refuses nothing.
func (c *cues) splitRefused(w words) (wanted words, refused []words) {
	dismisses := c.dismissed.in(w)
	for i := 0; i < len(w); {
		if i+1 < len(w) && c.refusedBefore.match(w, i+1) > 0 && isSubstance(first(w[i:i+1].concepts())) {
			refused = append(refused, w[i:i+1])
			i += 1 + c.refusedBefore.match(w, i+1)
			continue
		}
		if dismisses {
			if n := c.dismissal(w[i:]); n > 0 {
				refused = append(refused, w[i:i+n])
				i += n
				continue
			}
		}
		n, weak := c.refuse.match(w, i), false
		if n == 0 {
			n, weak = c.refuseWeakly.match(w, i), true
		}
		if n == 0 || i+n == len(w) || len(refused) == maxRefinements {
			wanted = append(wanted, w[i])
			i++
			continue
		}
		from := i + n
		weak = weak || c.purpose.match(w, from) > 0
		if weak && c.afterWeak.match(w, from) == 0 && !c.startsProperty(w[from:]) {
			wanted = append(wanted, w[i:from]...)
			i = from
			continue
		}
		taken := c.refusedWords(w[from:min(from+longestRefused, len(w))], weak)
		if taken == 0 {
			wanted = append(wanted, w[i:from]...)
			i = from
			continue
		}
		refused = append(refused, w[from:from+taken])
		i = from + taken
	}
	return wanted, refused
}

// refusedWords returns how many words a negation is about. A weak one may be about hair and skin, a strong one is about what
// a product is made of or is.
func (c *cues) refusedWords(w words, weak bool) int {
	taken := 0
	var before []string // concepts of the words taken
	for n := 1; n <= len(w); n++ {
		if c.until.match(w, n-1) > 0 || taken > 0 && c.again.match(w, n-1) > 0 {
			break
		}
		concepts := w[:n].concepts()
		if len(concepts) == len(before) {
			if weak && (taken == n-1 || taken == 0) && c.adjective(w, n-1) {
				taken = n
			}
			continue
		}
		if weak && taken > 0 && shop.Types.Among(before) == nil && shop.Types.Among(concepts) != nil && !isSubstance(before[0]) {
			break // "not for dandruff, shampoo"
		}
		if !refusable(concepts) && (!weak || len(before) > 0 && isSubstance(before[0])) {
			break
		}
		taken, before = n, concepts
	}
	return taken
}

// farthestDismissal is how many words may stand between what is refused and the words that refuse it.
const farthestDismissal = 3

// dismissal returns the number of words from a property to the end of what dismisses it ("parabens are not ok"), 0 for none.
func (c *cues) dismissal(w words) int {
	for at := 1; at <= farthestDismissal && at < len(w); at++ {
		if n := c.dismissed.match(w, at); n > 0 && c.startsProperty(w[:at]) && shop.Types.Among(w[:at].concepts()) == nil {
			if at+n < len(w) && c.refuseWeakly.match(w, at+n) > 0 {
				return 0 // "l'alcool ne me gêne pas"
			}
			return at + n
		}
		if c.startsProperty(w[at:]) {
			return 0 // it is this one that may be dismissed
		}
	}
	return 0
}

// startsProperty reports whether words start with what a product can be, be for or be made of: "not soap".
func (c *cues) startsProperty(w words) bool {
	if len(w) == 0 {
		return false
	}
	if c.adjective(w, 0) {
		return true
	}
	concepts := w[:min(2, len(w))].concepts()
	if len(w) > 1 && len(w[:1].concepts()) == 0 && len(concepts) == len(w[1:2].concepts()) {
		return false // it is the second word's alone
	}
	return slices.ContainsFunc(concepts, func(c string) bool {
		one := []string{c}
		return c == "vegan" || isSubstance(c) || shop.Types.Among(one) != nil || shop.HairTypes.Among(one) != nil ||
			shop.SkinTypes.Among(one) != nil || shop.Concerns.Among(one) != nil
	})
}

// adjective reports whether a word says how hair or skin is.
func (c *cues) adjective(w words, at int) bool {
	for _, set := range c.adjectives {
		if set.match(w, at) > 0 {
			return true
		}
	}
	return false
}

// refusable reports whether what follows "sans" is one type of product, or substances ("huile de coco et sulfates").
func refusable(concepts []string) bool {
	if len(concepts) == 1 {
		return isSubstance(concepts[0]) || shop.Types.Among(concepts) != nil
	}
	return !slices.ContainsFunc(concepts, func(c string) bool { return !isSubstance(c) && c != "oil" && c != "body_butter" })
}

func isSubstance(concept string) bool {
	return slices.Contains(ingredientConcepts, concept) || freeOf(concept) != ""
}

// freeOf returns the value of shop.FreeOf that refuses a concept, or "".
func freeOf(concept string) string { return first(shop.FreeOf.Among([]string{"no_" + concept})) }

// amount is a number with what may say that it is money, in folded text.
var amount = regexp.MustCompile(`(€|eur )?\s?(\d{1,4}(?:[.,]\d{1,2})?)\s?(€|euros?\b|eur\b|e\b|يورو|اورو|ليورو)?`)

// between is two limits at once, in folded text.
var between = regexp.MustCompile(`(?:entre|between|from|de|بين|من)\s+(\d{1,4})\s*(?:€|euros?|e|يورو)?\s*(?:et|and|to|a|-|و|الي)\s*(\d{1,4})\s*(?:€|euros?\b|e\b|يورو)`)

// lessThan is "- de" before an amount.
var lessThan = regexp.MustCompile(`(?:^|\s)-\s*(?:de\s*)?$`)

// maxAmounts is how many numbers of a message are looked at.
const maxAmounts = 5

// prices returns the limits that a message sets to a price, 0 for none: a number after "moins de" or "plus de", or an amount of
// money, which is the most.
func (c *cues) prices(message string) (from, upTo float64) {
	folded := c.figures(text.Fold(message))
	if m := between.FindStringSubmatch(folded); m != nil {
		if from, upTo = number(m[1]), number(m[2]); from < upTo {
			return from, upTo
		}
	}
	from, upTo = 0, 0
	for _, m := range amount.FindAllStringSubmatchIndex(folded, maxAmounts) {
		before := cutWords(tail(folded[:m[0]], 60))
		before = before[max(0, len(before)-4):]
		after := cutWords(folded[m[1]:min(len(folded), m[1]+24)])
		after = after[:min(2, len(after))]
		money := m[2] >= 0 || m[6] >= 0
		most, least := c.mostPrice.longest(before), c.leastPrice.longest(before)
		limited := most > 0 && most >= least || lessThan.MatchString(folded[:m[0]])
		value := number(folded[m[4]:m[5]])
		switch {
		case value <= 0:
		case least > 0 && !limited, !limited && money && c.leastPrice.in(after):
			if from == 0 && (money || m[1] == len(folded)) {
				from = value
			}
		case upTo == 0 && (money || limited || c.mostPrice.in(after)):
			upTo = value
		}
	}
	return from, upTo
}

func number(s string) float64 {
	f, err := strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
	if err != nil {
		return 0
	}
	return f
}

// figures writes numbers in words as figures: "vingt cinq" is 25. Only what stands before money or after a limit matters, so that
// "un" and "deux" elsewhere do no harm.
func (c *cues) figures(folded string) string {
	fields := strings.Fields(folded)
	out := fields[:0]
	sum := 0
	flush := func() {
		if sum > 0 {
			out = append(out, strconv.Itoa(sum))
			sum = 0
		}
	}
	for _, f := range fields {
		word := strings.TrimPrefix(strings.Trim(f, ".,!?؟;:"), "ال")
		if n, ok := c.numbers[word]; ok && n > 1 {
			sum += n
			continue
		}
		flush()
		out = append(out, f)
	}
	flush()
	return strings.Join(out, " ")
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
		n, err := strconv.Atoi(w[i].Folded)
		if err != nil {
			n = c.numbers[w[i].Folded]
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

// order is the number of an order as a customer writes it: digits, five at least, with letters before them or none.
var order = regexp.MustCompile(`(?:^|[^\p{L}\p{N}.,-])([A-Za-z]{0,4}-?\d{5,12})(?:$|[^\p{L}\p{N}€-])`)

// orderNumber returns the first number of an order in a message, or "".
func (r *Responder) orderNumber(q *question) string {
	m := order.FindStringSubmatch(text.Fold(q.Message))
	if m == nil {
		return ""
	}
	return strings.ToUpper(m[1])
}

func nonEmpty(list []string, s string) []string {
	if s == "" {
		return list
	}
	return append(list, s)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
