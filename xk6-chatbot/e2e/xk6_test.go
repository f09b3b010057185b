package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command runs one in a folder, with what it needs of the environment, and returns what it wrote to stdout.
func command(t *testing.T, dir string, environment []string, name string, arguments ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, arguments...)
	var said strings.Builder
	c.Dir, c.Env, c.Stderr = dir, append(os.Environ(), environment...), &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(arguments, " "), err, out, said.String())
	}
	return string(out)
}

// Built by xk6 as the README says, from a copy of this folder alone, k6 has the extension; xk6's tests and its lint pass. The
// copy is a repository of its own with a release, which lint wants.
func TestBuiltByXk6(t *testing.T) {
	root := t.TempDir()
	module := filepath.Join(root, "xk6-chatbot")
	if err := os.CopyFS(module, os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```bash\n(.*?)^```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README does not say how to build with xk6")
	}
	command(t, root, nil, "bash", "-e", "-c", string(block[1]))
	xk6, built := filepath.Join(root, "bin/xk6"), filepath.Join(root, "bin/k6")
	if version := command(t, root, nil, built, "version"); !strings.Contains(version, "k6/x/chatbot [js]") {
		t.Errorf("the extension is not in k6:\n%s", version)
	}

	tests := command(t, module, nil, xk6, "test", "--k6", built, "smoke.test.js", "test/*.test.js")
	for _, name := range []string{"smoke.test.js", "test/options.test.js"} {
		if !regexp.MustCompile(`(?m)^ok \d+ - ` + regexp.QuoteMeta(name) + `$`).MatchString(tests) {
			t.Errorf("xk6 test did not pass %s:\n%s", name, tests)
		}
	}

	// vulnerability asks vuln.go.dev, which a test can't count on. smoke gives k6 the flag --no-summary, which k6 v2 has no more
	// (xk6 v1.4.11); the same script has passed above. For security it needs gosec, which takes longer to compile than all of k6:
	// LINT=strict has it compiled.
	disabled := "vulnerability,smoke,security"
	want := []string{"module", "replace", "readme", "license", "git", "versions", "build", "examples", "types"}
	if os.Getenv("LINT") == "strict" {
		command(t, module, nil, "go", "build", "-C", ".tools", "-o", "../../bin/gosec", "github.com/securego/gosec/v2/cmd/gosec")
		disabled, want = "vulnerability,smoke", append([]string{"security"}, want...)
	}
	command(t, module, nil, "git", "init", "-q")
	command(t, module, nil, "git", "add", ".")
	command(t, module, nil, "git", "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "release")
	command(t, module, nil, "git", "tag", "v0.1.0")
	report := command(t, module, []string{"PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH")}, xk6, "lint", "--json",
		"--preset", "strict", "--disable", disabled)
	var lint struct{ Checks []struct{ ID string } }
	if err := json.Unmarshal([]byte(report), &lint); err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	var passed []string
	for _, c := range lint.Checks {
		passed = append(passed, c.ID)
	}
	if !slices.Equal(passed, want) {
		t.Errorf("lint checked %q, want %q", passed, want)
	}
}
