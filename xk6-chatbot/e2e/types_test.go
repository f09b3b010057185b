package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The typings hold: TypeScript finds no mistake in the scripts of this folder and of its README, and all in a script that is full
// of them. What was written from the typings alone does what it says.
func TestTypings(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the typings are not checked: there is no %s (make deps installs it)", program)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/types")); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"examples", "scenarios", "test"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS("../"+folder)); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"index.d.ts", "smoke.test.js", "README.md"} {
		text, err := os.ReadFile("../" + file)
		if err == nil && file == "README.md" {
			file, text = "readme.js", regexp.MustCompile("(?ms)^```js\n(.*?)^```").FindSubmatch(text)[1]
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	command(t, dir, nil, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	for _, project := range []string{"tsconfig.json", "jsconfig.json"} {
		c := exec.CommandContext(t.Context(), "node_modules/.bin/tsc", "-p", project)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", project, err, out)
		}
	}

	out := t.TempDir()
	policy := absolute(t, "../../policies/chatbot.toml")
	load(t, "-e", "BASE_URL="+shop(t), "-e", "POLICY="+policy, "-e", "OUT="+out, "testdata/types/newcomer.ts").wants(t, 0, `PASSED`)
	if fileSize(t, filepath.Join(out, "newcomer.html")) == 0 {
		t.Error("the report is empty")
	}
}
