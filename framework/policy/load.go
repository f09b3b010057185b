package policy

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Load reads a policy: the built-in defaults under the file, under the environment, under flags. It reports every mistake,
// sorted by place; the policy is nil if and only if there are any. It reads no file but those that the policy's ${file:…}
// references name, and may be called concurrently. It panics when a plugin of vocab cannot be described.
func Load(src Source, vocab Vocabulary, layers Layers) (*Policy, Problems) {
	return loadWith(src, vocab, layers, func(*loader) {})
}

// Check is Load for who is about to serve the policy here: among the mistakes is what the options of plugins depend on and is not
// there, see Dependent.
func Check(src Source, vocab Vocabulary, layers Layers) (*Policy, Problems) {
	return loadWith(src, vocab, layers, (*loader).checkDependencies)
}

// Unmet returns what the options of plugins depend on and is not there, see Dependent.
func (p *Policy) Unmet() Problems {
	m := &p.meta
	l := &loader{file: m.file, places: m.places, secrets: m.secrets, texts: m.texts, policy: p, used: m.used}
	l.checkDependencies()
	return l.finish()
}

func loadWith(src Source, vocab Vocabulary, layers Layers, more func(*loader)) (*Policy, Problems) {
	root := Describe(vocab)
	doc, syntax := parse(src)
	if syntax != nil {
		return nil, Problems{*syntax}
	}
	l := newLoader(src, doc, variables(layers.Env))
	if v, ok := doc.values["version"].(int64); ok && v != 1 { // the rest is written in another language
		l.problem("version", kindNotOneOf, fmt.Sprintf("version %d is not known to this program", v), "write version = 1")
		return nil, l.finish()
	}
	values := l.overlay(root, layers)
	plugins, written := values["plugins"]
	delete(values, "plugins")

	p := l.policy
	l.table(root, values, "", reflect.ValueOf(p).Elem())
	l.plugins(root.Key("plugins"), vocab, plugins, written)
	l.check(vocab)
	more(l)
	if len(l.problems) > 0 {
		return nil, l.finish()
	}
	p.meta = meta{
		file: src.Name, hash: fingerprint(root, p), root: root, places: l.places, hidden: l.hidden, router: l.router,
		used: l.used, secrets: l.secrets, texts: l.texts,
	}
	return p, nil
}

// loader decodes one document and gathers its problems.
type loader struct {
	file     string
	folder   string            // that references to files are relative to
	env      map[string]string // nil where strings hold no references
	values   map[string]any
	places   map[string]place
	hidden   map[string]bool // paths of values that came from a reference
	secrets  []place         // literals of secrets in the file
	texts    []string        // what no problem may show
	problems Problems
	policy   *Policy // what is being decoded, from the defaults on
	router   *router
	used     []string // plugins with a table or a route whose options could be read
}

func newLoader(src Source, doc *document, env map[string]string) *loader {
	return &loader{
		file: src.Name, folder: filepath.Dir(src.Name), env: env,
		values: doc.values, places: doc.places, hidden: map[string]bool{}, policy: Default(),
	}
}

// variables reads an environment as os.Environ returns it.
func variables(environ []string) map[string]string {
	env := map[string]string{}
	for _, variable := range environ {
		if name, value, ok := strings.Cut(variable, "="); ok {
			env[name] = value
		}
	}
	return env
}

// problem reports a mistake in the value at path.
func (l *loader) problem(path, kind, what, hint string) {
	p := Problem{File: l.file, Line: 1, Col: 1, Path: path, Kind: kind, What: what, Hint: hint}
	if at, ok := l.place(path); ok {
		p.File, p.Line, p.Col = at.File, at.line, at.col
		if at.Kind != FromFile {
			p.File = at.String()
		}
	}
	l.problems = append(l.problems, p)
}

// keyProblem reports a mistake in the key at path rather than in its value.
func (l *loader) keyProblem(path, kind, what, hint string) {
	l.problem(path, kind, what, hint)
	if at, ok := l.places[path]; ok && at.Kind == FromFile {
		p := &l.problems[len(l.problems)-1]
		p.Line, p.Col = at.Line, at.Col
	}
}

