package intent

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// frames are what customers put round what they want. Small talk has none.
var frames = map[string][][2]string{
	"fr": {
		{"bonjour ", ""},
		{"bonjour, ", " svp"},
		{"", " s'il vous plaît"},
		{"salut ", ""},
		{"", " merci"},
		{"bonsoir ", " merci d'avance"},
		{"slt ", ""},
		{"dites moi, ", ""},
		{"je voudrais savoir ", ""},
		{"excusez moi ", ""},
		{"svp ", ""},
		{"", " stp"},
		{"cc ", ""},
	},
	"en": {
		{"hi ", ""},
		{"hello, ", " please"},
		{"", " pls"},
		{"hey ", ""},
		{"", " thanks"},
		{"good morning, ", ""},
		{"can you tell me ", ""},
		{"i would like to know ", ""},
		{"sorry, ", ""},
		{"", " thank you"},
	},
	"ar": {
		{"السلام عليكم ", ""},
		{"مرحبا ", ""},
		{"", " لو سمحت"},
		{"", " من فضلك"},
		{"صباح الخير ", ""},
		{"لو سمحتي ", ""},
		{"ممكن اعرف ", ""},
		{"", " شكرا"},
		{"اهلا ", ""},
		{"salam ", ""},
		{"", " 3afak"},
	},
}

var smallTalk = []string{"greeting", "thanks", "goodbye", "how_are_you", "who_are_you"}

// typos is the share of the longer words that get one.
const typos = 0.3

// vary returns an utterance as somebody else may write it: with typos, and with a greeting or thanks.
func vary(s string, l line, random *rand.Rand) string {
	s = misspell(s, typos, random)
	if list := frames[l.language]; !slices.Contains(smallTalk, l.intent) && random.IntN(2) == 0 {
		f := list[random.IntN(len(list))]
		s = f[0] + s + f[1]
	}
	return s
}

// misspell makes a typo in a share of the words of four letters and more: a letter left out, doubled, wrong, or two swapped.
func misspell(s string, share float64, random *rand.Rand) string {
	words := strings.Fields(s)
	for i, w := range words {
		r := []rune(w)
		if len(r) < 4 || random.Float64() > share {
			continue
		}
		at := 1 + random.IntN(len(r)-2)
		switch random.IntN(4) {
		case 0:
			r = slices.Delete(r, at, at+1)
		case 1:
			r[at], r[at+1] = r[at+1], r[at]
		case 2:
			r = slices.Insert(r, at, r[at])
		case 3:
			r[at] = r[random.IntN(len(r))]
		}
		words[i] = string(r)
	}
	return strings.Join(words, " ")
}
