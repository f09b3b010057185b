package text

import (
	"cmp"
	"slices"
	"sync"
)

const (
	// otherLanguage is the weight of what a word means in another language than the question's.
	otherLanguage = 0.6
	// corrected is the weight of a word that was found by forgiving a typo.
	corrected = 0.8
	// maxQueryWords bounds the different words of a question that are looked up; the rest only makes it longer.
	maxQueryWords = 64
)

// Index ranks documents by BM25F (S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009,
// section 3.6). Each language has its own terms and lengths; concepts are common to all, so that a question finds what was
// written in another language. It is immutable and may be used concurrently.
type Index struct {
	lex      *lexicon
	docs     int
	terms    [nLanguages]map[string]int32 // a concept has the same number in each
	postings [][]posting
	idf      []float64
	words    map[string]word // by folding
	speller  *speller
}

// posting is what a term adds to a document's score.
type posting struct {
	doc    int32
	impact float32
}

// word is how a known word is written, and its stems in the languages in which documents use it.
type word struct {
	surface string
	stems   [nLanguages]string
}

// Hit is a document that answers a question.
type Hit struct {
	Doc      int
	Score    float64
	Coverage float64 // the share of the question that the document answers, words weighed by what they say: 0 to 1
	Topics   int     // how many concepts of the question it holds that say what it is about
}

// Search returns the best documents for the words of a question, best first, at most limit. The language is the one that the question
// is likely in ("" is unknown); words of the others are found as well and count less.
func (ix *Index) Search(query []Token, language string, limit int) []Hit {
	hits, _ := ix.search(query, language, limit)
	return hits
}

// search also returns the number of postings that it read.
func (ix *Index) search(query []Token, language string, limit int) (hits []Hit, read int) {
	groups := ix.resolve(query, language)
	if len(groups) == 0 || limit <= 0 || ix.docs == 0 {
		return nil, 0
	}
	s := ix.tallies()
	defer scratches.Put(s)
	asked := 0.0
	for _, g := range groups {
		asked += g.mass
		for _, m := range g.meanings {
			for _, p := range ix.postings[m.term] {
				read++
				t := &s.tallies[p.doc]
				gain := p.impact*m.weight - t.best
				if gain <= 0 {
					continue
				}
				if t.best == 0 {
					t.covered += float32(g.mass)
					if m.topic {
						t.topics++
					}
				}
				t.best += gain
				t.score += gain
			}
		}
		for _, m := range g.meanings {
			for _, p := range ix.postings[m.term] {
				s.tallies[p.doc].best = 0
			}
		}
	}
	s.hits = s.hits[:0]
	for doc, t := range s.tallies {
		if t.score > 0 {
			s.hits = append(s.hits, Hit{doc, float64(t.score), float64(t.covered) / asked, int(t.topics)})
		}
	}
	slices.SortFunc(s.hits, func(x, y Hit) int { return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.Doc, y.Doc)) })
	return slices.Clone(s.hits[:min(limit, len(s.hits))]), read
}

// tally is what a search knows of a document.
type tally struct {
	score, covered float32
	best           float32 // of the meanings of the group
	topics         int32
}

// scratch is what a search needs while it runs.
type scratch struct {
	tallies []tally
	hits    []Hit
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// tallies returns a scratch with a tally for each document.
func (ix *Index) tallies() *scratch {
	s := scratches.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	if cap(s.tallies) < ix.docs {
		s.tallies = make([]tally, ix.docs)
	}
	s.tallies = s.tallies[:ix.docs]
	clear(s.tallies)
	return s
}

// group is one word or phrase of a question and what it may mean; a document scores by the best of its meanings.
type group struct {
	at       int
	phrase   bool
	mass     float64 // how much it says
	meanings []meaning
}

type meaning struct {
	term   int32
	weight float32
	topic  bool // a concept that says what a question is about
}

// resolve reads a question: its words, corrected where nothing knows them, and their meanings in each language.
func (ix *Index) resolve(query []Token, language string) []group {
	words, weights := ix.correct(distinct(query))
	if len(words) == 0 {
		return nil
	}
	asked := languageIndex(language)
	var said [nLanguages][]term
	taken := make([]bool, len(words)) // by a phrase of some language that stands for its concept alone
	for lang := range nLanguages {
		terms(words, lang, func(t term) {
			said[lang] = append(said[lang], t)
			for i := t.at; t.words > 1 && t.alone && i < t.at+t.words; i++ {
				taken[i] = true
			}
		})
	}
	var groups []group
	for lang := range nLanguages {
		languageWeight := float32(otherLanguage)
		if lang == asked || asked < 0 {
			languageWeight = 1
		}
		for _, t := range said[lang] {
			if t.words == 1 && taken[t.at] {
				continue
			}
			g := findGroup(&groups, t)
			n, ok := ix.terms[lang][t.text]
			if !ok {
				continue
			}
			g.mass = max(g.mass, ix.idf[n])
			m := meaning{term: n, weight: weights[t.at]}
			if isConcept(t.text) {
				m.topic = !ix.lex.details[t.text]
			} else {
				m.weight *= languageWeight
			}
			g.meanings = append(g.meanings, m)
		}
	}
	for i := range groups {
		if len(groups[i].meanings) == 0 {
			groups[i].mass = inverseFrequency(ix.docs, 1) // it says as much as a word of one document
		}
	}
	return groups
}

func findGroup(groups *[]group, t term) *group {
	for i := range *groups {
		if g := &(*groups)[i]; g.at == t.at && g.phrase == (t.words > 1) {
			return g
		}
	}
	*groups = append(*groups, group{at: t.at, phrase: t.words > 1})
	return &(*groups)[len(*groups)-1]
}

// distinct drops repeated words: they would only count again.
func distinct(tokens []Token) []Token {
	out := make([]Token, 0, min(len(tokens), maxQueryWords))
	for _, t := range tokens {
		if len(out) == maxQueryWords {
			break
		}
		if !slices.ContainsFunc(out, func(o Token) bool { return o.Folded == t.Folded }) {
			out = append(out, t)
		}
	}
	return out
}

// correct reads words, known ones in the place of those that no language knows, and returns the weight of each.
func (ix *Index) correct(tokens []Token) ([]*entry, []float32) {
	words, weights := make([]*entry, len(tokens)), make([]float32, len(tokens))
	for i, t := range tokens {
		weights[i] = 1
		word, known := ix.read(t)
		if words[i] = word; known {
			continue
		}
		if isArabic(t.Folded) {
			if rest, ok := withoutParticle(t.Folded); ok {
				if bare, known := ix.read(Token{Surface: rest, Folded: rest}); known {
					words[i] = bare
					continue
				}
			}
		}
		if known := ix.speller.correct(t.Folded); known != "" {
			words[i], _ = ix.read(Token{Surface: ix.words[known].surface, Folded: known})
			weights[i] = corrected
		}
	}
	return words, weights
}

// read returns what is said of a word, with the stems that the documents have of it, and whether it or one of its stems is in the
// index or the synonyms, or needs no meaning.
func (ix *Index) read(t Token) (e *entry, known bool) {
	e = ix.lex.entry(t)
	w, known := ix.words[t.Folded]
	known = known || e.stop
	for lang := range nLanguages {
		if !known {
			_, known = ix.terms[lang][e.stems[lang]]
			known = known || longest([]*entry{e}, lang) != nil
		}
		e = ix.lex.withStem(e, lang, w.stems[lang])
	}
	return e, known
}

func isConcept(term string) bool { return term[:1] == conceptMark }
