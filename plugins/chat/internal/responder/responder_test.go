package responder

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/pattern"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

func types(r *Responder, a Answer) []string {
	var all []string
	for _, c := range a.Products {
		if t := r.catalogue.Find(c.ID).Type; !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

func ids(a Answer) []string {
	var all []string
	for _, c := range a.Products {
		all = append(all, c.ID)
	}
	return all
}

func TestNeeds(t *testing.T) {
	r := newTestResponder(t)
	for _, c := range []struct {
		language, message string
		fits              func(p *shop.Product) bool
	}{
		{"fr", "un shampooing sans sulfates", func(p *shop.Product) bool { return slices.Contains(p.Free, "sulfates") }},
		{"fr", "un déodorant, pas de parfum", func(p *shop.Product) bool { return slices.Contains(p.Free, "perfume") }},
		{"fr", "je ne veux pas de parfum dans mon savon", func(p *shop.Product) bool {
			return p.Type == "soap" && slices.Contains(p.Free, "perfume")
		}},
		{"en", "a gift for my sister under 35 euros", func(p *shop.Product) bool { return p.Type == "bundle" && p.Price <= 35 }},
		{"fr", "un shampooing sans silicones ni parfum", func(p *shop.Product) bool {
			return slices.Contains(p.Free, "silicones") && slices.Contains(p.Free, "perfume")
		}},
		{"en", "shampoo without sulfates or perfume", func(p *shop.Product) bool {
			return p.Type == "shampoo" && slices.Contains(p.Free, "sulfates") && slices.Contains(p.Free, "perfume")
		}},
		{"en", "a hair mask without coconut oil", func(p *shop.Product) bool {
			return p.Type == "mask" && !strings.Contains(strings.Join(p.Ingredients.In("en"), ","), "coconut oil")
		}},
		{"ar", "صابون بدون عسل", func(p *shop.Product) bool {
			return p.Type == "soap" && !strings.Contains(strings.Join(p.Ingredients.In("ar"), ","), "عسل")
		}},
		{"fr", "un shampooing mais pas pour cheveux gras", func(p *shop.Product) bool {
			return p.Type == "shampoo" && !slices.Contains(p.Concerns.In("fr"), "oily_scalp")
		}},
		{"en", "a shampoo, not for oily hair", func(p *shop.Product) bool {
			return p.Type == "shampoo" && !slices.Contains(p.Concerns.In("fr"), "oily_scalp")
		}},
		{"ar", "شامبو مش للشعر الدهني", func(p *shop.Product) bool {
			return p.Type == "shampoo" && !slices.Contains(p.Concerns.In("fr"), "oily_scalp")
		}},
		{"fr", "je ne sais pas quoi prendre pour mes cheveux secs", func(p *shop.Product) bool {
			return slices.Contains(p.Concerns.In("fr"), "dryness")
		}},
		{"fr", "un soin contre la sécheresse des cheveux mais pas d'huile", func(p *shop.Product) bool {
			return p.Type != "oil" && slices.Contains(p.Concerns.In("fr"), "dryness")
		}},
		{"fr", "un soin sans rinçage", func(p *shop.Product) bool { return p.Type == "leave_in" }},
		{"fr", "un shampooing à moins de 10 euros", func(p *shop.Product) bool { return p.Price <= 10 }},
		{"fr", "shampooing 10€ max", func(p *shop.Product) bool { return p.Price <= 10 }},
		{"fr", "crème visage, budget 25", func(p *shop.Product) bool { return p.Type == "face_cream" && p.Price <= 25 }},
		{"en", "soap under €5.50", func(p *shop.Product) bool { return p.Type == "soap" && p.Price <= 5.5 }},
		{"ar", "شامبو أقل من ١٠ يورو", func(p *shop.Product) bool { return p.Type == "shampoo" && p.Price <= 10 }},
		{"fr", "quel est le savon le moins cher ?", func(p *shop.Product) bool { return p.ID == "savon-karite-surgras" }},
		{"en", "which is your cheapest shampoo?", func(p *shop.Product) bool { return p.ID == "shampooing-solide-argan-couleur" }},
		{"fr", "un shampooing à l'aloe", func(p *shop.Product) bool { return p.ID == "shampooing-aloe-douceur" }},
		{"fr", "un savon vegan", func(p *shop.Product) bool { return p.Type == "soap" && p.Vegan }},
		{"fr", "quelque chose pour le visage", func(p *shop.Product) bool { return p.Type == "face_cream" }},
	} {
		a := r.Answer(Turn{Message: c.message, Language: c.language})
		if len(a.Products) == 0 {
			t.Errorf("%s: no product: %s", c.message, a.Text)
		}
		for _, card := range a.Products {
			if !c.fits(r.catalogue.Find(card.ID)) {
				t.Errorf("%s: shows %s", c.message, card.ID)
			}
			if card.Reason == "" {
				t.Errorf("%s: %s has no reason", c.message, card.ID)
			}
			if name, _ := r.catalogue.Find(card.ID).Name.In(c.language); !strings.Contains(a.Text, name) {
				t.Errorf("%s: the text does not name %s: %s", c.message, name, a.Text)
			}
		}
	}
}

func TestProfileFillsWhatIsNotSaid(t *testing.T) {
	r := newTestResponder(t)
	a := r.Answer(Turn{Message: "un shampooing", Language: "fr", Profile: Profile{HairType: "curly"}})
	if p := r.catalogue.Find(a.Products[0].ID); !slices.Contains(p.HairTypes, "curly") {
		t.Errorf("for curly hair the first is %s", p.ID)
	}
	a = r.Answer(Turn{Message: "un shampooing pour cheveux gras", Language: "fr", Profile: Profile{HairType: "curly"}})
	if p := r.catalogue.Find(a.Products[0].ID); !slices.Contains(p.Concerns.In("fr"), "oily_scalp") {
		t.Errorf("for oily hair the first is %s", p.ID)
	}
	a = r.Answer(Turn{Message: "bonjour", Language: "fr", Profile: Profile{Name: "Nadia"}})
	if !strings.Contains(a.Text, "Nadia") {
		t.Errorf("the greeting knows no name: %s", a.Text)
	}
}

func TestDialogue(t *testing.T) {
	r := newTestResponder(t)

	c := newTalk(t, r, "fr")
	shown := c.say("quel shampooing pour cheveux secs ?")
	cheapest := c.say("le moins cher ?")
	if len(cheapest.Products) != 1 || !slices.Contains(ids(shown), cheapest.Products[0].ID) {
		t.Fatalf("the cheapest of %q is %q", ids(shown), ids(cheapest))
	}
	for _, card := range shown.Products {
		if card.Price < cheapest.Products[0].Price {
			t.Errorf("%s costs less than %s", card.ID, cheapest.Products[0].ID)
		}
	}
	if got := types(r, c.say("et en masque ?")); !slices.Equal(got, []string{"mask"}) {
		t.Errorf("and as a mask: %q", got)
	}
	for _, card := range c.answer.Products {
		if !strings.Contains(card.Reason, "sec") {
			t.Errorf("the need before is lost: %s", card.Reason)
		}
	}

	c = newTalk(t, r, "fr")
	c.say("un déodorant")
	for _, card := range c.say("sans parfum ?").Products {
		if p := r.catalogue.Find(card.ID); p.Type != "deodorant" || !slices.Contains(p.Free, "perfume") {
			t.Errorf("fragrance-free: shows %s", p.ID)
		}
	}
	c.say("Quels sont les frais de livraison ?")
	if c.answer.Topic != Information {
		t.Errorf("a question in between is about %s", c.answer.Topic)
	}
	if got := c.say("et le moins cher ?"); len(got.Products) != 1 || types(r, got)[0] != "deodorant" {
		t.Errorf("after the question in between: %q", ids(got))
	}

	c = newTalk(t, r, "en")
	first := c.say("a shampoo for curly hair")
	more := c.say("something else?")
	for _, id := range ids(more) {
		if slices.Contains(ids(first), id) {
			t.Errorf("something else shows %s again", id)
		}
	}
	for range 20 { // it ends
		if more = c.say("something else?"); len(more.Products) == 0 {
			break
		}
	}
	if len(more.Products) > 0 {
		t.Error("there is always something else")
	}

	c = newTalk(t, r, "fr")
	c.say("un savon pour peau sèche")
	c.turn.Language = "en"
	if got := c.say("the cheapest one?"); len(got.Products) != 1 || !strings.Contains(got.Text, "cheapest") {
		t.Errorf("after a change of language: %s", got.Text)
	}

	c = newTalk(t, r, "fr")
	c.say("mon colis est arrivé cassé")
	if got := c.say("IN-2026104"); got.Topic != AfterSales || !strings.Contains(got.Text, "IN-2026104") {
		t.Errorf("an order number after a complaint: %s: %s", got.Topic, got.Text)
	}

	c = newTalk(t, r, "fr")
	c.say("un shampooing pour cheveux secs")
	if got := c.say("je cherche un déodorant pour peau sensible"); !slices.Equal(types(r, got), []string{"deodorant"}) {
		t.Errorf("a new need shows %q", types(r, got))
	}
}

func TestMenu(t *testing.T) {
	r := newTestResponder(t)
	for _, c := range []struct {
		language, said string
		check          func(a Answer) bool
	}{
		{"fr", "Trouver un produit", func(a Answer) bool { return len(a.Categories) > 0 }},
		{"fr", "Ma commande", func(a Answer) bool { return a.Topic == AfterSales }},
		{"fr", "Cheveux", func(a Answer) bool { return a.Subcategories[0].ID == "shampoo" }},
		{"ar", "الجسم والوجه", func(a Answer) bool { return len(a.Subcategories) > 0 }},
		{"en", "hair", func(a Answer) bool { return a.Subcategories[0].Label == "Shampoos" }},
		{"fr", "Laits corps", func(a Answer) bool { return types(r, a)[0] == "body_lotion" }},
		{"en", "Gift sets", func(a Answer) bool { return types(r, a)[0] == "bundle" }},
		{"fr", "Cartes cadeaux", func(a Answer) bool { return a.Intent.Name == "gift_card" }},
		{"fr", "Offres", func(a Answer) bool { return len(a.Subcategories) > 0 }},
		{"fr", "Promotions et codes", func(a Answer) bool { return strings.Contains(a.Text, "BIENVENUE10") }},
		{"en", "Loyalty", func(a Answer) bool { return a.Intent.Name == "loyalty" }},
	} {
		if a := r.Answer(Turn{Message: c.said, Language: c.language}); !c.check(a) {
			t.Errorf("%s: %s (%s): %s", c.said, a.Topic, a.Intent.Name, a.Text)
		}
	}
	for _, l := range text.Languages {
		for _, list := range r.menu.Subcategories {
			for _, b := range Buttons(list, l) {
				if a := r.Answer(Turn{Message: b.Label, Language: l}); a.Topic == Other || a.Intent.Name == "unsure" {
					t.Errorf("the button %q is answered %s: %s", b.Label, a.Intent.Name, a.Text)
				}
			}
		}
	}
}

// Whatever is suggested has an answer.
func TestSuggestionsAreAnswered(t *testing.T) {
	r := newTestResponder(t)
	for _, l := range text.Languages {
		for key, byLanguage := range r.phrases.suggestions {
			if len(byLanguage[l]) == 0 {
				t.Errorf("no suggestions %s in %s", key, l)
			}
			for _, s := range byLanguage[l] {
				c := newTalk(t, r, l)
				c.say(map[string]string{"fr": "un shampooing", "en": "a shampoo", "ar": "شامبو"}[l])
				if a := c.say(s.text); a.Topic == Other || a.Intent.Name == "unsure" || strings.HasPrefix(a.Intent.Name, "clarify") {
					t.Errorf("the suggestion %q is answered %s: %s", s, a.Intent.Name, a.Text)
				}
			}
		}
	}
}

func TestUnsureLeadsToPeople(t *testing.T) {
	r := newTestResponder(t)
	c := newTalk(t, r, "fr")
	for range 2 {
		if a := c.say("euh"); a.Intent.Name != "unsure" || len(a.Categories) == 0 {
			t.Errorf("%s: %s", a.Intent.Name, a.Text)
		}
	}
	if a := c.say("euh"); a.Intent.Name != "human" || !strings.Contains(a.Text, "contact@innatural.example") {
		t.Errorf("after three: %s: %s", a.Intent.Name, a.Text)
	}
	if a := r.Answer(Turn{Message: "qqch pour mes cheveux", Language: "fr"}); len(a.Subcategories) == 0 {
		t.Errorf("hair in general: %s: %s", a.Intent.Name, a.Text)
	}
}

// Every number in an answer is one of the catalogue or the FAQ.
func TestAnswersInventNoNumbers(t *testing.T) {
	r := newTestResponder(t)
	number := regexp.MustCompile(`\d+(?:[.,]\d+)?`)
	known := map[string]bool{}
	for _, path := range []string{"../../../catalog/data/catalogue.json", "../../../faq/data/faq.json"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range number.FindAllString(string(data), -1) {
			known[n] = true
		}
	}
	for _, p := range r.names {
		for _, l := range text.Languages {
			known[number.FindString(shop.FormatPrice(p.product.Price, "EUR", l))] = true
		}
	}
	for _, u := range utterances(t) {
		a := r.Answer(Turn{Message: u.message, Language: u.language})
		for _, n := range number.FindAllString(a.Text, -1) {
			if !known[n] && !strings.Contains(u.message, n) {
				t.Errorf("%s: the answer says %s: %s", u.message, n, a.Text)
			}
		}
	}
	for _, file := range []string{string(phrasesFile)} {
		if n := number.FindString(file); n != "" {
			t.Errorf("phrases.json states a number, %s: facts belong in the catalogue or the FAQ", n)
		}
	}
}

func TestPromotionsEnd(t *testing.T) {
	r := newTestResponder(t)
	ask := func() string { return r.Answer(Turn{Message: "des promos ?", Language: "fr"}).Text }
	if !strings.Contains(ask(), "BOUCLES15") {
		t.Errorf("an offer that runs is missing: %s", ask())
	}
	later := *r
	later.now = func() time.Time { return today.AddDate(2, 0, 0) }
	if got := later.Answer(Turn{Message: "des promos ?", Language: "fr"}).Text; strings.Contains(got, "BOUCLES15") {
		t.Errorf("an offer that has ended is told: %s", got)
	}
	got := r.Answer(Turn{Message: "une promo sur les savons ?", Language: "fr"}).Text
	if !strings.Contains(got, "20 %") || strings.Contains(got, "BOUCLES15") {
		t.Errorf("offers on soaps: %s", got)
	}
}

func TestWordingVariesAndRepeats(t *testing.T) {
	r := newTestResponder(t)
	seen := map[string]bool{}
	for n := range 10 {
		turn := Turn{Message: "merci", Language: "fr", Session: "a", Number: n}
		a := r.Answer(turn)
		if b := r.Answer(turn); a.Text != b.Text {
			t.Fatalf("the same turn is answered %q and %q", a.Text, b.Text)
		}
		seen[a.Text] = true
	}
	if len(seen) < 2 {
		t.Error("the wording never varies")
	}
}

func TestRecommend(t *testing.T) {
	r := newTestResponder(t)
	for _, needs := range []shop.Needs{
		{},
		{HairType: "dry"},
		{Concerns: []string{"dryness"}},
		{Concerns: []string{"chute de cheveux"}},
		{HairType: "curly", Concerns: []string{"frizz", "nothing that is known", ""}},
		{Concerns: []string{"تساقط الشعر"}},
		{HairType: "oily", Concerns: []string{"<script>"}},
	} {
		for _, l := range text.Languages {
			if a := r.Recommend(needs, l, "s"); len(a.Products) == 0 || len(a.Products) > MaxProducts || a.Text == "" {
				t.Errorf("%+v in %s: %d products: %s", needs, l, len(a.Products), a.Text)
			}
		}
	}
}

// What the cues look for may stand in any order.
func TestCuesInAnyOrder(t *testing.T) {
	var phrases []string
	var collect func(any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			phrases = append(phrases, v)
		case []any:
			for _, x := range v {
				collect(x)
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				collect(v[key])
			}
		}
	}
	var cues any
	if err := json.Unmarshal(cuesFile, &cues); err != nil {
		t.Fatal(err)
	}
	collect(cues)
	random := rand.New(rand.NewPCG(1, 2))
	for line := range strings.Lines(refusalsFile) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		p, err := pattern.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		phrases = append(phrases, p.Pick(random))
	}
	things := strings.Split("shampoing,savon,perds,tombent,losing,huile,argan,miel,parfum,peau,cheveux,secs,grasse,pellicules,vegan,coffret,12,20 euros,"+
		"soap,honey,hair,dry,صابون,عسل,شعر,جاف,عطر,خمسة,20 يورو,?,!", ",")
	r := newTestResponder(t)
	const sentences, longest = 5000, 7
	for range sentences {
		var said []string
		for range 1 + random.IntN(longest) {
			from := phrases
			if random.IntN(2) == 0 {
				from = things
			}
			said = append(said, from[random.IntN(len(from))])
		}
		message := strings.Join(said, " ")
		for _, before := range []Memory{{}, {Needs: &Needs{With: []string{"honey"}}, Last: []string{"savon-karite-surgras"}}} {
			func() {
				defer func() {
					if err := recover(); err != nil {
						t.Fatalf("%q: %v", message, err)
					}
				}()
				if a := r.Answer(Turn{Message: message, Language: text.French, Before: before}); a.Text == "" {
					t.Errorf("%q is not answered", message)
				}
			}()
		}
	}
}

