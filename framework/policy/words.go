package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/pelletier/go-toml/v2"
)

// wrongType reports a value of another type than its key takes.
func (l *loader) wrongType(key *Key, raw any, path string) {
	hint := ""
	text, isText := raw.(string)
	_, isTable := raw.(map[string]any)
	switch {
	case key.Type == TypeList && key.Elem.Type == TypeTable && isTable:
		hint = "write [[" + path + "]] for each of them"
	case isText && key.Type == TypeBoolean && (text == "true" || text == "false"),
		isText && key.Type == TypeInteger && isNumber(text), isText && key.Type == TypeFloat && isNumber(text):
		hint = "drop the quotes"
	case key.Type == TypeDuration && isInteger(raw):
		hint = fmt.Sprintf("write a unit, such as \"%vs\" or \"%vms\"", raw, raw)
	case key.Type == TypeSize && isInteger(raw):
		hint = fmt.Sprintf("write a unit, such as \"%vB\"", raw)
	}
	l.problem(path, kindWrongType, "expected "+expected(key)+", got "+found(raw), hint)
}

func isInteger(raw any) bool {
	_, ok := raw.(int64)
	return ok
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// expected says in a user's words what a key takes.
func expected(key *Key) string {
	switch key.Type {
	case TypeBoolean:
		return "true or false"
	case TypeInteger:
		return "a whole number"
	case TypeFloat:
		return "a number"
	case TypeDuration:
		return `a duration such as "30s"`
	case TypeSize:
		return `a size such as "64KiB"`
	case TypeList:
		if key.Elem.Type == TypeTable {
			return "a list of tables"
		}
		return "a list in brackets"
	case TypeTable, TypeMap:
		return "a table"
	}
	return "a string in quotes"
}

// found says in a user's words what a file holds.
func found(raw any) string {
	switch raw.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time, toml.LocalDateTime, toml.LocalDate, toml.LocalTime:
		return "a date or time"
	}
	return "something else"
}

// suggestKey says which key of a table was meant, there or one table further in.
func suggestKey(table *Key, name string) string {
	for _, child := range table.Keys {
		if child.Type == TypeTable && child.Key(name) != nil && table.Key(name) == nil {
			return "did you mean " + quote(child.Name+"."+name) + "?"
		}
	}
	if len(table.Keys) == 0 {
		return "there is nothing to set here"
	}
	return suggest(name, table.names(), "its keys are")
}

// suggest names the candidate nearest to a misspelt name, or with a few of them lists all after the given words.
func suggest(name string, candidates []string, list string) string {
	if meant := nearest(name, candidates); meant != "" {
		return "did you mean " + quote(meant) + "?"
	}
	if list != "" && len(candidates) > 0 && len(candidates) <= 16 {
		return list + " " + strings.Join(slices.Sorted(slices.Values(candidates)), ", ")
	}
	return ""
}

// nearest returns the candidate that a name is a likely misspelling of, or nothing.
func nearest(name string, candidates []string) string {
	found, best := "", max(2, len(name)/3)+1
	if len(name) > maxSuggested {
		return ""
	}
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(candidate))
		if d < best && d < len(candidate) {
			found, best = candidate, d
		}
	}
	return found
}

// maxSuggested is the length up to which a name is compared with others.
const maxSuggested = 64

// hintRequired says how to write a key that is missing, and what it is.
func hintRequired(key *Key) string {
	example := " = …"
	switch key.Type {
	case TypeString, TypeSecret, TypeText:
		example = ` = "…"`
	case TypeTable, TypeMap:
		example = " = { … }"
	case TypeInteger:
		example = " = 1"
	}
	return "write " + key.Name + example + " (" + strings.TrimSuffix(key.Doc, ".") + ")"
}
