// Package intent tells what a message wants. A softmax regression over hashed n-grams is learned when a Classifier is made, from
// readable files: data/*.txt, where anyone can add how else customers say it. Nothing in it knows a catalogue.
package intent

import (
	"cmp"
	"embed"
	"slices"
	"sync"

	"github.com/innatural/chatbot/plugins/internal/text"
)

//go:embed data/*.txt
var files embed.FS

// Classifier tells what a message wants. It is immutable and may be used concurrently.
type Classifier struct {
	classes    []string  // sorted
	vocabulary []string  // words that occur often in the files
	rarity     []float32 // by row: how much its features say
	weights    []float32 // by row, then by class
}

// Embedded returns the classifier of the embedded files. The first call learns: about a second on two processors.
func Embedded() (*Classifier, error) { return embedded() }

// embedded learns once for all apps of a process: two classifiers of the same files are the same to the bit.
var embedded = sync.OnceValues(learn)

func learn() (*Classifier, error) {
	lines, err := read(files)
	if err != nil {
		return nil, err
	}
	return train(lines), nil
}

// Guess is what a message may want.
type Guess struct {
	Intent      string
	Probability float64
}

// Classify returns what the words of a message may want, the likeliest first. The language is that of the message, as far as it is
// known. The time is linear in the length of the message.
func (c *Classifier) Classify(words []text.Token, language string) []Guess {
	r := readers.Get().(*reader) //nolint:forcetypeassert // the pool holds nothing else
	defer readers.Put(r)
	r.scores = slices.Grow(r.scores[:0], len(c.classes))[:len(c.classes)]
	scores := r.scores
	c.score(c.weigh(r.read(words, language)), scores)
	softmax(scores)
	guesses := make([]Guess, len(scores))
	for i, p := range scores {
		guesses[i] = Guess{c.classes[i], float64(p)}
	}
	slices.SortStableFunc(guesses, func(a, b Guess) int { return cmp.Compare(b.Probability, a.Probability) })
	return guesses
}

// Intents returns all that a message may be taken for, sorted.
func (c *Classifier) Intents() []string { return slices.Clone(c.classes) }

// Vocabulary returns texts whose words people use: those of the training files that occur often.
func (c *Classifier) Vocabulary() []string { return slices.Clone(c.vocabulary) }
