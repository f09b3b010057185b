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
	With        []string // concepts of ingredients wanted
	NotTypes    []string // types refused
	NotConcerns []string // concerns that the product must not be for: "pas pour cheveux gras"
	Cheapest    bool     // the cheapest first
}

// specific reports whether the needs say what for.
func (n *Needs) specific() bool {
	return len(n.Types)+len(n.Concerns)+len(n.HairType)+len(n.SkinType) > 0
}

// none reports whether nothing is asked for.
func (n *Needs) none() bool {
	return !n.specific() && len(n.Free)+len(n.Avoid)+len(n.With)+len(n.NotTypes)+len(n.NotConcerns) == 0 &&
		n.MaxPrice == 0 && !n.Vegan && !n.Cheapest
}

// ingredientConcepts are the concepts of text/synonyms.txt that are ingredients to want or to refuse.
var ingredientConcepts = []string{
	"argan", "black_seed", "aloe", "shea", "olive", "laurel", "honey", "coconut", "castor", "almond", "clay", "rosemary",
	"glycerin",
}

// areaTypes are the types of product that a part of the body stands for.
var areaTypes = map[string]string{"face": "face_cream", "hands": "hand_cream"}

// understand reads the needs from a message.
func (r *Responder) understand(q *question) Needs {
	var n Needs
	wanted, refused := r.cues.splitRefused(q.words)
	q.refuses = len(refused) > 0
	concepts := q.concepts
	if q.refuses {
		concepts = text.Concepts(wanted.String())
	}
	n.Types = shop.Types.Among(concepts)
	n.Concerns = shop.Concerns.Among(concepts)
	n.HairType = first(shop.HairTypes.Among(concepts))
	n.SkinType = first(shop.SkinTypes.Among(concepts))
	n.Free = shop.FreeOf.Among(q.concepts)
	n.Vegan = slices.Contains(concepts, "vegan")
	for _, c := range concepts {
		if slices.Contains(ingredientConcepts, c) {
			n.With = append(n.With, c)
		}
		if t := areaTypes[c]; t != "" && len(n.Types) == 0 {
			n.Types = []string{t}
		}
	}
	if len(n.Types) == 0 && slices.Contains(concepts, "gift") && !r.cues.giftService.in(q.words) {
		n.Types = []string{"bundle"}
	}
	for _, segment := range refused {
		r.refuse(&n, segment.String())
	}
	n.MaxPrice = r.cues.maxPrice(q.Message)
	n.Cheapest = r.cues.cheapest.in(q.words) || slices.Contains(concepts, "cheap")
	return n
}

// refuse reads what a negation is about.
func (r *Responder) refuse(n *Needs, said string) {
	ingredient := false
	concepts := text.Concepts(said)
	for _, c := range concepts {
		switch id := freeOf(c); {
		case id != "":
			if !slices.Contains(n.Free, id) {
				n.Free = append(n.Free, id)
			}
			ingredient = true
		case slices.Contains(ingredientConcepts, c):
			n.Avoid = append(n.Avoid, said)
			ingredient = true
		}
	}
	n.NotConcerns = union(n.NotConcerns, shop.Concerns.Among(concepts))
	if !ingredient { // "huile de coco" is an ingredient, "huile" a type
		n.NotTypes = union(n.NotTypes, shop.Types.Among(concepts))
	}
}

// longestRefused is how many words after a negation are looked at.
const longestRefused = 6

// splitRefused parts what is wanted from what is refused: the words after "sans", "without", "بدون", and after "pas" or "not" where
// they refuse something ("pas pour cheveux gras") rather than deny ("je ne sais pas"). "Sans rinçage" refuses nothing.
func (c *cues) splitRefused(w words) (wanted words, refused []words) {
	for i := 0; i < len(w); {
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
		if after := c.afterWeak.match(w, from); weak && after == 0 {
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
		if c.until.match(w, n-1) > 0 {
			break
		}
		concepts := text.Concepts(w[:n].String())
		if len(concepts) == len(before) {
			continue
		}
		if !refusable(concepts) && (!weak || taken > 0 && isSubstance(before[0])) {
			break
		}
		taken, before = n, concepts
	}
	return taken
}

// refusable reports whether what follows "sans" is one type of product, or substances ("huile de coco et sulfates").
func refusable(concepts []string) bool {
	if len(concepts) == 1 {
		return isSubstance(concepts[0]) || shop.Types.Among(concepts) != nil
	}
	return !slices.ContainsFunc(concepts, func(c string) bool { return !isSubstance(c) && c != "oil" })
}

func isSubstance(concept string) bool {
	return slices.Contains(ingredientConcepts, concept) || freeOf(concept) != ""
}

// freeOf returns the value of shop.FreeOf that refuses a concept, or "".
func freeOf(concept string) string { return first(shop.FreeOf.Among([]string{"no_" + concept})) }

// amount is a number with what may say that it is money, in folded text.
var amount = regexp.MustCompile(`(€|eur )?\s?(\d{1,4}(?:[.,]\d{1,2})?)\s?(€|euros?\b|eur\b|يورو|اورو)?`)

// maxAmounts is how many numbers of a message are looked at.
const maxAmounts = 5

// maxPrice returns the limit that a message sets to a price, 0 for none: a number after "moins de", or an amount of money.
func (c *cues) maxPrice(message string) float64 {
	folded := text.Fold(message)
	for _, m := range amount.FindAllStringSubmatchIndex(folded, maxAmounts) {
		before := cutWords(tail(folded[:m[0]], 60))
		before = before[max(0, len(before)-4):]
		money := m[2] >= 0 || m[6] >= 0
		if c.leastPrice.in(before) && !c.mostPrice.in(before) || !money && !c.mostPrice.in(before) {
			continue
		}
		price, err := strconv.ParseFloat(strings.Replace(folded[m[4]:m[5]], ",", ".", 1), 64)
		if err == nil && price > 0 {
			return price
		}
	}
	return 0
}

// tail returns the end of s, of about n bytes.
func tail(s string, n int) string { return strings.ToValidUTF8(s[max(0, len(s)-n):], "") }

// order is the number of an order as a customer writes it: digits, five at least, with letters before them or none.
var order = regexp.MustCompile(`(?:^|[^\p{L}\p{N}.,-])([A-Za-z]{0,4}-?\d{5,12})(?:$|[^\p{L}\p{N}€-])`)

// orderNumber returns the first number of an order in a message, or "".
func orderNumber(message string) string {
	m := order.FindStringSubmatch(text.Fold(message))
	if m == nil {
		return ""
	}
	return strings.ToUpper(m[1])
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
