package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The README's Go blocks are whole files, named by their first line. Together they are a stranger's module, which compiles,
// and whose tests pass.
func TestReadmeGo(t *testing.T) {
	m := newModule(t)
	names := regexp.MustCompile(`^// (\S+\.go)\n`)
	for _, block := range blocks(read(t, filepath.Join(root, "README.md")), "go") {
		name := names.FindStringSubmatch(block)
		if name == nil {
			t.Fatalf("a Go block whose first line is not // FILE.go:\n%s", block)
		}
		m.write(t, name[1], block)
	}
	m.run(t, "go", "vet", "./...")
	m.run(t, "go", "test", "./...")
}

// The README's console blocks are one session with a server of the tour's policy: each line that begins with $ is run, and the
// lines below it are what it writes. In those an ellipsis stands for a part of a line, or, alone in its line, for any lines;
// times, sizes, counts and places in files may differ.
func TestReadmeConsole(t *testing.T) {
	dir := t.TempDir()
	program, err := exec.LookPath("chatbot")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "policies", "chatbot.toml")
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "bin"), 0o700), os.Symlink(program, filepath.Join(dir, "bin", "chatbot")),
		os.CopyFS(filepath.Join(dir, "policies"), os.DirFS(filepath.Join(root, "policies"))),
		os.WriteFile(filepath.Join(dir, "shop.toml"), []byte(read(t, copied)), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	address := serveReadme(t, dir)
	const written = "127.0.0.1:5000" // where the README's server listens
	for _, block := range blocks(read(t, filepath.Join(root, "README.md")), "console") {
		for _, step := range strings.Split("\n"+strings.TrimSpace(block), "\n$ ")[1:] {
			command, want := cutCommand(step)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			cmd := exec.CommandContext(ctx, "bash", "-c", strings.ReplaceAll(command, written, address))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "POLICY__SERVER__LISTEN="+address) // where a command looks for the server
			out, err := cmd.CombinedOutput()                                  // some fail on purpose; what they write is compared
			cancel()
			got := strings.ReplaceAll(strings.ReplaceAll(string(out), address, written), "\r", "")
			if !like(want).MatchString(strings.TrimSpace(got)) {
				t.Errorf("$ %s\n%s\n(%v) the README shows\n%s", command, got, err, want)
			}
		}
	}
}

// serveReadme serves the tour's policy until the end of the test, and returns the address.
func serveReadme(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join("bin", "chatbot"), "serve", "--policy", "shop.toml", "--listen", "127.0.0.1:0")
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	said := &output{}
	cmd.Stdout, cmd.Stderr = io.Discard, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it ends with the test's context
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if at, ok := said.find(regexp.MustCompile(`at http://(\S+)\n`)); ok {
			return at[1]
		}
	}
	t.Fatalf("the server does not start:\n%s", said)
	return ""
}

// blocks returns the fenced blocks of a language.
func blocks(markdown, language string) []string {
	var all []string
	for _, found := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(markdown, -1) {
		all = append(all, found[1])
	}
	return all
}

// cutCommand parts a command, which goes on after a line that ends with a backslash, from what it writes.
func cutCommand(step string) (command, want string) {
	lines := strings.SplitAfter(step, "\n")
	n := 1
	for n < len(lines) && strings.HasSuffix(lines[n-1], "\\\n") {
		n++
	}
	return strings.TrimSpace(strings.Join(lines[:n], "")), strings.TrimSpace(strings.Join(lines[n:], ""))
}

var (
	digits  = regexp.MustCompile(`\d+`)
	figures = regexp.MustCompile(`\d+(\\\.\d+)?(ms|µs)|:\d+:\d+|\\\[\d+\\\]|\d{4,}|\d+ (routes|passed)`) // in a quoted pattern
)

// like is what an output that the README shows stands for.
func like(want string) *regexp.Regexp {
	lines := strings.Split(regexp.QuoteMeta(want), "\n")
	var b bytes.Buffer
	for i, line := range lines {
		if line == "…" {
			b.WriteString(`(?s:.*)`)
			continue
		}
		line = strings.ReplaceAll(line, "…", ".*")
		b.WriteString(`\s*`)
		b.WriteString(figures.ReplaceAllStringFunc(line, func(figure string) string { return digits.ReplaceAllString(figure, `\d+`) }))
		if i < len(lines)-1 && lines[i+1] != "…" {
			b.WriteString(`\s*\n`)
		}
	}
	return regexp.MustCompile("^" + b.String() + "$")
}
