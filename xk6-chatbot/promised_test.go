package chatbot

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"
	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"
	"gopkg.in/guregu/null.v3"
)

func TestThresholdsThatNothingKeeps(t *testing.T) {
	for source, kept := range map[string]bool{
		"p(95)<500": true, "rate<=0": true, "rate<0": false, "count>0": false, "rate>0.9": false, "value>=0": true, "value>=1": false,
		"rate==0": true, "rate==1": false, "count!=1": true, "count!=0": false, "p(99) < 10.5": true,
	} {
		if keptByNothing(source) != kept {
			t.Errorf("%s is kept by nothing: %v", source, !kept)
		}
	}
}

func TestSamplesTouchThresholds(t *testing.T) {
	registry := metrics.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	shed := map[string]string{"phase": "peak", "scenario": "spike", "expected_response": "false"}
	answered := map[string]string{"phase": "peak", "scenario": "spike", "expected_response": "true"}
	for _, tt := range []struct {
		name    string
		metric  *metrics.Metric
		tags    map[string]string
		touches bool
	}{
		{"chat_duration", m.duration, answered, true},
		{"chat_duration", m.duration, shed, false}, // says nothing of how long an answer takes
		{"chat_duration{expected_response:false}", m.duration, shed, true},
		{"chat_duration_corrected{phase:peak}", m.corrected, shed, false},
		{"chat_duration{phase:peak,scenario:spike}", m.duration, answered, true},
		{"chat_duration{phase:recovery}", m.duration, answered, false},
		{"chat_duration", m.corrected, answered, false},
		{"errors{ phase : peak }", m.errors, shed, true},
		{"chat_shed", m.shed, shed, true},
	} {
		state := &lib.State{Options: lib.Options{Thresholds: map[string]metrics.Thresholds{tt.name: {}, "http_req_duration": {}}}}
		p := New().promised(state)
		p.touch(tt.metric, registry.RootTagSet().WithTagsFromMap(tt.tags))
		if p.settled() != tt.touches || p.silent()[tt.name] == tt.touches {
			t.Errorf("%s of %s with %v: %v is silent", tt.metric.Name, tt.name, tt.tags, slices.Collect(maps.Keys(p.silent())))
		}
	}
}

// A test is over when no scenario has an iteration to begin or to end.
func TestOver(t *testing.T) {
	some := executor.NewSharedIterationsConfig("some")
	some.Iterations = null.IntFrom(2)
	users := executor.NewConstantVUsConfig("users")
	users.Duration = types.NullDurationFrom(time.Minute)
	users.GracefulStop = types.NullDurationFrom(0)
	later := executor.NewConstantVUsConfig("later")
	later.Duration, later.StartTime = types.NullDurationFrom(time.Minute), types.NullDurationFrom(time.Minute)
	later.GracefulStop = types.NullDurationFrom(0)
	now := time.Now()
	for name, tt := range map[string]struct {
		scenarios lib.ScenarioConfigs
		seen      map[string]*iterations
		elapsed   time.Duration
		over      bool
	}{
		"all iterations":          {lib.ScenarioConfigs{"some": some}, map[string]*iterations{"some": {start: now, stop: now.Add(2 * time.Hour), begun: 2, ended: 2}}, time.Second, true},
		"one goes on":             {lib.ScenarioConfigs{"some": some}, map[string]*iterations{"some": {start: now, stop: now.Add(2 * time.Hour), begun: 2, ended: 1}}, time.Second, false},
		"one is to come":          {lib.ScenarioConfigs{"some": some}, map[string]*iterations{"some": {start: now, stop: now.Add(2 * time.Hour), begun: 1, ended: 1}}, time.Second, false},
		"time is up":              {lib.ScenarioConfigs{"users": users}, map[string]*iterations{"users": {start: now, stop: now.Add(2 * time.Hour), begun: 9, ended: 9}}, time.Minute, true},
		"time is left":            {lib.ScenarioConfigs{"users": users}, map[string]*iterations{"users": {start: now, stop: now.Add(2 * time.Hour), begun: 9, ended: 9}}, time.Second, false},
		"time is up for all but":  {lib.ScenarioConfigs{"users": users}, map[string]*iterations{"users": {start: now, stop: now.Add(2 * time.Hour), begun: 9, ended: 8}}, time.Hour, false},
		"it is interrupted":       {lib.ScenarioConfigs{"users": users}, map[string]*iterations{"users": {start: now, stop: now.Add(time.Minute), begun: 9, ended: 8}}, time.Minute, true},
		"one scenario is to come": {lib.ScenarioConfigs{"some": some, "later": later}, map[string]*iterations{"some": {start: now, stop: now.Add(2 * time.Hour), begun: 2, ended: 2}}, time.Minute, false},
		"one never came":          {lib.ScenarioConfigs{"some": some, "later": later}, map[string]*iterations{"some": {start: now, stop: now.Add(2 * time.Hour), begun: 2, ended: 2}}, 2 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			state := &lib.State{
				Logger: logrus.New(), TestStatus: lib.NewTestStatus(),
				Options: lib.Options{Scenarios: tt.scenarios, Thresholds: map[string]metrics.Thresholds{"chat_duration": {}}},
			}
			p := New().promised(state)
			p.began, p.iterations = now, tt.seen
			if p.over(now.Add(tt.elapsed)) != tt.over {
				t.Errorf("over: %v", !tt.over)
			}
		})
	}
}
