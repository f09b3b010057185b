package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins"
)

// root is the repository's, from here.
const root = "../.."

// check reports a policy's problems as they would be printed.
func check(t *testing.T, name, text string) {
	t.Helper()
	src := policy.Source{Name: name, Text: []byte(text)}
	layers := policy.Layers{Env: []string{"GATEWAY_UPSTREAM=http://127.0.0.1:8000"}}
	if _, problems := policy.Load(src, framework.Vocabulary(plugins.Standard()...), layers); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
}

// files returns the repository's files whose names match a pattern.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin"):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		matched, err := filepath.Match(pattern, entry.Name())
		if matched {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every policy is in its form, and passes its check and the tests beside it.
func TestPolicies(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(root, "policies", "*.toml"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	for _, file := range all {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text := read(t, file)
			if formatted, err := policy.Format([]byte(text)); err != nil || string(formatted) != text {
				t.Errorf("%s is not in its form; run make fmt (%v)", file, err)
			}
			if strings.HasSuffix(file, "_test.toml") {
				frameworktest.RunPolicyTests(t, file, plugins.Standard()...)
				return
			}
			check(t, file, text)
			if _, err := os.Stat(strings.TrimSuffix(file, ".toml") + "_test.toml"); err != nil {
				t.Errorf("no tests beside it: %v", err)
			}
		})
	}
}

// Every test of a policy names its route at least once, so that none is forgotten.
func TestEveryRouteIsTested(t *testing.T) {
	file := filepath.Join(root, "policies", "chatbot_test.toml")
	tests, problems := policy.LoadTests(policy.Source{Name: file, Text: []byte(read(t, file))})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	tested := map[string]bool{}
	for _, test := range tests.Tests {
		tested[test.Request.Method+" "+test.Expect.Route] = true
	}
	p, err := framework.PolicyFile(tests.Policy, nil)(framework.Vocabulary(plugins.Standard()...))
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range p.Routes {
		if !tested[route.Method+" "+route.Path] {
			t.Errorf("no test of %s names the route %s %s", file, route.Method, route.Path)
		}
	}
}

// Every plugin's example passes its check.
func TestExamples(t *testing.T) {
	examples := files(t, "example.toml")
	if len(examples) == 0 {
		t.Fatal("no examples")
	}
	for _, file := range examples {
		t.Run(file, func(t *testing.T) { check(t, file, read(t, file)) })
	}
}

var tomlBlock = regexp.MustCompile("(?ms)^```toml\n(.*?)^```")

// Every TOML block of every Markdown file passes its check.
func TestMarkdown(t *testing.T) {
	for _, file := range files(t, "*.md") {
		text := read(t, file)
		for _, at := range tomlBlock.FindAllStringSubmatchIndex(text, -1) {
			name := fmt.Sprintf("%s:%d", file, 1+strings.Count(text[:at[0]], "\n"))
			t.Run(name, func(t *testing.T) { checkBlock(t, name, text[at[2]:at[3]]) })
		}
	}
}

// checkBlock checks a policy, policy tests, or a part of a policy, which begins with a line "# fragment" and is checked at the
// end of the smallest policy.
func checkBlock(t *testing.T, name, block string) {
	t.Helper()
	switch {
	case strings.Contains(block, "[[tests]]"):
		if _, problems := policy.LoadTests(policy.Source{Name: name + "_test.toml", Text: []byte(block)}); len(problems) > 0 {
			t.Errorf("%v", problems)
		}
	case strings.HasPrefix(block, "# fragment"):
		check(t, name, "version = 1\n"+block)
	default:
		check(t, name, block)
	}
}
