package text

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTerms(t *testing.T) {
	for _, c := range []struct{ language, in, want string }{
		{French, "un shampooing sans silicone ni parfum", "#shampoo #no_silicones ni #perfume"},
		{French, "un shampooing doux et ni gras ni sec", "#shampoo doux ni gras ni sec"},
		{French, "pas pour cheveux secs", "pas #dryness #hair_dry #hair sec"},
		{French, "après-shampooing", "#conditioner"},
		{French, "apres shampoing", "#conditioner"},
		{French, "chute de cheveux", "#hair_loss #hair_loss #hair"},
		{English, "not for oily hair", "not #oily_scalp #hair_oily oili #hair"},
		{English, "leave-in conditioner", "#leave_in"},
		{Arabic, "بدون عطر", "#no_perfume"},
		{Arabic, "شامبو مش دهني", "#shampoo مش دهن"},
		{French, "", ""},
		{French, "le la les et de", ""},
		{"xx", "cheveux", "#hair"},
	} {
		want := strings.Fields(c.want)
		if got := Terms(c.in, c.language); !slices.Equal(got, want) {
			t.Errorf("Terms(%q, %s) = %q, want %q", c.in, c.language, got, want)
		}
	}
}

// A concept is found in every language, with accents or without, singular or plural.
func TestConcepts(t *testing.T) {
	for want, texts := range map[string][]string{
		"hair": {"cheveu", "cheveux", "hair", "شعر", "الشعر", "sha3ri"},
		"hair_loss": {
			"je perds mes cheveux", "chute de cheveux", "losing my hair",
			"تساقط الشعر", "شعري بيقع", "mes cheveux tombent",
		},
		"dandruff":        {"pellicules", "pellicule", "dandruff", "القشرة", "shampoo lel 2eshra"},
		"delivery":        {"livraison", "livrer", "expedition", "delivery", "shipping", "التوصيل", "شحن"},
		"return":          {"retour", "retourner", "returns", "إرجاع", "ارجاع"},
		"refund":          {"remboursé", "rembourse", "remboursement", "refund", "استرداد"},
		"conditioner":     {"apres-shampoing", "après shampooings", "conditioner", "بلسم"},
		"no_sulfates":     {"sans sulfates", "sulfate free", "sulfate-free", "بدون سلفات", "خالي من الكبريتات"},
		"lip_balm":        {"baume à lèvres", "baume a levres", "lip balm", "بلسم الشفاه", "مرطب شفاه"},
		"curl_definition": {"boucles", "cheveux boucles", "cheveux bouclés", "curly", "شعر كيرلي"},
	} {
		for _, s := range texts {
			if got := Concepts(s); !slices.Contains(got, want) {
				t.Errorf("Concepts(%q) = %q, want %q among them", s, got, want)
			}
		}
	}
	if got := Concepts("un après-shampooing"); !slices.Equal(got, []string{"conditioner"}) {
		t.Errorf("Concepts of a conditioner = %q", got)
	}
	for _, s := range []string{"", "météo demain", "capital of France", "12345"} {
		if got := Concepts(s); len(got) > 0 {
			t.Errorf("Concepts(%q) = %q, want none", s, got)
		}
	}
}

func TestNegationIsNoStopWord(t *testing.T) {
	l := shopLexicon()
	for w := range strings.FieldsSeq("ne pas sans ni non jamais no not without never none بدون لا مش ليس غير مو mish bedoon") {
		if l.stop[Fold(w)] {
			t.Errorf("%q is a stop word", w)
		}
	}
}

func TestParseLexiconProblems(t *testing.T) {
	for _, c := range []struct{ words, synonyms, want string }{
		{"de stop\n  der die das\n", "", "words.txt:1: not a language"},
		{"# comment\nfr\n  le la\n", "", "words.txt:2: not a language"},
		{"", "[names]\nshampoo\n  de Schampun\n", "synonyms.txt:3: not a language"},
		{"", "  fr shampooing\n", "synonyms.txt:1: not a language"},
		{"", "[names]\nsoap\n  fr savon\nsoap\n", `synonyms.txt:4: concept "soap" is there twice`},
		{"", "soap\n  fr savon,, savonnette\n", "synonyms.txt:2: \"\": an entry has 1 to 5 words"},
		{"", "soap\n  fr un deux trois quatre cinq six\n", "an entry has 1 to 5 words"},
	} {
		if _, err := parseLexicon(c.words, c.synonyms); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("parseLexicon(%q, %q): %v, want %q", c.words, c.synonyms, err, c.want)
		}
	}
}

// Words that nobody else says do not stay in memory for ever.
func TestWhatIsRememberedOfStemsIsBounded(t *testing.T) {
	l := shopLexicon()
	for i := range 3 * mostRemembered {
		word := "mot" + strconv.FormatInt(int64(i), 36)
		if got, want := l.entry(Token{Surface: word, Folded: word}).stems[fr], Stem(word, French); got != want {
			t.Fatalf("%s: %q, want %q", word, got, want)
		}
	}
	n := 0
	l.remembered.Range(func(any, any) bool { n++; return true })
	if n == 0 || n > mostRemembered {
		t.Errorf("%d words are remembered", n)
	}
}
