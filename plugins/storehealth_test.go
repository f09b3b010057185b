package plugins_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/plugins"
)

const keptPolicy = `
version = 1
[plugins.chat]
store = %q
path = %q
[cache.redis]
host = %q
port = %d
[[routes]]
path = "/api/health"
handler = "health"
[[routes]]
method = "POST"
path = "/api/chat"
handler = "chat"
`

// Health tells whether conversations and tickets can be kept, and goes on with 200 while they can't.
func TestHealthOfTheChatsStore(t *testing.T) {
	server := redistest.Start(t)
	for kind, policy := range map[string]string{
		"memory": fmt.Sprintf(keptPolicy, "memory", "", "", 6379),
		"bbolt":  fmt.Sprintf(keptPolicy, "bbolt", filepath.Join(t.TempDir(), "chat.db"), "", 6379),
		"redis":  fmt.Sprintf(keptPolicy, "redis", "", "127.0.0.1", server.Port),
	} {
		t.Run(kind, func(t *testing.T) {
			n := &node{Server: frameworktest.Start(t, policy, plugins.Standard()...), t: t}
			is := func(want string) func() bool {
				return func() bool {
					status, _, _ := n.ask("GET", "/api/health", "")
					return status == 200 && n.value("/api/health", "services", "store", "status") == want && n.value("/api/health", "status") == want
				}
			}
			eventually(t, "the store is healthy", is("healthy"))
			if got := n.value("/api/health", "services", "store", "kind"); got != kind {
				t.Errorf("the store is of the kind %v", got)
			}
			if kind != "redis" {
				return
			}
			server.Kill()
			eventually(t, "the store is degraded", is("degraded"))
			server.Restart()
			eventually(t, "the store is healthy again", is("healthy"))
		})
	}
}
