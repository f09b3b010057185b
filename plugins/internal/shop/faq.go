package shop

import (
	"cmp"
	"slices"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// FAQ is the shop's questions with their answers.
type FAQ struct {
	Entries []Entry

	index *text.Index
}

// Entry is one question with its answer, in every language that the file has.
type Entry struct {
	ID       string
	Topic    string // what the file says: "sav" or "information", or ""
	Question Text
	Answer   Text
	Keywords Texts // other words for the question
}

// In returns the question and the answer in a language, and the language that the answer is in.
func (e *Entry) In(language string) (question, answer, actual string) {
	answer, actual = e.Answer.In(language)
	question, _ = e.Question.In(actual)
	return question, answer, actual
}

// Find returns the entry with an id, or nil.
func (f *FAQ) Find(id string) *Entry {
	at := slices.IndexFunc(f.Entries, func(e Entry) bool { return e.ID == id })
	if at < 0 {
		return nil
	}
	return &f.Entries[at]
}

// FAQHit is an entry that answers a question. Scores of one search compare; those of two don't.
type FAQHit struct {
	Entry    *Entry
	Score    float64
	Coverage float64 // the share of the question that the entry answers, 0 to 1
	Rank     int     // from 0, among all that share words with the question, also those that are no answer to it
}

// SearchAll returns those of the limit best entries that answer the words of a question, best first. The language decides when the
// question itself doesn't tell its own.
func (f *FAQ) SearchAll(query []text.Token, language string, limit int) []FAQHit {
	var hits []FAQHit
	for rank, h := range f.index.Search(query, cmp.Or(text.DetectOf(query), language), limit) {
		if answers(h) {
			hits = append(hits, FAQHit{&f.Entries[h.Doc], h.Score, h.Coverage, rank})
		}
	}
	return hits
}

// Search returns the entry that answers the words of a question best, its score, and whether there is one: see SearchAll.
func (f *FAQ) Search(query []text.Token, language string) (*Entry, float64, bool) {
	hits := f.SearchAll(query, language, 1)
	if len(hits) == 0 {
		return nil, 0, false
	}
	return hits[0].Entry, hits[0].Score, true
}

func (f *FAQ) build() {
	builder := text.NewBuilder(3, 3, 1)
	for doc, e := range f.Entries {
		e.Question.each(func(language, s string) { builder.Add(doc, 0, language, s) })
		e.Keywords.each(func(language, s string) { builder.Add(doc, 1, language, s) })
		e.Answer.each(func(language, s string) { builder.Add(doc, 2, language, s) })
	}
	f.index = builder.Build()
}
