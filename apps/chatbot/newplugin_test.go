package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What "new plugin" writes compiles, passes vet and its own tests in a stranger's module that requires this one.
func TestNewPlugin(t *testing.T) {
	dir := t.TempDir()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	_, requirements, _ := strings.Cut(read(t, filepath.Join(root, "go.mod")), "\n")
	module := "module shop.example/bot\n" + requirements +
		"\nrequire github.com/innatural/chatbot v0.0.0\nreplace github.com/innatural/chatbot => " + repository + "\n"
	for name, text := range map[string]string{"go.mod": module, "go.sum": read(t, filepath.Join(root, "go.sum"))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	}
	run("chatbot", "new", "plugin", "hello")
	run("go", "vet", "./hello")
	run("go", "test", "./hello")
}
