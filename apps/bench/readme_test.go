//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/process"
)

// The commands of the README's section on benchmarks run, in their order, against the shop; only for a shorter time.
func TestReadme(t *testing.T) {
	const root = "../.."
	text := contents(t, filepath.Join(root, "README.md"))
	_, section, _ := strings.Cut(text, "\n## Benchmarks\n")
	section, _, _ = strings.Cut(section, "\n## ")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The shop without the race detector, under which it takes many times as long to learn what customers say.
	shop := filepath.Join(dir, "bin", "chatbot")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", shop, "../chatbot") // as make build does, once
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, err := range []error{
		os.Symlink(self, filepath.Join(dir, "bin", "bench")), os.CopyFS(filepath.Join(dir, "policies"), os.DirFS(filepath.Join(root, "policies"))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	address, err := process.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	server, err := process.Start(t.Context(), nil, address, shop, "serve", "--policy", filepath.Join(dir, "policies", "chatbot.toml"), "--listen", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	shorter := strings.NewReplacer(
		"127.0.0.1:5000", address, "bench run ", "bench run --warmup 0s ", "--duration 10s", "--duration 500ms --rate 200",
		" --rounds 16 --block 500ms --settle 100ms", "", " --searches 2 --step 1s --settle 300ms", "",
		"bench limit ", "bench limit --searches 1 --step 50ms --settle 0s ", "bench ab ", "bench ab --rounds 6 --block 50ms --settle 0s ", "bench compare ", "bench compare --force ",
		// The tour compares a result of before with one of after, which a reader makes by the same command.
		"after.json", "before.json",
	)
	commands := regexp.MustCompile(`(?m)^bin/bench .*$`).FindAllString(section, -1)
	if len(commands) != 5 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, command := range commands {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", shorter.Replace(command))
		cmd.Dir = dir
		cmd.WaitDelay = 10 * time.Second
		out, _ := cmd.CombinedOutput()
		// On a busy machine a run may be invalid, promises may be broken, and a comparison may say anything; but it must run.
		if code := cmd.ProcessState.ExitCode(); code != 0 && code != exitInvalid && code != exitInconclusive && code != exitRegressed && code != exitBroken {
			t.Errorf("%s\nexit %d\n%s", command, code, out)
		}
		if !strings.Contains(strings.ToLower(string(out)), "linux ") { // the machine, in every result
			t.Errorf("%s\n%s", command, out)
		}
	}
	for _, name := range []string{"before.json", "before.html", "change.html"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
