package intent

import (
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/chat/internal/pattern"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// line is how customers say what they want. It may hold alternatives, "(where is|what about) my (order|parcel|)", and names of
// lists, "<type>".
type line struct {
	intent, language string
	pattern          pattern.Pattern
}

// seed makes learning repeatable.
const seed = 20261123

// How many times a line is learned from: a plain one, with and without typos, and at most one with alternatives.
const (
	perLine    = 4
	perPattern = 30
)

// read returns the lines of the training files.
func read(files fs.FS) ([]line, error) {
	names, err := fs.Glob(files, "data/*.txt")
	if err != nil {
		return nil, fmt.Errorf("list training files: %w", err)
	}
	lists, lines := pattern.Lists{}, []line(nil)
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read training file: %w", err)
		}
		for l := range pattern.Lines(string(content)) {
			intent, language, ok := strings.Cut(l.Section, " ")
			if !ok {
				return nil, fmt.Errorf("read %s:%d: \"[%s]\" is not [intent language]", name, l.Number, l.Section)
			}
			if l.Text == "" {
				continue
			}
			p, err := pattern.Parse(l.Text)
			if err != nil {
				return nil, fmt.Errorf("read %s:%d: %w", name, l.Number, err)
			}
			if list, ok := strings.CutPrefix(intent, "list:"); ok {
				lists.Add(list, language, p)
				continue
			}
			lines = append(lines, line{intent, language, p})
		}
	}
	for i := range lines {
		if err := lists.Fill(&lines[i].pattern, lines[i].language); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// train learns from lines.
func train(lines []line) *Classifier {
	c := &Classifier{rarity: make([]float32, 1<<rowBits)}
	for _, l := range lines {
		if at, ok := slices.BinarySearch(c.classes, l.intent); !ok {
			c.classes = slices.Insert(c.classes, at, l.intent)
		}
	}
	c.vocabulary = vocabulary(lines)
	random := rand.New(rand.NewPCG(seed, 0))
	type utterance struct {
		line
		text string
	}
	var all []utterance
	for _, l := range lines {
		for i := range min(perPattern, max(perLine, l.pattern.Size(perPattern))) {
			s := l.pattern.Pick(random)
			if i%2 == 1 {
				s = vary(s, l, random)
			}
			all = append(all, utterance{l, s})
		}
	}
	examples := make([]example, len(all))
	work := newCrew()
	defer work.close()
	work.do(func(worker, of int) {
		r := newReader()
		for i := worker; i < len(all); i += of {
			class, _ := slices.BinarySearch(c.classes, all[i].intent)
			examples[i] = example{slices.Clone(r.read(text.Tokens(all[i].text), all[i].language)), class}
		}
	})
	c.count(examples)
	for _, e := range examples {
		c.weigh(e.features)
	}
	c.learn(examples, random)
	return c
}

// maxTypos is how often a word may occur and be a typo still.
const maxTypos = 2

// vocabulary returns the words that are no typos, as they occur often.
func vocabulary(lines []line) []string {
	counts := map[string]int{}
	for _, l := range lines {
		l.pattern.Each(func(s string) {
			for _, t := range text.Tokens(s) {
				counts[t.Surface]++
			}
		})
	}
	var words []string
	for word, n := range counts {
		if n > maxTypos {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}

// count sets how much each row's features say: the inverse of how many texts have them.
func (c *Classifier) count(examples []example) {
	counts := make([]int, len(c.rarity))
	for _, e := range examples {
		for _, f := range e.features {
			counts[f.row]++
		}
	}
	for row, n := range counts {
		if n > 0 {
			c.rarity[row] = float32(math.Log(float64(len(examples)+1) / float64(n)))
		}
	}
}
