package responder

import (
	"strings"
	"testing"

	"github.com/innatural/chatbot/plugins/chat/internal/pattern"
)

func TestCueSet(t *testing.T) {
	set := cueSet{}
	for _, s := range []string{"(je|ma (fille|mère)|) (ne|) supporte (pas|plus)", "pas (du tout|)", "مش عايز"} {
		p, err := pattern.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		set.addPattern(p)
	}
	for message, want := range map[string]int{
		"je ne supporte pas l'argan": 4, "ma mère supporte plus": 4, "supporte pas": 2, "Ma fille ne SUPPORTE plus le miel": 5,
		"pas du tout": 3, "pas du": 1, "ma supporte pas": 0, "je ne supporte": 0, "": 0, "ومش عايز": 2,
	} {
		if got := set.match(cutWords(message), 0); got != want {
			t.Errorf("%q: %d words, want %d", message, got, want)
		}
	}
}

func TestMistakesInRefusals(t *testing.T) {
	for file, want := range map[string]string{
		"[strong]\nsans\n\n[nowhere]\n": "4: there is no section [nowhere]",
		"# none\nsans\n":                `2: "sans" is in no section`,
		"[weak]\n(pas|plus\n":           `2: a ")" is missing`,
		"[weak]\n(pas|plus)du tout\n":   `2: "(pas|plus)du tout" is in no section, or has alternatives within a word`,
		"[weak]\nsupporte(nt|) pas\n":   "has alternatives within a word",
		"[weak]\nl'(argan|huile) ça\n":  "",
	} {
		err := new(refusals).load(file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}
