package responder

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/plugins/internal/shop"
)

type utterance struct{ language, topic, want, message string }

func utterances(t testing.TB) []utterance {
	t.Helper()
	data, err := os.ReadFile("testdata/utterances.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []utterance
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, "|", 4)
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		all = append(all, utterance{f[0], f[1], f[2], f[3]})
	}
	return all
}

func TestUtterances(t *testing.T) {
	r := newTestResponder(t)
	for _, u := range utterances(t) {
		a := r.Answer(Turn{Message: u.message, Language: u.language, Session: "s"})
		switch {
		case a.Topic != u.topic:
			t.Errorf("%s: topic %s (%s), want %s: %s", u.message, a.Topic, a.Intent.Name, u.topic, a.Text)
		case u.want == "-" || a.Intent.Name == u.want || len(a.Evidence.FAQ) > 0 && a.Evidence.FAQ[0].ID == u.want:
		case slices.Contains(shop.Types.IDs(), u.want):
			for _, card := range a.Products {
				if p := r.catalogue.Find(card.ID); p.Type != u.want {
					t.Errorf("%s: shows a %s, want only %s", u.message, p.Type, u.want)
				}
			}
			if len(a.Products) == 0 {
				t.Errorf("%s: no product, want %s: %s", u.message, u.want, a.Text)
			}
		default:
			t.Errorf("%s: intent %s, want %s: %s", u.message, a.Intent.Name, u.want, a.Text)
		}
		if u.topic == Products && len(a.Products) == 0 {
			t.Errorf("%s: no product is shown: %s", u.message, a.Text)
		}
	}
}
