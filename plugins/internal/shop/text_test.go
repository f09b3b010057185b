package shop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		json, language, want, actual string
	}{
		{`{"fr": "Savon", "en": "Soap", "ar": "صابون"}`, "en", "Soap", "en"},
		{`{"fr": "Savon", "en": "Soap", "ar": "صابون"}`, "ar", "صابون", "ar"},
		{`{"ar": "صابون", "en": "Soap"}`, "fr", "Soap", "en"},
		{`{"ar": "صابون"}`, "fr", "صابون", "ar"},
		{`{"fr": "Savon"}`, "ar", "Savon", "fr"},
		{`{"fr": " ", "en": "Soap"}`, "fr", "Soap", "en"},
		{`{"fr": null, "en": "Soap"}`, "fr", "Soap", "en"},
		{`{"fr": "Savon", "es": "Jabón"}`, "es", "Savon", "fr"},
		{`{"es": "Jabón"}`, "fr", "", "fr"},
		{`"Savon doux pour la peau"`, "en", "Savon doux pour la peau", "fr"},
		{`"صابون لطيف"`, "fr", "صابون لطيف", "ar"},
		{`"  Kessa  "`, "en", "Kessa", "en"}, // no known language: it stands for each
		{`"Kessa"`, "ar", "Kessa", "ar"},
		{`250`, "fr", "250", "fr"},
		{`{"fr": 250}`, "fr", "250", "fr"},
		{`""`, "fr", "", "fr"},
		{`null`, "fr", "", "fr"},
		{`{}`, "fr", "", "fr"},
	} {
		var text Text
		if err := json.Unmarshal([]byte(c.json), &text); err != nil {
			t.Errorf("%s: %v", c.json, err)
			continue
		}
		if s, actual := text.In(c.language); s != c.want || actual != c.actual {
			t.Errorf("%s in %s is %q in %s, want %q in %s", c.json, c.language, s, actual, c.want, c.actual)
		}
		if text.IsZero() != (c.want == "") {
			t.Errorf("%s: IsZero is %v", c.json, text.IsZero())
		}
	}
	for _, bad := range []string{`true`, `["a"]`, `{"fr": ["a"]}`, `{"fr": {"a": "b"}}`} {
		var text Text
		if err := json.Unmarshal([]byte(bad), &text); err == nil {
			t.Errorf("%s is taken", bad)
		} else if strings.Contains(err.Error(), "shop.") {
			t.Errorf("%s: %v names a type of Go", bad, err)
		}
	}
}

func TestTexts(t *testing.T) {
	for _, c := range []struct {
		json, language string
		want           []string
	}{
		{`{"fr": ["a", "b"], "en": ["c"]}`, "fr", []string{"a", "b"}},
		{`{"fr": ["a", "b"], "en": ["c"]}`, "en", []string{"c"}},
		{`{"fr": ["a", "b"], "en": ["c"]}`, "ar", []string{"a", "b"}},
		{`{"ar": ["صابون"], "en": ["Soap"]}`, "fr", []string{"Soap"}},
		{`{"fr": [], "en": ["c"]}`, "fr", []string{"c"}},
		{`{"fr": "one", "en": null}`, "en", []string{"one"}},
		{`["a", " b ", "", 3]`, "en", []string{"a", "b", "3"}},
		{`["pour la peau", "صابون", "for the skin"]`, "en", []string{"pour la peau", "صابون", "for the skin"}},
		{`[{"fr": "un", "en": "one"}, {"en": "two"}]`, "fr", []string{"un", "two"}},
		{`"single"`, "fr", []string{"single"}},
		{`[]`, "fr", []string{}},
		{`{}`, "fr", []string{}},
		{`null`, "fr", []string{}},
		{`""`, "fr", []string{}},
	} {
		var texts Texts
		if err := json.Unmarshal([]byte(c.json), &texts); err != nil {
			t.Errorf("%s: %v", c.json, err)
			continue
		}
		if got := texts.In(c.language); !slices.Equal(got, c.want) || got == nil {
			t.Errorf("%s in %s is %q, want %q", c.json, c.language, got, c.want)
		}
	}
	for _, bad := range []string{`true`, `[["a"]]`, `{"fr": [{"a": 1}]}`, `{"fr": true}`, `[true]`} {
		var texts Texts
		if err := json.Unmarshal([]byte(bad), &texts); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// What each yields is in its own language, so that a mixed list of words is searched as what it is.
func TestTextsEach(t *testing.T) {
	var texts Texts
	if err := json.Unmarshal([]byte(`["livraison", "delivery", "توصيل", "Tanger"]`), &texts); err != nil {
		t.Fatal(err)
	}
	var got []string
	texts.each(func(language, s string) { got = append(got, language+":"+s) })
	if want := []string{"fr:livraison", "en:delivery", "ar:توصيل", ":Tanger"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
