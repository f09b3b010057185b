package intent

import (
	"math"
	"sync"
	"unicode/utf8"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// rowBits is how many bits of a feature's hash choose its row of weights: features that share a row are rare enough.
const rowBits = 16

// How much each kind of feature weighs beside the others; chosen by cross-validation.
const (
	wordWeight    = 1
	pairWeight    = 0.7
	gramWeight    = 0.45
	conceptWeight = 1.5
)

// Lengths of the n-grams of a word's characters, with a mark at each of its ends.
const (
	shortestGram = 3
	longestGram  = 5
	edge         = '\x01'
)

// feature is one dimension of a text and its weight.
type feature struct {
	row    uint32
	weight float32
}

// reader reads features. It is for one goroutine.
type reader struct {
	list   []feature
	seen   []uint64 // a bit for each row
	word   []byte
	scores []float32 // of the classes
}

func newReader() *reader { return &reader{seen: make([]uint64, 1<<rowBits/64)} }

// readers are few: each serves one text while it is read.
var readers = sync.Pool{New: func() any { return newReader() }}

// read returns the features of the words of a text: they themselves, stemmed in their language, pairs of neighbours, the n-grams of their
// characters, which outlive typos, and the concepts of the shop's synonyms, which are the same in all languages. The list is good
// until the next call.
func (r *reader) read(tokens []text.Token, language string) []feature {
	r.list = r.list[:0]
	clear(r.seen)
	pairs := hash(start, "pair")
	words := hash(start, "word")
	before := uint64(0)
	for _, t := range tokens {
		if surface, folded := squeeze(t.Surface), squeeze(t.Folded); surface != t.Surface || folded != t.Folded {
			t = text.Token{Surface: surface, Folded: folded}
		}
		stem := hash(words, text.StemOf(t, language))
		r.add(stem, wordWeight)
		r.add(mix(pairs^before*3^stem), pairWeight)
		before = stem
		r.grams(t.Folded)
	}
	r.add(mix(pairs^before*3), pairWeight)
	concepts := hash(start, "concept")
	for _, c := range text.ConceptsOf(tokens) {
		r.add(hash(concepts, c), conceptWeight)
	}
	return r.list
}

func (r *reader) add(hash uint64, weight float32) {
	row := uint32(hash >> (64 - rowBits))
	if word, bit := &r.seen[row/64], uint64(1)<<(row%64); *word&bit == 0 {
		*word |= bit
		r.list = append(r.list, feature{row, weight})
	}
}

// grams adds the n-grams of a word's characters.
//
//go:norace
func (r *reader) grams(word string) {
	r.word = append(append(append(r.word[:0], edge), word...), edge)
	w := r.word
	for from := 0; from < len(w); {
		h, at := start, from
		for n := 1; n <= longestGram && at < len(w); n++ {
			_, size := utf8.DecodeRune(w[at:])
			for _, b := range w[at : at+size] {
				h = (h ^ uint64(b)) * prime
			}
			if at += size; n == 1 {
				from = at
			}
			if n >= shortestGram {
				r.add(mix(h), gramWeight)
			}
		}
		if at == from {
			break
		}
	}
}

// squeeze takes letters that repeat more than twice for one: "merciiii" is "merci".
func squeeze(word string) string {
	var before rune
	run, long := 0, false
	for _, r := range word {
		if r != before {
			before, run = r, 0
		}
		run++
		long = long || run > 2
	}
	if !long {
		return word
	}
	runes := []rune(word)
	out := runes[:0]
	for i := 0; i < len(runes); {
		n := i + 1
		for n < len(runes) && runes[n] == runes[i] {
			n++
		}
		if out = append(out, runes[i]); n-i == 2 {
			out = append(out, runes[i])
		}
		i = n
	}
	return string(out)
}

// weigh scales features by what they say and to the length one, in place.
func (c *Classifier) weigh(list []feature) []feature {
	norm := 0.0
	for i := range list {
		list[i].weight *= c.rarity[list[i].row]
		norm += float64(list[i].weight * list[i].weight)
	}
	if norm > 0 {
		scale := float32(1 / math.Sqrt(norm))
		for i := range list {
			list[i].weight *= scale
		}
	}
	return list
}

// Hashes are FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo), 64 bits, mixed so that the high bits depend on all of it.
const (
	start = uint64(14695981039346656037)
	prime = 1099511628211
)

func hash(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime
	}
	return mix(h)
}

// mix is the finaliser of MurmurHash3 (A. Appleby).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return h
}
