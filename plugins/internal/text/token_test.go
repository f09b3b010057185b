package text

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func folded(tokens []Token) string {
	words := make([]string, len(tokens))
	for i, t := range tokens {
		words[i] = t.Folded
	}
	return strings.Join(words, " ")
}

func TestTokens(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		" \t\n":                        "",
		"Crème à l'Huile d'Argan !":    "creme a l huile d argan",
		"après-shampooing":             "apres shampooing",
		"I don't want it, it isn't OK": "i not want it it not ok",
		"I don’t":                      "i not",
		"can't":                        "not",
		"250ml, n°3":                   "250ml n 3",
		"cœur":                         "coeur",
		"ﬁn ＦＵＬＬ　ｗｉｄｔｈ":                "fin full width",
		"cre\u0300me":                  "creme",
		"شَامْبُو لِلشَّعْر":           "شامبو للشعر",
		"شـــامبو":                     "شامبو",
		"أرگان إلى آخر مستشفى قهوة": "ارگان الي اخر مستشفي قهوه",
		"٢٥٠ مل":                        "250 مل",
		"sham\u200bpoo":                 "shampoo",
		"a\x00b\xffc":                   "a b c",
		"<script>alert(1)</script>":     "script alert 1 script",
		strings.Repeat("a", 100) + " b": strings.Repeat("a", maxTokenRunes) + " b",
	} {
		if got := folded(Tokens(in)); got != want {
			t.Errorf("Tokens(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"ÉLÉGANT":      "elegant",
		"Ægir œuvre":   "aegir oeuvre",
		"straße":       "straße",
		"مسؤول رئيس":   "مسوول رييس",
		"ٱلشعر":        "الشعر",
		"کیک":          "كيك",
		"۱۲۳":          "123",
		"İstanbul":     "istanbul",
		"ﻻ":            "لا",
		"déjà\u00adlà": "dejala",
	} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

// The short ways of Fold and Tokens come to the same as the long ones.
func TestShortWays(t *testing.T) {
	var usual []rune
	for r := range rune(0x2200) {
		if isUsual(string(r)) {
			usual = append(usual, r)
		}
		for _, s := range []string{string(r), "a" + string(r) + "\u0301", string(r) + "\u064b\u0651", "É" + string(r) + "œ"} {
			if Fold(s) != foldAny(s) {
				t.Errorf("Fold(%q) = %q, want %q", s, Fold(s), foldAny(s))
			}
		}
	}
	for _, a := range usual {
		for _, b := range usual {
			if s := string([]rune{a, b}); norm.NFKC.String(s) != s {
				t.Errorf("%q is not composed", s)
			}
		}
	}
	if len(usual) < 200 {
		t.Errorf("%d usual characters", len(usual))
	}
}

// What is read of a text doesn't depend on its length.
func TestTokensAreBounded(t *testing.T) {
	for name, piece := range map[string]string{
		"no word at all":   "<",
		"one endless word": "a",
		"many short words": "a ",
		"endless marks":    "\u0301",
		"expanding":        "ﷺ",
		"invalid":          "\xff",
	} {
		t.Run(name, func(t *testing.T) {
			short, long := strings.Repeat(piece, MaxRunes), strings.Repeat(piece, 9<<20/len(piece))
			if _, read := head(long, MaxRunes); read > MaxRunes*utf8.UTFMax {
				t.Errorf("read %d bytes", read)
			}
			a, b := Tokens(short), Tokens(long)
			if !slices.Equal(a, b) {
				t.Errorf("%d words of %d runes, %d of the same for 9 MB", len(a), MaxRunes, len(b))
			}
			if len(b) > MaxTokens {
				t.Errorf("%d words", len(b))
			}
			work := func(s string) float64 { return testing.AllocsPerRun(1, func() { Tokens(s); Detect(s) }) }
			if x, y := work(short), work(long); y > x*1.1+10 {
				t.Errorf("%v allocations for %d runes, %v for 9 MB", x, MaxRunes, y)
			}
		})
	}
}

func FuzzTokens(f *testing.F) {
	for _, s := range []string{
		"", "Crème à l'huile d'argan", "don't", "شَامْبُو", "ﷺ", "\xff\xfe", "e\u0301\u0301\u0301", "ＡＢ", "a\u200db", "İıſK",
		"<<<<", "１２３",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, token := range Tokens(s) {
			if token.Folded == "" || !utf8.ValidString(token.Folded) && utf8.ValidString(s) {
				t.Errorf("%q gave the token %q", s, token.Folded)
			}
			if Fold(token.Folded) != token.Folded {
				t.Errorf("Fold(%q) is %q: folding twice differs from folding once", token.Folded, Fold(token.Folded))
			}
			for _, l := range Languages {
				Stem(token.Surface, l)
			}
		}
		Concepts(s)
		if l := Detect(s); l != "" && languageIndex(l) < 0 {
			t.Errorf("Detect(%q) = %q", s, l)
		}
	})
}

// The indefinite accusative is a way of writing a word, not another word.
func TestTanwin(t *testing.T) {
	for word, want := range map[string]string{
		"زيتاً": "زيت", "قناعًا": "قناع", "جداً": "جد", "شامبو": "شامبو", "ماء": "ماء", "اً": "اً", "هديةً": "هدية",
	} {
		if got := Tokens(word); len(got) != 1 || got[0].Surface != Tokens(want)[0].Surface {
			t.Errorf("%s: %v, want %s", word, got, want)
		}
	}
}
