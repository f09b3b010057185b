package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

func TestRequestsAreCounted(t *testing.T) {
	r := telemetry.NewRegistry()
	products := r.Route("/api/products/:id")
	products.Observe("GET", 200, 30*time.Millisecond, 512)
	products.Observe("GET", 200, 30*time.Millisecond, 512)
	products.Observe("HEAD", 499, time.Second, 0) // a status without a place of its own
	products.Observe("BREW", 0, time.Second, 0)
	products.Observe("MELT", 600, time.Second, 0)
	products.Slow.Inc()
	text := scrape(t, r)
	const count = `http_server_request_duration_seconds_count{http_request_method=`
	for _, want := range []string{
		count + `"GET",http_response_status_code="200",http_route="/api/products/:id"} 2`,
		count + `"HEAD",http_response_status_code="499",http_route="/api/products/:id"} 1`,
		count + `"_OTHER",http_response_status_code="_OTHER",http_route="/api/products/:id"} 2`,
		`http_server_response_body_bytes_total{http_route="/api/products/:id"} 1024`,
		`http_server_slow_requests_total{http_route="/api/products/:id"} 1`,
		`http_server_request_timeouts_total{http_route="/api/products/:id"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestRoutesGoWithTheirLastGeneration(t *testing.T) {
	r := telemetry.NewRegistry()
	first := r.Route("/old")
	first.Observe("GET", 200, time.Second, 1)
	r.Counter("shop_visits_total", "Visits.", telemetry.LabelRoute).With("/old").Inc()

	second := r.Route("/old") // the next generation has the route too
	r.Release(first)
	second.Observe("GET", 200, time.Second, 1)
	if got := r.Requests().ByRoute["GET /old"].Total; got != 2 {
		t.Errorf("%d requests, want both generations' 2", got)
	}

	r.Release(second)
	second.Observe("GET", 200, time.Second, 1) // a handler that outlived its generation
	second.Observe("GET", 404, time.Second, 1)
	if text := scrape(t, r); strings.Contains(text, "/old") {
		t.Errorf("series of a route that is gone:\n%s", text)
	}

	third := r.Route("/old")
	third.Observe("GET", 200, time.Second, 1)
	if got := r.Requests().ByRoute["GET /old"].Total; got != 1 {
		t.Errorf("%d requests, want 1: it starts anew", got)
	}
}

func TestRandomPathsLeaveNoSeries(t *testing.T) {
	r := telemetry.NewRegistry()
	unmatched := r.Route(telemetry.Unmatched)
	unmatched.Observe("GET", 404, time.Millisecond, 100)
	before := len(lines(scrape(t, r), ""))
	for range 500 {
		unmatched.Observe("GET", 404, time.Millisecond, 100)
	}
	if after := len(lines(scrape(t, r), "")); after != before {
		t.Errorf("%d lines became %d", before, after)
	}
}

func TestPolicyIsExported(t *testing.T) {
	r := telemetry.NewRegistry()
	p := policy.Default()
	slo := policy.SLO{Latency: policy.Duration(250 * time.Millisecond), Quantile: 0.95, Errors: 0.01, Window: policy.Duration(time.Hour)}
	p.Routes = []policy.Route{
		{Method: "GET", Path: "/a", SLO: &slo, Cache: &policy.RouteCache{TTL: policy.Duration(time.Minute)}},
		{Method: "GET", Path: "/a"},
		{Method: "POST", Path: "/b"},
	}
	r.SetPolicy(p, "abc", "1.2.3", "shop.toml")
	want := strings.Join([]string{
		`policy_info{file="shop.toml",hash="abc",version="1.2.3"} 1`,
		`policy_last_reload_success 1`,
		`policy_last_reload_timestamp_seconds 1.7e+09`,
		`policy_reloads_total{result="success"} 1`,
		`policy_slo_budget_ratio{http_request_method="GET",http_route="/a",objective="errors"} 0.01`,
		`policy_slo_budget_ratio{http_request_method="GET",http_route="/a",objective="latency"} 0.05`,
		`policy_slo_error_ratio{http_request_method="GET",http_route="/a"} 0.01`,
		`policy_slo_latency_seconds{http_request_method="GET",http_route="/a",quantile="0.95"} 0.25`,
		`policy_slo_window_seconds{http_request_method="GET",http_route="/a"} 3600`,
		`policy_ttl_seconds{http_request_method="GET",http_route="/a"} 60`,
	}, "\n")
	r.Reloaded(true, time.Unix(1_700_000_000, 0))
	if got := strings.Join(lines(scrape(t, r), "policy_"), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	p.Routes = nil
	r.SetPolicy(p, "def", "1.2.3", "shop.toml")
	r.Reloaded(false, time.Unix(1_700_000_100, 0))
	want = strings.Join([]string{
		`policy_info{file="shop.toml",hash="def",version="1.2.3"} 1`,
		`policy_last_reload_success 0`,
		`policy_last_reload_timestamp_seconds 1.7e+09`,
		`policy_reloads_total{result="failure"} 1`,
		`policy_reloads_total{result="success"} 1`,
	}, "\n")
	if got := strings.Join(lines(scrape(t, r), "policy_"), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func BenchmarkObserve(b *testing.B) {
	route := telemetry.NewRegistry().Route("/api/products")
	b.ReportAllocs()
	for b.Loop() {
		route.Observe("GET", 200, 1500*time.Microsecond, 2048)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	route := telemetry.NewRegistry().Route("/api/products")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			route.Observe("GET", 200, 1500*time.Microsecond, 2048)
		}
	})
}
