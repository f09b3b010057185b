package responder

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// shownWith returns the products that an answer shows, or may speak of, and that hold one of the ingredients.
func shownWith(r *Responder, a *Answer, ingredients ...string) (bad []string) {
	refused := shop.IngredientsOf(ingredients)
	for _, card := range a.Products {
		if r.catalogue.Find(card.ID).Holds(refused) {
			bad = append(bad, card.ID)
		}
	}
	for _, p := range a.Evidence.Products {
		if p.Holds(refused) {
			bad = append(bad, "evidence: "+p.ID)
		}
	}
	return bad
}

// What a customer refuses is in nothing that is recommended, however many things they refuse, and whether or not the synonyms know it.
func TestRefusedIngredientsAreNotShown(t *testing.T) {
	r := newTestResponder(t)
	for message, refused := range map[string][]string{
		"un shampooing sans sulfates et sans argan":                          {"argan"},
		"un shampooing sans sulfates ni argan":                               {"argan"},
		"un après-shampooing sans argan ni karité":                           {"argan", "karité"},
		"ni argan ni karité, un après-shampooing":                            {"argan", "karité"},
		"je suis allergique au karité et à l'argan, quel après-shampooing ?": {"argan", "karité"},
		"shampoo without sulfates and without argan":                         {"argan"},
		"savon sans coco ni miel":                                            {"coco", "miel"},
		"شامبو بدون سلفات وبدون أرغان":                                       {"argan"},
		"بلسم بدون أرغان وبدون شيا":                                          {"argan", "karité"},
		"an oil, anything but argan":                                         {"argan"},
		"déodorant sans bicarbonate":                                         {"bicarbonate"},
		"baume à lèvres sans cire d'abeille":                                 {"cire d'abeille"},
		"lip balm without beeswax":                                           {"beeswax"},
		"shampoo without wheat":                                              {"blé"},
		"un shampooing sans blé ni argan":                                    {"blé", "argan"},
		"crème visage sans vitamine C":                                       {"vitamine C"},
	} {
		t.Run(message, func(t *testing.T) {
			a := r.Answer(Turn{Message: message, Language: cmp.Or(text.Detect(message), text.French)})
			if bad := shownWith(r, &a, refused...); len(bad) > 0 || len(a.Products) == 0 {
				t.Errorf("%s: shows %v, of which with %v: %v", a.Text, a.Products, refused, bad)
			}
		})
	}
	a := r.Answer(Turn{Message: "un soin sans rinçage à l'aloe", Language: "fr"}) // which refuses nothing
	if len(a.Memory.Refused) > 0 {
		t.Errorf("refused: %v", a.Memory.Refused)
	}
}

// Who says once what they can't stand need not say so again, and may change their mind.
func TestRefusalsAreRemembered(t *testing.T) {
	r := newTestResponder(t)
	for _, talk := range [][]string{
		{"je suis allergique à l'argan", "quel shampooing me conseillez-vous ?", "et une huile ?", "le moins cher ?"},
		{"I'm allergic to argan", "which shampoo do you recommend?", "and an oil?"},
		{"عندي حساسية من الأرغان", "أي شامبو تنصحني به؟"},
		{"Je ne veux pas d'argan", "un shampooing ?", "merci", "un coffret ?"},
	} {
		var before Memory
		for n, message := range talk {
			a := r.Answer(Turn{Message: message, Language: text.Detect(talk[0]), Number: n, Before: before})
			if bad := shownWith(r, &a, "argan"); n > 0 && len(bad) > 0 {
				t.Errorf("%q, then %q: %s", talk[0], message, a.Text)
			}
			if n == 1 && (len(a.Products) == 0 || !strings.Contains(a.Slots, "refused=")) {
				t.Errorf("%q, then %q: %s (%s)", talk[0], message, a.Text, a.Slots)
			}
			before = a.Memory
		}
	}
	first := r.Answer(Turn{Message: "un masque sans argan", Language: "fr"})
	second := r.Answer(Turn{Message: "finalement avec argan", Language: "fr", Number: 1, Before: first.Memory})
	if len(second.Memory.Refused) > 0 || !slices.ContainsFunc(second.Evidence.Products, func(p *shop.Product) bool { return p.Holds(shop.IngredientsOf([]string{"argan"})) }) {
		t.Errorf("%s; refused: %v", second.Text, second.Memory.Refused)
	}
}

