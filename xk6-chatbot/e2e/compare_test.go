package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Runs of a scenario, as they are, are what bench compare reads: one has not regressed from itself, that of a server that takes six times
// as long has, and a run of another scenario says nothing about either.
func TestRunsAreCompared(t *testing.T) {
	t.Parallel()
	measured := func(name, scale string, each time.Duration) string {
		t.Helper()
		dir := t.TempDir()
		r := load(t, "-e", "BASE_URL="+faulty(t, 0, slow(each)), "-e", "SCALE="+scale, "-e", "OUT="+dir, "../scenarios/"+name+".js")
		r.wants(t, 0, "PASSED")
		return filepath.Join(dir, name+".json")
	}
	before, slower := measured("basic", "0.05", 30*time.Millisecond), measured("basic", "0.05", 200*time.Millisecond)
	other := measured("chat", "0.005", 100*time.Millisecond)
	for _, c := range []struct {
		name, base, cand string
		code             int
		verdicts         []string
	}{
		{"itself", before, before, 0, []string{"equivalent", "inconclusive"}}, // the latter on a busy machine
		{"slower", before, slower, 4, []string{"regressed"}},
		{"faster", slower, before, 0, []string{"improved"}},
		{"another scenario", before, other, 2, []string{""}},
	} {
		file := filepath.Join(t.TempDir(), "comparison.json")
		cmd := exec.CommandContext(t.Context(), bench, "compare", c.base, c.cand, "--inconclusive", "pass", "--json", file)
		output, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		var d struct {
			Comparison struct {
				Verdict string
				Series  []struct{ Phase, Verdict string }
			}
		}
		if text, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(text, &d); err != nil {
				t.Fatal(err)
			}
		}
		code, verdict := cmd.ProcessState.ExitCode(), d.Comparison.Verdict
		if code != c.code || !slices.Contains(c.verdicts, verdict) || verdict != "" && len(d.Comparison.Series) < 3 {
			t.Errorf("%s: exit %d, verdict %q of %+v\n%s", c.name, code, verdict, d.Comparison.Series, output)
		}
	}
}
