package responder

import (
	"slices"
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
	AnyPrice    bool     // a limit set before holds no more
	Open        []string // substances that matter no more, wanted or refused
	Forgotten   []string // substances that are wanted no more
	Quantity    int      // how many are wanted, 0 for not told
	Cheapest    bool     // the cheapest first
	Also        bool     // beside what was asked before
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
		len(n.NotHair)+len(n.NotSkin) == 0 && n.MaxPrice == 0 && n.MinPrice == 0 && !n.AnyPrice && len(n.Open)+len(n.Forgotten) == 0 && !n.Vegan && !n.Cheapest
}

// ingredientConcepts are the concepts of text/synonyms.txt that are ingredients to want or to refuse.
var ingredientConcepts = []string{
	"argan", "black_seed", "aloe", "shea", "olive", "laurel", "honey", "coconut", "castor", "almond", "clay", "rosemary",
	"glycerin",
}

// ingredients are the substances wanted that are ingredients, rather than what a product may be free of.
func (n *Needs) ingredients() []string {
	return slices.DeleteFunc(slices.Clone(n.With), func(c string) bool { return !slices.Contains(ingredientConcepts, c) })
}

// alsoSubstances are types of product that are named with what is in one of another type: "shampoing à l'huile d'olive".
var alsoSubstances = []string{"oil", "body_butter"}

// areaTypes are the types of product that a part of the body stands for.
var areaTypes = map[string]string{"face": "face_cream", "hands": "hand_cream", "chapped_lips": "lip_balm"}

// understand reads the needs from a message.
func (r *Responder) understand(q *question) Needs {
	var n Needs
	plain := r.cues.plain(q.words)
	split := r.cues.splitRefused(plain, asks(q.Message))
	wanted, refused := split.wanted, split.refused
	q.refuses = len(refused) > 0
	all := plain.concepts()
	concepts := all
	if len(wanted) < len(plain) {
		concepts = wanted.concepts()
	}
	n.Types = r.cues.composed(shop.Types.Among(concepts), wanted, all)
	n.Concerns = shop.Concerns.Among(concepts)
	n.HairType = first(shop.HairTypes.Among(concepts))
	n.SkinType = first(shop.SkinTypes.Among(concepts))
	about := concepts
	if before := q.Before.Needs; before != nil && !slices.ContainsFunc(all, ofArea) { // "no, it's dry", of the hair talked of
		about = slices.Concat(concepts, before.Types)
	}
	r.cues.describe(&n, wanted, about)
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
		r.refuse(&n, segment, about)
		if held := segment.concepts(); len(n.Types) == 0 && slices.ContainsFunc(held, isSubstance) { // "no shampoos that have sulfates"
			n.Types = minus(shop.Types.Among(held), alsoSubstances)
		}
	}
	n.Open, n.Forgotten = substancesIn(split.open), substancesIn(split.forgotten)
	ofTalk := q.Before.Needs != nil && len(q.Before.Needs.Types) > 0 && r.cues.startsWith(q) // "au beurre de karité", of the soap talked of
	if (len(n.Types) > 1 || ofTalk) && len(n.With)+len(n.Without) > 0 {                      // "à l'huile d'olive" is what a shampoo is made with
		n.Types = minus(n.Types, alsoSubstances)
	}
	n.With = slices.DeleteFunc(n.With, func(c string) bool { return slices.Contains(n.Free, freeOf(c)) })
	if slices.Contains(concepts, "odor") { // that of sweat
		n.With = slices.DeleteFunc(n.With, func(c string) bool { return c == "perfume" })
	}
	n.Types = minus(n.Types, n.NotTypes)
	n.Concerns = minus(n.Concerns, n.NotConcerns) // "spots" are blemishes, "dark spots" none
	n.MinPrice, n.MaxPrice = r.cues.prices(q.Message)
	n.AnyPrice = n.MaxPrice == 0 && r.cues.Price.Any.in(q.words)
	n.Quantity = r.cues.quantity(q.words)
	n.Also = r.cues.Also.in(q.words)
	n.Cheapest = n.MaxPrice == 0 && !n.AnyPrice && slices.Contains(concepts, "cheap")
	return n
}

