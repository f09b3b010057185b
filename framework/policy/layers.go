package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// variablePrefix starts the variables that set any key: POLICY__SERVER__BODY_LIMIT, POLICY__ROUTES__0__TIMEOUT.
const variablePrefix = "POLICY__"

// shortVariables are the variables that have names of their own. A unit is that of the whole number they hold.
var shortVariables = []struct{ name, path, unit, words string }{
	{name: "REDIS_HOST", path: "cache.redis.host"},
	{name: "REDIS_PORT", path: "cache.redis.port"},
	{name: "REDIS_PASSWORD", path: "cache.redis.password"},
	{name: "COMPRESSION_LEVEL", path: "compression.level"},
	{name: "CACHE_TTL_DEFAULT", path: "defaults.cache.ttl", unit: "s", words: "a whole number of seconds"},
	{name: "REQUEST_TIMEOUT", path: "defaults.timeout", unit: "ms", words: "a whole number of milliseconds"},
	{name: "OTEL_EXPORTER_OTLP_ENDPOINT", path: "telemetry.traces.endpoint"},
	{name: "OTEL_SERVICE_NAME", path: "telemetry.traces.service"},
}

// overlay lays the environment over the file, and flags over both: koanf merges the tables; an entry of a list of tables is
// changed in place, since koanf replaces lists. The built-in defaults lie beneath, as what the result is decoded into.
func (l *loader) overlay(root *Key, layers Layers) map[string]any {
	a := &assigner{loader: l, root: root}
	for _, short := range shortVariables {
		if text := l.env[short.name]; text != "" {
			a.short(short.name, short.path, text, short.unit, short.words)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if rest, ok := strings.CutPrefix(name, variablePrefix); ok && l.env[name] != "" {
			a.assign(Origin{Kind: FromEnv, Name: name}, strings.Split(rest, "__"), l.env[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(layers.Flags)) {
		steps := strings.FieldsFunc(name, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
		a.assign(Origin{Kind: FromFlag, Name: name}, steps, layers.Flags[name])
	}

	file := map[string]any{}
	maps.Copy(file, l.values)
	routes, written := file["routes"]
	delete(file, "routes") // koanf would copy them, for nothing
	k := koanf.New(".")
	for _, layer := range append([]map[string]any{file}, a.tables...) {
		// Loading a map cannot fail: it is neither read nor parsed, and merging is not strict.
		_ = k.Load(confmap.Provider(layer, ""), nil)
	}
	values := k.Raw()
	if written {
		values["routes"] = routes
	}
	for _, set := range a.elements {
		set(values)
	}
	return values
}

// assigner turns variables and flags into layers.
type assigner struct {
	loader   *loader
	root     *Key
	tables   []map[string]any              // one for each assignment, later ones winning
	elements []func(values map[string]any) // assignments within a list of tables
}

// short assigns a variable with a name of its own.
func (a *assigner) short(name, path, text, unit, words string) {
	if unit != "" {
		if _, err := strconv.ParseUint(text, 10, 63); err != nil {
			origin := Origin{Kind: FromEnv, Name: name}
			a.refuse(origin, path, kindWrongType, "expected "+words+", got "+quote(text), "")
			return
		}
	}
	a.assign(Origin{Kind: FromEnv, Name: name}, strings.Split(path, "."), text+unit)
}

func (a *assigner) refuse(origin Origin, path, kind, what, hint string) {
	a.loader.problems = append(a.loader.problems,
		Problem{File: origin.String(), Path: path, Kind: kind, What: what, Hint: hint})
}

// assign gives the key at steps a value. Steps are compared without regard to case, and _ stands for - too.
func (a *assigner) assign(origin Origin, steps []string, text string) {
	key, path := a.root, ""
	var value any = a.loader.values // of the file, at path
	var trail []any                 // names and indexes
	var replaced []func()           // checks of what the file says there
	for n, step := range steps {
		name, i, problem := a.step(key, value, path, step)
		if problem.What != "" {
			if problem.Hint == "" {
				problem.Hint = a.suggest(origin, key, steps, n)
			}
			a.refuse(origin, problem.Path, kindUnknownKey, problem.What, problem.Hint)
			return
		}
		if key.Type == TypeList {
			key, path = key.Elem, element(path, i)
			value = value.([]any)[i]
			trail = append(trail, i)
		} else {
			if key.Type == TypeMap {
				key = key.Elem
			} else {
				key = key.Key(name)
			}
			path = join(path, name)
			table, _ := value.(map[string]any)
			value = table[name]
			trail = append(trail, name)
		}
		if value != nil && (n == len(steps)-1 || !holds(key, value)) {
			replaced = append(replaced, func() { a.checkReplaced(key, value, path) })
		}
	}
	typed, what := coerce(key, text)
	if what != "" {
		hint := ""
		if key.Type == TypeTable || key.Type == TypeMap || key.Type == TypeList && key.Elem.Type == TypeTable {
			hint = "name one of its keys"
		}
		a.refuse(origin, path, kindWrongType, what, hint)
		return
	}
	for _, check := range replaced {
		check()
	}
	a.record(origin, path, trail)
	a.store(trail, typed)
}

// step finds the key that one part of a variable's name means.
func (a *assigner) step(key *Key, value any, path, step string) (name string, index int, problem Problem) {
	switch key.Type {
	case TypeTable:
		for _, child := range key.Keys {
			if normal(child.Name) == normal(step) {
				return child.Name, 0, Problem{}
			}
		}
		return "", 0, Problem{Path: join(path, strings.ToLower(step)), What: "unknown key"}
	case TypeMap:
		table, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if normal(name) == normal(step) {
				return name, 0, Problem{}
			}
		}
		return strings.ToLower(step), 0, Problem{}
	case TypeList:
		entries, _ := value.([]any)
		i, err := strconv.Atoi(step)
		if key.Elem.Type == TypeTable && err == nil && i >= 0 && i < len(entries) {
			return "", i, Problem{}
		}
		if key.Elem.Type == TypeTable {
			return "", 0, Problem{
				Path: path, What: fmt.Sprintf("the file has no entry %s here", quote(step)),
				Hint: fmt.Sprintf("it has %d, counted from 0", len(entries)),
			}
		}
	}
	return "", 0, Problem{Path: path, What: "there is no key within " + describeType(key), Hint: "name " + path + " itself"}
}

// describeType says what a key is, for a problem about what lies within it.
func describeType(key *Key) string {
	if key.Type == TypeList {
		return "a list"
	}
	return "a value"
}

// suggest names the variable or flag that was meant, whose step n is not a key.
func (a *assigner) suggest(origin Origin, key *Key, steps []string, n int) string {
	meant := nearest(normal(steps[n]), normalNames(key))
	if meant == "" {
		return ""
	}
	parts := slices.Clone(steps)
	parts[n] = meant
	if origin.Kind == FromEnv {
		return "did you mean " + variablePrefix + strings.ToUpper(strings.Join(parts, "__")) + "?"
	}
	return "did you mean --set " + strings.Join(parts, ".") + "?"
}

func normal(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

func normalNames(key *Key) []string {
	names := key.names()
	for i := range names {
		names[i] = normal(names[i])
	}
	return names
}

// holds reports whether a value can hold what lies within key.
func holds(key *Key, value any) bool {
	switch value.(type) {
	case map[string]any:
		return key.Type == TypeTable || key.Type == TypeMap
	case []any:
		return key.Type == TypeList
	}
	return false
}

// checkReplaced reports what is wrong with a value of the file that an assignment replaces: the file is checked whole.
func (a *assigner) checkReplaced(key *Key, value any, path string) {
	if at, ok := a.loader.places[path]; ok && at.Kind == FromFile {
		a.loader.value(key, value, path, reflect.New(key.goType).Elem())
		delete(a.loader.hidden, path)
	}
}

// record remembers where the value at path, and the tables that it makes, now come from.
func (a *assigner) record(origin Origin, path string, trail []any) {
	places := a.loader.places
	for i := 0; ; i++ {
		if _, ok := places[element(path, i)]; !ok {
			break
		}
		delete(places, element(path, i))
	}
	places[path] = place{Origin: origin}
	for range trail[1:] {
		above, _ := parent(path)
		if path = above; !a.loader.written(path) {
			places[path] = place{Origin: origin}
		}
	}
}

// store keeps the assignment as a layer, or as a change of an entry in a list.
func (a *assigner) store(trail []any, typed any) {
	if slices.ContainsFunc(trail, func(step any) bool { _, isIndex := step.(int); return isIndex }) {
		a.elements = append(a.elements, func(values map[string]any) { set(values, trail, typed) })
		return
	}
	for _, step := range slices.Backward(trail) {
		typed = map[string]any{step.(string): typed}
	}
	a.tables = append(a.tables, typed.(map[string]any))
}

// set changes the value at the end of a trail of names and indexes, making tables as needed.
func set(in any, trail []any, typed any) {
	switch step := trail[0].(type) {
	case int:
		entries := in.([]any)
		if _, ok := entries[step].(map[string]any); !ok {
			entries[step] = map[string]any{}
		}
		set(entries[step], trail[1:], typed)
	case string:
		table := in.(map[string]any)
		if len(trail) == 1 {
			table[step] = typed
			return
		}
		if _, isIndex := trail[1].(int); !isIndex {
			if _, ok := table[step].(map[string]any); !ok {
				table[step] = map[string]any{}
			}
		}
		set(table[step], trail[1:], typed)
	}
}

// coerce reads the text of a variable or flag as the type of its key. what is wrong with it otherwise.
func coerce(key *Key, text string) (value any, what string) {
	wrong := "expected " + expected(key) + ", got " + quote(text)
	var err error
	switch key.Type {
	case TypeInteger:
		value, err = strconv.ParseInt(text, 10, 64)
	case TypeFloat:
		value, err = strconv.ParseFloat(text, 64)
	case TypeBoolean:
		value, err = strconv.ParseBool(text)
	case TypeList:
		if key.Elem.Type == TypeTable {
			return nil, "a list of tables cannot be set as a whole"
		}
		list := []any{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			elem, what := coerce(key.Elem, part)
			if what != "" {
				return nil, what
			}
			list = append(list, elem)
		}
		return list, ""
	case TypeTable, TypeMap, TypeAny:
		return nil, "a table cannot be set as a whole"
	default:
		return text, ""
	}
	if err != nil {
		return nil, wrong
	}
	return value, ""
}
