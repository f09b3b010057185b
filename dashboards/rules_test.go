package dashboards_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promtool runs Prometheus's own tool, which must be content.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// files returns the files of a pattern, of which there are some.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no files %s (%v)", pattern, err)
	}
	return found
}

// TestRules has promtool check the files, and simulate hours and days of what they are for.
func TestRules(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("this test needs promtool: apt-get install prometheus")
	}
	promtool(t, append([]string{"check", "rules"}, files(t, "rules/*.yml")...)...)
	promtool(t, "check", "config", "prometheus.yml")
	for _, file := range files(t, "testdata/*_test.yml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			promtool(t, "test", "rules", file)
		})
	}
}

// rule is one that Prometheus has loaded.
type rule struct {
	Name, Query, Type   string
	Duration            float64 // of its "for", in seconds
	Labels, Annotations map[string]string
}

// rules are those that a running Prometheus has loaded.
func (p *prometheus) rules() []rule {
	p.t.Helper()
	var answer struct {
		Data struct{ Groups []struct{ Rules []rule } }
	}
	if err := json.Unmarshal(p.get("/api/v1/rules"), &answer); err != nil {
		p.t.Fatal(err)
	}
	var all []rule
	for _, g := range answer.Data.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		p.t.Fatalf("%d rules", len(all))
	}
	return all
}

// checkRules holds the loaded rules to the house's rules: every alert says how bad it is and what to do, and was simulated; every
// metric is one that the product exports.
func checkRules(t *testing.T, rules []rule) {
	t.Helper()
	simulated := ""
	for _, file := range files(t, "testdata/*_test.yml") {
		simulated += read(t, file)
	}
	names := read(t, "../framework/telemetry/names.go")
	recorded := map[string]bool{"up": true}
	for _, r := range rules {
		recorded[r.Name] = recorded[r.Name] || r.Type == "recording"
	}
	metric := regexp.MustCompile(`[a-z][a-z0-9]*[:_][a-z0-9_:]+\b(?:[{[ )]|$)`)
	suffix := regexp.MustCompile(`_(bucket|count|sum)$`)
	words := regexp.MustCompile(`\b(by|on|unless on|group_left) \([^)]*\)|"[^"]*"|\{[^}]*\}`)
	for _, r := range rules {
		seen := 0
		for _, found := range metric.FindAllString(words.ReplaceAllString(r.Query, ""), -1) {
			name := strings.TrimRight(found, "{[ )")
			if recorded[name] || strings.HasPrefix(name, "histogram_quantile") || strings.HasPrefix(name, "clamp_") || name == "group_left" {
				seen++
				continue
			}
			seen++
			if !strings.Contains(names, `"`+name+`"`) && !strings.Contains(names, `"`+suffix.ReplaceAllString(name, "")+`"`) {
				t.Errorf("%s asks for %s, which is not exported", r.Name, name)
			}
		}
		if seen == 0 && !strings.Contains(r.Query, "up{") {
			t.Errorf("%s: no metric was found in %s", r.Name, r.Query)
		}
		if r.Type != "alerting" {
			continue
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Name, s)
		}
		for _, key := range []string{"summary", "description", "runbook"} {
			if r.Annotations[key] == "" {
				t.Errorf("%s has no %s", r.Name, key)
			}
		}
		for _, part := range []string{"Meaning: ", "Look: ", "Do: "} {
			if !strings.Contains(r.Annotations["runbook"], part) {
				t.Errorf("%s: its runbook does not say %q", r.Name, part)
			}
		}
		if !strings.Contains(simulated, `alertname="`+r.Name+`", alertstate="firing"`) {
			t.Errorf("%s is never simulated", r.Name)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
