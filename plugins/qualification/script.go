package qualification

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/innatural/chatbot/plugins/internal/shop"
)

// script is the questions and what their answers mean. It is immutable.
type script struct {
	Steps     []step `json:"steps"`
	Completed struct {
		Message shop.Text `json:"message"`
	} `json:"completed"`
}

// step is one question.
type step struct {
	ID   string `json:"id"`
	Type string `json:"type"` // "single" or "multiple"
	When *struct {
		Step string   `json:"step"` // an earlier one
		Is   []string `json:"is"`   // any of its options
	} `json:"when"` // nil: everybody is asked
	Question shop.Text `json:"question"`
	Options  []option  `json:"options"`
}

type option struct {
	ID    string    `json:"id"`
	Label shop.Text `json:"label"`
	Icon  string    `json:"icon"`
	Match struct {  // what it asks of a product
		Types     []string `json:"types"`
		HairTypes []string `json:"hairTypes"`
		SkinTypes []string `json:"skinTypes"`
		Concerns  []string `json:"concerns"`
		Free      []string `json:"free"`
		Vegan     bool     `json:"vegan"`
		MaxPrice  float64  `json:"maxPrice"`
	} `json:"match"`
}

func parseScript(file []byte) (*script, error) {
	var s script
	if err := json.Unmarshal(file, &s); err != nil {
		return nil, fmt.Errorf("read qualification.json: %w", err)
	}
	if len(s.Steps) == 0 {
		return nil, fmt.Errorf("read qualification.json: it has no steps")
	}
	for i, st := range s.Steps {
		if len(st.Options) == 0 || st.Type != "single" && st.Type != "multiple" {
			return nil, fmt.Errorf("read qualification.json: step %s needs options and a type, single or multiple", st.ID)
		}
		if st.When == nil {
			continue
		}
		if !slices.ContainsFunc(s.Steps[:i], func(earlier step) bool { return earlier.ID == st.When.Step }) {
			return nil, fmt.Errorf("read qualification.json: step %s depends on %s, which is not before it", st.ID, st.When.Step)
		}
	}
	return &s, nil
}

func parseMessages(file []byte) (messages map[string]shop.Text, err error) {
	if err := json.Unmarshal(file, &messages); err != nil {
		return nil, fmt.Errorf("read messages.json: %w", err)
	}
	return messages, nil
}

func (st *step) option(id string) *option {
	i := slices.IndexFunc(st.Options, func(o option) bool { return o.ID == id })
	if i < 0 {
		return nil
	}
	return &st.Options[i]
}

// progress is how far a customer is. It is immutable.
type progress struct {
	language string
	answers  map[string][]string // option ids by step
}

// bytes returns about what the progress holds.
func (p progress) bytes() int {
	n := 0
	for step, selected := range p.answers {
		n += len(step) + 64
		for _, id := range selected {
			n += len(id) + 16
		}
	}
	return n
}

// path returns the steps for a customer, in order. Where a step depends on one that is not answered yet, the first option of
// that one is assumed, so that the number of steps is known from the start.
func (s *script) path(p progress) []*step {
	var path []*step
	for i := range s.Steps {
		if st := &s.Steps[i]; s.applies(st, p) {
			path = append(path, st)
		}
	}
	return path
}

func (s *script) applies(st *step, p progress) bool {
	if st.When == nil {
		return true
	}
	selected, ok := p.answers[st.When.Step]
	if !ok {
		i := slices.IndexFunc(s.Steps, func(other step) bool { return other.ID == st.When.Step })
		selected = []string{s.Steps[i].Options[0].ID}
	}
	return slices.ContainsFunc(selected, func(id string) bool { return slices.Contains(st.When.Is, id) })
}

// next returns the place on the path of the first step without an answer; it is len(path) at the end.
func (p progress) next(path []*step) int {
	i := slices.IndexFunc(path, func(st *step) bool { return p.answers[st.ID] == nil })
	if i < 0 {
		return len(path)
	}
	return i
}

func (s *script) completed(p progress) bool {
	path := s.path(p)
	return p.next(path) == len(path)
}

// category is the answer to the first step, or "".
func (s *script) category(p progress) string {
	if selected := p.answers[s.Steps[0].ID]; len(selected) > 0 {
		return selected[0]
	}
	return ""
}

// with returns the progress with an answer in place of the one before. Answers to steps that this one takes off the path are
// dropped.
func (s *script) with(p progress, st *step, selected []string) progress {
	p.answers = maps.Clone(p.answers)
	if p.answers == nil {
		p.answers = map[string][]string{}
	}
	p.answers[st.ID] = selected
	path := s.path(p)
	maps.DeleteFunc(p.answers, func(id string, _ []string) bool {
		return !slices.ContainsFunc(path, func(st *step) bool { return st.ID == id })
	})
	return p
}

// needs returns what the answers ask of a product.
func (s *script) needs(p progress) shop.Needs {
	var n shop.Needs
	for _, st := range s.path(p) {
		for _, id := range p.answers[st.ID] {
			m := st.option(id).Match
			n.Types = append(n.Types, m.Types...)
			n.Concerns = append(n.Concerns, m.Concerns...)
			n.Free = append(n.Free, m.Free...)
			n.Vegan = n.Vegan || m.Vegan
			if len(m.HairTypes) > 0 {
				n.HairType = m.HairTypes[0]
			}
			if len(m.SkinTypes) > 0 {
				n.SkinType = m.SkinTypes[0]
			}
			if m.MaxPrice > 0 && (n.MaxPrice == 0 || m.MaxPrice < n.MaxPrice) {
				n.MaxPrice = m.MaxPrice
			}
		}
	}
	return n
}
