package responder

import "testing"

func TestForeignCountries(t *testing.T) {
	r := newTestResponder(t)
	for message, want := range map[string][2]string{
		"vous livrez au Pérou ?":                {"fr", "delivery_abroad"},
		"combien coûte la livraison en Islande": {"fr", "delivery_abroad"},
		"combien coûte la livraison en France":  {"fr", "delivery"},
		"how much is delivery to France":        {"en", "delivery"},
		"بكام التوصيل لفرنسا":                   {"ar", "delivery"},
		"combien coûte la livraison à Lyon":     {"fr", "delivery"},
		"how much is delivery to New Zealand":   {"en", "delivery_abroad"},
		"التوصيل لليابان بكام":                  {"ar", "delivery_abroad"},
		"التوصيل للبيت بكام":                    {"ar", "delivery"},
		"بكام التوصيل للقاهرة؟":                 {"ar", "delivery_abroad"},
	} {
		if a := r.Answer(Turn{Message: message, Language: want[0]}); a.Intent.Name != want[1] {
			t.Errorf("%s: taken for %s", message, a.Intent.Name)
		}
	}
}

func TestWhatMeansNothingIsAskedAbout(t *testing.T) {
	r := newTestResponder(t)
	for message, want := range map[string]bool{"aaaaaa": true, "zzz hhhhh": true, "ههههه": true, "sans": true, "je n'aime pas": true, "merci": false, "sans parfum": false} {
		if a := r.Answer(Turn{Message: message, Language: "fr"}); (a.Intent.Name == unsure) != want {
			t.Errorf("%s: taken for %s", message, a.Intent.Name)
		}
	}
}
