package e2e

import (
	"testing"
	"time"
)

// A phase without a turn fails the test, whatever thresholds the script has.
func TestAPhaseWithoutATurn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		after  time.Duration
		code   int
		wanted []string
	}{
		{"healthy", 0, 0, []string{"PASSED: nothing was promised"}},
		{"standing still from the first spike on", 2 * time.Second, 110, []string{
			"no turn was measured in phase recovery of scenario mine", "FAILED: phases without a turn: .*recovery",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answer := slow(0)
			if tt.code > 0 {
				answer = slow(time.Hour)
			}
			load(t, "-e", "BASE_URL="+faulty(t, tt.after, answer), "testdata/phases.js").wants(t, tt.code, tt.wanted...)
		})
	}
}
