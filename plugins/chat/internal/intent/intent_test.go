package intent

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/innatural/chatbot/plugins/chat/internal/pattern"
	"github.com/innatural/chatbot/plugins/internal/text"
)

func newTestClassifier(t testing.TB) *Classifier {
	t.Helper()
	c, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClassify(t *testing.T) {
	c := newTestClassifier(t)
	for _, x := range []struct{ language, intent, message string }{
		{"fr", "order_tracking", "bonjour, je voudrais savoir où est passée ma commande svp"},
		{"fr", "delivery", "c cb la livraisonn"},
		{"fr", "thanks", "merciiiiii beaucoup"},
		{"en", "cancel_order", "pls cancell my ordr"},
		{"en", "off_topic", "what will the weather be like on sunday"},
		{"ar", "order_tracking", "لو سمحت الاوردر بتاعي فين"},
		{"ar", "delivery", "كم سعر التوصيل من فضلكم"},
		{"ar", "order_tracking", "salam fin wslat lcommande dyali"},
	} {
		guesses := c.Classify(text.Tokens(x.message), x.language)
		if guesses[0].Intent != x.intent {
			t.Errorf("%s: %v, want %s", x.message, guesses[:2], x.intent)
		}
		sum := 0.0
		for _, g := range guesses {
			sum += g.Probability
		}
		if sum < 0.99 || sum > 1.01 || len(guesses) != len(c.Intents()) {
			t.Errorf("%s: %d guesses of %.3f in all", x.message, len(guesses), sum)
		}
	}
}

// What is learned does not depend on the machine: two classifiers are the same to the bit.
func TestLearningIsRepeatable(t *testing.T) {
	lines := []line{}
	for intent, patterns := range map[string][]string{
		"a": {"(where|when) is my (order|parcel)", "parcel (late|lost)"}, "b": {"hello (you|there|)", "hi"}, "c": {"a (soap|cream)"},
	} {
		for _, s := range patterns {
			p, err := pattern.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line{intent, "en", p})
		}
	}
	slices.SortFunc(lines, func(x, y line) int { return strings.Compare(x.intent, y.intent) })
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	one := train(lines)
	runtime.GOMAXPROCS(7) // workers
	other := train(lines)
	if !slices.Equal(one.weights, other.weights) {
		t.Error("the same files were learned differently")
	}
}

func TestMistakesInFiles(t *testing.T) {
	for content, want := range map[string]string{
		"[delivery]\nx\n":                   `data/x.txt:1: "[delivery]" is not [intent language]`,
		"[delivery fr]\na (b|c\n":           `data/x.txt:2: a ")" is missing`,
		"[delivery fr]\na <b\n":             `data/x.txt:2: a ">" is missing`,
		"[delivery fr]\na) b\n":             `data/x.txt:2: "a) b": a ")" too much`,
		"[delivery fr]\na <b>\n":            `no list <b> in fr`,
		"[list:b en]\nx\n[a fr]\n<b> now\n": `no list <b> in fr`,
	} {
		_, err := read(fstest.MapFS{"data/x.txt": &fstest.MapFile{Data: []byte(content)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("bonjour", "fr")
	f.Add(strings.Repeat("é", text.MaxRunes), "")
	f.Add("\xff\x00", "ar")
	c := newTestClassifier(f)
	f.Fuzz(func(t *testing.T, message, language string) {
		if g := c.Classify(text.Tokens(message), language); g[0].Probability < 0 || g[0].Probability > 1.01 {
			t.Errorf("%q: %v", message, g[0])
		}
	})
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := learn(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	c := newTestClassifier(b)
	for name, message := range map[string]string{
		"short": "où est ma commande ?", "long": strings.Repeat("où est ma commande numéro ", text.MaxRunes/26),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.Classify(text.Tokens(message), "fr")
			}
		})
	}
}

// Parameters and training files are judged by this and by nothing that is held out: a quarter of the plain lines at a time is told
// from what the rest teaches.
func BenchmarkCrossValidation(b *testing.B) {
	lines, err := read(files)
	if err != nil {
		b.Fatal(err)
	}
	const folds = 4
	random := rand.New(rand.NewPCG(7, 7))
	order := random.Perm(len(lines))
	right, typos, all := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for b.Loop() {
		for fold := range folds {
			var learn, ask []line
			for i, at := range order {
				if i%folds == fold && lines[at].pattern.Size(perPattern) == 1 {
					ask = append(ask, lines[at])
				} else {
					learn = append(learn, lines[at])
				}
			}
			c := train(learn)
			for _, l := range ask {
				s := l.pattern.Pick(random)
				all[l.language]++
				if c.Classify(text.Tokens(s), l.language)[0].Intent == l.intent {
					right[l.language]++
				}
				if c.Classify(text.Tokens(misspell(s, manyTypos, random)), l.language)[0].Intent == l.intent {
					typos[l.language]++
				}
			}
		}
	}
	for language, n := range all {
		b.ReportMetric(100*right[language]/n, language+"-%")
		b.ReportMetric(100*typos[language]/n, language+"-typos-%")
	}
}

// manyTypos is the share of the words that get a typo when parameters are judged.
const manyTypos = 0.4
