package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Every scenario, scaled down, passes against the healthy chatbot.
func TestHealthyServerKeepsItsPromises(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, scale string }{
		{"basic", "0.03"}, {"chat", "0.01"}, {"stress", "0.006"}, {"spike", "0.02"}, {"soak", "0.001"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scenario(t, tt.name, shop(t), tt.scale)
			r.wants(t, 0, `PASSED: all \d+ promises kept`)
			if series := r.json["series"].([]any); len(series) < 3 {
				t.Errorf("the report tells %d phases apart", len(series))
			}
		})
	}
}

// The search finds the rate that a server can bear: one message at a time, 25 ms each, is at most 40 a second.
func TestBreakpointFindsTheRate(t *testing.T) {
	t.Parallel()
	address := faulty(t, 0, oneAtATime(25*time.Millisecond))
	r := scenario(t, "breakpoint", address, "0.025", "-e", "MAX=400", "-e", "POLICY="+strictPolicy(t))
	r.wants(t, 0, `search: the promise holds up to \d+`, `(?m)^  [\d.]+/s +tried .* broke$`)
	text := regexp.MustCompile(`holds up to (\d+)`).FindStringSubmatch(r.output)
	if rate, err := strconv.Atoi(text[1]); err != nil || rate < 8 || rate > 40 {
		t.Errorf("the search found %v a second:\n%s", rate, r.output)
	}
}

// A server with a fault fails the scenario, which names the reason.
func TestFaultyServerBreaksThem(t *testing.T) {
	t.Parallel()
	strict := "POLICY=" + strictPolicy(t)
	for _, tt := range []struct {
		name, scenario, scale string
		after                 time.Duration
		fault                 fault
		reasons               []string
	}{
		{"slow", "basic", "0.02", 0, slow(600 * time.Millisecond), []string{
			`✗ whole run +P95 of turn time +6\d\d ms +below 500 ms`,
			`✗ baseline +P95 of turn time from when it was due +\d\d\d ms +at most 200 ms`,
		}},
		{"erring", "basic", "0.02", 0, erring(10), []string{
			`✗ whole run +failed turns +\S+ % +below 1 % +\d+ of \d+ turns failed: \d+ http_5xx`, `✗ baseline +failed turns`,
		}},
		{"leaking", "chat", "0.005", 0, leaking(10), []string{
			`✗ whole run +failed turns .*\d+ contract; the contract was broken: \d+ foreign`,
		}},
		{"truncating", "chat", "0.005", 0, truncating, []string{
			`✗ whole run +failed turns .*\d+ stream; the contract was broken: \d+ terminator`,
		}},
		{"never recovering", "spike", "0.02", 2 * time.Second, slow(700 * time.Millisecond), []string{
			`✗ whole run +recovery .* below 600 ms +after spike 1 the server had not recovered when`,
			`spike 1: not back to normal`, `✗ recovery +P95 of turn time from when it was due +7\d\d ms +at most 200 ms`,
			`✓ peak +P95`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, tt.scenario, faulty(t, tt.after, tt.fault), tt.scale, "-e", strict).wants(t, 99, tt.reasons...)
		})
	}
}

// Shedding load is no error: the customers come again when they were asked to, and the scenario passes.
func TestSheddingIsNoError(t *testing.T) {
	t.Parallel()
	r := scenario(t, "chat", faulty(t, 0, shedding(10)), "0.005")
	r.wants(t, 0, `PASSED`)
	shed := 0.0
	for _, s := range r.json["series"].([]any) {
		shed += s.(map[string]any)["shed"].(float64)
	}
	if shed == 0 {
		t.Error("the report knows of no shed turn")
	}
}

// strictPolicy promises answers within 200 ms.
func strictPolicy(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.toml")
	text := "[[routes]]\nmethod = \"POST\"\npath = \"/api/chat\"\nslo = { latency = \"200ms\", quantile = 0.95, errors = 0.02 }\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
