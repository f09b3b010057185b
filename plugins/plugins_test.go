package plugins_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

func file(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every plugin has a README that names its handlers and options, and an example that serves all of its handlers.
func TestEveryPluginIsDocumented(t *testing.T) {
	for _, p := range framework.Vocabulary(plugins.Standard()...).Plugins {
		t.Run(p.Name, func(t *testing.T) {
			readme, example := file(t, p.Name, "README.md"), file(t, p.Name, "example.toml")
			for _, h := range p.Handlers {
				if !strings.Contains(readme, h.Name) {
					t.Errorf("README.md does not name the handler %s", h.Name)
				}
				if !strings.Contains(example, `"`+h.Name+`"`) {
					t.Errorf("example.toml has no route for %s", h.Name)
				}
			}
			root := policy.Describe(framework.Vocabulary(plugins.Standard()...))
			for _, option := range root.Key("plugins").Key(p.Name).Keys {
				if !strings.Contains(readme, option.Name) {
					t.Errorf("README.md does not name the option %s", option.Name)
				}
			}
			frameworktest.Start(t, example, plugins.Standard()...)
		})
	}
}

// post sends JSON and returns the status and the answer.
func post(t *testing.T, s *frameworktest.Server, path, body string) (int, map[string]any) {
	t.Helper()
	resp, err := s.Client.Post(s.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var v map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return resp.StatusCode, v
}

// A reload keeps conversations, qualifications and events.
func TestReloadKeepsState(t *testing.T) {
	all := file(t, "chat", "example.toml") + routes(t, "qualification") + routes(t, "analytics")
	s := frameworktest.Start(t, all, plugins.Standard()...)
	post(t, s, "/api/chat", `{"sessionId":"s","language":"fr","message":"un savon pour peau sèche"}`)
	post(t, s, "/api/qualification/start", `{"sessionId":"s","language":"fr"}`)
	post(t, s, "/api/analytics/track", `{"sessionId":"s","event":"message_sent"}`)
	for range 3 {
		if err := s.App.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, v := post(t, s, "/api/chat", `{"sessionId":"s","message":"le moins cher ?"}`); len(v["products"].([]any)) != 1 {
		t.Errorf("the conversation is forgotten: %v", v)
	}
	status, v := post(t, s, "/api/qualification/answer", `{"sessionId":"s","step":1,"answer":{"selected":"hair"}}`)
	if status != http.StatusOK {
		t.Errorf("the qualification is forgotten: %v", v)
	}
	resp, err := s.Client.Get(s.URL + "/api/analytics/recent")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "message_sent") {
		t.Errorf("the events are forgotten: %v: %s", err, body)
	}
}

// routes returns a plugin's example without what only one policy may say.
func routes(t *testing.T, plugin string) string {
	t.Helper()
	_, rest, _ := strings.Cut(file(t, plugin, "example.toml"), "[[routes]]")
	return "\n[[routes]]" + rest
}

// A stream over a real connection: every event is one line and a blank one, the last one ends it, and nothing of what the customer
// said is logged.
func TestChatOverHTTP(t *testing.T) {
	s := frameworktest.Start(t, file(t, "chat", "example.toml"), plugins.Standard()...)
	req, err := http.NewRequest("POST", s.URL+"/api/chat/stream",
		strings.NewReader(`{"sessionId":"private-session","message":"mon colis secret est cassé, jean.dupont@example.org"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", "gzip, br, zstd")
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("Cache-Control") != "no-cache, no-transform" {
		t.Errorf("the headers are %v", resp.Header)
	}
	last := ""
	lines := bufio.NewScanner(resp.Body)
	for n := 0; lines.Scan(); n++ {
		line := lines.Text()
		if n%2 == 1 && line != "" || n%2 == 0 && !strings.HasPrefix(line, "data: {") {
			t.Errorf("line %d is %q", n, line)
		}
		if line != "" {
			last = line
		}
	}
	if lines.Err() != nil || !strings.Contains(last, `"done":true`) || !strings.Contains(last, `"fullMessage":"`) {
		t.Errorf("%v: the last event is %s", lines.Err(), last)
	}
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/api/chat", `{"message":"bonjour"}`, http.StatusBadRequest},
		{"/api/chat", `{"sessionId":"s","message":"` + strings.Repeat("<", 5000) + `"}`, http.StatusOK},
		{"/api/chat", `{"sessionId":"s","message":"` + strings.Repeat("<", 9<<20) + `"}`, http.StatusRequestEntityTooLarge},
		{"/v1/chat/completions", `{"messages":[]}`, http.StatusBadRequest},
	} {
		if status, v := post(t, s, c.path, c.body); status != c.status {
			t.Errorf("%s %.40s: %d, want %d: %v", c.path, c.body, status, c.status, v)
		}
	}
	status, v := post(t, s, "/v1/chat/completions", `{"messages":[]}`)
	if v["error"].(map[string]any)["code"] != "invalid_request" {
		t.Errorf("%d: the error of OpenAI's protocol is %v", status, v)
	}
	s.Stop()
	for _, secret := range []string{"secret", "dupont", "private-session"} {
		if strings.Contains(s.Logs(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
