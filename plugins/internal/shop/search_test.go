package shop

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// What customers ask and what has to be among the first three answers: a type of product, or the start of a product's id.
// A "!" before it: nothing else comes before all that there are of them.
var productQuestions = []struct{ query, want string }{
	// French
	{"shampooing pour cheveux secs", "!shampoo"},
	{"shampooing sans sulfates pour cheveux secs", "!shampoo"},
	{"shampoing anti pelliculaire", "shampooing-nigelle-purifiant"},
	{"shampoin contre les pelicules", "shampooing-nigelle-purifiant"},
	{"apres shampoing boucles", "apres-shampooing-karite-boucles"},
	{"Après-shampooing", "!conditioner"},
	{"huile d'argan", "huile-argan-pure"},
	{"huille dargan pure", "huile-argan-pure"},
	{"masque cheveux abimés", "mask"},
	{"masque pour cheveux colorés", "masque-argan-eclat-couleur"},
	{"sérum pour les fourches", "serum"},
	{"je perds mes cheveux que faire", "serum-densite-nigelle"},
	{"ma fille a le cuir chevelu qui gratte", "lotion-aloe-apaisante"},
	{"creme mains", "hand_cream"},
	{"crème hydratante pour le visage", "!face_cream"},
	{"un truc contre les boutons", "savon-nigelle-miel"},
	{"vergetures après grossesse", "huile-corps-olive"},
	{"baume levres gercées", "!lip_balm"},
	{"deodorant sans parfum", "deodorant-aloe-sans-parfum"},
	{"gomage pour le corps", "!scrub"},
	{"savon d'Alep", "savon-olive-laurier-tradition"},
	{"gel douche fleur d'oranger", "gel-douche-argan-fleur-oranger"},
	{"lait corps", "!body_lotion"},
	{"coffret pour cheveux bouclés", "coffret-boucles"},
	{"un coffret à offrir", "bundle"},
	{"crème coiffante", "styling_cream"},
	{"soin sans rincage", "leave_in"},
	{"produit au karité pour les lèvres", "baume-levres-karite"},
	// English
	{"shampoo for oily hair", "!shampoo"},
	{"sulfate free shampoo", "!shampoo"},
	{"dandruf shampo", "shampooing-nigelle-purifiant"},
	{"hair loss serum", "serum-densite-nigelle"},
	{"conditoner for curly hair", "apres-shampooing-karite-boucles"},
	{"body butter for stretch marks", "body_butter"},
	{"black seed oil", "huile-nigelle-pure"},
	{"something for dark spots on my face", "face_cream"},
	{"unscented deodorant", "deodorant-aloe-sans-parfum"},
	{"frizzy hair", "frizz"},
	{"lip balm with honey", "baume-levres-argan-miel"},
	{"detangling mist", "brume-demelante-olive"},
	{"gift set with soap for the hammam", "rituel-hammam"},
	{"night cream", "creme-visage-argan-nuit"},
	// Arabic, with dialect and in Latin letters
	{"شامبو للشعر الجاف", "!shampoo"},
	{"شامبو بدون سلفات", "!shampoo"},
	{"عايزة شامبو للقشرة", "shampooing-nigelle-purifiant"},
	{"شعري بيقع", "lotion-nigelle-tonifiante"},
	{"زيت الأركان", "huile-argan-pure"},
	{"زيت الاركان النقى", "huile-argan-pure"},
	{"بلسم الشفاه", "!lip_balm"},
	{"كريم اليدين", "hand_cream"},
	{"مزيل عرق بدون عطر", "deodorant-aloe-sans-parfum"},
	{"صابون", "!soap"},
	{"حاجة لحب الشباب", "savon-nigelle-miel"},
	{"مقشر للجسم", "!scrub"},
	{"كريم للشعر الكيرلي", "creme-coiffante-karite"},
	{"3ayza shampoo lel 2eshra", "shampooing-nigelle-purifiant"},
	{"sha3ri nashef", "dryness"},
	{"3andi 7boob fe weshi", "blemishes"},
}

