package chatbot

import (
	"testing"

	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

// A phase without a turn fails the test, unless a threshold is sure to, and that isn't when another scenario may keep it.
func TestPhaseWithoutATurn(t *testing.T) {
	logger := modulestest.NewRuntime(t).VU.InitEnvField.Logger
	promised := map[string]metrics.Thresholds{"chat_turns{phase:peak}": {}}
	generated := map[string]metrics.Thresholds{"chat_turns{phase:peak,expected_response:true}": {}}
	one := lib.ScenarioConfigs{"mine": nil}
	two := lib.ScenarioConfigs{"mine": nil, "other": nil}
	for name, tt := range map[string]struct {
		thresholds map[string]metrics.Thresholds
		scenarios  lib.ScenarioConfigs
		fails      bool
	}{
		"nothing is promised":  {nil, one, true},
		"a threshold fails":    {promised, one, false},
		"the policy's fails":   {generated, one, false},
		"another may keep it":  {promised, two, true},
		"nothing, and another": {nil, two, true},
	} {
		t.Run(name, func(t *testing.T) {
			state := &lib.State{
				Logger: logger, TestStatus: lib.NewTestStatus(),
				Options: lib.Options{Thresholds: tt.thresholds, Scenarios: tt.scenarios},
			}
			(&attendance{root: New(), scenario: "mine", state: state, told: map[string]bool{}}).fail("peak")
			if failed := state.TestStatus.Failed(); failed != tt.fails {
				t.Errorf("the test failed: %v", failed)
			}
		})
	}
}
