// Package openaitest checks the façade of OpenAI's protocol with OpenAI's own clients, for Go and for Node, against the program as it
// is built.
package openaitest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait.
const patience = 30 * time.Second

// program is where TestMain has built the chatbot.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "openaitest")
	if err == nil {
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "chatbot")
		build := exec.Command("go", "build", "-C", "../../..", "-o", program, "./apps/chatbot")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	return m.Run()
}

// start runs the program until the end of the test, and returns the URL that it serves at.
func start(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append(args, "--listen", "127.0.0.1:0")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	at := make(chan string, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		found := regexp.MustCompile(`at (http://\S+)`)
		said := ""
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := found.FindStringSubmatch(lines.Text()); m != nil {
				at <- m[1]
				break
			}
			said += lines.Text() + "\n"
		}
		_, _ = io.Copy(io.Discard, stderr)
		if said != "" {
			at <- "" // unless it has started
		}
	})
	t.Cleanup(func() { // it ends with the test's context
		reader.Wait()
		_ = cmd.Wait()
	})
	select {
	case url := <-at:
		if url != "" {
			return url
		}
	case <-time.After(patience):
	}
	t.Fatalf("%v does not start", args)
	return ""
}

// serve serves a policy, and returns its URL.
func serve(t *testing.T, policy string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.toml")
	if err := os.WriteFile(file, []byte("version = 1\n"+policy), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "serve", "--policy", file)
}

// counter stands before a server and notes what goes through.
type counter struct {
	url string

	mu       sync.Mutex
	requests int
	retry    string // x-should-retry of the last answer
}

func count(t *testing.T, server string) *counter {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.requests++
			c.retry = r.Header.Get("X-Should-Retry")
			return nil
		},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil { // else it closes the request before the proxy has seen its end
			t.Error(err)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *counter) seen() (requests int, retry string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests, c.retry
}

// bounded is a context for what must not take long.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
