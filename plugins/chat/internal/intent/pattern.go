package intent

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// pattern is a text with alternatives: its parts one after another, of each part one of the choices.
type pattern []part

type part struct {
	list    string // name of a list that stands here, until it is filled
	choices []pattern
	text    string // where there are no choices
}

// parsePattern reads "(a|b (c|)) <list> d".
func parsePattern(s string) (pattern, error) {
	p, rest, err := parseSequence(s)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q: a %q too much", s, rest[:1])
	}
	return p, err
}

// parseSequence reads parts up to the end, a "|" or a ")" that is not its own.
func parseSequence(s string) (p pattern, rest string, err error) {
	for s != "" && s[0] != '|' && s[0] != ')' {
		switch s[0] {
		case '(':
			choice := part{}
			for s[0] != ')' {
				var c pattern
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

// size is how many texts the pattern stands for, or perPattern when there are more.
func (p pattern) size() int {
	n := 1
	for _, part := range p {
		if part.choices == nil {
			continue
		}
		sum := 0
		for _, c := range part.choices {
			sum += c.size()
		}
		n = min(n*sum, perPattern)
	}
	return n
}

// pick returns one of the texts.
func (p pattern) pick(random *rand.Rand) string {
	var b strings.Builder
	p.write(&b, random)
	return strings.Join(strings.Fields(b.String()), " ")
}

func (p pattern) write(b *strings.Builder, random *rand.Rand) {
	for _, part := range p {
		if part.choices == nil {
			b.WriteString(part.text)
			continue
		}
		part.choices[random.IntN(len(part.choices))].write(b, random)
	}
}

// each yields every text of the pattern, a choice's only once.
func (p pattern) each(yield func(string)) {
	for _, part := range p {
		if part.text != "" {
			yield(part.text)
		}
		if part.list != "" {
			continue // as often as it is named
		}
		for _, c := range part.choices {
			c.each(yield)
		}
	}
}

// lists are the named lists of the training files, by name and language.
type lists map[[2]string][]pattern

func (l lists) add(name, language string, p pattern) {
	key := [2]string{name, language}
	l[key] = append(l[key], p)
}

// fill puts the lists in the place of their names.
func (l lists) fill(p *pattern, language string) error {
	for i := range *p {
		part := &(*p)[i]
		if part.list != "" {
			if part.choices = l[[2]string{part.list, language}]; part.choices == nil {
				return fmt.Errorf("no list <%s> in %s", part.list, language)
			}
		}
		for j := range part.choices {
			if err := l.fill(&part.choices[j], language); err != nil {
				return err
			}
		}
	}
	return nil
}
