package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Two runs of a scenario, as they are, are what bench compare reads: a server that answers as it did has not regressed, one that takes
// twice as long has, and a run of another scenario says nothing about either.
func TestRunsAreCompared(t *testing.T) {
	t.Parallel()
	measured := func(name, scale string, each time.Duration) string {
		t.Helper()
		dir := t.TempDir()
		r := load(t, "-e", "BASE_URL="+faulty(t, 0, slow(each)), "-e", "SCALE="+scale, "-e", "OUT="+dir, "../scenarios/"+name+".js")
		r.wants(t, 0, "PASSED")
		return filepath.Join(dir, name+".json")
	}
	before, same, slower := measured("basic", "0.05", 100*time.Millisecond), measured("basic", "0.05", 100*time.Millisecond),
		measured("basic", "0.05", 200*time.Millisecond)
	other := measured("chat", "0.005", 100*time.Millisecond)
	for _, c := range []struct {
		name, base, cand string
		codes            map[int]string // verdicts by exit code
	}{
		{"a run and itself", before, before, map[int]string{0: "equivalent"}},
		{"the same again", before, same, map[int]string{0: "equivalent", 3: "inconclusive"}}, // on a busy machine
		{"slower", before, slower, map[int]string{4: "regressed"}},
		{"faster", slower, before, map[int]string{0: "improved"}},
		{"another scenario", before, other, map[int]string{2: ""}},
	} {
		file := filepath.Join(t.TempDir(), "comparison.json")
		cmd := exec.CommandContext(t.Context(), bench, "compare", c.base, c.cand, "--json", file)
		output, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		code := cmd.ProcessState.ExitCode()
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
		want, ok := c.codes[code]
		if !ok || d.Comparison.Verdict != want || want != "" && len(d.Comparison.Series) < 3 {
			t.Errorf("%s: exit %d, verdict %q of %+v\n%s", c.name, code, d.Comparison.Verdict, d.Comparison.Series, output)
		}
	}
}
