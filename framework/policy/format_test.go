package policy

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// TestFormat compares testdata/format/*.toml, as people write them, with what Format makes of them.
func TestFormat(t *testing.T) {
	for _, file := range caseFiles(t, "testdata/format") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden(t, strings.TrimSuffix(file, ".toml")+".want", string(checkFormat(t, read(t, file))))
		})
	}
}

func TestFormatSyntaxError(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nb = \n":            "2:5: syntax: ",
		"a = \"x\n":                "1:7: syntax: ",
		"[a\n":                     "1:3: syntax: ",
		"a = 1\na = 2\n":           "2:1: syntax: ",
		"[a]\nb = [1, 2\n":         "2:10: syntax: ",
		"a = 99999999999999999999": "1:5: syntax: ",
	} {
		got, err := Format([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "toml") {
			t.Errorf("Format(%q) = %q, %v; want an error that starts with %q", text, got, err, want)
		}
	}
}

func TestFormatDropsByteOrderMark(t *testing.T) {
	if got, err := Format([]byte("\ufeffa=1")); err != nil || string(got) != "a = 1\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzFormat(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.toml", "../../policies/*.toml", "../../plugins/*/*.toml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			f.Add(read(f, file))
		}
	}
	for _, text := range []string{
		"", "\n\n", "# only", "a=1#x", "a.b . 'c' . \"d\\\"=\"=1", "[ a . 'b ]' ]\n[[ c . d ]]", "a=[ # x\n\n\n1 # y\n,2,\n\n# z\n]",
		"a = {b=[1,{c=2}],d={}}",
		"a=\"\"\"\r\nx\r\n\"\"\"\"\"\r\nb='''\n'y'''''", "a=\"\"\"\\\"\"\"\"\"\"", "d=1979-05-27 07:32:00 # x",
		"a = {\n b = 1, # x\n\n c = 2\n}", "a = [[[]],[{}]]", "a = nan\nb = -inf", "# c\n[a]\n# d\n[b]", "a=1\r\n\r\n\r\n[b]\r\nc=2",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var document map[string]any
		valid := toml.Unmarshal(trimBOM(text), &document) == nil
		switch _, problem := parse(Source{Text: text}); {
		case problem == nil:
			checkFormat(t, text)
		case valid && strings.Contains(problem.What, "syntax"):
			t.Fatalf("refused: %v", problem)
		default:
			if _, err := Format(text); err == nil {
				t.Fatalf("formatted in spite of %v", problem)
			}
		}
	})
}

// checkFormat formats text, which is valid, and fails if that changes its meaning or comments or is not the last word.
func checkFormat(t *testing.T, text []byte) []byte {
	t.Helper()
	got, err := Format(text)
	if err != nil {
		t.Fatal(err)
	}
	var before, after map[string]any
	if err := toml.Unmarshal(trimBOM(text), &before); err != nil {
		t.Fatal(err)
	}
	if err := toml.Unmarshal(got, &after); err != nil {
		t.Fatalf("not TOML any more: %v\n%s", err, got)
	}
	if !same(before, after) {
		t.Fatalf("meaning changed: %v\n%v\n%s", before, after, got)
	}
	if b, a := strings.Count(string(text), "#"), strings.Count(string(got), "#"); a != b {
		t.Fatalf("%d signs of comments became %d:\n%s", b, a, got)
	}
	again, err := Format(got)
	if err != nil || string(again) != string(got) {
		t.Fatalf("a second time differs (%v):\n%s\n---\n%s", err, got, again)
	}
	return got
}

// same is reflect.DeepEqual, save that nan is nan.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if other, ok := b[k]; !ok || !same(v, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i, v := range a {
			if !same(v, b[i]) {
				return false
			}
		}
		return true
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	default:
		return reflect.DeepEqual(a, b)
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
