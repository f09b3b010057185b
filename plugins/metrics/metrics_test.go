package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/metrics"
)

const policy = `
version = 1
[[routes]]
path = "/things/:id"
handler = "things"
slo = { latency = "1s" }
[[routes]]
path = "/metrics"
handler = "metrics"
[[routes]]
path = "/api/metrics/summary"
handler = "metrics.summary"
`

func things() framework.Plugin {
	return framework.NewPlugin(framework.Info{Name: "things", Handlers: []framework.HandlerInfo{{Name: "things"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			said := h.Metrics.Counter(telemetry.ChatMessages, telemetry.ChatMessagesHelp, telemetry.LabelLanguage, telemetry.LabelTopic)
			return framework.Handlers{"things": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
				if r.Param("id") == "none" {
					return nil, framework.NotFound("no such thing")
				}
				if r.Param("id") == "broken" {
					return nil, errors.New("broken")
				}
				said.With("fr", "products").Inc()
				return framework.Text("ok"), nil
			}}, nil
		})
}

func TestMetricsAreWhatPrometheusReads(t *testing.T) {
	s := frameworktest.Start(t, policy, things(), metrics.Plugin())
	s.Get(t, "/things/1")
	a := s.Get(t, "/metrics")
	header, body := a.Header, a.Body
	if !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=") {
		t.Errorf("Content-Type is %q", header.Get("Content-Type"))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		telemetry.HTTPRequestDuration, telemetry.HTTPActiveRequests, telemetry.PolicyInfo, telemetry.PolicySLOLatency,
		telemetry.CacheKeys, telemetry.CacheRequests, telemetry.ChatMessages, "go_goroutines", "process_cpu_seconds_total",
	} {
		if families[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	if header := s.Get(t, "/metrics", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited").Header; !strings.Contains(header.Get("Content-Type"), "protobuf") {
		t.Errorf("protobuf was asked for, %q came", header.Get("Content-Type"))
	}
}

// The replaced layer had a series for every path: 500 random ones made 5,000 series.
func TestRandomPathsMakeNoSeries(t *testing.T) {
	s := frameworktest.Start(t, policy, things(), metrics.Plugin())
	visit := func(from int) {
		for i := range 500 {
			s.Get(t, fmt.Sprintf("/random/%d", from+i))
			s.Get(t, fmt.Sprintf("/things/%d", from+i))
		}
	}
	visit(0)
	s.Get(t, "/metrics") // whose own series come after it
	before := s.Get(t, "/metrics").Body
	visit(1000)
	after := s.Get(t, "/metrics").Body
	if b, a := strings.Count(before, "\n"), strings.Count(after, "\n"); a > b+10 {
		t.Errorf("%d lines became %d", b, a)
	}
	if strings.Contains(after, "/random/") {
		t.Error("a path became a label")
	}
}

func TestSummary(t *testing.T) {
	s := frameworktest.Start(t, policy, things(), metrics.Plugin())
	for _, path := range []string{"/things/1", "/things/2", "/things/none", "/things/broken"} {
		s.Get(t, path)
	}
	body := s.Get(t, "/api/metrics/summary").Body
	var answer struct {
		Success   bool
		Timestamp string
		Metrics   struct {
			Requests struct {
				Total, Success, Errors     int
				AvgDuration, P50, P95, P99 *float64
				ByRoute                    map[string]struct{ Total int }
			}
			Sessions struct{ Active *int }
			Messages struct {
				Total      int
				ByLanguage map[string]int
				ByTopic    map[string]int
			}
			AI     struct{ Requests, AvgDuration, TokensUsed *float64 }
			Cache  struct{ Memory, Redis map[string]any }
			Errors struct {
				Total  int
				ByType map[string]int
			}
			SLO map[string]struct {
				LatencyMs, Errors, Quantile, WindowSeconds float64
				Requests                                   int
				Measured, BudgetLeft                       map[string]float64
				Kept                                       bool
				BurnRates                                  map[string]map[string]float64
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	m := answer.Metrics
	if !answer.Success || answer.Timestamp == "" || m.Requests.Total != 4 || m.Requests.Success != 2 || m.Requests.Errors != 2 ||
		m.Requests.ByRoute["GET /things/:id"].Total != 4 || m.Requests.P95 == nil || m.Requests.AvgDuration == nil {
		t.Errorf("requests: %+v in %s", m.Requests, body)
	}
	if m.Messages.Total != 2 || m.Messages.ByLanguage["fr"] != 2 || m.Messages.ByTopic["products"] != 2 {
		t.Errorf("messages: %+v", m.Messages)
	}
	if m.Errors.Total != 2 || m.Errors.ByType["4xx"] != 1 || m.Errors.ByType["404"] != 1 {
		t.Errorf("errors: %+v", m.Errors)
	}
	if m.Sessions.Active == nil || m.AI.Requests == nil || m.AI.TokensUsed == nil || m.Cache.Memory["hitRate"] == nil || m.Cache.Redis["available"] != false {
		t.Errorf("sessions, ai, cache: %s", body)
	}
	slo := m.SLO["GET /things/:id"]
	if slo.LatencyMs != 1000 || slo.Quantile != 0.95 || slo.Errors != 0.01 || slo.WindowSeconds != 30*24*3600 {
		t.Errorf("slo: %+v", slo)
	}
	// One of the four was answered 500; a 404 breaks no promise.
	if slo.Requests != 4 || slo.Measured["errors"] != 0.25 || slo.Measured["slow"] != 0 || slo.Kept ||
		slo.BudgetLeft["errors"] != -24 || slo.BudgetLeft["latency"] != 1 {
		t.Errorf("slo: %+v", slo)
	}
	for _, window := range []string{"5m", "30m", "1h", "6h"} {
		if b := slo.BurnRates[window]; b["errors"] != 25 || b["latency"] != 0 || b["requests"] != 4 {
			t.Errorf("burn rates of %s: %v", window, slo.BurnRates)
		}
	}
}
