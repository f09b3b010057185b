package shop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// ours are the catalogue and the FAQ of this repository.
func ours(t testing.TB) (*Catalogue, *FAQ) {
	t.Helper()
	data, err := os.ReadFile("../../catalog/data/catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadCatalogue("catalogue.json", data)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile("../../faq/data/faq.json"); err != nil {
		t.Fatal(err)
	}
	f, err := LoadFAQ("faq.json", data)
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

// What issue 2 promises of the repository's own files, and that every value of theirs has a label.
func TestOurs(t *testing.T) {
	c, f := ours(t)
	if len(c.Products) < 30 || len(c.Collections) < 5 || len(c.Bundles) == 0 || len(c.Promotions) == 0 || len(f.Entries) < 25 {
		t.Errorf("%d products, %d collections, %d bundles, %d promotions, %d FAQ entries",
			len(c.Products), len(c.Collections), len(c.Bundles), len(c.Promotions), len(f.Entries))
	}
	for _, p := range c.items {
		for property, ids := range map[Property][]string{
			Types: {p.Type}, Concerns: p.concernIDs, HairTypes: p.HairTypes, SkinTypes: p.SkinTypes, FreeOf: p.Free,
		} {
			for _, id := range ids {
				if property.find(id) == nil {
					t.Errorf("%s: %s: %q has no label", p.ID, property.name, id)
				}
			}
		}
		for _, language := range text.Languages {
			if v := p.In(language); v.Language == "" || v.Name == "" || v.Description == "" {
				t.Errorf("%s in %s: %+v", p.ID, language, v)
			}
		}
		if p.Price <= 0 || p.Currency != "EUR" || p.Size.IsZero() || p.Image == "" || p.URL == "" {
			t.Errorf("%s: no price, size, image or url", p.ID)
		}
	}
}

// The forms that contract.md names, and what files in the wild do.
func TestLoadCatalogueForms(t *testing.T) {
	const file = "\ufeff" + `{
	"metadata": {"currency": "MAD", "version": 3, "owner": {"name": "someone"}},
	"unknown": [1, 2, {"products": []}],
	"promotions": {"ete": {"name": "Été", "percent": "10", "until": "2027-06-30", "appliesTo": {"types": ["soap"]}}},
	"collections": [{"id": "c1", "name": {"ar": "المجموعة"}, "concerns": {"en": ["dry skin"]}}],
	"products": [
		{"id": "p1", "collection": "c1", "name": "Savon pour la peau", "type": "Savon", "price": "12,50", "size": "100 g"},
		{"id": 2, "name": {"ar": "شامبو", "en": "Shampoo"}, "type": {"en": "Shampoo"}, "price": 89.9, "size": {"en": "250 ml"},
		 "concerns": {"en": ["Hair loss", "dandruff"], "ar": ["تساقط الشعر", "قشرة"]}, "hairTypes": ["Dry", "bouclés"],
		 "free": ["sulfate-free", "sans silicones"], "description": {"ar": "شامبو لطيف"}, "inStock": false, "vegan": true,
		 "ingredients": [{"fr": "huile d'argan", "en": "argan oil"}, "eau"], "currency": "EUR", "ID": "ignored", "price2": []},
		{"id": "p3", "name": {"fr": "Kessa"}, "price": null, "type": "glove", "concerns": null, "benefits": "doux"}
	],
	"bundles": [{"id": "b1", "name": "Coffret", "price": 90, "products": ["p1", "2"]}]
}`
	c, err := LoadCatalogue("shop.json", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	p1, p2, p3, b1 := c.Find("p1"), c.Find("2"), c.Find("p3"), c.Find("b1")
	for what, ok := range map[string]bool{
		"currency":                     c.Currency == "MAD" && p1.Currency == "MAD" && p2.Currency == "EUR",
		"version":                      c.Version == "3",
		"a numeric string with comma":  p1.Price == 12.5,
		"a type in words":              p1.Type == "soap" && p2.Type == "shampoo" && p3.Type == "glove" && b1.Type == "bundle",
		"a price":                      p2.Price == 89.9,
		"no price":                     p3.Price == 0,
		"concerns in words":            slices.Equal(p2.concernIDs, []string{"hair_loss", "dandruff"}),
		"concerns as they are written": slices.Equal(p2.In("ar").Concerns, []string{"تساقط الشعر", "قشرة"}),
		"hair types in words":          slices.Equal(p2.HairTypes, []string{"dry", "curly"}),
		"free in words":                slices.Equal(p2.Free, []string{"sulfates", "silicones"}),
		"in stock unless it says not":  p1.InStock && !p2.InStock,
		"a bundle is out of stock with its products": !b1.InStock,
		"a bundle's products":                        len(c.Bundles[0].Products) == 2 && c.Bundles[0].Products[1] == p2,
		"vegan":                                      p2.Vegan && !p1.Vegan,
		"texts as a list of texts":                   slices.Equal(p2.In("en").Ingredients, []string{"argan oil", "eau"}),
		"the language of the texts":                  p1.In("en").Language == "fr" && p2.In("fr").Language == "en",
		"one string for a list":                      slices.Equal(p3.In("fr").Benefits, []string{"doux"}),
		"promotions by key":                          c.Promotions[0].ID == "ete",
		"a promotion's percent":                      c.Promotions[0].Percent == 10,
		"a promotion's products":                     c.Promotions[0].AppliesTo(p1) && !c.Promotions[0].AppliesTo(p2),
	} {
		if !ok {
			t.Errorf("%s: not as it should be", what)
		}
	}
	if got := c.Search(text.Tokens("savon"), "ar", 3); len(got) == 0 || got[0].Product != p1 {
		t.Errorf("searching for soap found %v", got)
	}
	if c.Find("nothing") != nil {
		t.Error("found what there is not")
	}
	end := time.Date(2027, 6, 30, 23, 59, 59, 0, time.UTC)
	if p := c.Promotions[0]; !p.Active(end) || p.Active(end.Add(time.Second)) {
		t.Error("a promotion runs until the end of its day")
	}
}

func TestLoadCatalogueProblems(t *testing.T) {
	products := func(lines ...string) string {
		return "{\n  \"products\": [\n    " + strings.Join(lines, ",\n    ") + "\n  ]\n}"
	}
	good := `{"id": "a", "name": "A"}`
	for _, c := range []struct{ name, file, want string }{
		{"empty", ``, `c.json:1:1: syntax: unexpected end of JSON input`},
		{"syntax", "{\n  \"products\": [\n    {\"id\" \"a\"}]}", `c.json:3:11: syntax: invalid character '"' after object key`},
		{"cut", `{"products": [`, `c.json:1:14: syntax: unexpected end of JSON input`},
		{"not an object", `[]`, `c.json:1:1: the file must hold one JSON object`},
		{"null", `null`, `c.json:1:1: the file must hold one JSON object`},
		{"two values", `{} {}`, `c.json:1:4: syntax: invalid character '{' after top-level value`},
		{"no product", `{"products": []}`, `c.json:1:1: products: the catalogue has no product`},
		{"no list", `{}`, `c.json:1:1: products: the catalogue has no product`},
		{"not a list", "{\n\"products\": 3}", `c.json:2:13: products: want a list`},
		{"not an object in the list", products(good, `7`), `c.json:4:5: products[1]: 7 is not an object`},
		{"null in the list", products(good, `null`), `c.json:4:5: products[1]: null is not an object`},
		{"no id", products(good, `{"name": "B"}`), `c.json:4:5: products[1]: id is required`},
		{"blank id", products(good, `{"id": " ", "name": "B"}`), `c.json:4:5: products[1]: id is required`},
		{
			"twice", products(good, `{"id": "a", "name": "B"}`),
			`c.json:4:5: products[1] (a): there is another product or bundle with this id`,
		},
		{"no name", products(`{"id": "b"}`), `c.json:3:5: products[0] (b): name is required, in at least one of fr, en and ar`},
		{"no name that is read", products(`{"id": "b", "name": {"es": "B"}}`), `c.json:3:5: products[0] (b): name is required`},
		{
			"price", products(`{"id": "b", "name": "B", "price": "cheap"}`),
			`c.json:3:5: products[0] (b): price: "cheap" is not a number of 0 or more`,
		},
		{"negative price", products(`{"id": "b", "name": "B", "price": -1}`), `price: -1 is not a number of 0 or more`},
		{"infinite price", products(`{"id": "b", "name": "B", "price": "inf"}`), `price: "inf" is not a number of 0 or more`},
		{"huge price", products(`{"id": "b", "name": "B", "price": 1e999}`), `price: 1e999 is not a number of 0 or more`},
		{"price object", products(`{"id": "b", "name": "B", "price": {"eur": 3}}`), `price: {"eur": 3} is not a number`},
		{
			"stock", products(`{"id": "b", "name": "B", "inStock": "yes"}`),
			`inStock: "yes" is not what belongs here (found a string)`,
		},
		{"name list", products(`{"id": "b", "name": ["B"]}`), `products[0] (b): name: ["B"] is not a text`},
		{"id object", products(`{"id": {}, "name": "B"}`), `products[0]: id: {} is not a text`},
		{
			"bundle id", `{"products": [` + good + `], "bundles": [{"id": "a", "name": "B"}]}`,
			`bundles[0] (a): there is another product or bundle`,
		},
		{
			"bundle contents", `{"products": [` + good + `], "bundles": [{"id": "b", "name": "B", "products": ["z"]}]}`,
			`bundles[0] (b): products: there is no product "z"`,
		},
		{"collection id", `{"products": [` + good + `], "collections": [{"name": "C"}]}`, `collections[0]: id is required`},
		{"collection name", `{"products": [` + good + `], "collections": [{"id": "c"}]}`, `collections[0] (c): name is required`},
		{"promotion id", `{"products": [` + good + `], "promotions": [{}]}`, `promotions[0]: id is required`},
		{
			"promotion date", `{"products": [` + good + `], "promotions": [{"id": "p", "until": "soon"}]}`,
			`promotions[0]: until: "soon" is not a date such as 2027-12-31`,
		},
		{
			"metadata", `{"metadata": {"currency": []}, "products": [` + good + `]}`,
			`c.json:1:14: metadata: currency: [] is not a text`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := LoadCatalogue("c.json", []byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if got != nil {
				t.Error("a catalogue beside an error")
			}
			for _, name := range []string{"shop.", "json: ", "struct", "unmarshal"} {
				if strings.Contains(err.Error(), name) {
					t.Errorf("%v: says %q to a shopkeeper", err, name)
				}
			}
		})
	}
}

func TestLoadTellsAllProblems(t *testing.T) {
	var list []string
	for i := range 50 {
		list = append(list, fmt.Sprintf(`{"id": "p%d"}`, i))
	}
	_, err := LoadCatalogue("c.json", []byte(`{"products": [`+strings.Join(list, ",\n")+`]}`))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems || !strings.HasPrefix(lines[1], "c.json:2:1: products[1] (p1): ") {
		t.Errorf("%d problems:\n%v", len(lines), err)
	}
}

func TestLoadIsBounded(t *testing.T) {
	huge := make([]byte, maxFile+1)
	for name, load := range map[string]func() error{
		"catalogue": func() error { _, err := LoadCatalogue("c.json", huge); return err },
		"faq":       func() error { _, err := LoadFAQ("c.json", huge); return err },
	} {
		const want = "c.json: the file has 33554433 bytes; at most 33554432 are read"
		if err := load(); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "c.json")
	if err := os.WriteFile(name, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(name); err != nil || string(data) != "{}" {
		t.Errorf("%q, %v", data, err)
	}
	if err := os.Truncate(name, 10*maxFile); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(name); err != nil || len(data) != maxFile+1 {
		t.Errorf("%d bytes of an endless file, %v", len(data), err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "nothing")} {
		if _, err := ReadFile(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestLoadFAQ(t *testing.T) {
	f, err := LoadFAQ("f.json", []byte(`{"faqs": [
		{
			"question": {"ar": "هل توصلون؟", "en": "Do you deliver?"}, "answer": {"en": "Yes."}, "keywords": ["livraison"],
			"extra": 1
		},
		{"id": "r", "question": "Comment retourner un produit ?", "answer": "Sous 30 jours.", "topic": "sav"}
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Entries) != 2 || f.Entries[0].ID != "faq-1" || f.Entries[1].ID != "r" || f.Entries[1].Topic != "sav" {
		t.Errorf("%+v", f.Entries)
	}
	question, answer, language := f.Entries[0].In("ar")
	if question != "Do you deliver?" || answer != "Yes." || language != "en" {
		t.Errorf("%q, %q in %s: question and answer must be in one language", question, answer, language)
	}
	if e, _, ok := f.Search(text.Tokens("livraison"), "fr"); !ok || e.ID != "faq-1" {
		t.Errorf("found %v, %v by a keyword", e, ok)
	}
	for file, want := range map[string]string{
		`{}`:                                  `f.json:1:1: faqs: the FAQ has no entry`,
		`{"faqs": 1}`:                         `f.json:1:10: faqs: want a list`,
		`{"faqs": [{}]}`:                      `f.json:1:11: faqs[0] (faq-1): question is required`,
		`{"faqs": [{"question": "Q?"}]}`:      `faqs[0] (faq-1): answer is required`,
		`{"faqs": [1]}`:                       `faqs[0] (faq-1): 1 is not an object`,
		`{"faqs": [{"question": [], "x":1}]}`: `faqs[0] (faq-1): question: [] is not a text`,
		`{"faqs": [{"id":"a","question":"Q","answer":"A"}, {"id":"a"}]}`: `there is another entry with this id`,
	} {
		if _, err := LoadFAQ("f.json", []byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}

func FuzzLoadCatalogue(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `{"products": [{"id": "a", "name": "A"}]}`, `{"products": {"a": {"name": "A"}}}`, "\ufeff{}",
		`{"products": null}`,
		`{"products": [{"id": 1, "name": {"ar": "ش"}, "price": "1,5", "concerns": [["x"]]}]}`,
		`{"metadata": 3, "products": [null]}`,
		`{"products": [{"id": "a", "name": "A"}], "bundles": [{"id": "b", "name": "B", "products": ["a"]}]}`,
		`{"products": [{"id": "a", "name": "A"}], "promotions": [{"id": "p"}]}`,
		`{"products": [{"id":"a","name":"\ud800"}]} `, `{"products":[{"id":"a","name":"A"}],"products":[{"id":"a","name":"A"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := LoadCatalogue("f.json", data)
		if (c == nil) == (err == nil) {
			t.Fatal("neither a catalogue nor an error, or both")
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.json:") {
				t.Errorf("%v does not say where", err)
			}
			return
		}
		for _, p := range c.items {
			v := p.In("ar")
			for _, list := range [][]string{v.Concerns, v.HairTypes, v.SkinTypes, v.Free, v.Ingredients, v.Benefits} {
				if list == nil {
					t.Error("a list is nil")
				}
			}
			c.Search(text.Tokens(p.Name.String()), "fr", 3)
		}
		c.Recommend(Needs{Concerns: []string{"hair_loss"}}, "en", 3)
	})
}

func FuzzLoadFAQ(f *testing.F) {
	for _, s := range []string{
		``, `{"faqs": [{"question": "Q?", "answer": {"fr": "A"}, "keywords": "k"}]}`,
		`{"faqs": {"a": {"question": 1, "answer": 2}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if faq, err := LoadFAQ("f.json", data); (faq == nil) == (err == nil) {
			t.Fatal("neither a FAQ nor an error, or both")
		}
	})
}
