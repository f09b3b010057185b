package text

import "testing"

// Words of each line have one stem.
func TestStemTogether(t *testing.T) {
	for _, line := range []struct {
		language string
		words    []string
	}{
		{French, []string{"hydratant", "hydratante", "hydratants", "hydrater"}},
		{French, []string{"sèche", "seche", "sèches"}},
		{French, []string{"réparer", "reparer", "répare"}},
		{French, []string{"bébé", "bebe"}},
		{English, []string{"moisturizing", "moisturize", "moisturizes"}},
		{English, []string{"delivery", "deliveries"}},
		{Arabic, []string{"الزيوت", "زيوت", "والزيوت", "بالزيوت", "للزيوت"}},
		{Arabic, []string{"منتج", "منتجات", "المنتجات", "منتجها"}},
		{Arabic, []string{"جافة", "جاف", "الجافة"}},
		{Arabic, []string{"nashef", "elnashef"}},
	} {
		first := Fold(line.words[0])
		want := Stem(line.words[0], line.language)
		if want == "" {
			t.Errorf("%s: no stem of %q", line.language, first)
		}
		for _, w := range line.words[1:] {
			if got := Stem(w, line.language); got != want {
				t.Errorf("%s: the stem of %q is %q, that of %q is %q", line.language, first, want, w, got)
			}
		}
	}
}

// Words of each pair have different stems: what an affix would leave is too short, or it is none.
func TestStemApart(t *testing.T) {
	for _, pair := range [][3]string{
		{Arabic, "ورد", "رد"},       // rose, reply
		{Arabic, "بلسم", "لسم"},     // balm: its ب is no particle
		{Arabic, "كريم", "ريم"},     // cream
		{Arabic, "لوز", "وز"},       // almond
		{Arabic, "الو", "و"},        // hello
		{French, "huile", "huit"},   // oil, eight
		{English, "skin", "skins1"}, // digits are never stemmed
	} {
		if a, b := Stem(pair[1], pair[0]), Stem(pair[2], pair[0]); a == b {
			t.Errorf("%s: %q and %q both have the stem %q", pair[0], pair[1], pair[2], a)
		}
	}
}

func TestWithoutParticle(t *testing.T) {
	for in, want := range map[string]string{
		"بشعر": "شعر", "لبشره": "بشره", "كزيت": "زيت", "فزيت": "زيت", "بلس": "لس", "بل": "", "شعر": "", "": "",
	} {
		got, ok := withoutParticle(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("withoutParticle(%q) = %q, %v, want %q", in, got, ok, want)
		}
	}
}