// composed returns the types with those that words tell together which stand apart: "une huile parfumée pour le corps", "un gel bien
// moussant pour la douche".
func (c *cues) composed(types []string, w words, concepts []string) []string {
	body := slices.Contains(concepts, "body")
	switch {
	case len(types) == 0 && c.Shower.in(w) && c.Wash.in(w):
		return []string{"shower_gel"}
	case len(types) == 0 && body && c.Cream.in(w):
		return []string{"body_lotion"}
	case len(types) == 0 && slices.Contains(concepts, "scalp") && c.Cream.in(w):
		return []string{"scalp_lotion"}
	case len(types) == 0 && c.Cream.in(w) && slices.ContainsFunc(concepts, ofFace):
		return []string{"face_cream"}
	case body && slices.Equal(types, []string{"oil"}):
		return []string{"body_oil"}
	case !body && slices.Equal(types, []string{"body_lotion"}) && slices.ContainsFunc(concepts, ofScalp):
		return []string{"scalp_lotion"} // "une lotion pour cuir chevelu sensible"
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

// ofScalp reports whether a concept is of hair and where it grows.
func ofScalp(concept string) bool {
	switch concept {
	case "hair", "scalp", "sensitive_scalp", "oily_scalp", "dandruff", "hair_loss":
		return true
	}
	return false
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

// ofArea reports whether a concept is of hair or of skin.
func ofArea(concept string) bool {
	return slices.Contains(hairWords, concept) || slices.Contains(skinWords, concept)
}

// describe adds what adjectives that stand apart say of hair or skin: "ma peau, sèche", "my hair is dry and damaged", of which one is the
// type and the others are concerns.
func (c *cues) describe(n *Needs, w words, concepts []string) {
	ofScalp := !slices.Contains(concepts, "skin") && (slices.Contains(concepts, "scalp") || slices.Contains(n.Types, "scalp_lotion"))
	if ofScalp && c.Adjectives["sensitive"].in(w) {
		n.Concerns = union(n.Concerns, []string{"sensitive_scalp"})
	}
	hair, skin := c.described(w, concepts)
	if ofScalp {
		skin = ""
	}
	if n.HairType == "" && n.SkinType == "" {
		n.HairType, n.SkinType = hair, skin
	}
	of, is := concernOfHair, n.HairType
	if n.SkinType != "" {
		of, is = concernOfSkin, n.SkinType
	}
	if is == "" || n.HairType != "" && skin != "" {
		return
	}
	for id, concern := range of {
		if id != is && c.Adjectives[id].in(w) {
			n.Concerns = union(n.Concerns, []string{concern})
		}
	}
	slices.Sort(n.Concerns)
}

// The concerns that say what types of hair and skin do.
var (
	concernOfHair = map[string]string{"dry": "dryness", "damaged": "damage", "oily": "oily_scalp", "curly": "curl_definition"}
	concernOfSkin = map[string]string{"dry": "dry_skin", "oily": "oily_skin", "sensitive": "sensitive_skin"}
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
		if !c.Adjectives[id].in(w) {
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

// substancesIn returns the substances that words mention.
func substancesIn(segments []words) (all []string) {
	for _, s := range segments {
		all = append(all, slices.DeleteFunc(s.concepts(), func(c string) bool { return !isSubstance(c) })...)
	}
	return all
}

// startsWith reports whether a message starts with what a product is to be made of.
func (c *cues) startsWith(q *question) bool {
	const with = "ب" // a particle, which is taken off
	said, _ := c.leadIn(q.raw)
	return len(said) > 0 && (c.With.match(said, 0) > 0 || strings.HasPrefix(said[0].Folded, with) && text.Concepts(said[0].Folded) != nil)
}

// asks reports whether a message ends with a question mark.
func asks(message string) bool {
	message = strings.TrimSpace(message)
	return strings.HasSuffix(message, "?") || strings.HasSuffix(message, "؟")
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
