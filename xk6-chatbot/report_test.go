package chatbot

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.k6.io/k6/v2/metrics"

	"github.com/innatural/chatbot/xk6-chatbot/internal/phase"
	"github.com/innatural/chatbot/xk6-chatbot/internal/recovery"
)

// Whichever scenario ends last, the last value of the gauge is of the one that took longest, and is tagged as its own.
func TestRecoveryIsThatOfTheSlowestScenario(t *testing.T) {
	rt := talker(t, answering{})
	samples := make(chan metrics.SampleContainer, 100)
	rt.VU.StateField.Samples = samples
	registry := metrics.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	client := &Client{
		instance: &instance{root: New(), vu: rt.VU, metrics: m}, promise: recovery.Promise{Latency: time.Second, Quantile: 0.95},
	}
	begin := time.Now()
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	// Each has a spike that ends after three seconds, and is back when it has been well for two.
	profile := phase.Of(1, []phase.Stage{
		{Duration: second(1), Target: 1}, {Duration: second(2), Target: 9}, {Duration: second(12), Target: 1},
	})
	scenarios := map[string]*Conversation{}
	for _, name := range []string{"quick", "slow"} {
		scenarios[name] = &Conversation{
			client: client, running: &running{name: name, start: begin, profile: profile}, state: rt.VU.StateField,
		}
	}
	turnOf := func(scenario string, at int, ok bool) {
		tags := metrics.TagsAndMeta{Tags: registry.RootTagSet().With("scenario", scenario)}
		ended := &turn{exchange: exchange{end: begin.Add(second(at))}}
		scenarios[scenario].recovery(tags, ended, time.Millisecond, result{ok: ok}, phase.Recovery)
	}
	turnOf("slow", 4, false)
	turnOf("quick", 4, true)
	turnOf("slow", 8, false)
	turnOf("quick", 5, true)
	close(samples)
	var got []string
	for container := range samples {
		for _, s := range container.GetSamples() {
			scenario, _ := s.Tags.Get("scenario")
			got = append(got, fmt.Sprint(scenario, " ", s.Value))
		}
	}
	want := []string{"slow 1000", "quick 1000", "slow 5000", "quick 0", "slow 5000"}
	if !slices.Equal(got, want) {
		t.Errorf("the gauge was %q, want %q", got, want)
	}
}
