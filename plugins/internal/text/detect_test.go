package text

import "testing"

func TestDetect(t *testing.T) {
	for in, want := range map[string]string{
		// French
		"bonjour":                         French,
		"shampooing pour cheveux secs":    French,
		"je cherche un truc anti chute":   French,
		"c koi le prix svp":               French,
		"ou est ma commande":              French,
		"livraison":                       French,
		"crème hydratante":                French,
		"avez vous un masque":             French,
		"j'ai pas recu mon colis":         French,
		"sans parfum":                     French,
		"quel shampoo pour mes cheveux ?": French,
		// English
		"hello":                      English,
		"where is my order":          English,
		"shampoo for dry hair":       English,
		"hair loss":                  English,
		"do you ship to Egypt?":      English,
		"i need smth for my skin":    English,
		"delivery":                   English,
		"not for oily hair":          English,
		"I want a crème for my hair": English,
		// Arabic, by script
		"مرحبا":               Arabic,
		"شامبو للشعر الجاف":   Arabic,
		"عايزة شامبو L'Oréal": Arabic,
		"فين طلبي؟":           Arabic,
		"؟ شعر":               Arabic,
		// Arabizi
		"ana 3ayza shampoo":        Arabic,
		"sha3ri nashef awi":        Arabic,
		"bkam el shampoo da":       Arabic,
		"el order bta3i fein":      Arabic,
		"ana 7aba a3raf el as3ar":  Arabic,
		"3andi mushkela fe sha3ri": Arabic,
		// Undecided
		"":                "",
		"argan":           "",
		"12345":           "",
		"ok 250ml":        "",
		"xyzzy":           "",
		"!!! <<< 🙂":       "",
		"vitamine b12 h2": "",
		"3eme 2eme 5fois": "",
	} {
		if got := Detect(in); got != want {
			t.Errorf("Detect(%q) = %q, want %q", in, got, want)
		}
	}
}

func BenchmarkDetect(b *testing.B) {
	for b.Loop() {
		Detect("Bonjour, je cherche un shampooing sans sulfates pour des cheveux secs et bouclés")
	}
}
