package shop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/plugins/internal/text"
)

func ids(list []Recommendation) (out []string) {
	for _, r := range list {
		out = append(out, r.Product.ID)
	}
	return out
}

// A concern always finds a product that is for it: the layer that this one replaces failed there.
func TestRecommendEveryConcern(t *testing.T) {
	c, _ := ours(t)
	for _, concern := range Concerns.IDs() {
		for _, language := range text.Languages {
			for _, said := range []string{concern, Concerns.Label(concern, language)} {
				list := c.Recommend(Needs{Concerns: []string{said}}, language, 5)
				if len(list) == 0 || !slices.Contains(list[0].Product.concernIDs, concern) {
					t.Errorf("%q: got %q", said, ids(list))
					continue
				}
				if r := list[0]; !strings.Contains(r.Reason, Concerns.Label(concern, language)) || r.Missed != nil {
					t.Errorf("%q: the reason is %q, missed %q", said, r.Reason, r.Missed)
				}
				if !list[0].Product.InStock {
					t.Errorf("%q: the first is out of stock", said)
				}
			}
		}
	}
	for _, said := range []string{"", "xyzzy", "poils de chat", "hair loss!!", strings.Repeat("<", 9<<20), "\xff"} {
		if list := c.Recommend(Needs{Concerns: []string{said}}, "fr", 3); len(list) == 0 {
			t.Errorf("%.20q finds nothing", said)
		}
	}
}

// Every combination of what a customer may choose has an answer that keeps its word.
func TestRecommendCombinations(t *testing.T) {
	c, _ := ours(t)
	for _, hair := range append(HairTypes.IDs(), "") {
		for _, skin := range append(SkinTypes.IDs(), "") {
			for _, kind := range append(Types.IDs(), "") {
				for _, free := range append(FreeOf.IDs(), "") {
					needs := Needs{HairType: hair, SkinType: skin, MaxPrice: 15, Concerns: []string{"dryness", "dry_skin"}}
					if kind != "" {
						needs.Types = []string{kind}
					}
					if free != "" {
						needs.Free = []string{free}
					}
					list := c.Recommend(needs, "fr", 5)
					if len(list) == 0 {
						t.Fatalf("%+v finds nothing", needs)
					}
					for _, r := range list {
						wrongType := kind != "" && r.Product.Type != kind
						tooDear := r.Product.Price > needs.MaxPrice
						if free != "" && !slices.Contains(r.Product.Free, free) {
							t.Errorf("%+v: %s holds what was refused", needs, r.Product.ID)
						}
						if wrongType && !slices.Contains(r.Missed, "types") || tooDear && !slices.Contains(r.Missed, "maxPrice") {
							t.Errorf("%+v: %s, and missed is %q", needs, r.Product.ID, r.Missed)
						}
					}
				}
			}
		}
	}
}

func TestRecommend(t *testing.T) {
	c, _ := ours(t)
	for _, tc := range []struct {
		name  string
		needs Needs
		want  string // the first
		why   string // in its reason
	}{
		{
			"a concern",
			Needs{Concerns: []string{"curl_definition"}, Types: []string{"conditioner"}},
			"apres-shampooing-karite-boucles", "la définition des boucles",
		},
		{
			"words",
			Needs{Concerns: []string{"mes cheveux tombent"}, Types: []string{"sérum"}},
			"serum-densite-nigelle",
			"la chute de cheveux",
		},
		{"hair type", Needs{HairType: "bouclés", Types: []string{"leave_in"}}, "lait-boucles-karite", "les cheveux bouclés"},
		{
			"two reasons",
			Needs{HairType: "dry", Concerns: []string{"frizz"}, Types: []string{"shampoo"}},
			"shampooing-argan-nutrition", "les frisottis et les cheveux secs.",
		},
		{
			"free of",
			Needs{Concerns: []string{"dandruff"}, Types: []string{"shampoo"}, Free: []string{"sulfates"}},
			"shampooing-aloe-douceur", "les pellicules, sans sulfates.",
		},
		{
			"free of, in words",
			Needs{Concerns: []string{"dandruff"}, Types: []string{"shampoo"}, Free: []string{"sulfate"}},
			"shampooing-aloe-douceur", "sans sulfates",
		},
		{
			"an ingredient to avoid",
			Needs{Concerns: []string{"chapped_lips"}, Types: []string{"lip_balm"}, Avoid: []string{"miel"}},
			"baume-levres-karite", "gercées",
		},
		{
			"in another language",
			Needs{Concerns: []string{"chapped_lips"}, Types: []string{"lip_balm"}, Avoid: []string{"honey"}},
			"baume-levres-karite", "",
		},
		{"a price", Needs{Types: []string{"shampoo"}, MaxPrice: 9}, "shampooing-solide-argan-couleur", "."},
		{
			"vegan",
			Needs{Concerns: []string{"blemishes"}, Types: []string{"soap"}, Vegan: true},
			"savon-olive-laurier-tradition", "les imperfections, vegan.",
		},
		{"skin type", Needs{SkinType: "peau sensible", Types: []string{"shower_gel"}}, "gel-douche-aloe", "les peaux sensibles"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list := c.Recommend(tc.needs, "fr", 5)
			if len(list) == 0 || list[0].Product.ID != tc.want || !strings.Contains(list[0].Reason, tc.why) {
				t.Errorf("got %q", ids(list))
				if len(list) > 0 {
					t.Errorf("because %q, want %s because %q", list[0].Reason, tc.want, tc.why)
				}
			}
		})
	}
}

