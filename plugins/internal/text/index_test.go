package text

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// index makes an index of documents with a name (weight 3) and a text (weight 1) in a language.
func index(language string, docs ...[2]string) *Index {
	b := NewBuilder(3, 1)
	for i, d := range docs {
		b.Add(i, 0, language, d[0])
		b.Add(i, 1, language, d[1])
	}
	return b.Build()
}

func found(hits []Hit) (docs []int) {
	for _, h := range hits {
		docs = append(docs, h.Doc)
	}
	return docs
}

func TestSearchRanks(t *testing.T) {
	docs := [][2]string{
		{"Tournevis plat", "un outil pour visser, avec un marteau"},
		{"Marteau lourd", "un outil pour enfoncer des clous"},
		{"Échelle", "on monte dessus"},
		{"Échelle pliante", "une échelle " + strings.Repeat("très solide et légère ", 40)},
		{"Boîte", "clous et vis"},
	}
	ix := index(French, docs...)
	for _, c := range []struct {
		name, query string
		want        []int
	}{
		{"a name weighs more than a text", "marteau", []int{1, 0}},
		{"a short field weighs more than a long one", "échelle", []int{2, 3}},
		{"both words are better than one", "boîte de clous", []int{4, 1}},
		{"accents are optional", "echelle", []int{2, 3}},
		{"a typo is forgiven", "martaeu", []int{1, 0}},
		{"a typo in the first letter too", "nartaeu", nil}, // these are two
		{"nartau", "nartau", nil},
		{"first letter", "narteau", []int{1, 0}},
		{"a missing letter", "tournvis", []int{0}},
		{"a letter too many", "tourneviss", []int{0}},
		{"short words are not corrected", "cis", nil},
		{"numbers are not corrected", "12345", nil},
		{"what nobody knows finds nothing", "xylophone", nil},
		{"stop words alone find nothing", "le la de un", nil},
		{"nothing finds nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := found(ix.Search(Tokens(c.query), French, 10)); !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
	for limit, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2, 10: 2} {
		if got := ix.Search(Tokens("marteau"), French, limit); len(got) != want {
			t.Errorf("limit %d: %d hits, want %d", limit, len(got), want)
		}
	}
}

// The figures of a small example, worked out by hand from the formula.
func TestScoreIsBM25F(t *testing.T) {
	ix := index(French, [2]string{"marteau", "outil"}, [2]string{"scie", "outil"}, [2]string{"lime", "marteau"})
	hits := ix.Search(Tokens("marteau"), French, 5)
	idf := math.Log(1 + (3-2+0.5)/(2+0.5))
	want := []float64{idf * 2.2 * 3 / (1.2 + 3), idf * 2.2 * 1 / (1.2 + 1)}
	for i, h := range hits {
		if math.Abs(h.Score-want[i]) > 1e-5 || math.Abs(h.Coverage-1) > 1e-5 {
			t.Errorf("hit %d: score %v, coverage %v, want %v and 1", i, h.Score, h.Coverage, want[i])
		}
	}
	if len(hits) != 2 {
		t.Errorf("%d hits, want 2", len(hits))
	}
}

// A concept is found from any language in any other, once.
func TestSearchAcrossLanguages(t *testing.T) {
	b := NewBuilder(1)
	b.Add(0, 0, French, "Savon doux")
	b.Add(0, 0, English, "Gentle soap")
	b.Add(0, 0, Arabic, "صابون لطيف")
	b.Add(1, 0, Arabic, "شامبو")
	b.Add(2, 0, "", "Kessa 3000")
	b.Add(3, 0, English, "Gentle shampoo, no sulphates")
	ix := b.Build()
	for query, want := range map[string][]int{
		"savon": {0}, "soap": {0}, "صابون": {0}, "بصابون": {0}, "shampooing": {1, 3}, "شامبو": {1, 3},
		"kessa": {2}, "3000": {2}, "gentle": {0, 3},
	} {
		for _, language := range []string{French, English, Arabic, "", "xx"} {
			if got := found(ix.Search(Tokens(query), language, 5)); !slices.Equal(got, want) && !slices.Equal(got, reversed(want)) {
				t.Errorf("%q in %q found %v, want %v", query, language, got, want)
			}
		}
	}
	one := ix.Search(Tokens("savon soap صابون"), French, 1)[0].Score
	if alone := ix.Search(Tokens("savon"), French, 1)[0].Score; one > 3*alone+1e-6 {
		t.Errorf("a word in three languages scores %v, one scores %v", one, alone)
	}
}

func reversed(s []int) []int { s = slices.Clone(s); slices.Reverse(s); return s }

func TestCoverageAndTopics(t *testing.T) {
	ix := index(French, [2]string{"La livraison en France", "trois jours"}, [2]string{"Le paiement", "par carte"},
		[2]string{"Divers", "rien"})
	for query, want := range map[string]struct {
		enough bool
		topics int
	}{
		"livraison":              {true, 1},
		"la livraison en France": {true, 1},
		"capitale de la France":  {false, 0},
		"livraison Zanzibar zoo": {false, 1},
		"paiement par PayPal":    {true, 2},
		"trois jours":            {true, 0},
	} {
		hits := ix.Search(Tokens(query), French, 1)
		if len(hits) == 0 {
			t.Errorf("%q finds nothing", query)
			continue
		}
		if got := hits[0]; got.Coverage > 0.51 != want.enough || got.Topics != want.topics || got.Coverage > 1.0001 {
			t.Errorf("%q: %+v, want %+v", query, got, want)
		}
	}
}

// Two builds of the same documents rank alike, although maps have no order.
func TestBuildIsDeterministic(t *testing.T) {
	var docs [][2]string
	for i := range 40 {
		docs = append(docs, [2]string{fmt.Sprintf("Savon numéro%d doux", i), "un savon, une huile et une crème pour la peau"})
	}
	want := index(French, docs...).Search(Tokens("savon doux huile peau"), French, 40)
	for range 5 {
		if got := index(French, docs...).Search(Tokens("savon doux huile peau"), French, 40); !slices.Equal(got, want) {
			t.Fatal("another order or other scores")
		}
	}
}

// The work for a question has a bound that doesn't depend on the question.
func TestSearchIsBounded(t *testing.T) {
	const docs = 200
	b := NewBuilder(1)
	for i := range docs {
		b.Add(i, 0, "", strings.Repeat(fmt.Sprintf("savon huile mot%d ", i), 20))
	}
	ix := b.Build()
	words := make([]string, MaxRunes)
	for i := range words {
		words[i] = fmt.Sprintf("mot%d", i%docs)
	}
	for name, query := range map[string]string{
		"one word again and again": strings.Repeat("savon ", 2_000_000),
		"many words":               strings.Join(words, " "),
		"no words":                 strings.Repeat("<", 9<<20),
		"one long word":            strings.Repeat("savon", 2_000_000),
		"typos":                    strings.Repeat("savom huilt ", 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			if _, read := ix.search(Tokens(query), French, 10); read > maxQueryWords*nLanguages*docs {
				t.Errorf("read %d postings", read)
			}
		})
	}
	_, once := ix.search(Tokens("savon"), French, 10)
	if _, often := ix.search(Tokens(strings.Repeat("savon ", 800)), French, 10); often != once {
		t.Errorf("a repeated word read %d postings, once %d", often, once)
	}
}

