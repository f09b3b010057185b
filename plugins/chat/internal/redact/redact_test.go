package redact

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		// e-mail
		"écrivez à anna.dupont+shop@boutique.fr svp": "écrivez à [e-mail] svp",
		"anna (at) boutique (point) fr":              "[e-mail]",
		"anna arobase boutique point fr":             "[e-mail]",
		"بريدي هو anna@boutique.com":                 "بريدي هو [e-mail]",
		"ａｎｎａ＠ｓｈｏｐ．ｆｒ":                               "[e-mail]",
		// phone
		"mon tel 06 12 34 56 78 merci": "mon tel [phone] merci",
		"0612345678":                   "[phone]",
		"06.12.34.56.78":               "[phone]",
		"06-12-34-56-78":               "[phone]",
		"06–12–34–56–78":               "[phone]",
		"+33 6 12 34 56 78":            "[phone]",
		"+33 (0)6 12 34 56 78":         "[phone]",
		"0033612345678":                "[phone]",
		"٠٦١٢٣٤٥٦٧٨":                   "[phone]",
		"رقمي +٢٠ ١٠٠ ١٢٣ ٤٥٦٧":        "رقمي [phone]",
		"01001234567":                  "[phone]",
		"call me on 020 7946 0958":     "call me on [phone]",
		"(555) 123-4567":               "[phone]",
		"0\u200b6 12 34 56 78":         "[phone]",
		// bank, card, social security
		"IBAN FR76 3000 6000 0112 3456 7890 189": "IBAN [iban]",
		"fr7630006000011234567890189":            "[iban]",
		"DE89 3704 0044 0532 0130 00":            "[iban]",
		"carte 4539 1488 0343 6467":              "carte [card]",
		"nir 1 85 05 78 006 084 36":              "nir [nir]",
		"285057800608436":                        "[nir]",
		"2 85 05 2A 006 084":                     "[nir]",
		// address
		"j'habite 12 bis, rue de la République": "j'habite [address]",
		"12 avenue Jean Jaurès, 69007 Lyon":     "[address], [address]",
		"livrez au 75011 Paris":                 "livrez au [address]",
		"I live at 221B Baker Street in London": "I live at [address] in London",
		"postcode NW1 6XE":                      "postcode [address]",
		"أسكن في ١٢ شارع التحرير":               "أسكن في 12 [address]",
		// order
		"ma commande 12345":            "ma commande [order]",
		"commande n° CMD-2024-118":     "commande n° [order]",
		"order number is 4711":         "order number is [order]",
		"#4711":                        "#[order]",
		"J'ai bien lu le numéro 4711.": "J'ai bien lu le numéro [order].",
		"I have read the number 4711.": "I have read the number [order].",
		"قرأت الرقم 4711.":             "قرأت الرقم [order].",
		"طلبي رقم ٤٧١١":                "طلبي رقم [order]",
		"CMD-4711":                     "[order]",
		// name
		"je m'appelle Anna Dupont et je cherche": "je m'appelle [name] et je cherche",
		"My name is anna":                        "My name is [name]",
		"Mme Dupont":                             "Mme [name]",
		"اسمي فاطمة":                             "اسمي [name]",
		// any long number
		"123 456": "[number]",
		// what is no personal data stays
		"shampooing à 11,90 € en 250 ml":          "shampooing à 11,90 € en 250 ml",
		"2 savons et 3 huiles, moins de 20 euros": "2 savons et 3 huiles, moins de 20 euros",
		"livraison en 2026 sous 48 h":             "livraison en 2026 sous 48 h",
		"sans sulfates, pas pour cheveux gras":    "sans sulfates, pas pour cheveux gras",
		"أريد شامبو بأقل من ١٥ يورو":              "أريد شامبو بأقل من 15 يورو",
		"ticket SAV-7K4M2Q":                       "ticket SAV-7K4M2Q",
		"de 10 à 15 € par mois":                   "de 10 à 15 € par mois",
		"where is my order?":                      "where is my order?",
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTextWithoutKnownNames(t *testing.T) {
	if got := Text("Bonjour, ici Zéphyrine. ZÉPHYRINE martin !", "Zéphyrine Martin", ""); got != "Bonjour, ici [name]. [name] [name] !" {
		t.Error(got)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{
		"anna@boutique.fr 06 12 34 56 78 FR76 3000 6000 0112 3456 7890 189", "١٢٣٤٥٦٧٨٩٠", "12 rue de la Paix, 75002 Paris",
		"je m'appelle Anna", "\xff\xfe06123\u200b45678", "4539-1488-0343-6467",
	} {
		f.Add(s)
	}
	left := regexp.MustCompile(`\d{5}|[a-z0-9]@[a-z0-9]+\.[a-z]`)
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		if !utf8.ValidString(got) {
			t.Errorf("Text(%q) is not UTF-8: %q", s, got)
		}
		if found := left.FindString(got); found != "" {
			t.Errorf("Text(%q) leaves %q in %q", s, found, got)
		}
		if with := Text(s+" anna.dupont@boutique.fr", "Zéphyrine"); strings.Contains(with, "dupont@") {
			t.Errorf("an address is left in %q", with)
		}
	})
}
