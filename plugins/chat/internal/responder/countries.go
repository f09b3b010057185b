package responder

import (
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// foreignCountries returns the names of all countries but France in the languages of the shop (Unicode CLDR).
func foreignCountries() cueSet {
	set := cueSet{}
	for _, l := range text.Languages {
		names := display.Regions(language.Make(l))
		home := names.Name(language.MustParseRegion("FR")) // FX as well is named so
		for code := range letterPairs {
			region, err := language.ParseRegion(code)
			if err != nil || !region.IsCountry() || names.Name(region) == home {
				continue
			}
			phrase := foldedWords(names.Name(region))
			set.add(phrase)
			if l == text.Arabic && len(phrase) > 0 { // with "to", and "in"
				to := "ل" + phrase[0]
				if rest, ok := strings.CutPrefix(phrase[0], "ال"); ok {
					to = "لل" + rest
				}
				for _, first := range []string{to, "ب" + phrase[0]} {
					set.add(append([]string{first}, phrase[1:]...))
				}
			}
		}
	}
	return set
}

// letterPairs yields "AA" to "ZZ", among which are the codes of ISO 3166-1.
func letterPairs(yield func(string) bool) {
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			if !yield(string([]rune{a, b})) {
				return
			}
		}
	}
}
