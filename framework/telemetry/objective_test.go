package telemetry_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

func promised() policy.SLO {
	return policy.SLO{
		Latency: policy.Duration(100 * time.Millisecond), Quantile: 0.95, Errors: 0.01, Window: policy.Duration(30 * 24 * time.Hour),
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// What breaches a promise is counted exactly, and exported with the budget that it is compared with.
func TestBreachesAreCounted(t *testing.T) {
	r := telemetry.NewRegistry()
	o := telemetry.NewObjective(promised(), time.Now())
	remove := o.Export(r, "*", "/api/chat")
	for _, c := range []struct {
		status int
		took   time.Duration
	}{
		{200, 100 * time.Millisecond},
		{200, 101 * time.Millisecond},
		{404, time.Millisecond},
		{408, time.Second},
		{500, time.Millisecond},
		{503, 0},
		{499, time.Millisecond},
	} {
		o.Count(c.status, c.took)
	}
	want := strings.Join([]string{
		`http_server_slo_breaches_total{http_request_method="*",http_route="/api/chat",objective="errors"} 3`,
		`http_server_slo_breaches_total{http_request_method="*",http_route="/api/chat",objective="latency"} 2`,
		`http_server_slo_requests_total{http_request_method="*",http_route="/api/chat"} 7`,
	}, "\n")
	if got := strings.Join(lines(scrape(t, r), "http_server_slo_"), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	remove()
	if got := lines(scrape(t, r), "http_server_slo_"); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// Requests leave the windows as time passes, however seldom it is looked.
func TestWindowsForget(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	o := telemetry.NewObjective(promised(), start)
	now := start
	pass := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(telemetry.KeepEvery)
			o.Keep(now)
		}
	}
	count := func(n int, took time.Duration, status int) {
		for range n {
			o.Count(status, took)
		}
	}
	expect := func(span time.Duration, requests uint64, slow, errors float64) {
		t.Helper()
		if k := o.Over(span, now); k.Requests != requests || !near(k.Slow, slow) || !near(k.Errors, errors) {
			t.Errorf("after %v, over %v: %+v", now.Sub(start), span, k)
		}
	}
	expect(time.Hour, 0, 0, 0)
	count(90, 0, 200)
	count(10, time.Second, 500)
	expect(5*time.Minute, 100, 0.1, 0.1)
	pass(10 * time.Minute)
	count(100, 0, 200)
	expect(5*time.Minute, 100, 0, 0)
	expect(30*time.Minute, 200, 0.05, 0.05)
	pass(45 * time.Minute)
	expect(30*time.Minute, 0, 0, 0)
	expect(time.Hour, 200, 0.05, 0.05)
	latency, errors := o.BurnRates(o.Over(time.Hour, now))
	if !near(latency, 1) || !near(errors, 5) {
		t.Errorf("burn rates %v, %v", latency, errors)
	}
	now = now.Add(20 * time.Hour) // nobody looked
	expect(6*time.Hour, 0, 0, 0)
	expect(30*24*time.Hour, 200, 0.05, 0.05)
	now = now.Add(31 * 24 * time.Hour)
	expect(30*24*time.Hour, 0, 0, 0)
	count(1, 0, 200)
	expect(5*time.Minute, 1, 0, 0)
}

// What is not promised does not burn.
func TestNoPromiseDoesNotBurn(t *testing.T) {
	o := telemetry.NewObjective(policy.SLO{Errors: 0.5, Window: policy.Duration(time.Hour)}, time.Now())
	o.Count(200, time.Hour)
	o.Count(500, time.Hour)
	if latency, errors := o.BurnRates(o.Over(time.Minute, time.Now())); latency != 0 || !near(errors, 1) {
		t.Errorf("burn rates %v, %v", latency, errors)
	}
}

func BenchmarkCount(b *testing.B) {
	o := telemetry.NewObjective(promised(), time.Now())
	b.ReportAllocs()
	for b.Loop() {
		o.Count(200, time.Millisecond)
	}
}
