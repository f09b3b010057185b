package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// freeAddress returns one on which nothing listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// ours is a frame of the extension in a stack.
var ours = regexp.MustCompile(`(?m)^(created by )?github\.com/innatural/chatbot/xk6-chatbot[./]`)

// goroutines returns the stacks of those goroutines of k6 that run the extension's code, or were started by it.
func goroutines(t *testing.T, address string) []string {
	t.Helper()
	res, err := http.Get("http://" + address + "/debug/pprof/goroutine?debug=2")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	var found []string
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if ours.MatchString(stack) {
			found = append(found, stack)
		}
	}
	return found
}

// When the iterations are over, whether they ended or were cut off in the middle of a turn, a pause, a stream or a search, no
// goroutine of the extension is left.
func TestNoGoroutineIsLeft(t *testing.T) {
	t.Parallel()
	over, done := make(chan struct{}), make(chan struct{})
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/over": // asked for by teardown, which lasts until the test has looked
			close(over)
			<-done
		case "/api/chat/stream": // begins, and goes on for ever
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, ": wait\n\n")           //nolint:errcheck // the test sees it
			_ = http.NewResponseController(w).Flush() // the test sees it
			<-r.Context().Done()
		default:
			io.Copy(io.Discard, r.Body) //nolint:errcheck // only then the server sees that the client has gone
			<-r.Context().Done()
		}
	}))
	t.Cleanup(mute.Close)
	address := freeAddress(t)
	start(t, regexp.MustCompile(`(it begins)`),
		k6, "run", "--quiet", "--no-usage-report", "--address", address, "--profiling-enabled",
		"-e", "BASE_URL="+shop(t), "-e", "MUTE="+mute.URL, script(t, `
import http from 'k6/http';
import { Client, Search, scenario } from 'k6/x/chatbot';
const bot = new Client({ baseURL: __ENV.BASE_URL });
const whole = new Client({ baseURL: __ENV.BASE_URL, stream: false });
const mute = new Client({ baseURL: __ENV.MUTE });
const quiet = new Client({ baseURL: __ENV.MUTE, stream: false });
const search = new Search({ slo: { latency: '1s' }, start: 50, max: 50, step: '500ms' });
const endless = new Search({ slo: { latency: '1s' }, start: 50, control: 50, max: 1e6, step: '1m' });
const users = (exec) => ({ executor: 'constant-vus', vus: 4, duration: '3s', gracefulStop: '0s', exec });
const searching = (exec) => ({ ...scenario('breakpoint', { maxVUs: 4, exec }), maxDuration: '3s', gracefulStop: '0s' });
export const options = {
  teardownTimeout: '1m',
  scenarios: {
    talk: users('talk'), ask: users('ask'), wait: users('wait'), cut: users('cut'),
    search: searching('find'), endless: searching('seek'),
  },
};
const think = { dist: 'uniform', min: 1, max: 20 };
export const setup = () => console.log('it begins');
export const talk = () => Promise.all([bot, whole].map((client) => client.conversation({ think }).run()));
export const ask = () => Promise.all([bot.cached('/api/products?language=fr', { ttl: '1m' }), bot.health()]);
export const wait = () => whole.conversation({ think: { dist: 'fixed', median: '1h' } }).run();
export const cut = () => Promise.all([mute.conversation().send('Bonjour'), quiet.conversation().send('Bonjour'), mute.health()]);
export const find = () => search.run(() => whole.conversation());
export const seek = () => endless.run(() => quiet.conversation());
export const teardown = () => { http.get(__ENV.MUTE + '/over', { timeout: '1m' }); };
`))
	t.Cleanup(func() { close(done) })
	most := 0
	for waiting := true; waiting; {
		select {
		case <-over:
			waiting = false
		case <-time.After(200 * time.Millisecond):
			most = max(most, len(goroutines(t, address)))
		}
	}
	if most < 20 {
		t.Errorf("%d goroutines of the extension were seen at most while it ran: the test shows nothing", most)
	}
	left := goroutines(t, address)
	for end := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(end); left = goroutines(t, address) {
		time.Sleep(50 * time.Millisecond)
	}
	if len(left) > 0 {
		t.Errorf("%d goroutines are left of %d:\n%s", len(left), most, strings.Join(left, "\n\n"))
	}
}
