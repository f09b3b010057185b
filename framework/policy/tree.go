package policy

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Type is the kind of value that a key takes.
type Type string

// The types. Durations, sizes and secrets are written as strings.
const (
	TypeString   Type = "string"
	TypeInteger  Type = "integer"
	TypeFloat    Type = "float"
	TypeBoolean  Type = "boolean"
	TypeText     Type = "text" // a string that the option's own type reads
	TypeDuration Type = "duration"
	TypeSize     Type = "size"
	TypeSecret   Type = "secret"
	TypeList     Type = "list"  // of Elem; of tables it is an array of tables
	TypeMap      Type = "map"   // any name to Elem
	TypeTable    Type = "table" // with Keys
	TypeAny      Type = "any"
)

// Key describes one key of a policy: what may be written there. The loader, the schema, the reference and the formatter all
// read it. It is derived from the struct tags of Policy and of the plugins' options, and never changes once derived.
type Key struct {
	Name    string // as written; empty for the elements of a list or a map
	Doc     string // one sentence
	Type    Type
	Rules   Rules
	Default string // as TOML writes it; empty for a table and for a key that must be written
	Keys    []*Key // of a Table, in the order of the reference
	Elem    *Key   // of a List or a Map

	goType reflect.Type
	field  int            // in the struct of the table
	byName map[string]int // in Keys
}

// Rules are the limits of a value, from its `check` tag. For a list or a map, all but Required and NonEmpty are those of Elem.
type Rules struct {
	Required bool
	NonEmpty bool
	Min, Max string // as written in the tag, in the form of the key's type; empty is no bound
	OneOf    []string
	Format   string // "address", "network", "method", "route" or "keytemplate"; empty is any

	lower, upper float64 // Min and Max, where there are such
}

// Key returns the key called name of a table, or nil.
func (k *Key) Key(name string) *Key {
	if i, ok := k.byName[name]; ok {
		return k.Keys[i]
	}
	return nil
}

// names returns what a table's keys are called.
func (k *Key) names() []string {
	names := make([]string, len(k.Keys))
	for i, child := range k.Keys {
		names[i] = child.Name
	}
	return names
}

func (k *Key) add(child *Key) {
	if k.byName == nil {
		k.byName = map[string]int{}
	}
	k.byName[child.Name] = len(k.Keys)
	k.Keys = append(k.Keys, child)
}

// Describe returns the root table of every policy that vocab allows: the keys of Policy, and under plugins a table for each
// plugin. It panics when a plugin's options cannot be described, which is a mistake in the plugin's code.
func Describe(vocab Vocabulary) *Key {
	root := describe("policy", reflect.ValueOf(*Default()))
	plugins := root.Key("plugins")
	plugins.Type, plugins.Elem, plugins.Default = TypeTable, nil, ""
	for _, plugin := range vocab.Plugins {
		table := &Key{Type: TypeTable, goType: reflect.TypeFor[struct{}]()}
		if plugin.Options != nil {
			table = describe("options of plugin "+plugin.Name, reflect.ValueOf(plugin.Options))
		}
		table.Name, table.Doc = plugin.Name, plugin.Doc
		plugins.add(table)
	}
	return root
}

var (
	durationType = reflect.TypeFor[Duration]()
	sizeType     = reflect.TypeFor[Size]()
	secretType   = reflect.TypeFor[Secret]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	anyType      = reflect.TypeFor[any]()
)

// describe derives the key of a value that holds its default. where names it in a panic.
func describe(where string, v reflect.Value) *Key {
	t := v.Type()
	key := &Key{goType: t}
	switch {
	case t == durationType:
		key.Type = TypeDuration
	case t == sizeType:
		key.Type = TypeSize
	case t == secretType:
		key.Type = TypeSecret
	case reflect.PointerTo(t).Implements(textType):
		key.Type = TypeText
	case t.Kind() == reflect.String:
		key.Type = TypeString
	case t.Kind() == reflect.Bool:
		key.Type = TypeBoolean
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		key.Type = TypeInteger
	case t.Kind() == reflect.Float64:
		key.Type = TypeFloat
	case t.Kind() == reflect.Slice:
		key.Type = TypeList
		key.Elem = describe(where, elementDefault(t.Elem(), Default()))
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		key.Type = TypeMap
		key.Elem = describe(where, elementDefault(t.Elem(), Default()))
	case t == anyType:
		key.Type = TypeAny
		return key
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		if v.IsNil() {
			return describe(where, elementDefault(t.Elem(), Default()))
		}
		return describe(where, v.Elem())
	case t.Kind() == reflect.Struct:
		describeTable(where, key, v)
		return key
	default:
		panic(fmt.Sprintf("policy: %s: a key cannot hold a %s", where, t))
	}
	if key.Elem == nil || key.Elem.Type != TypeTable {
		key.Default = literal(v)
	}
	return key
}

