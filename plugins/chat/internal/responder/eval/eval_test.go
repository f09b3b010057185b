package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// held is the set that the responder was not made with. What it is measured by stands here and nowhere else.
const held = "../testdata/heldout"

func openTestShop(t *testing.T) *testShop {
	t.Helper()
	s, err := openShop("../../../../catalog/data/catalogue.json", "../../../../faq/data/faq.json", "../../../data/greeting.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is promised of understanding.
func TestGates(t *testing.T) {
	u, err := readSet(held)
	if err != nil {
		t.Fatal(err)
	}
	r := measure(openTestShop(t), u)
	atLeast := func(what string, got share, want float64) {
		t.Helper()
		if got.percent() < want {
			t.Errorf("%s: %v, want at least %.0f %%", what, got, want)
		}
	}
	for language, want := range map[string]float64{text.French: 92, text.English: 90, text.Arabic: 88} {
		atLeast("topics in "+language, r.topics(language), want)
	}
	atLeast("intents", r.intents(""), 88)
	if _, f1 := r.scores(); f1 < 0.85 {
		t.Errorf("macro-F1 of intents: %.3f, want at least 0.85", f1)
	}
	recall, falsely := r.refused()
	atLeast("what is off topic is refused", recall, 75)
	if falsely.percent() > 5 {
		t.Errorf("falsely refused: %v, want at most 5 %%", falsely)
	}
	atLeast("negation pairs", r.negations(), 95)
	respected, _ := r.respected()
	atLeast("type and price respected", respected, 95)
	if p99 := r.quantile(0.99); !raceEnabled && p99 > time.Millisecond {
		t.Errorf("99 %% of answers take up to %v, want 1 ms", p99)
	}
	for _, s := range r.untraced {
		t.Errorf("neither catalogue nor FAQ say so: %s", s)
	}
	if len(r.single) < 600 || len(r.offTopic) < 100 || len(r.pairs) < 50 {
		t.Errorf("the set is too small: %d, %d off topic, %d pairs", len(r.single), len(r.offTopic), len(r.pairs))
	}
}

// What was learned from the messages of others stays learned.
func TestOthers(t *testing.T) {
	u, err := readSet("../testdata/others")
	if err != nil {
		t.Fatal(err)
	}
	r := measure(openTestShop(t), u)
	const least, fewest = 97, 400
	for what, got := range map[string]share{
		"negation pairs": r.negations(), "slots of requests": slotsRight(r.requests), "slots in dialogues": slotsRight(slices.Concat(r.dialogues...)),
	} {
		if got.percent() < least || got.whole < fewest {
			t.Errorf("%s: %v, want at least %d %% of %d", what, got, least, fewest)
		}
	}
}

// Nothing that it is measured by is learned from.
func TestHeldOutIsHeldOut(t *testing.T) {
	u, err := readSet(held)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("../../intent/data/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	learned := map[string]bool{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			learned[text.Fold(strings.TrimSpace(line))] = true
		}
	}
	const common = 3 // words: "merci beaucoup" can't be said otherwise
	for _, x := range slices.Concat(u.single, u.offTopic, u.requests) {
		if len(text.Tokens(x.text)) > common && learned[text.Fold(x.text)] {
			t.Errorf("%q is in the training files as well", x.text)
		}
	}
}

// A report tells what is wrong with a set that it is given.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"intents.txt":       "# comment\nrecommend | products | search | x\ndelivery | information | - | x\noff_topic | other | unsure | x\n",
		"utterances-fr.txt": "fr | products | recommend | - | un shampooing pour cheveux secs\nfr | sav | recommend | - | la livraison coûte combien ?\n",
		"requests.txt":      "fr | products | recommend | type=soap;max=5 | un savon à moins de 6 euros\n",
		"negation.txt": "fr | products | recommend | type=soap;with=honey | un savon au miel\n" +
			"fr | products | recommend | type=soap;without=honey | un savon sans miel\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u, err := readSet(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := measure(openTestShop(t), u)
	var b strings.Builder
	r.print(&b)
	for _, want := range []string{
		"topics, fr               50.0 %  (1 of 2)", "negation pairs          100.0 %  (1 of 1)", "no max=5", "max=6",
		"delivery, not recommend: la livraison coûte combien ?",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
	if _, err := readSet(t.TempDir()); err == nil {
		t.Error("an empty directory is a set")
	}
}

// A line that is not understood would be left out of what is measured.
func TestASetThatIsWrongIsToldWhere(t *testing.T) {
	for line, want := range map[string]string{
		"fr | products | recommend | un savon": `offtopic.txt:2: not "language`,
		"xx | other | off_topic | - | hm":      `offtopic.txt:2: "xx" is none of fr, en, ar`,
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{"intents.txt": "off_topic | other | - | nothing\n", "offtopic.txt": "# a set\n" + line + "\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := readSet(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