// Whatever is said is answered, in time that grows with its length only.
func FuzzAnswer(f *testing.F) {
	for _, u := range utterances(f) {
		f.Add(u.message, u.language)
	}
	f.Add(strings.Repeat("<", text.MaxRunes), "fr")
	f.Add(strings.Repeat("1 ", text.MaxRunes/2), "en")
	f.Add(strings.Repeat("sans parfum ", 400), "fr")
	f.Add("\xff\xfe", "ar")
	f.Add("pas de cheveux pas tombent", "fr")
	f.Add("sans savon perds pas mes cheveux", "fr")
	r := newTestResponder(f)
	f.Fuzz(func(t *testing.T, message, language string) {
		if !slices.Contains(text.Languages[:], language) {
			language = text.French
		}
		before := Memory{Needs: &Needs{Needs: shop.Needs{Types: []string{"soap"}}}, Last: []string{"savon-karite-surgras", "gone"}}
		a := r.Answer(Turn{Message: message, Language: language, Before: before})
		if a.Text == "" || a.Topic == "" || a.Intent.Name == "" || a.Products == nil || a.Suggestions == nil ||
			len(a.Products) > MaxProducts {
			t.Errorf("%q: %+v", message, a)
		}
		if _, err := json.Marshal(a); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	r := newTestResponder(b)
	for name, message := range map[string]string{
		"products":  "Bonjour, je cherche un shampooing sans sulfates pour cheveux secs à moins de 15 euros",
		"faq":       "Quels sont les frais de livraison ?",
		"smalltalk": "Bonjour",
		"arabic":    "أريد شامبو للشعر الجاف بدون سلفات",
		"longest":   strings.Repeat("sans parfum et pas pour cheveux gras ", text.MaxRunes/37),
		"hostile":   strings.Repeat("<", text.MaxRunes),
		"accents":   strings.Repeat("é", text.MaxRunes),
		"numbers":   strings.Repeat("12345 ", text.MaxRunes/6),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r.Answer(Turn{Message: message, Language: "fr", Session: "s"})
			}
		})
	}
}

