package policy

import (
	"encoding"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
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
	if text, ok := raw.(string); ok && strings.Contains(text, "$") && l.env != nil && l.places[path].Kind == FromFile {
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
	case "network":
		if _, err := ParseNetwork(text); err != nil {
			l.problem(path, kindBadValue, l.show(text, path)+" is neither an address nor a network", `write it like "10.0.0.0/8" or "192.0.2.7"`)
			return false
		}
	case "method":
		if !slices.Contains(methods, text) {
			l.problem(path, kindNotOneOf, l.show(text, path)+" is not one of "+strings.Join(methods, ", "),
				suggest(strings.ToUpper(text), methods, ""))
			return false
		}
	case "route", "keytemplate":
		_, err := parsePattern(text)
		if key.Rules.Format == "keytemplate" {
			_, err = ParseKeyTemplate(text)
		}
		if err != nil {
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