// place returns where path is written, or the nearest table around it.
func (l *loader) place(path string) (place, bool) {
	for {
		if at, ok := l.places[path]; ok {
			return at, true
		}
		above, ok := parent(path)
		if !ok {
			return place{}, false
		}
		path = above
	}
}

// written reports whether the file, a variable or a flag says something at path.
func (l *loader) written(path string) bool {
	_, ok := l.places[path]
	return ok
}

// finish returns the problems sorted and without secrets, each knowing those on its line.
func (l *loader) finish() Problems {
	columns := map[int][]int{}
	for _, at := range l.secrets {
		columns[at.line] = append(columns[at.line], at.col)
	}
	for i := range l.problems {
		p := &l.problems[i]
		slices.Sort(columns[p.Line])
		p.hide = columns[p.Line]
		for _, text := range l.texts {
			p.What, p.Hint = strings.ReplaceAll(p.What, text, hiddenText), strings.ReplaceAll(p.Hint, text, hiddenText)
		}
	}
	l.problems.sort()
	return l.problems
}

// plugins decodes the options of each plugin over a copy of its defaults. What a plugin requires is required once it has a
// table or a route.
func (l *loader) plugins(key *Key, vocab Vocabulary, raw any, written bool) {
	tables, ok := raw.(map[string]any)
	if written && !ok {
		l.wrongType(key, raw, "plugins")
	}
	for name := range tables {
		if key.Key(name) == nil {
			l.keyProblem(join("plugins", name), kindUnknownPlugin, "no plugin named "+quote(name)+" in this build",
				suggest(name, key.names(), "its plugins are"))
		}
	}
	for _, plugin := range vocab.Plugins {
		l.policy.Plugins[plugin.Name] = plugin.Options
		path, table := join("plugins", plugin.Name), key.Key(plugin.Name)
		raw, written := tables[plugin.Name]
		if plugin.Options == nil {
			if written {
				l.value(table, raw, path, reflect.ValueOf(&struct{}{}).Elem())
			}
			continue
		}
		options := reflect.New(reflect.TypeOf(plugin.Options))
		options.Elem().Set(reflect.ValueOf(plugin.Options))
		before := len(l.problems)
		if written {
			l.value(table, raw, path, options.Elem())
		} else if route := l.routeOf(plugin); route != "" {
			for _, child := range table.Keys {
				if child.Rules.Required {
					l.problem(route, kindRequired, fmt.Sprintf("plugin %s needs the option %s", plugin.Name, quote(child.Name)),
						"add it under ["+path+"]")
				}
			}
		}
		l.policy.Plugins[plugin.Name] = options.Elem().Interface()
		if len(l.problems) > before || !written && l.routeOf(plugin) == "" {
			continue
		}
		l.used = append(l.used, plugin.Name)
		if validator, ok := reflect.TypeAssert[Validator](options); ok {
			l.optionProblems(path, validator.Validate())
		}
	}
}

// routeOf returns the path of the first handler in the routes that is the plugin's.
func (l *loader) routeOf(plugin Plugin) string {
	for i, route := range l.policy.Routes {
		for _, handler := range plugin.Handlers {
			if route.Handler == handler.Name {
				return element("routes", i) + ".handler"
			}
		}
	}
	return ""
}

// checkDependencies runs the check of those plugins that depend on more than their options.
func (l *loader) checkDependencies() {
	for _, name := range l.used {
		options := reflect.New(reflect.TypeOf(l.policy.Plugins[name]))
		options.Elem().Set(reflect.ValueOf(l.policy.Plugins[name]))
		if dependent, ok := reflect.TypeAssert[Dependent](options); ok {
			l.optionProblems(join("plugins", name), dependent.CheckDependencies(l.policy))
		}
	}
}

// optionProblems reports what a plugin's own check found. An error for each option is reported at that option.
func (l *loader) optionProblems(path string, found error) {
	pending := []error{found}
	for len(pending) > 0 {
		err := pending[0]
		pending = pending[1:]
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			pending = append(slices.Clone(joined.Unwrap()), pending...)
			continue
		}
		if err == nil {
			continue
		}
		at := path
		if option, ok := errors.AsType[*OptionError](err); ok {
			at, err = path+"."+option.Key, option.Err
		}
		what, hint, _ := strings.Cut(err.Error(), "; ")
		l.problem(at, kindOptions, what, hint)
	}
}
