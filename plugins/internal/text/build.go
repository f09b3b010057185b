package text

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Parameters of BM25F.
const (
	saturation    = 1.2 // k1: how soon a repeated word adds nothing
	lengthPenalty = 0.5 // b: how much a long field counts less
)

// Builder collects documents for an Index. It is for one goroutine.
type Builder struct {
	lex     *lexicon
	weights []float64
	docs    int
	words   map[string]*wordCount
	fields  map[fieldKey][]string // terms
}

type fieldKey struct{ lang, doc, field int }

type wordCount struct {
	word
	count int
}

// NewBuilder starts an index whose documents have fields of these weights.
func NewBuilder(weights ...float64) *Builder {
	return &Builder{lex: shopLexicon(), weights: weights, words: map[string]*wordCount{}, fields: map[fieldKey][]string{}}
}

// Add adds text in a language to a field of a document; "" is text in no known language, which is read as each of them. Documents
// are numbered from 0. Text beyond MaxRunes is not searched.
func (b *Builder) Add(doc, field int, language, s string) {
	tokens := Tokens(s)
	b.docs = max(b.docs, doc+1)
	for _, t := range tokens {
		b.known(t).count++
	}
	said, words := b.lex.entries(nil, tokens), make([]*entry, len(tokens))
	only := languageIndex(language)
	for lang := range nLanguages {
		if only >= 0 && only != lang {
			continue
		}
		key := fieldKey{lang, doc, field}
		for i, t := range tokens {
			words[i] = b.lex.withStem(said[i], lang, b.stem(t, said[i], lang))
		}
		terms(words, lang, func(t term) {
			b.fields[key] = append(b.fields[key], t.text)
		})
	}
}

// known is what the builder knows of a word; it learns new ones.
func (b *Builder) known(t Token) *wordCount {
	w := b.words[t.Folded]
	if w == nil {
		w = &wordCount{word: word{surface: t.Surface}}
		b.words[t.Folded] = w
	}
	return w
}

// stem is the stem of a word in a language: that of the way it was written first.
func (b *Builder) stem(t Token, e *entry, lang int) string {
	w := b.known(t)
	if w.stems[lang] == "" {
		w.stems[lang] = e.stems[lang]
	}
	return w.stems[lang]
}

// Build makes the index.
func (b *Builder) Build() *Index {
	ix := &Index{lex: b.lex, docs: b.docs, words: map[string]word{}}
	ix.speller = newSpeller(b.learn(ix.words))
	numbers := map[string]int32{} // of concepts
	for lang := range ix.terms {
		ix.terms[lang] = map[string]int32{}
		for term, weights := range b.pseudoFrequencies(lang) {
			in := ix.terms[lang]
			if isConcept(term) {
				in = numbers
			}
			n, ok := in[term]
			if !ok {
				n = int32(len(ix.postings))
				in[term] = n
				ix.postings = append(ix.postings, nil)
			}
			for doc, w := range weights {
				ix.postings[n] = append(ix.postings[n], posting{int32(doc), float32(w / (saturation + w))})
			}
		}
	}
	for lang := range ix.terms {
		maps.Copy(ix.terms[lang], numbers)
	}
	ix.weigh()
	return ix
}

// learn fills the words of the documents and of the synonyms, and returns them for the speller, the most frequent first.
func (b *Builder) learn(words map[string]word) []string {
	for folded, surface := range b.lex.surface {
		b.known(Token{Surface: surface, Folded: folded})
	}
	for folded := range b.lex.stop {
		b.known(Token{Surface: folded, Folded: folded})
	}
	known := slices.SortedFunc(maps.Keys(b.words), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.words[y].count, b.words[x].count), cmp.Compare(x, y))
	})
	for _, folded := range known {
		words[folded] = b.words[folded].word
	}
	return known
}

// pseudoFrequencies returns, for each term in a language, each document's frequencies over the lengths of its fields, weighted
// and summed before saturation, which is what sets BM25F apart from a sum of BM25 scores.
func (b *Builder) pseudoFrequencies(lang int) map[string]map[int]float64 {
	total, count := make([]float64, len(b.weights)), make([]float64, len(b.weights))
	for key, terms := range b.fields {
		if key.lang == lang {
			total[key.field] += float64(len(terms))
			count[key.field]++
		}
	}
	out := map[string]map[int]float64{}
	// In a fixed order: sums of floats, and so ties, would differ from one run to the next.
	keys := slices.SortedFunc(maps.Keys(b.fields), func(x, y fieldKey) int {
		return cmp.Or(cmp.Compare(x.doc, y.doc), cmp.Compare(x.field, y.field))
	})
	for _, key := range keys {
		if key.lang != lang {
			continue
		}
		terms := b.fields[key]
		length := 1 - lengthPenalty + lengthPenalty*float64(len(terms))*count[key.field]/total[key.field]
		for _, term := range terms {
			if out[term] == nil {
				out[term] = map[int]float64{}
			}
			out[term][key.doc] += b.weights[key.field] / length
		}
	}
	return out
}

// weigh leaves one posting for a document and a term, the best of its languages, and multiplies it by the term's idf.
func (ix *Index) weigh() {
	ix.idf = make([]float64, len(ix.postings))
	for n, list := range ix.postings {
		slices.SortFunc(list, func(x, y posting) int {
			return cmp.Or(cmp.Compare(x.doc, y.doc), cmp.Compare(y.impact, x.impact))
		})
		list = slices.CompactFunc(list, func(x, y posting) bool { return x.doc == y.doc })
		ix.idf[n] = inverseFrequency(ix.docs, len(list))
		for i := range list {
			list[i].impact *= float32(ix.idf[n] * (saturation + 1))
		}
		ix.postings[n] = list
	}
}

// inverseFrequency is how much a term says that occurs in n of the documents; it is positive.
func inverseFrequency(docs, n int) float64 {
	return math.Log(1 + (float64(docs-n)+0.5)/(float64(n)+0.5))
}
