package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// prometheus starts one that takes remote writes, and returns its address.
func prometheus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	start(t, regexp.MustCompile(`(Server is ready)`), "prometheus", "--config.file="+config, "--storage.tsdb.path="+dir,
		"--web.listen-address="+address, "--web.enable-remote-write-receiver")
	return "http://" + address
}

// A run's turns are in Prometheus, by phase.
func TestPrometheusRemoteWrite(t *testing.T) {
	server := prometheus(t)
	t.Setenv("K6_PROMETHEUS_RW_SERVER_URL", server+"/api/v1/write")
	t.Setenv("K6_PROMETHEUS_RW_PUSH_INTERVAL", "1s")
	t.Setenv("K6_PROMETHEUS_RW_TREND_STATS", "p(95)")
	scenario(t, "basic", shop(t), "0.02", "-o", "experimental-prometheus-rw", "--tag", "testid=one").wants(t, 0)

	query := "/api/v1/query?query=" + url.QueryEscape(`count by (phase) (last_over_time(k6_chat_duration_p95{testid="one"}[5m]))`)
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	get(t, server+query, &answer)
	var phases []string
	for _, r := range answer.Data.Result {
		phases = append(phases, r.Metric["phase"])
	}
	if !slices.Contains(phases, "baseline") || !slices.Contains(phases, "ramp") {
		t.Errorf("Prometheus knows the phases %q", phases)
	}
	http.DefaultClient.CloseIdleConnections()
}
