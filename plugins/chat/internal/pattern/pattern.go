// Package pattern reads the files of what customers say: sections of texts with alternatives, "(where|when) is my (order|parcel|)".
package pattern

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Pattern is a text with alternatives: its parts one after another, of each part one of the choices. It may be used concurrently once
// its lists are filled.
type Pattern []part

type part struct {
	list    string // name of a list that stands here, until it is filled
	choices []Pattern
	text    string // where there are no choices
}

// Parse reads "(a|b (c|)) <list> d". It fails where a bracket has no other.
func Parse(s string) (Pattern, error) {
	p, rest, err := parseSequence(s)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q: a %q too much", s, rest[:1])
	}
	return p, err
}

// parseSequence reads parts up to the end, a "|" or a ")" that is not its own.
func parseSequence(s string) (p Pattern, rest string, err error) {
	for s != "" && s[0] != '|' && s[0] != ')' {
		switch s[0] {
		case '(':
			choice := part{}
			for s[0] != ')' {
				var c Pattern
				if c, s, err = parseSequence(s[1:]); err != nil {
					return nil, "", err
				}
				if s == "" {
					return nil, "", fmt.Errorf("a %q is missing", ")")
				}
				choice.choices = append(choice.choices, c)
			}
			p, s = append(p, choice), s[1:]
		case '<':
			end := strings.IndexByte(s, '>')
			if end < 0 {
				return nil, "", fmt.Errorf("a %q is missing", ">")
			}
			p, s = append(p, part{list: s[1:end]}), s[end+1:]
		default:
			end := strings.IndexAny(s, "(|)<")
			if end < 0 {
				end = len(s)
			}
			p, s = append(p, part{text: s[:end]}), s[end:]
		}
	}
	return p, s, nil
}

// Size is how many texts the pattern stands for, or most when there are more.
func (p Pattern) Size(most int) int {
	n := 1
	for _, part := range p {
		if part.choices == nil {
			continue
		}
		sum := 0
		for _, c := range part.choices {
			sum += c.Size(most)
		}
		n = min(n*sum, most)
	}
	return n
}

// Fold goes through a pattern as an automaton does: step takes a state over a piece of text, join makes one of the states that the
// choices of a part lead to.
func Fold[S any](p Pattern, from S, step func(S, string) S, join func(S, S) S) S {
	for _, part := range p {
		if part.choices == nil {
			from = step(from, part.text)
			continue
		}
		to := Fold(part.choices[0], from, step, join)
		for _, c := range part.choices[1:] {
			to = join(to, Fold(c, from, step, join))
		}
		from = to
	}
	return from
}

// Pick returns one of the texts.
func (p Pattern) Pick(random *rand.Rand) string {
	var b strings.Builder
	p.write(&b, random)
	return strings.Join(strings.Fields(b.String()), " ")
}

func (p Pattern) write(b *strings.Builder, random *rand.Rand) {
	for _, part := range p {
		if part.choices == nil {
			b.WriteString(part.text)
			continue
		}
		part.choices[random.IntN(len(part.choices))].write(b, random)
	}
}

// Each yields every piece of text that the pattern is made of, once.
func (p Pattern) Each(yield func(string)) {
	for _, part := range p {
		if part.text != "" {
			yield(part.text)
		}
		if part.list != "" {
			continue // as often as it is named
		}
		for _, c := range part.choices {
			c.Each(yield)
		}
	}
}

// Lists are named lists of patterns in several languages. It may not be used concurrently.
type Lists map[[2]string][]Pattern

// Add adds a pattern to a list.
func (l Lists) Add(name, language string, p Pattern) {
	key := [2]string{name, language}
	l[key] = append(l[key], p)
}

// Fill puts the lists in the place of their names. It fails where there is none.
func (l Lists) Fill(p *Pattern, language string) error {
	for i := range *p {
		part := &(*p)[i]
		if part.list != "" {
			if part.choices = l[[2]string{part.list, language}]; part.choices == nil {
				return fmt.Errorf("no list <%s> in %s", part.list, language)
			}
		}
		for j := range part.choices {
			if err := l.Fill(&part.choices[j], language); err != nil {
				return err
			}
		}
	}
	return nil
}