// A shop's own files may say little: no prices, no concerns, no topics, one language.
func TestSparseFiles(t *testing.T) {
	catalogue, err := shop.LoadCatalogue("c.json", []byte(`{"products": [
		{"id": "a", "name": {"fr": "Savon noir"}, "type": "savon"}, {"id": "b", "name": "Shampooing doux", "inStock": false}]}`))
	if err != nil {
		t.Fatal(err)
	}
	faq, err := shop.LoadFAQ("f.json", []byte(`{"faqs": [
		{"question": {"fr": "Comment retourner un produit ?"}, "answer": {"fr": "Sous 30 jours."}},
		{"question": {"fr": "Quels sont les moyens de paiement ?"}, "answer": {"fr": "Par carte."}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(catalogue, faq, Menu{}, newTestClassifier(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ message, topic, says string }{
		{"je veux retourner mon produit", AfterSales, "Sous 30 jours."},
		{"how do I pay?", Information, "Par carte."},
		{"un savon", Products, "Savon noir"},
		{"combien coûte le savon noir ?", Products, "Savon noir"},
		{"le savon noir est-il en stock ?", Products, "est en stock."},
		{"le moins cher ?", Products, "Savon noir"},
		{"des promotions ?", Information, "pas d'offre"},
		{"un shampooing doux", Products, "rupture"},
		{"bonjour", SmallTalk, ""},
		{"un coffret", Products, ""},
		{"أريد شامبو", Products, ""},
		{"quelle heure est-il à Tokyo", Other, ""},
		{"euh", Other, ""},
	} {
		a := r.Answer(Turn{Message: c.message, Language: "fr"})
		if a.Topic != c.topic || !strings.Contains(a.Text, c.says) || strings.Contains(a.Text, " 0,00") {
			t.Errorf("%s: %s (%s): %s", c.message, a.Topic, a.Intent.Name, a.Text)
		}
	}
	if a := r.Answer(Turn{Message: "how do I pay?", Language: "en"}); a.Language != "fr" {
		t.Errorf("an answer in French is said to be in %s", a.Language)
	}
}
