package policy

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed starter.toml
var starter string

// Starter returns a short, commented policy to begin from, which passes Load and is as Format would have it. Its example
// route is served by the handler named health, and commented out when vocab has none.
func Starter(vocab Vocabulary) []byte {
	if slices.ContainsFunc(vocab.Plugins, func(p Plugin) bool {
		return slices.ContainsFunc(p.Handlers, func(h Handler) bool { return h.Name == "health" })
	}) {
		return []byte(starter)
	}
	before, route, _ := strings.Cut(starter, "[[routes]]")
	var b strings.Builder
	b.WriteString(before)
	for line := range strings.Lines("[[routes]]" + route) {
		b.WriteString("# " + strings.TrimPrefix(line, "# "))
	}
	return []byte(b.String())
}
