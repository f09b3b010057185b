package text

import (
	"cmp"
	"hash/maphash"
	"slices"
	"unicode/utf8"
)

// minTypoRunes is the shortest word that is corrected: shorter ones are too close to each other.
const minTypoRunes = 5

// speller finds known words one edit away (an insertion, a deletion, a substitution or two neighbours swapped). Words one edit
// apart share a word or a deletion of one letter, so it looks up the deletions of the asked word among those of the known
// words (M. Mor and A. Fraenkel, "A Hash Code Method for Detecting and Correcting Spelling Errors", 1982; W. Garbe's SymSpell)
// and checks what it finds. The cost is a few binary searches for each letter, whatever the size of the vocabulary.
type speller struct {
	seed  maphash.Seed
	words []string
	keys  []spellKey // sorted by hash
}

type spellKey struct {
	hash uint64
	word int32
}

// newSpeller takes folded words, most frequent first: of several candidates the first is chosen.
func newSpeller(words []string) *speller {
	s := &speller{seed: maphash.MakeSeed(), words: words}
	for i, w := range words {
		if utf8.RuneCountInString(w) < minTypoRunes {
			continue
		}
		s.deletions(w, func(hash uint64) { s.keys = append(s.keys, spellKey{hash, int32(i)}) })
	}
	slices.SortFunc(s.keys, func(a, b spellKey) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.word, b.word)) })
	s.keys = slices.CompactFunc(s.keys, func(a, b spellKey) bool { return a == b })
	return s
}

// deletions yields the hash of a word and of each word that misses one of its letters.
func (s *speller) deletions(word string, yield func(uint64)) {
	yield(maphash.String(s.seed, word))
	buf := make([]byte, 0, len(word))
	for i, r := range word {
		buf = append(buf[:0], word[:i]...)
		buf = append(buf, word[i+utf8.RuneLen(r):]...)
		yield(maphash.Bytes(s.seed, buf))
	}
}

// correct returns the known word one edit away from a folded word, or "".
func (s *speller) correct(word string) string {
	if utf8.RuneCountInString(word) < minTypoRunes || !utf8.ValidString(word) || word[0] >= '0' && word[0] <= '9' {
		return ""
	}
	best := int32(-1)
	s.deletions(word, func(hash uint64) {
		at, _ := slices.BinarySearchFunc(s.keys, hash, func(k spellKey, h uint64) int { return cmp.Compare(k.hash, h) })
		for ; at < len(s.keys) && s.keys[at].hash == hash; at++ {
			if w := s.keys[at].word; (best < 0 || w < best) && oneEdit(word, s.words[w]) {
				best = w
			}
		}
	})
	if best < 0 {
		return ""
	}
	return s.words[best]
}

// oneEdit reports whether two words are at most one edit apart.
func oneEdit(a, b string) bool {
	x, y := []rune(a), []rune(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(y)-len(x) > 1 {
		return false
	}
	for len(x) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	return len(y) <= 1 || len(x) == 2 && len(y) == 2 && x[0] == y[1] && x[1] == y[0]
}