func describeTable(where string, table *Key, v reflect.Value) {
	table.Type = TypeTable
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		path := where + "." + name
		child := describe(path, v.Field(i))
		child.Name, child.Doc, child.field = name, field.Tag.Get("doc"), i
		child.check(path, field.Tag.Get("check"))
		if child.Rules.Required {
			child.Default = ""
		}
		table.add(child)
	}
}

// elementDefault is what an element of a list, or a table that may be absent, holds in policy p before the file speaks.
func elementDefault(t reflect.Type, p *Policy) reflect.Value {
	switch t {
	case reflect.TypeFor[Route]():
		return reflect.ValueOf(defaultRoute(p.Defaults))
	case reflect.TypeFor[RouteCache]():
		return reflect.ValueOf(defaultRouteCache(p.Defaults))
	case reflect.TypeFor[SLO]():
		return reflect.ValueOf(defaultSLO())
	case reflect.TypeFor[LogSink]():
		return reflect.ValueOf(defaultSink(p.Log))
	case reflect.TypeFor[Test]():
		return reflect.ValueOf(defaultTest())
	}
	return reflect.Zero(t)
}

// check reads the rules of a `check` tag.
func (k *Key) check(where, tag string) {
	if tag == "" {
		return
	}
	of := k // whose values the rules limit
	if k.Elem != nil {
		of = k.Elem
	}
	for rule := range strings.SplitSeq(tag, ",") {
		name, arg, _ := strings.Cut(rule, "=")
		var err error
		switch name {
		case "required":
			k.Rules.Required = true
		case "nonempty":
			k.Rules.NonEmpty = true
		case "min":
			of.Rules.Min = arg
			of.Rules.lower, err = of.bound(arg)
		case "max":
			of.Rules.Max = arg
			of.Rules.upper, err = of.bound(arg)
		case "oneof":
			of.Rules.OneOf = strings.Split(arg, "|")
		case "address", "network", "method", "route", "keytemplate":
			of.Rules.Format = name
		default:
			err = fmt.Errorf("no such rule")
		}
		if err != nil {
			panic(fmt.Sprintf("policy: %s: rule %q: %v", where, rule, err))
		}
	}
}

func (k *Key) bound(text string) (float64, error) {
	switch k.Type {
	case TypeDuration:
		d, err := ParseDuration(text)
		return float64(d), err
	case TypeSize:
		s, err := ParseSize(text)
		return float64(s), err
	case TypeInteger, TypeFloat:
		return strconv.ParseFloat(text, 64)
	}
	return 0, fmt.Errorf("a %s has no bounds", k.Type)
}

// literal writes a value as TOML does. A secret is written hidden.
func literal(v reflect.Value) string {
	if text, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok {
		b, err := text.MarshalText()
		if err != nil {
			return quote("")
		}
		return quote(string(b))
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Float64:
		s := strconv.FormatFloat(v.Float(), 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case reflect.Slice:
		elems := make([]string, v.Len())
		for i := range elems {
			elems[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(elems, ", ") + "]"
	case reflect.Map:
		names := sortedKeys(v)
		pairs := make([]string, len(names))
		for i, name := range names {
			pairs[i] = keyLiteral(name.String()) + " = " + literal(v.MapIndex(name))
		}
		if len(pairs) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(pairs, ", ") + " }"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	}
	return ""
}

// keyLiteral writes a key bare where TOML allows it.
func keyLiteral(name string) string {
	bare := func(r rune) bool {
		return r == '-' || r == '_' || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z')
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !bare(r) }) < 0 {
		return name
	}
	return quote(name)
}

// quote writes a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