func TestSearchFindsProducts(t *testing.T) {
	c, _ := ours(t)
	ofType := map[string]int{}
	for _, p := range c.Products {
		ofType[p.Type]++
	}
	for _, q := range productQuestions {
		want, all := strings.CutPrefix(q.want, "!")
		// The language of the page is not always that of the customer.
		for _, language := range []string{"fr", "en", "ar", ""} {
			hits := c.Search(text.Tokens(q.query), language, 3)
			matches, first := 0, 0
			var got []string
			for i, h := range hits {
				got = append(got, h.Product.ID)
				if h.Product.Type == want || h.Product.ID == want || slices.Contains(h.Product.concernIDs, want) {
					if matches++; matches == i+1 {
						first++
					}
				}
			}
			if matches == 0 || all && first < min(3, ofType[want]) {
				t.Errorf("%q in %q: found %q, want %s", q.query, language, got, q.want)
			}
		}
	}
}

var faqQuestions = []struct{ query, want string }{
	{"combien coûte la livraison", "delivery_france"},
	{"delais de livrason", "delivery_france"},
	{"livrez vous en belgique", "delivery_abroad"},
	{"ou est mon colis", "order_tracking"},
	{"mon colis est en retard", "parcel_late"},
	{"flacon cassé à l'arrivée", "parcel_damaged"},
	{"il manque un produit dans ma commande", "item_missing"},
	{"je veux retourner un produit", "return"},
	{"quand serai-je remboursé", "refund_time"},
	{"annuler ma comande", "cancel_order"},
	{"moyens de paiement", "payment_methods"},
	{"payer en 3 fois", "payment_instalments"},
	{"code promo", "promotions_codes"},
	{"vos produits sont ils testés sur les animaux", "vegan_cruelty_free"},
	{"je suis enceinte", "pregnancy"},
	{"mot de passe oublié", "account_password"},
	{"horaires de la boutique de lyon", "shops_hours"},
	{"how long does delivery take", "delivery_france"},
	{"do you ship to Egypt", "delivery_abroad"},
	{"where is my order", "order_tracking"},
	{"how do i return an item", "return"},
	{"card declined", "payment_refused"},
	{"is it safe to pay on your site", "payment_security"},
	{"do you have a loyalty program", "loyalty"},
	{"i want to talk to a human", "contact"},
	{"التوصيل كام يوم", "delivery_france"},
	{"فين طلبي", "order_tracking"},
	{"عايزة ارجع المنتج", "return"},
	{"متى أسترد فلوسي", "refund_time"},
	{"طرق الدفع", "payment_methods"},
	{"نسيت كلمة السر", "account_password"},
	{"رقم خدمة العملاء", "contact"},
	{"هل المنتجات حلال", "certification"},
	{"payer par paypal", "payment_methods"},
}

func TestSearchFindsFAQ(t *testing.T) {
	_, f := ours(t)
	for _, q := range faqQuestions {
		for _, language := range []string{"fr", "en", "ar", ""} {
			e, score, ok := f.Search(text.Tokens(q.query), language)
			if !ok || e.ID != q.want || score <= 0 {
				id := ""
				if e != nil {
					id = e.ID
				}
				t.Errorf("%q in %q: found %q, %.2f, %v, want %s", q.query, language, id, score, ok, q.want)
			}
		}
	}
}

// What the shop has no business with finds nothing.
var nonsense = []string{
	"", " ", "météo demain", "quel temps fait-il à Paris", "capital of France", "what is the capital of France",
	"who won the world cup", "qui a gagné la coupe du monde", "tell me a joke", "raconte moi une blague",
	"écris un poème", "produit pour homme politique", "prix du bitcoin", "bonjour", "merci", "python code for sorting",
	"xyzzy qwertyuiop",
	"ما هي عاصمة فرنسا", "كيف الطقس غدا", "!!!", "<script>", "12345", "le la les",
}

