package grounding

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/innatural/chatbot/plugins/chat/internal/responder"
)

// Guard reads an answer as it comes and lets through what catalogue and evidence bear out. What could begin a claim waits for the
// end of its sentence; words before it go on at once, so that a customer does not wait for the guard. It is for one answer.
//
// It compares what can be compared: amounts, sizes, shares, spans of time, what is said to be free or guaranteed, names of products
// as far as they are written like names, addresses, numbers, codes, and the rules of the prompt. It does not understand a text.
type Guard struct {
	Sentences bool // lets nothing through before the end of its sentence, for who does not wait for words

	known    *known
	pending  string           // not let through yet
	sentence string           // let through, of the sentence that pending goes on with
	last     [sequence]string // the last words let through
	waits    bool             // for the end of the sentence
}

// maxSentence bounds what waits: a longer text is taken for a sentence.
const maxSentence = 2000

// NewGuard returns a guard of an answer to a message.
func (s *Shop) NewGuard(e responder.Evidence, message string) *Guard {
	return &Guard{known: s.knows(e, message)}
}

// Write takes a piece of the answer and returns what may be sent of it and of what waited, and what is wrong with it, or "".
func (g *Guard) Write(piece string) (out string, wrong Kind) {
	g.pending += piece
	for {
		end := sentenceEnd(g.pending)
		if end < 0 && len(g.pending) > maxSentence {
			end = len(g.pending)
		}
		if end < 0 {
			break
		}
		text, kind := g.take(end, true)
		out += text
		if kind != "" {
			return out, kind
		}
	}
	if g.waits || g.Sentences {
		return out, ""
	}
	text, kind := g.take(g.harmless(), false)
	return out + text, kind
}

// Close returns the rest of the answer, and what is wrong with it.
func (g *Guard) Close() (out string, wrong Kind) { return g.take(len(g.pending), true) }

// take lets the first n bytes through that wait, which may be the end of a sentence.
func (g *Guard) take(n int, whole bool) (out string, wrong Kind) {
	out = g.pending[:n]
	g.pending = g.pending[n:]
	begins := strings.TrimSpace(g.sentence) == ""
	g.sentence += out
	if wrong = g.leaks(out); wrong == "" && whole && (g.waits || g.claims(out, begins)) {
		wrong = g.known.check(g.sentence)
	}
	if whole {
		g.sentence, g.waits = "", false
	}
	return out, wrong
}

// claims reports whether a claim may begin in a text, with which a sentence begins or goes on.
func (g *Guard) claims(s string, begins bool) bool {
	for w := range strings.FieldsSeq(s) {
		if g.risky(w, begins) {
			return true
		}
		begins = false
	}
	return false
}

// leaks reports whether what was let through last recites the rules.
func (g *Guard) leaks(out string) Kind {
	for w := range wordsIn(fold(out)) {
		copy(g.last[:], g.last[1:])
		g.last[sequence-1] = w.text
		if g.known.rules[g.last] {
			return Leak
		}
	}
	return ""
}

// sentenceEnd returns where the first sentence of a text ends, its space included, or -1 when that is not known yet.
func sentenceEnd(s string) int {
	for i, r := range s {
		switch r {
		case '\n':
			return i + 1
		case '.', '!', '?', '…', '؟', '۔', ';', '؛':
			next := i + utf8.RuneLen(r)
			if after, n := utf8.DecodeRuneInString(s[next:]); n > 0 && unicode.IsSpace(after) {
				return next + n
			}
		}
	}
	return -1
}

// harmless returns how much of what waits no claim can begin in.
func (g *Guard) harmless() int {
	done := 0
	for {
		rest := g.pending[done:]
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			return done
		}
		w := rest[:end]
		if w != "" && g.risky(w, strings.TrimSpace(g.sentence+g.pending[:done]) == "") {
			g.waits = true
			return done
		}
		_, n := utf8.DecodeRuneInString(rest[end:])
		done += end + n
	}
}

// risky reports whether a claim may begin with a word: one that is more than letters, a capital within a sentence, or a word of
// products or of terms.
func (g *Guard) risky(w string, first bool) bool {
	trimmed := strings.Trim(w, ".,;:!?…،؛؟'’")
	for i, r := range trimmed {
		letter := unicode.IsLetter(r) || unicode.IsMark(r) || r == '\'' || r == '’' || r == '-'
		if !letter || unicode.IsUpper(r) && (!first || i > 0) {
			return true
		}
	}
	folded := fold(trimmed)
	if folded != "1" && strings.ContainsAny(folded, "0123456789") { // "deux", but not "un", which is an article too
		return true
	}
	if triggers.in(folded) {
		return true
	}
	for w := range wordsIn(folded) {
		if g.known.isNoun(w.text) || g.known.names[w.text] {
			return true
		}
	}
	return false
}

// triggers are parts of words before which a sentence waits.
var triggers = newParts(`gratui offert offer free garant guarant warrant rembours refund cadeau gift indemn dedommag compens demain
	aujourd tomorrow today tonight livr deliver shipp expedi envoy recev recoi arriv code coupon promo
	remise reduc discount prix cout price cost euro dollar dirham cent www http
	مجان ضمان مضمون استرداد استرجاع هدي هدايا تعويض غدا اليوم توصيل شحن وصل يصل كود خصم سعر ثمن يورو جنيه دولار درهم`)

// parts are texts of three bytes or more, by the first three: to look for them in a word takes a fraction of what a regular expression does.
type parts map[[3]byte][]string

func newParts(list string) parts {
	p := parts{}
	for s := range strings.FieldsSeq(list) {
		p[[3]byte([]byte(s))] = append(p[[3]byte([]byte(s))], s)
	}
	return p
}

// in reports whether a text holds one of the parts.
func (p parts) in(s string) bool {
	for i := 0; i+3 <= len(s); i++ {
		for _, part := range p[[3]byte{s[i], s[i+1], s[i+2]}] {
			if strings.HasPrefix(s[i:], part) {
				return true
			}
		}
	}
	return false
}
