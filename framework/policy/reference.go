package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Reference returns the reference of the policies that vocab allows, as Markdown: a table of keys for each table in the
// order of the model, then a section for each plugin. The same vocabulary always gives the same text.
func Reference(vocab Vocabulary) string {
	root := Describe(vocab)
	plugins := root.Key("plugins")
	r := reference{root: root}
	r.line("A duration is written %s, a size %s. Any string may be %s or %s, which is read when the policy is loaded.",
		"`\"250ms\"`, `\"1h30m\"` or `\"7d\"`", "`\"512B\"`, `\"64KiB\"` or `\"1MiB\"`", "`\"${env:NAME}\"`", "`\"${file:/path}\"`")
	r.table(root, nil, "### Top level", plugins)
	for i, plugin := range vocab.Plugins {
		r.plugin(plugin, plugins.Keys[i])
	}
	return r.out.String()
}

// reference writes the policy reference.
type reference struct {
	root *Key
	out  strings.Builder
}

func (r *reference) line(format string, args ...any) { fmt.Fprintf(&r.out, format+"\n", args...) }

// table writes the keys of the table at path, then those of the tables in it, save the one that has its own sections.
func (r *reference) table(table *Key, path []string, heading string, except *Key) {
	r.line("\n%s\n", heading)
	if len(table.Keys) > 0 {
		r.line("| key | type | default | what it does |\n|---|---|---|---|")
	}
	for _, k := range table.Keys {
		r.line("| `%s` | %s | %s | %s |", k.Name, k.typeName(), r.defaultOf(k, append(path, k.Name)),
			escapeCell(strings.TrimSpace(k.Doc+" "+k.limits())))
	}
	for _, k := range table.Keys {
		below := append(slices.Clip(path), k.Name)
		switch name := strings.Join(below, "."); {
		case k == except:
		case k.Type == TypeTable && len(k.Keys) > 0:
			r.table(k, below, "### `["+name+"]`", except)
		case k.Type == TypeList && k.Elem.Type == TypeTable:
			r.table(k.Elem, below, "### `[["+name+"]]`", except)
		case k.Type == TypeMap && k.Elem.Type == TypeTable:
			r.table(k.Elem, below, "### `["+name+".NAME]`", except)
		}
	}
}

// plugin writes the section of a plugin whose options are those of table.
func (r *reference) plugin(p Plugin, table *Key) {
	r.line("\n### Plugin `%s`\n\n%s", p.Name, p.Doc)
	if len(p.Handlers) > 0 {
		r.line("\n| handler | reads | what it does |\n|---|---|---|")
	}
	for _, h := range p.Handlers {
		r.line("| `%s` | %s | %s |", h.Name, escapeCell(h.Reads.text()), escapeCell(h.Doc))
	}
	if len(table.Keys) > 0 {
		r.table(table, []string{"plugins", p.Name}, "Options, in `[plugins."+keyLiteral(p.Name)+"]`:", nil)
	}
}

// text lists the inputs.
func (in Inputs) text() string {
	var kinds []string
	for _, kind := range []struct {
		what  string
		names []string
	}{{"query", in.Query}, {"headers", in.Headers}, {"cookies", in.Cookies}} {
		if len(kind.names) > 0 {
			kinds = append(kinds, kind.what+" `"+strings.Join(kind.names, "`, `")+"`")
		}
	}
	return strings.Join(kinds, "; ")
}

// defaultOf returns what holds where k, at path, is not written.
func (r *reference) defaultOf(k *Key, path []string) string {
	from := inheritedFrom(r.root, path)
	switch {
	case k.Rules.Required:
		return "required"
	case from != "":
		return "that of `" + from + "`"
	case k.hasDefault():
		return "`" + escapeCell(k.Default) + "`"
	}
	return ""
}

// inheritedFrom returns the key whose value the key at path takes when it is not written, or "": a sink has the level of log,
// and a route what defaults has under the same name.
func inheritedFrom(root *Key, path []string) string {
	switch {
	case strings.Join(path, ".") == "log.sinks.level":
		return "log.level"
	case len(path) < 2 || path[0] != "routes":
		return ""
	}
	k := root.Key("defaults")
	for _, name := range path[1:] {
		if k = k.Key(name); k == nil {
			return ""
		}
	}
	if k.Type == TypeTable {
		return ""
	}
	return "defaults." + strings.Join(path[1:], ".")
}

// hasDefault reports whether a value holds where k is not written: neither is k required, nor is its zero value, which then
// means that nothing is said, empty or out of k's range.
func (k *Key) hasDefault() bool {
	switch k.Default {
	case "", `""`, "[]", "{}":
		return false
	case "0", "0.0", `"0s"`, `"0B"`:
		return k.Rules.lower <= 0
	}
	return true
}

// typeName returns the type in words.
func (k *Key) typeName() string {
	switch {
	case k.Type == TypeList && k.Elem.Type == TypeTable:
		return "array of tables"
	case k.Type == TypeMap && k.Elem.Type == TypeTable:
		return "tables by name"
	case k.Type == TypeList, k.Type == TypeMap:
		return string(k.Type) + " of " + k.Elem.typeName()
	case k.Type == TypeText:
		return "string"
	}
	return string(k.Type)
}

// limits returns the rules of k's values, or of its elements', as a sentence, or "".
func (k *Key) limits() string {
	rules := k.Rules
	if k.Elem != nil {
		rules = k.Elem.Rules
	}
	switch values := rules.values(); {
	case len(values) > 1:
		last := len(values) - 1
		return "One of " + strings.Join(values[:last], ", ") + " or " + values[last] + "."
	case rules.Min != "" && rules.Max != "":
		return "From " + rules.Min + " to " + rules.Max + "."
	case rules.Min != "":
		return "At least " + rules.Min + "."
	case rules.Max != "":
		return "At most " + rules.Max + "."
	}
	return ""
}

// values returns the only strings that are allowed, or nil when there is no such list.
func (r Rules) values() []string {
	if r.Format == "method" {
		return methods
	}
	return r.OneOf
}

// escapeCell writes text so that it stays within a cell of a Markdown table.
func escapeCell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "\n", " ")
}
