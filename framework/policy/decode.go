package policy

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/pelletier/go-toml/v2"
)

const hiddenText = "••••"

// table decodes the keys of a table into a struct that holds their defaults.
func (l *loader) table(key *Key, raw map[string]any, path string, into reflect.Value) {
	for _, child := range key.Keys { // in the order of the struct: later keys' defaults may rest on earlier keys
		if value, written := raw[child.Name]; written {
			l.value(child, value, join(path, child.Name), into.Field(child.field))
		} else if child.Rules.Required {
			l.problem(path, kindRequired, child.Name+" is required", hintRequired(child))
		}
	}
	for name := range raw {
		if key.Key(name) == nil {
			l.keyProblem(join(path, name), kindUnknownKey, "unknown key", suggestKey(key, name))
		}
	}
}

// value checks one value and decodes it. What is wrong is reported and leaves the default.
func (l *loader) value(key *Key, raw any, path string, into reflect.Value) {
	if into.Kind() == reflect.Pointer {
		if _, ok := raw.(map[string]any); !ok {
			l.wrongType(key, raw, path)
			return
		}
		target := reflect.New(into.Type().Elem())
		if into.IsNil() {
			target.Elem().Set(elementDefault(into.Type().Elem(), l.policy))
		} else {
			target.Elem().Set(into.Elem())
		}
		l.value(key, raw, path, target.Elem())
		into.Set(target)
		return
	}
	if text, ok := raw.(string); ok && strings.Contains(text, "$") && l.places[path].Kind == FromFile {
		expanded, resolved := l.resolve(text, path)
		if !resolved {
			return
		}
		raw = expanded
	}
	switch key.Type {
	case TypeTable:
		if values, ok := raw.(map[string]any); ok {
			l.table(key, values, path, into)
			return
		}
	case TypeList:
		if values, ok := raw.([]any); ok {
			l.list(key, values, path, into)
			return
		}
	case TypeMap:
		if values, ok := raw.(map[string]any); ok {
			l.mapping(key, values, path, into)
			return
		}
	case TypeBoolean:
		if value, ok := raw.(bool); ok {
			into.SetBool(value)
			return
		}
	case TypeInteger:
		if value, ok := raw.(int64); ok {
			if into.OverflowInt(value) || !l.inRange(key, float64(value), strconv.FormatInt(value, 10), path) {
				return
			}
			if l.oneOf(key, strconv.FormatInt(value, 10), path) {
				into.SetInt(value)
			}
			return
		}
	case TypeFloat:
		value, ok := raw.(float64)
		if n, whole := raw.(int64); whole {
			value, ok = float64(n), true
		}
		if ok {
			if l.inRange(key, value, strconv.FormatFloat(value, 'g', -1, 64), path) {
				into.SetFloat(value)
			}
			return
		}
	case TypeAny:
		into.Set(reflect.ValueOf(raw))
		return
	default:
		if text, ok := raw.(string); ok {
			l.text(key, text, path, into)
			return
		}
	}
	l.wrongType(key, raw, path)
}

// resolve expands the references of a string of the file and remembers that the value is to be hidden.
func (l *loader) resolve(text, path string) (string, bool) {
	expanded, refs, mistakes := expand(text, l.folder, l.env)
	for _, mistake := range mistakes {
		what, hint, _ := strings.Cut(mistake, "; ")
		l.problem(path, kindReference, what, hint)
	}
	if len(refs) > 0 {
		at := l.places[path]
		at.Name = strings.Join(refs, ", ")
		l.places[path] = at
		l.hidden[path] = true
		l.conceal(expanded)
	}
	return expanded, len(mistakes) == 0
}

// conceal keeps a secret out of all problems to come. A text of one or two characters would garble them and hide nothing.
func (l *loader) conceal(text string) {
	if len(text) > 2 {
		l.texts = append(l.texts, text)
	}
}

func (l *loader) list(key *Key, values []any, path string, into reflect.Value) {
	if len(values) == 0 && key.Rules.NonEmpty {
		l.problem(path, kindEmpty, "must not be empty", "")
		return
	}
	list := reflect.MakeSlice(into.Type(), len(values), len(values))
	for i, raw := range values {
		list.Index(i).Set(elementDefault(into.Type().Elem(), l.policy))
		l.value(key.Elem, raw, element(path, i), list.Index(i))
	}
	into.Set(list)
}

// mapping lays the entries of a map over a copy of those that are there by default.
func (l *loader) mapping(key *Key, values map[string]any, path string, into reflect.Value) {
	if len(values) == 0 && key.Rules.NonEmpty {
		l.problem(path, kindEmpty, "must not be empty", "")
		return
	}
	entries := reflect.MakeMap(into.Type())
	for _, name := range into.MapKeys() {
		entries.SetMapIndex(name, into.MapIndex(name))
	}
	for name, raw := range values {
		entry := reflect.New(into.Type().Elem()).Elem()
		entry.Set(elementDefault(entry.Type(), l.policy))
		if existing := into.MapIndex(reflect.ValueOf(name).Convert(into.Type().Key())); existing.IsValid() {
			entry.Set(existing)
		}
		l.value(key.Elem, raw, join(path, name), entry)
		entries.SetMapIndex(reflect.ValueOf(name).Convert(into.Type().Key()), entry)
	}
	into.Set(entries)
}