// What a customer must not have is never shown, even when nothing else is left.
func TestRecommendNeverBreaksARefusal(t *testing.T) {
	c, _ := ours(t)
	for _, r := range c.Recommend(Needs{Types: []string{"shampoo"}, Avoid: []string{"coco"}}, "fr", 100) {
		for _, ingredient := range r.Product.In("fr").Ingredients {
			if strings.Contains(ingredient, "coco") {
				t.Errorf("%s has %q", r.Product.ID, ingredient)
			}
		}
		if !slices.Equal(r.Missed, []string{"types"}) {
			t.Errorf("%s is no shampoo, and missed is %q", r.Product.ID, r.Missed)
		}
	}
	one, err := LoadCatalogue("c.json", []byte(`{"products": [{"id": "a", "name": "A", "ingredients": ["miel"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := one.Recommend(Needs{Avoid: []string{"miel"}}, "fr", 5); len(got) != 0 {
		t.Errorf("got %q", ids(got))
	}
	if got := one.Recommend(Needs{Avoid: []string{"ail", "", "!"}, MaxPrice: 5}, "fr", 5); len(got) != 1 {
		t.Errorf("got %q", ids(got))
	}
}

func TestRecommendStockAndLimit(t *testing.T) {
	c, err := LoadCatalogue("c.json", []byte(`{"products": [
		{"id": "gone", "name": "A", "concerns": ["frizz", "dryness"], "inStock": false},
		{"id": "some", "name": "B", "concerns": ["dryness"], "type": "gant"},
		{"id": "more", "name": "C", "concerns": ["frizz", "dryness"], "benefits": ["démêle."]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	list := c.Recommend(Needs{Concerns: []string{"frizz", "dryness"}}, "en", 5)
	if got := ids(list); !slices.Equal(got, []string{"more", "some", "gone"}) {
		t.Errorf("got %q", got)
	}
	for limit, want := range map[int]int{-1: 0, 0: 0, 1: 1, 9: 3} {
		if got := c.Recommend(Needs{}, "fr", limit); len(got) != want {
			t.Errorf("limit %d: got %q", limit, ids(got))
		}
	}
	list = c.Recommend(Needs{}, "fr", 3)
	if list[0].Reason != "Gant." || list[1].Reason != "Démêle." || list[2].Reason != "A." {
		t.Errorf("reasons %q, %q, %q", list[0].Reason, list[1].Reason, list[2].Reason)
	}
}

// A product's views are the contract's, to the letter.
func TestViews(t *testing.T) {
	c, err := LoadCatalogue("c.json", []byte(`{"products": [{"id": "a", "name": {"en": "Soap", "ar": "صابون"}, "price": 4.5,
		"size": "100 g", "image": "/i.svg", "url": "/a", "type": "soap", "collection": "x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for v, want := range map[any]string{
		"product": `{"id":"a","collection":"x","name":"Soap","type":"soap","price":4.5,"currency":"EUR","size":"100 g",` +
			`"image":"/i.svg","url":"/a","concerns":[],"hairTypes":[],"skinTypes":[],"free":[],"ingredients":[],"benefits":[],` +
			`"description":"","usage":"","vegan":false,"inStock":true,"language":"en"}`,
		"card": `{"id":"a","name":"Soap","price":4.5,"currency":"EUR","size":"100 g","image":"/i.svg",` +
			`"url":"/a","reason":"Doux."}`,
	} {
		var view any = c.Find("a").In("fr")
		if v == "card" {
			view = c.Find("a").Card("fr", "Doux.")
		}
		got, err := json.Marshal(view)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n got %s\nwant %s", v, err, got, want)
		}
	}
	if v := c.Find("a").In("ar"); v.Name != "صابون" || v.Language != "ar" {
		t.Errorf("in Arabic: %+v", v)
	}
}

func BenchmarkRecommend(b *testing.B) {
	c, _ := ours(b)
	needs := Needs{
		HairType: "dry", Concerns: []string{"hair_loss", "chute de cheveux"}, Free: []string{"sulfates"}, Avoid: []string{"coco"},
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Recommend(needs, "fr", 5)
	}
}
