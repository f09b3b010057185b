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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// echo is a chatbot that answers at once, to measure what asking costs.
func echo(tb testing.TB) (address string) {
	tb.Helper()
	return echoes(tb, &atomic.Int64{})
}

// echoes is an echo that counts the messages.
func echoes(tb testing.TB, asked *atomic.Int64) (address string) {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer asked.Add(1)
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

// k6Command returns the command that runs a script.
func k6Command(tb testing.TB, script string, arguments ...string) *exec.Cmd {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "script.js")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		tb.Fatal(err)
	}
	fixed := []string{"run", "--quiet", "--no-usage-report", "--summary-mode=disabled"}
	return exec.CommandContext(tb.Context(), k6, slices.Concat(fixed, arguments, []string{path})...)
}

// cpuTime runs a script and returns the CPU time in seconds that k6 took.
func cpuTime(tb testing.TB, script string, arguments ...string) float64 {
	tb.Helper()
	c := k6Command(tb, script, append(arguments, "--address", "")...)
	if out, err := c.CombinedOutput(); err != nil {
		tb.Fatalf("k6: %v\n%s", err, out)
	}
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
}

// heap runs a script whose users all send their messages and then sleep, and returns the bytes of what k6's heap holds then. How far
// memory grows beyond that before the collector comes is chance.
func heap(tb testing.TB, script string, users int) float64 {
	tb.Helper()
	var asked atomic.Int64
	url := echoes(tb, &asked)
	address := freeAddress(tb)
	n := strconv.Itoa(users)
	c := k6Command(tb, script, "-e", "BASE_URL="+url, "--vus", n, "--iterations", n, "--address", address, "--profiling-enabled")
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill() // its users sleep
		_ = c.Wait()
	}()
	for end := time.Now().Add(time.Minute); asked.Load() < int64(4*users); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%d of %d messages were sent", asked.Load(), 4*users)
		}
	}
	time.Sleep(time.Second) // the last answers are read
	res, err := http.Get("http://" + address + "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	profile, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`).FindSubmatch(profile)
	if found == nil {
		tb.Fatalf("no HeapAlloc in the profile:\n%.200s", profile)
	}
	bytes, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes
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
		idle := cpuTime(b, nothing, "--vus", "10", "--iterations", "10")
		p := cpuTime(b, postScript, arguments...)
		s := cpuTime(b, sendScript, arguments...)
		post, send, ratios = append(post, (p-idle)/turns*1e6), append(send, (s-idle)/turns*1e6), append(ratios, (s-idle)/(p-idle))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(post), "µs-post")
	b.ReportMetric(median(send), "µs-send")
	b.ReportMetric(median(ratios), "ratio")
}

// What memory a user holds, over one that uses http.post: at most 20 KiB.
func BenchmarkMemoryPerUser(b *testing.B) {
	const users = 2000
	sleeps := strings.NewReplacer("  }\n};", "  }\n  sleep(120);\n};").Replace
	var more []float64
	for b.Loop() {
		p := heap(b, "import { sleep } from 'k6';"+sleeps(postScript), users)
		s := heap(b, "import { sleep } from 'k6';"+sleeps(sendScript), users)
		more = append(more, (s-p)/users/1024)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(more), "KiB/user")
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