// text checks and decodes a value that is written as a string.
func (l *loader) text(key *Key, text, path string, into reflect.Value) {
	if key.Type == TypeSecret {
		l.conceal(text)
		if at := l.places[path]; at.Kind == FromFile && !l.hidden[path] {
			l.secrets = append(l.secrets, at)
		}
	}
	if text == "" && (key.Rules.NonEmpty || key.Rules.Required) {
		l.problem(path, kindEmpty, "must not be empty", "")
		return
	}
	if !l.oneOf(key, text, path) {
		return
	}
	var number float64
	switch key.Type {
	case TypeDuration:
		d, err := ParseDuration(text)
		if err != nil {
			l.badText(key, text, path, err)
			return
		}
		number = float64(d)
	case TypeSize:
		s, err := ParseSize(text)
		if err != nil {
			l.badText(key, text, path, err)
			return
		}
		number = float64(s)
	case TypeText:
		if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			// The words of a type of the standard library start with its Go name.
			reason := err.Error()[strings.LastIndex(err.Error(), ": ")+1:]
			l.problem(path, kindBadValue, l.show(text, path)+" cannot be read: "+strings.TrimSpace(reason), "")
		}
		return
	default:
		if l.format(key, text, path) {
			into.SetString(text)
		}
		return
	}
	if l.inRange(key, number, text, path) {
		into.SetInt(int64(number))
	}
}

// badText reports a string that its type cannot read. The type's own words may repeat the value: they are not for a secret.
func (l *loader) badText(key *Key, text, path string, err error) {
	if l.hidden[path] {
		l.problem(path, kindBadValue, "the value is not "+expected(key), "")
		return
	}
	what, hint, _ := strings.Cut(err.Error(), "; ")
	l.problem(path, kindBadValue, what, hint)
}

func (l *loader) format(key *Key, text, path string) bool {
	switch key.Rules.Format {
	case "address":
		_, port, err := net.SplitHostPort(text)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
			l.problem(path, kindBadValue, l.show(text, path)+" is not an address", `write host:port, such as "127.0.0.1:5000" or ":5000"`)
			return false
		}
	case "method":
		if !slices.Contains(methods, text) {
			l.problem(path, kindNotOneOf, l.show(text, path)+" is not one of "+strings.Join(methods, ", "),
				suggest(strings.ToUpper(text), methods, ""))
			return false
		}
	case "route":
		if _, err := parsePattern(text); err != nil {
			what, hint, _ := strings.Cut(err.Error(), "; ")
			l.problem(path, kindBadValue, what, hint)
			return false
		}
	}
	return true
}

func (l *loader) oneOf(key *Key, text, path string) bool {
	if len(key.Rules.OneOf) == 0 || slices.Contains(key.Rules.OneOf, text) {
		return true
	}
	l.problem(path, kindNotOneOf, l.show(text, path)+" is not one of "+strings.Join(key.Rules.OneOf, ", "),
		suggest(text, key.Rules.OneOf, ""))
	return false
}

func (l *loader) inRange(key *Key, number float64, text, path string) bool {
	low := key.Rules.Min != "" && number < key.Rules.lower
	high := key.Rules.Max != "" && number > key.Rules.upper
	if !low && !high && !math.IsNaN(number) && !math.IsInf(number, 0) {
		return true
	}
	hint := ""
	switch {
	case key.Rules.Min != "" && key.Rules.Max != "":
		hint = "use " + key.Rules.Min + " to " + key.Rules.Max
	case key.Rules.Min != "":
		hint = "use at least " + key.Rules.Min
	case key.Rules.Max != "":
		hint = "use at most " + key.Rules.Max
	}
	if l.hidden[path] {
		text = "the value"
	}
	l.problem(path, kindOutOfRange, text+" is out of range", hint)
	return false
}

// show quotes a value for a problem, unless it is not to be seen.
func (l *loader) show(text, path string) string {
	if l.hidden[path] {
		return quote(hiddenText)
	}
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "…"
	}
	return quote(text)
}

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

// validate runs the plugin's own check. An error for each option is reported at that option.
func (l *loader) validate(path string, options reflect.Value) {
	validator, ok := options.Interface().(Validator)
	if !ok {
		if validator, ok = options.Elem().Interface().(Validator); !ok {
			return
		}
	}
	pending := []error{validator.Validate()}
	for len(pending) > 0 {
		err := pending[0]
		pending = pending[1:]
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			pending = append(slices.Clone(joined.Unwrap()), pending...)
			continue
		}
		var option *OptionError
		switch {
		case err == nil:
		case errors.As(err, &option):
			l.problem(path+"."+option.Key, kindOptions, option.Err.Error(), "")
		default:
			l.problem(path, kindOptions, err.Error(), "")
		}
	}
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
