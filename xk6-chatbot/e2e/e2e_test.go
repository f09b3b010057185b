// Package e2e runs the built k6 against the built chatbot, healthy and not, and the built bench on what came of it.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// Built once by TestMain.
var k6, chatbot, bench string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	bin, err := os.MkdirTemp("", "xk6-chatbot")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	k6, chatbot, bench = filepath.Join(bin, "k6"), filepath.Join(bin, "chatbot"), filepath.Join(bin, "bench")
	for _, build := range [][]string{
		{"-o", k6, "../cmd/k6"}, {"-C", "../..", "-o", chatbot, "./apps/chatbot"}, {"-C", "../..", "-o", bench, "./apps/bench"},
	} {
		if out, err := exec.Command("go", append([]string{"build"}, build...)...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", build[len(build)-1], err, out)
			return 1
		}
	}
	return m.Run()
}

// shop starts the chatbot on a free port with its own policy, and returns its address.
func shop(t *testing.T) string {
	t.Helper()
	return start(t, regexp.MustCompile(` at (http://\S+)`),
		chatbot, "serve", "--listen", "127.0.0.1:0", "--policy", "../../policies/chatbot.toml")
}

// start runs a server until the end of the test, and returns what the pattern finds in what it says first.
func start(t *testing.T, pattern *regexp.Regexp, command string, arguments ...string) string {
	t.Helper()
	c := exec.Command(command, arguments...)
	output, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = c.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	found, ended := make(chan string, 1), make(chan struct{})
	var said bytes.Buffer
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if m := pattern.FindSubmatch(lines.Bytes()); m != nil {
				select {
				case found <- string(m[1]):
				default:
				}
			}
			if said.Len() < 1<<16 {
				said.Write(lines.Bytes())
				said.WriteByte('\n')
			}
		}
	}()
	t.Cleanup(func() {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("stop %s: %v", command, err)
		}
		<-ended
		c.Wait() //nolint:errcheck // however it ended, it did
	})
	select {
	case address := <-found:
		return address
	case <-ended:
		t.Fatalf("%s ended:\n%s", command, said.String())
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not say where it serves", command)
	}
	return ""
}

// result is what a run of k6 came to.
type result struct {
	code   int
	output string
	json   map[string]any // of the report, when there is one
}

// load runs k6 in a folder of its own.
func load(t *testing.T, arguments ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	fixed := []string{"run", "--quiet", "--no-usage-report", "--no-color", "--address", ""}
	c := exec.CommandContext(ctx, k6, append(fixed, arguments...)...)
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("k6: %v\n%s", err, output.String())
	}
	return result{code: c.ProcessState.ExitCode(), output: output.String()}
}

// scenario runs one of the shop's scenarios, and reads its report.
func scenario(t *testing.T, name, address, scale string, arguments ...string) result {
	t.Helper()
	dir := t.TempDir()
	arguments = append([]string{"-e", "BASE_URL=" + address, "-e", "SCALE=" + scale, "-e", "OUT=" + dir}, arguments...)
	r := load(t, append(arguments, "../scenarios/"+name+".js")...)
	b, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		t.Fatalf("%v\n%s", err, r.output)
	}
	if err := json.Unmarshal(b, &r.json); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{name + ".html", name + ".txt"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	return r
}

// wants checks how k6 ended, and what it said.
func (r result) wants(t *testing.T, code int, texts ...string) {
	t.Helper()
	ok := r.code == code
	for _, text := range texts {
		if matched, err := regexp.MatchString(text, r.output); err != nil {
			t.Fatal(err)
		} else if !matched {
			t.Errorf("the output lacks %q", text)
			ok = false
		}
	}
	if !ok {
		t.Errorf("exit code %d, want %d:\n%s", r.code, code, r.output)
	}
}

// get fetches a URL, and decodes its JSON.
func get(t *testing.T, url string, into any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("%s: %s: %v", url, res.Status, err)
	}
}

// What the load tests of the layer before this one did, with k6's own http module: 100 users from one address, who read what the
// contract names.
func TestScriptsWithoutTheExtension(t *testing.T) {
	t.Parallel()
	load(t, "-e", "BASE_URL="+shop(t), "testdata/plain.js").wants(t, 0, `✓ chat: no 429`, `checks_succeeded\S*: 100\.00%`)
}
