package health_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/health"
)

const policy = `
version = 1
[[routes]]
path = "/api/health"
handler = "health"
[[routes]]
path = "/livez"
handler = "health.live"
[[routes]]
path = "/readyz"
handler = "health.ready"
[[routes]]
path = "/checked"
handler = "checked"
`

// checked is a plugin with one dependency in a given state.
func checked(state *string) framework.Plugin {
	return framework.NewPlugin(framework.Info{Name: "checked", Handlers: []framework.HandlerInfo{{Name: "checked"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			h.AddCheck("model", func(context.Context) framework.Check {
				return framework.Check{Status: *state, Fields: map[string]any{"latencyMs": 1.5}}
			})
			return framework.Handlers{"checked": func(context.Context, *framework.Request) (*framework.Response, error) {
				return framework.Text("ok"), nil
			}}, nil
		})
}

func ask(t *testing.T, s *frameworktest.Server, path string) (status int, answer map[string]any) {
	t.Helper()
	a := s.Get(t, path)
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	return a.Status, answer
}

func TestHealthIsThatOfTheDependencies(t *testing.T) {
	state := ""
	s := frameworktest.Start(t, policy, health.Plugin(), checked(&state))
	for _, c := range []struct {
		state, want string
		status      int
	}{{"healthy", "healthy", 200}, {"disabled", "healthy", 200}, {"degraded", "degraded", 200}, {"unhealthy", "unhealthy", 503}} {
		state = c.state
		status, answer := ask(t, s, "/api/health")
		if status != c.status || answer["status"] != c.want {
			t.Errorf("a dependency that is %s: %d %v", c.state, status, answer["status"])
		}
		services, _ := answer["services"].(map[string]any)
		model, _ := services["model"].(map[string]any)
		if model["status"] != c.state || model["latencyMs"] != 1.5 {
			t.Errorf("services.model: %v", model)
		}
		for _, path := range [][]string{
			{"uptime", "seconds"},
			{"uptime", "formatted"},
			{"uptime", "startTime"},
			{"system", "memory"},
			{"system", "cpu"},
			{"system", "goroutines"},
			{"services", "cache"},
		} {
			if of, ok := answer[path[0]].(map[string]any); !ok || of[path[1]] == nil {
				t.Errorf("no %v", path)
			}
		}
		if answer["timestamp"] == nil || answer["version"] != "test" {
			t.Errorf("timestamp and version: %v", answer)
		}
	}
}

// The replaced layer measured the share of its heap that was in use, which is high on an idle machine, and answered 503.
func TestAnIdleMachineIsHealthy(t *testing.T) {
	s := frameworktest.Start(t, policy, health.Plugin(), checked(new("healthy")))
	for range 100 {
		if status, answer := ask(t, s, "/api/health"); status != 200 || answer["status"] != "healthy" {
			t.Fatalf("%d %v", status, answer)
		}
	}
}

func TestLiveAndReady(t *testing.T) {
	s := frameworktest.Start(t, policy, health.Plugin(), checked(new("unhealthy")))
	if status, answer := ask(t, s, "/livez"); status != 200 || answer["status"] != "ok" || answer["timestamp"] == nil {
		t.Errorf("live: %d %v", status, answer)
	}
	if status, answer := ask(t, s, "/readyz"); status != 200 || answer["status"] != "ready" {
		t.Errorf("ready: %d %v", status, answer)
	}
}
