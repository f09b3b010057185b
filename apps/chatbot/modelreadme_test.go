package main

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
	"github.com/innatural/chatbot/policies"
)

// The chat plugin's README has one session with a model that misbehaves, and the shop before it.
func TestChatReadmeConsole(t *testing.T) {
	mock, err := modelmock.New(modelmock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	model := httptest.NewServer(mock)
	t.Cleanup(model.Close)
	policy := policies.Chatbot + "\n[plugins.chat.model.upstreams.mock]\nurl = \"" + model.URL + "/v1\"\nmodel = \"mock\"\n"
	shop := frameworktest.StartWith(t, framework.PolicyText("chatbot.toml", policy), plugins.Standard()...)
	here := strings.NewReplacer("127.0.0.1:9000", strings.TrimPrefix(model.URL, "http://"), "127.0.0.1:5000", strings.TrimPrefix(shop.URL, "http://"))
	for _, block := range blocks(read(t, filepath.Join(root, "plugins", "chat", "README.md")), "console") {
		for _, step := range strings.Split("\n"+strings.TrimSpace(block), "\n$ ")[1:] {
			command, want := cutCommand(step)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			out, err := exec.CommandContext(ctx, "bash", "-c", here.Replace(command)).CombinedOutput()
			cancel()
			if err != nil || !like(want).MatchString(strings.TrimSpace(string(out))) {
				t.Errorf("$ %s\n%s\n(%v) the README shows\n%s", command, out, err, want)
			}
		}
	}
}
