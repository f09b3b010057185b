package pattern

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	p, err := Parse("(a|b (c|)) d <l>")
	if err != nil {
		t.Fatal(err)
	}
	two, err := Parse("(x|y)")
	if err != nil {
		t.Fatal(err)
	}
	if err := (Lists{{"l", "fr"}: {two}}).Fill(&p, "fr"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 200 {
		seen[p.Pick(random)] = true
	}
	for _, want := range []string{"a d x", "a d y", "b c d x", "b c d y", "b d x", "b d y"} {
		if !seen[want] {
			t.Errorf("%q is never picked", want)
		}
	}
	if len(seen) != 6 || p.Size(100) != 6 {
		t.Errorf("%d texts are picked of %d", len(seen), p.Size(100))
	}
	all := texts(p)
	if want := slices.Sorted(maps.Keys(seen)); !slices.Equal(slices.Sorted(slices.Values(all)), want) {
		t.Errorf("folded to %q, want %q", all, want)
	}
}

// texts returns all that a pattern stands for.
func texts(p Pattern) []string {
	all := Fold(p, []string{""}, func(starts []string, end string) []string {
		longer := make([]string, len(starts))
		for i, s := range starts {
			longer[i] = s + end
		}
		return longer
	}, func(a, b []string) []string { return slices.Concat(a, b) })
	for i, s := range all {
		all[i] = strings.Join(strings.Fields(s), " ")
	}
	return all
}

func TestLines(t *testing.T) {
	got := slices.Collect(Lines("early\n# none\n\n[a b]\n  one \n[c]"))
	want := []Line{{1, "", "early"}, {4, "a b", ""}, {5, "a b", "one"}, {6, "c", ""}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"a", "(a|b)", "((a|)|b) c", "<type> x", "(", ")", "|", "<", "a(b", "()", "(|)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := Parse(s); err == nil {
			p.Pick(rand.New(rand.NewPCG(1, 1)))
			if n := p.Size(100); n < 100 && len(texts(p)) != n {
				t.Errorf("%d texts of %d", len(texts(p)), n)
			}
		}
	})
}