func TestSearchConcurrently(t *testing.T) {
	ix := index(French, [2]string{"Marteau", "outil"}, [2]string{"Scie", "outil"})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 50 {
				if got := found(ix.Search(Tokens("marteua"), French, 2)); !slices.Equal(got, []int{0}) {
					t.Errorf("found %v", got)
				}
			}
		})
	}
	wait.Wait()
}

func TestEmptyIndex(t *testing.T) {
	if hits := NewBuilder(1).Build().Search(Tokens("savon"), French, 5); hits != nil {
		t.Errorf("%v", hits)
	}
}

// Any one edit of a known word finds a known word that is one edit away; two edits of a word without neighbours find none.
func TestSpellerFindsEveryEdit(t *testing.T) {
	words := []string{"livraison", "shampooing", "cheveux", "remboursement", "التوصيل", "تساقط", "creme"}
	s := newSpeller(words)
	rapid.Check(t, func(t *rapid.T) {
		word := []rune(rapid.SampledFrom(words).Draw(t, "word"))
		at := rapid.IntRange(0, len(word)-1).Draw(t, "at")
		letter := rapid.RuneFrom([]rune("abcdezéابت")).Draw(t, "letter")
		edited := slices.Clone(word)
		switch rapid.IntRange(0, 3).Draw(t, "edit") {
		case 0:
			edited = slices.Delete(edited, at, at+1)
		case 1:
			edited = slices.Insert(edited, at, letter)
		case 2:
			edited[at] = letter
		default:
			other := min(at+1, len(word)-1)
			edited[at], edited[other] = edited[other], edited[at]
		}
		got := s.correct(string(edited))
		if len(edited) >= minTypoRunes && got != string(word) {
			t.Fatalf("correct(%q) = %q, want %q", string(edited), got, string(word))
		}
	})
	for _, far := range []string{"livrson", "champooin", "remborsemnt", "", "abc", "xxxxxxxx", "\xff\xff\xff\xff\xff"} {
		if got := s.correct(far); got != "" {
			t.Errorf("correct(%q) = %q, want none", far, got)
		}
	}
}

func TestOneEdit(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"abc", "abc", true},
		{"abc", "ab", true},
		{"abc", "abcd", true},
		{"abc", "axc", true},
		{"abc", "acb", true},
		{"abc", "bac", true},
		{"abc", "cba", false},
		{"abc", "a", false},
		{"abcd", "badc", false},
		{"abc", "xyz", false},
		{"", "a", true},
		{"", "ab", false},
		{"شعر", "شعري", true},
		{"été", "ete", false},
	} {
		if got := oneEdit(c.a, c.b); got != c.want || oneEdit(c.b, c.a) != c.want {
			t.Errorf("oneEdit(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func FuzzSearch(f *testing.F) {
	ix := index("", [2]string{"Savon doux à l'huile", "pour la peau"}, [2]string{"Shampoo", "for dry hair"},
		[2]string{"بلسم", "للشعر الجاف"})
	for _, s := range []string{
		"savon", "sha3ri", "بلسم الشفاه", "dont", "huilee peau", "\xff", "sans sulfates sans", "cheveux",
		strings.Repeat("a ", 300),
	} {
		f.Add(s, "fr")
	}
	f.Fuzz(func(t *testing.T, query, language string) {
		for _, h := range ix.Search(Tokens(query), language, 3) {
			if h.Doc < 0 || h.Doc > 2 || !(h.Score > 0) || h.Coverage < 0 || h.Coverage > 1.001 {
				t.Errorf("%q: %+v", query, h)
			}
		}
		if utf8.ValidString(query) && len(ix.Search(Tokens(query), language, 0)) != 0 {
			t.Errorf("%q: hits past the limit", query)
		}
	})
}
