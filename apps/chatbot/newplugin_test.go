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
	m := newModule(t)
	m.run(t, "chatbot", "new", "plugin", "hello")
	m.run(t, "go", "vet", "./hello")
	m.run(t, "go", "test", "./hello")
}

// module is the folder of a stranger's module that requires this one.
type module string

func newModule(t *testing.T) module {
	t.Helper()
	m := module(t.TempDir())
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	_, requirements, _ := strings.Cut(read(t, filepath.Join(root, "go.mod")), "\n")
	m.write(t, "go.mod", "module shop.example/bot\n"+requirements+
		"\nrequire github.com/innatural/chatbot v0.0.0\nreplace github.com/innatural/chatbot => "+repository+"\n")
	m.write(t, "go.sum", read(t, filepath.Join(root, "go.sum")))
	return m
}

func (m module) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(string(m), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m module) run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = string(m)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -trimpath", "CGO_ENABLED=0", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