// A limit of the price said afterwards is kept, in the turns that follow too.
func TestALimitThatFollowsIsKept(t *testing.T) {
	r := newTestResponder(t)
	var before Memory
	for n, message := range []string{"Je cherche un shampooing", "et moins de 12 €", "et pour cheveux secs ?"} {
		a := r.Answer(Turn{Message: message, Language: "fr", Number: n, Before: before})
		for _, card := range a.Products {
			if n > 0 && card.Price > 12 {
				t.Errorf("%s: %s", message, a.Text)
			}
		}
		if len(a.Products) == 0 {
			t.Errorf("%s: %s", message, a.Text)
		}
		before = a.Memory
	}
}

// Whether a product that is named is vegan is what the catalogue says.
func TestVeganOrNot(t *testing.T) {
	r := newTestResponder(t)
	for message, says := range map[string]string{
		"le shampooing familial olive et miel est-il vegan ?":    "n'est pas indiqué comme vegan",
		"Le shampooing nourrissant à l'argan est-il vegan ?":     "Oui",
		"le baume à lèvres argan et miel est-il vegan ?":         "n'est pas indiqué comme vegan",
		"un shampooing vegan":                                    "11,90 €",
		"je cherche un shampooing pas à moins de 12 €":           "12,90 €",
		"y a-t-il un shampooing pas à moins de 14 € chez vous ?": "14,90 €",
	} {
		if a := r.Answer(Turn{Message: message, Language: "fr"}); !strings.Contains(a.Text, says) {
			t.Errorf("%s: %s", message, a.Text)
		}
	}
}

// What lacks the ingredient that was asked for is not said to be what was asked for.
func TestAnIngredientThatNothingHasIsTold(t *testing.T) {
	r := newTestResponder(t)
	for message, missed := range map[string]bool{"une huile à l'argile": true, "un coffret à la nigelle": false, "un coffret au miel": true, "une huile à l'argan": false, "un déo parfumé": false} {
		a := r.Answer(Turn{Message: message, Language: "fr", Session: "s"})
		if told := strings.Contains(a.Text, "ce qui s'en approche"); told != missed || len(a.Products) == 0 {
			t.Errorf("%s: %s", message, a.Text)
		}
	}
}

// Whether a product holds something is told from its list of ingredients, or from what it is free of.
func TestWhetherAProductHoldsSomething(t *testing.T) {
	r := newTestResponder(t)
	shown := r.Answer(Turn{Message: "tell me about Argan nourishing shampoo", Language: "en", Session: "s"})
	if len(shown.Products) != 1 {
		t.Fatalf("shown: %+v", shown.Products)
	}
	for message, want := range map[string]string{
		"does it contain coconut?":   "contains: mild coconut",
		"are there sulfates in it?":  "sulfate-free.",
		"is there black seed in it?": "It is not in the list of ingredients of",
		"what is it made of?":        "contains: argan oil, ",
		"is it free of perfume?":     "contains: ",
	} {
		if a := r.Answer(Turn{Message: message, Language: "en", Session: "s", Before: shown.Memory}); !strings.Contains(a.Text, want) {
			t.Errorf("%s: %s, want %s", message, a.Text, want)
		}
	}
}

// Every product of a set keeps what is asked of it.
func TestWhatIsAskedOfASetHoldsForAllInIt(t *testing.T) {
	r := newTestResponder(t)
	for _, message := range []string{"un coffret sans parfum", "un coffret vegan"} {
		a := r.Answer(Turn{Message: message, Language: "fr", Session: "s"})
		for _, card := range a.Products {
			for _, b := range r.catalogue.Bundles {
				for _, p := range b.Products {
					if b.ID == card.ID && (message == "un coffret vegan" && !p.Vegan || message != "un coffret vegan" && !slices.Contains(p.Free, "perfume")) {
						t.Errorf("%s: %s holds %s", message, b.ID, p.ID)
					}
				}
			}
		}
	}
}

// Which of several products has something is told of those that were shown.
func TestWhichOfThoseShownHoldsSomething(t *testing.T) {
	r := newTestResponder(t)
	c := newTalk(t, r, "fr")
	shown := c.say("des savons")
	if len(shown.Products) < 2 {
		t.Fatal(ids(shown))
	}
	a := c.say("lequel contient du miel ?")
	if len(a.Products) != 1 || a.Products[0].ID != "savon-nigelle-miel" {
		t.Errorf("with honey: %q: %s", ids(a), a.Text)
	}
	if a := c.say("lequel contient du romarin ?"); len(a.Products) > 0 || !strings.Contains(a.Text, "Aucun") {
		t.Errorf("with rosemary: %q: %s", ids(a), a.Text)
	}
}