func TestSearchFindsNothing(t *testing.T) {
	c, f := ours(t)
	for _, q := range nonsense {
		for _, language := range []string{"fr", "en", "ar", ""} {
			if hits := c.Search(text.Tokens(q), language, 3); len(hits) > 0 {
				t.Errorf("%q in %q: found %s (%.2f)", q, language, hits[0].Product.ID, hits[0].Coverage)
			}
			if e, score, ok := f.Search(text.Tokens(q), language); ok || e != nil || score != 0 {
				t.Errorf("%q in %q: found %s", q, language, e.ID)
			}
		}
	}
}

func TestSearchLimit(t *testing.T) {
	c, _ := ours(t)
	for limit, want := range map[int]int{-1: 0, 0: 0, 1: 1, 3: 3} {
		if hits := c.Search(text.Tokens("shampooing"), "fr", limit); len(hits) != want {
			t.Errorf("limit %d: %d hits", limit, len(hits))
		}
	}
	hits := c.Search(text.Tokens("shampooing"), "fr", 1000)
	if len(hits) < 8 {
		t.Errorf("%d hits without a limit", len(hits))
	}
	if !slices.IsSortedFunc(hits, func(a, b ProductHit) int {
		if a.Score > b.Score {
			return -1
		}
		return 1
	}) {
		t.Error("not ranked")
	}
}

func TestSearchConcurrently(t *testing.T) {
	c, f := ours(t)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for _, q := range productQuestions {
				c.Search(text.Tokens(q.query), "", 3)
				f.Search(text.Tokens(q.query), "")
				c.Recommend(Needs{Concerns: []string{q.query}}, "ar", 3)
			}
		})
	}
	wait.Wait()
}

// Every label is understood as the value that it is the label of, in every language.
func TestLabels(t *testing.T) {
	for _, p := range []Property{Types, Concerns, HairTypes, SkinTypes, FreeOf, veganness} {
		ids := p.IDs()
		if len(ids) == 0 {
			t.Errorf("%s has no values", p.name)
		}
		for _, id := range ids {
			seen := map[string]bool{}
			for _, language := range text.Languages {
				name := p.Label(id, language)
				if seen[name] && name != "vegan" && name != "volume" {
					t.Errorf("%s %s: %q in two languages", p.name, id, name)
				}
				seen[name] = true
				if got := p.Understand(name); !slices.Contains(got, id) {
					t.Errorf("%s: %q is understood as %q, want %q", p.name, name, got, id)
				}
			}
			for _, spelling := range []string{id, strings.ToUpper(id), strings.ReplaceAll(id, "_", "-"), " " + id + " "} {
				if got := p.Understand(spelling); !slices.Equal(got, []string{id}) {
					t.Errorf("%s: %q is understood as %q, want %q", p.name, spelling, got, id)
				}
			}
		}
		for _, s := range []string{"", "xyzzy", "météo"} {
			if got := p.Understand(s); len(got) != 0 {
				t.Errorf("%s: %q is understood as %q", p.name, s, got)
			}
		}
		if p.Label("xyzzy", "fr") != "xyzzy" {
			t.Errorf("%s: a label for what there is not", p.name)
		}
	}
	for _, bad := range []string{`[]`, `{"types": {"a": true}}`} {
		if _, err := parseLabels([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestFormatPrice(t *testing.T) {
	for _, c := range []struct {
		amount             float64
		currency, language string
		want               string
	}{
		{12.9, "EUR", "fr", "12,90 €"},
		{12.9, "EUR", "en", "€12.90"},
		{12.9, "EUR", "ar", "12.90 يورو"},
		{0, "EUR", "en", "€0.00"},
		{1250, "MAD", "fr", "1250,00 MAD"},
		{99, "MAD", "ar", "99.00 MAD"},
		{99, "EGP", "en", "99.00 EGP"},
	} {
		if got := FormatPrice(c.amount, c.currency, c.language); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	c, f := ours(b)
	for _, q := range []string{"shampooing sans sulfates pour cheveux secs", "shampoin anti pelicules", "شامبو للشعر الجاف"} {
		b.Run(q, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Search(text.Tokens(q), "fr", 10)
			}
		})
	}
	b.Run("faq", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Search(text.Tokens("combien coûte la livraison"), "fr")
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		ours(b)
	}
}
