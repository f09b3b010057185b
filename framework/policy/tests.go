package policy

import (
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Tests are what a policy tests file states: requests, and what must hold of their answers.
type Tests struct {
	Policy string            `toml:"policy" doc:"The policy under test, relative to this file; by default the one beside it without _test."`
	Env    map[string]string `toml:"env" doc:"Variables that the policy is loaded with, over those of the environment."`
	Tests  []Test            `toml:"tests" doc:"The tests, run in the order in which they are written." check:"required,nonempty"`
}

// Test is one request and what must hold of its answer.
type Test struct {
	Name    string      `toml:"name" doc:"What must hold, in a few words." check:"required"`
	Request TestRequest `toml:"request" doc:"What is asked." check:"required"`
	Expect  TestExpect  `toml:"expect" doc:"What must hold of the answer; what is not named may be anything." check:"required"`

	Place Origin `toml:"-"` // where the test is written
}

// TestRequest is what a test asks.
type TestRequest struct {
	Method  string            `toml:"method" doc:"Method of the request." check:"oneof=GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS"`
	Path    string            `toml:"path" doc:"Path, with a query if need be." check:"required"`
	Headers map[string]string `toml:"headers" doc:"Headers of the request."`
	Body    string            `toml:"body" doc:"Body as it is sent."`
	JSON    any               `toml:"json" doc:"Body as a value; sent as application/json."`
}

// TestExpect is what must hold of an answer. A string of JSON that starts with ~ is a regular expression (RE2), as are the
// values of Headers; regular expressions match anywhere in a value.
type TestExpect struct {
	Status      int               `toml:"status" doc:"Status code." check:"min=100,max=599"`
	Route       string            `toml:"route" doc:"Path of the route that serves the request, as the policy writes it."`
	Headers     map[string]string `toml:"headers" doc:"Regular expression for each named header; empty wants it absent."`
	JSON        map[string]any    `toml:"json" doc:"Value, or ~ and a regular expression, at each dotted path of the body."`
	Contains    []string          `toml:"contains" doc:"Texts that the body must hold."`
	NotContains []string          `toml:"not_contains" doc:"Texts that the body must not hold."`
	Timeout     Duration          `toml:"timeout" doc:"Longest time to the whole answer." check:"min=1ms,max=1h"`
}

// Environ returns an environment, in the form of os.Environ, with the variables of the tests over it.
func (t *Tests) Environ(environment []string) []string {
	all := slices.Clone(environment)
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		all = append(all, name+"="+t.Env[name])
	}
	return all
}

// defaultTest returns what a test does before the file speaks.
func defaultTest() Test {
	return Test{Request: TestRequest{Method: "GET"}, Expect: TestExpect{Status: 200, Timeout: Duration(10 * time.Second)}}
}

// LoadTests reads a policy tests file as strictly as Load reads a policy; the tests are nil if and only if there are
// problems. Policy is returned relative to the working directory, ready to be opened. It may be called concurrently.
func LoadTests(src Source) (*Tests, Problems) {
	doc, syntax := parse(src)
	if syntax != nil {
		return nil, Problems{*syntax}
	}
	l := newLoader(src, doc, nil)
	tests := &Tests{}
	l.table(describe("tests", reflect.ValueOf(Tests{})), doc.values, "", reflect.ValueOf(tests).Elem())
	name := filepath.Base(src.Name)
	switch {
	case tests.Policy != "":
		name = tests.Policy
	case strings.HasSuffix(name, "_test.toml"):
		name = strings.TrimSuffix(name, "_test.toml") + ".toml"
	case len(l.problems) == 0:
		l.problem("", kindRequired, "policy is required in a file whose name does not end in _test.toml", `write policy = "FILE"`)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.folder, name)
	}
	tests.Policy = name
	for i := range tests.Tests {
		test, path := &tests.Tests[i], element("tests", i)
		test.Place = l.places[path].Origin
		l.checkTest(test, path)
	}
	if len(l.problems) > 0 {
		return nil, l.finish()
	}
	return tests, nil
}

func (l *loader) checkTest(test *Test, path string) {
	if test.Request.Path != "" && !strings.HasPrefix(test.Request.Path, "/") {
		l.problem(path+".request.path", kindBadValue, quote(test.Request.Path)+" does not start with a slash",
			"write "+quote("/"+test.Request.Path))
	}
	if test.Request.Body != "" && test.Request.JSON != nil {
		l.problem(path+".request.json", kindBadValue, "a request has one body", "drop body or json")
	}
	for name, pattern := range test.Expect.Headers {
		l.checkRegexp(join(path+".expect.headers", name), pattern)
	}
	for name, value := range test.Expect.JSON {
		if pattern, ok := value.(string); ok && strings.HasPrefix(pattern, "~") {
			l.checkRegexp(join(path+".expect.json", name), pattern[1:])
		}
	}
}

func (l *loader) checkRegexp(path, pattern string) {
	if _, err := regexp.Compile(pattern); err != nil {
		what := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		l.problem(path, kindBadValue, "not a regular expression: "+what, "quote special characters with a backslash")
	}
}
