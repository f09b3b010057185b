package pattern

import (
	"iter"
	"strings"
)

// Line is a line of a file of sections.
type Line struct {
	Number  int    // from 1
	Section string // that it stands in, as its head has it in brackets; "" before the first
	Text    string // "" for the head itself
}

// Lines yields the lines of a file of sections, which begin with a head in brackets: "[strong]". Empty lines and those that start with "#"
// are left out, and spaces around a line.
func Lines(file string) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		line := Line{}
		for s := range strings.Lines(file) {
			line.Number++
			if s = strings.TrimSpace(s); s == "" || strings.HasPrefix(s, "#") {
				continue
			}
			if line.Text = s; strings.HasPrefix(s, "[") {
				line.Section, line.Text = strings.Trim(s, "[]"), ""
			}
			if !yield(line) {
				return
			}
		}
	}
}
