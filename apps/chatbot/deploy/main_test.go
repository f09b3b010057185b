// Package deploy holds what runs the shop elsewhere. Its tests run what can be run here: the binary that the image has, nginx, Redis, and
// what of systemd needs no systemd; the module in manifests checks the rest by the tools and types of those who read it.
package deploy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
)

const (
	root     = "../../.."
	policy   = root + "/policies/chatbot.toml"
	patience = time.Minute // bounds every wait
)

// built is a folder with the binary as the image has it, in two versions: v1/chatbot and v2/chatbot.
var built string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if built, err = os.MkdirTemp("", "deploy"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built)
	for _, version := range []string{"v1", "v2"} {
		if err := build(version); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// build runs the line of the Dockerfile that makes the binary.
func build(version string) error {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		return err
	}
	line := regexp.MustCompile(`CGO_ENABLED=0 go build .*`).FindString(string(text))
	line = strings.Replace(line, "-o /chatbot", "-o "+filepath.Join(built, version, "chatbot"), 1)
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "VERSION="+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return nil
}

// process is a program that a test runs. It is killed at the end of the test.
type process struct {
	cmd    *exec.Cmd
	log    string // file, which outlives the process: one that takes over writes on
	exited chan struct{}
}

func start(t *testing.T, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{}), log: filepath.Join(t.TempDir(), "log")}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the state says how it ended
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(program), tail(p.said()))
		}
	})
	return p
}

// tail returns the last lines of a text.
func tail(text string) string {
	const most = 4 << 10
	return text[max(0, len(text)-most):]
}

// stop ends a process in order, and waits for it.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if !p.cmd.ProcessState.Success() {
		t.Errorf("it ended with %v", p.cmd.ProcessState)
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// said returns what the process, and those that took over from it, have said.
func (p *process) said() string {
	text, _ := os.ReadFile(p.log) // for a reader of a failed test
	return string(text)
}

// instance is a shop that serves.
type instance struct {
	*process
	address, admin string
}

// startShop starts an instance on an address of its own, or that of one that has ended, and waits until it is ready.
func startShop(t *testing.T, version, address string, env ...string) *instance {
	t.Helper()
	if address == "" {
		address = frameworktest.FreeAddress(t)
	}
	i := &instance{address: address, admin: frameworktest.FreeAddress(t)}
	i.process = start(t, append([]string{
		"POLICY__SERVER__LISTEN=" + i.address, "POLICY__SERVER__ADMIN__LISTEN=" + i.admin, "POLICY__SERVER__ADMIN__ONLY=/metrics",
		"POLICY__LOG__LEVEL=warn", "POLICY__DEFAULTS__SLOW=10s", "POLICY__LOG__ACCESS__ENABLED=false",
	}, env...), filepath.Join(built, version, "chatbot"), "serve", "--policy", policy)
	eventually(t, "the shop is ready", func() bool { return status("http://"+i.admin+"/readyz") == http.StatusOK })
	return i
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// status asks on a connection of its own, and returns 0 when there is no answer.
func status(url string) int {
	res, err := fresh.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // only the status counts
	return res.StatusCode
}

// fresh asks each time on a connection of its own.
var fresh = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	a, err := try(t.Context(), fresh, method, url, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(ctx context.Context, client *http.Client, method, url, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}
