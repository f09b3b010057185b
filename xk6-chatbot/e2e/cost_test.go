package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// echo is a chatbot that answers at once, to measure what asking costs.
func echo(tb testing.TB) string {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Message, SessionID string }
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"success": true, "response": %q, "sessionId": %q, "usage": {"inputTokens": 7, "outputTokens": 80}}`,
			"You said: "+request.Message+strings.Repeat(" and more", 50), request.SessionID)
	}))
	tb.Cleanup(server.Close)
	return server.URL
}

// usage runs a script and returns the CPU time in seconds and the peak of memory in KiB that k6 took.
func usage(tb testing.TB, script string, arguments ...string) (seconds, kib float64) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "script.js")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		tb.Fatal(err)
	}
	fixed := []string{"run", "--quiet", "--no-usage-report", "--summary-mode=disabled", "--address", ""}
	c := exec.Command(k6, slices.Concat(fixed, arguments, []string{path})...)
	if out, err := c.CombinedOutput(); err != nil {
		tb.Fatalf("k6: %v\n%s", err, out)
	}
	used := c.ProcessState.SysUsage().(*syscall.Rusage)
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), float64(used.Maxrss)
}

// Both send four messages an iteration, and look at the status.
const (
	postScript = `
import http from 'k6/http';
const params = { headers: { 'Content-Type': 'application/json', 'X-Request-Id': 'k6-1-1-1' } };
export default () => {
  for (let i = 0; i < 4; i++) {
    const r = http.post(__ENV.BASE_URL + '/api/chat', JSON.stringify({ message: 'Bonjour', sessionId: 'k6-1-1' }), params);
    if (r.status !== 200) throw new Error(r.error);
  }
};`
	sendScript = `
import { Client } from 'k6/x/chatbot';
const bot = new Client({ baseURL: __ENV.BASE_URL, stream: false });
export default async () => {
  const talk = bot.conversation();
  for (let i = 0; i < 4; i++) {
    const r = await talk.send('Bonjour');
    if (!r.ok) throw new Error(r.error);
  }
};`
	nothing = "export default () => {};"
)

// What a turn costs in CPU time of k6, over what http.post costs: at most 1.3. Runs alternate, the median
// ratio counts. What k6 itself costs with an empty script is taken off both.
func BenchmarkCPUPerTurn(b *testing.B) {
	address := echo(b)
	const turns = 24_000
	arguments := []string{"-e", "BASE_URL=" + address, "--vus", "10", "--iterations", fmt.Sprint(turns / 4)}
	var post, send, ratios []float64
	for b.Loop() {
		idle, _ := usage(b, nothing, "--vus", "10", "--iterations", "10")
		p, _ := usage(b, postScript, arguments...)
		s, _ := usage(b, sendScript, arguments...)
		post, send, ratios = append(post, (p-idle)/turns*1e6), append(send, (s-idle)/turns*1e6), append(ratios, (s-idle)/(p-idle))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(post), "µs-post")
	b.ReportMetric(median(send), "µs-send")
	b.ReportMetric(median(ratios), "ratio")
}

// What memory a user takes, over one that uses http.post: at most 20 KiB.
func BenchmarkMemoryPerUser(b *testing.B) {
	address := echo(b)
	const users = 2000
	arguments := []string{"-e", "BASE_URL=" + address, "--vus", fmt.Sprint(users), "--iterations", fmt.Sprint(2 * users)}
	var more []float64
	for b.Loop() {
		_, p := usage(b, postScript, arguments...)
		_, s := usage(b, sendScript, arguments...)
		more = append(more, (s-p)/users)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(more), "KiB/user")
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
