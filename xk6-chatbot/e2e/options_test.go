package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// talk answers one message in each iteration and says how it went.
const talk = `
import { Client } from 'k6/x/chatbot';
const bot = new Client({ baseURL: __ENV.BASE_URL, stream: false, timeout: '5s' });
export default async () => {
  const c = bot.conversation();
  for (let i = 0; i < Number(__ENV.TURNS || 1); i++) {
    const r = await c.send('Bonjour');
    console.log(` + "`ok=${r.ok} type=${r.errorType} status=${r.status} error=${r.error}`" + `);
  }
};`

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.js")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// with returns a script whose options are those given.
func with(t *testing.T, options string) string {
	t.Helper()
	return script(t, talk+"\nexport const options = "+options+";")
}

func TestHosts(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	load(t, "-e", "BASE_URL=http://shop.example:"+address.Port(), with(t, `{ hosts: { 'shop.example': '127.0.0.1' } }`)).
		wants(t, 0, `ok=true`)
}

func TestBlacklistIPs(t *testing.T) {
	t.Parallel()
	load(t, "-e", "BASE_URL="+echo(t), with(t, `{ blacklistIPs: ['127.0.0.0/8'] }`)).
		wants(t, 0, `ok=false type=network status=0 error=.*blacklist`)
}

func TestRPS(t *testing.T) {
	t.Parallel()
	const turns = 11
	begin := time.Now()
	load(t, "-e", "BASE_URL="+echo(t), "-e", "TURNS=11", with(t, `{ rps: 10 }`)).wants(t, 0, `ok=true`, `http_reqs\S*: 11 `)
	if took := time.Since(begin); took < (turns-1)*100*time.Millisecond {
		t.Errorf("%d turns took %v with 10 requests a second", turns, took)
	}
}

func TestInsecureSkipTLSVerify(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"success": true, "response": "Oui."}`)) //nolint:errcheck // the test sees it
	}))
	t.Cleanup(server.Close)
	load(t, "-e", "BASE_URL="+server.URL, with(t, `{}`)).wants(t, 0, `ok=false type=network status=0 error=.*x509`)
	load(t, "-e", "BASE_URL="+server.URL, with(t, `{ insecureSkipTLSVerify: true }`)).wants(t, 0, `ok=true`)
}

// The server's cookies come back to it, and k6 forgets them between iterations.
func TestCookies(t *testing.T) {
	t.Parallel()
	var with2, without atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("sid"); err == nil && c.Value == "1" {
			with2.Add(1)
		} else {
			without.Add(1)
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1", Path: "/"})
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"success": true, "response": "Oui."}`)) //nolint:errcheck // the test sees it
	}))
	t.Cleanup(server.Close)
	load(t, "-e", "BASE_URL="+server.URL, "-e", "TURNS=3", with(t, `{ iterations: 2 }`)).wants(t, 0, `ok=true`)
	if with2.Load() != 4 || without.Load() != 2 {
		t.Errorf("%d requests had the cookie and %d had none, want 4 and 2", with2.Load(), without.Load())
	}
}

func TestHTTPDebug(t *testing.T) {
	t.Parallel()
	load(t, "-e", "BASE_URL="+echo(t), "--http-debug=full", with(t, `{}`)).
		wants(t, 0, `ok=true`, `POST /api/chat HTTP/1\.1`, `X-Request-Id: k6-`, `You said: Bonjour`)
}

func TestThrow(t *testing.T) {
	t.Parallel()
	throwing := with(t, `{ throw: true }`)
	r := load(t, "-e", "BASE_URL=http://127.0.0.1:1", throwing)
	r.wants(t, 0, `connection refused`)
	if strings.Contains(r.output, "ok=false") {
		t.Errorf("send returned where it should have thrown:\n%s", r.output)
	}
}

func TestUserAgentAndTags(t *testing.T) {
	t.Parallel()
	agents := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	options := `{ userAgent: 'mine', thresholds: { 'http_reqs{phase:steady}': ['count==1'] } }`
	load(t, "-e", "BASE_URL="+server.URL, with(t, options)).wants(t, 0)
	if got := <-agents; got != "mine" {
		t.Errorf("the user agent is %q", got)
	}
}

// A phase that is promised something and never comes fails the test: k6 alone would let it pass.
func TestMissingPhaseFails(t *testing.T) {
	t.Parallel()
	load(t, "-e", "BASE_URL="+echo(t), script(t, talk+`
import { loadPolicy } from 'k6/x/chatbot';
const policy = loadPolicy('`+absolute(t, "../../policies/chatbot.toml")+`');
export const options = { thresholds: policy.thresholds({ phases: ['steady', 'peak'] }) };
`)).wants(t, 99, `chat_turns\{phase:peak,expected_response:true\}`)
}

// A server that sheds everything keeps no promise of how long answers take.
func TestSheddingAllFails(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	load(t, "-e", "BASE_URL="+server.URL, script(t, talk+`
import { loadPolicy, summary } from 'k6/x/chatbot';
const policy = loadPolicy('`+absolute(t, "../../policies/chatbot.toml")+`');
export const options = { thresholds: policy.thresholds({ phases: ['steady'] }) };
export const handleSummary = (data) => summary(data);
`)).wants(t, 99, `✗ steady +answered turns +0`, `\? steady +P95 of turn time from when it was due +nothing`, `FAILED: 2 of 3`)
}

// What a script promises and a run has not measured fails the run, for k6 would let it pass; what k6 lets pass and nobody promised
// has not failed. The report says what the exit code says.
func TestReportAgreesWithTheExitCode(t *testing.T) {
	t.Parallel()
	shed := func(n int64) string { // all but the n-th request
		var came atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if came.Add(1) == n {
				w.Header().Set("Content-Type", "application/json")
				w.Write([]byte(`{"success": true, "response": "Oui."}`)) //nolint:errcheck // the test sees it
				return
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else it is not seen that the client leaves
		<-r.Context().Done()
	}))
	t.Cleanup(hung.Close)
	const (
		short    = `scenarios: { asleep: { executor: 'constant-vus', vus: 5, duration: '1s', gracefulStop: '0s' } }`
		once     = `scenarios: { talk: { executor: 'shared-iterations', vus: 2, iterations: 400 } }`
		each     = `scenarios: { talk: { executor: 'per-vu-iterations', vus: 2, iterations: 200 } }`
		users    = `scenarios: { talk: { executor: 'constant-vus', vus: 2, duration: '1s' } }`
		rate     = `scenarios: { talk: { executor: 'constant-arrival-rate', rate: 20, duration: '1s', preAllocatedVUs: 2 } }`
		ramping  = `scenarios: { talk: { executor: 'ramping-vus', startVUs: 1, stages: [{ duration: '500ms', target: 1 }, { duration: '500ms', target: 2 }] } }`
		several  = `scenarios: { talk: { executor: 'shared-iterations', iterations: 1 }, later: { executor: 'shared-iterations', iterations: 1, startTime: '1s' } }`
		duration = `thresholds: { 'chat_duration': ['p(95)<500'], errors: ['rate<0.01'] }`
		later    = `thresholds: { 'chat_duration{scenario:later}': ['p(95)<500'] }`
	)
	const silent = `nothing was measured of what the threshold on chat_duration promises`
	for name, tt := range map[string]struct {
		address, options string
		code             int
		wanted           []string
	}{
		"shared iterations":     {shed(0), once + ", " + duration, 110, []string{silent, `\? whole run +P95 of turn time +nothing`, `FAILED: 1 of 2`}},
		"iterations of users":   {shed(0), each + ", " + duration, 110, []string{silent, `FAILED: 1 of 2`}},
		"users":                 {shed(0), users + ", " + duration, 110, []string{silent, `FAILED: 1 of 2`}},
		"arrivals":              {shed(0), rate + ", " + duration, 110, []string{silent, `FAILED: 1 of 2`}},
		"stages":                {shed(0), ramping + ", " + duration, 110, []string{silent, `FAILED: 1 of 2`}},
		"one answer":            {shed(3), once + ", " + duration, 0, []string{`(PASSED: all 2|NOT VALID: the load)`}},
		"an answer later":       {shed(2), several + ", " + later, 0, []string{`(PASSED: all 1|NOT VALID: the load)`}},
		"none later":            {shed(1), several + ", " + later, 110, []string{`FAILED: 1 of 1`}},
		"interrupted in a turn": {hung.URL, short + ", " + duration, 110, []string{silent, `FAILED: nothing was measured`}},
		"interrupted asleep":    {shed(0), short + ", " + duration, 110, []string{silent, `FAILED: 1 of 2`}},
		"one broken too":        {shed(0), once + ", thresholds: { 'chat_duration': ['p(95)<500'], chat_goodput: ['rate>0.5'] }", 110, []string{`FAILED: 2 of 2`}},
		"a count":               {shed(0), once + ", thresholds: { 'chat_duration': ['p(95)<500'], 'chat_turns{expected_response:true}': ['count>0'] }", 99, []string{`FAILED: 2 of 2`}},
		"a phase that never comes": {
			shed(3), once + ", thresholds: { 'errors{phase:peak}': ['rate<0.1'] }", 110, []string{`\? peak +failed turns +nothing`, `FAILED: 1 of 1`},
		},
		"nothing promised": {shed(0), once, 0, []string{`(PASSED: nothing was promised|NOT VALID: the load)`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := load(t, "-e", "BASE_URL="+tt.address, script(t, `
import { Client, summary } from 'k6/x/chatbot';
import exec from 'k6/execution';
import { sleep } from 'k6';
const bot = new Client({ baseURL: __ENV.BASE_URL, stream: false });
export const options = { `+tt.options+` };
export default async () => {
  await bot.conversation().send('Bonjour');
  if (exec.scenario.name === 'asleep') sleep(10);
};
export const handleSummary = (data) => summary(data);
`))
			r.wants(t, tt.code, tt.wanted...)
			if strings.Contains(r.output, "IterEnd") {
				t.Errorf("k6 waited in vain:\n%s", r.output)
			}
		})
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What is refused with Retry-After is shed, not an error, and a customer who waits as long as asked is answered.
func TestShed(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"success": true, "response": "Oui."}`)) //nolint:errcheck // the test sees it
	}))
	t.Cleanup(server.Close)
	load(t, "-e", "BASE_URL="+server.URL, script(t, `
import { Client } from 'k6/x/chatbot';
const bot = new Client({ baseURL: __ENV.BASE_URL, stream: false });
export const options = { thresholds: {
  errors: ['rate==0'], chat_shed: ['rate==0.5'], chat_conversations_completed: ['rate==1'], chat_turns: ['count==4'],
} };
export default () => bot.conversation({ turns: [2, 2], think: { dist: 'fixed', median: 0 } }).run();
`)).wants(t, 0)
}

// The same extension speaks to the shop's façade for OpenAI's clients, streaming and not, and to cached routes.
func TestShop(t *testing.T) {
	t.Parallel()
	address := shop(t)
	for name, want := range map[string]string{"talk": `ms to the first word: .+`, "openai": `PASSED`, "cache": ``} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			load(t, "-e", "BASE_URL="+address, "-e", "DURATION=3s", "../examples/"+name+".js").wants(t, 0, want)
		})
	}
}

// A server that can do a hundred turns a second breaks its promise above that.
func TestSearchFindsCapacity(t *testing.T) {
	t.Parallel()
	room := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		room <- struct{}{}
		time.Sleep(20 * time.Millisecond)
		<-room
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"success": true, "response": "Oui."}`)) //nolint:errcheck // the client has gone
	}))
	t.Cleanup(server.Close)
	load(t, "-e", "BASE_URL="+server.URL, script(t, `
import { Client, Search, scenario } from 'k6/x/chatbot';
const bot = new Client({ baseURL: __ENV.BASE_URL, stream: false });
const search = new Search({
  slo: { latency: 400, quantile: 0.95, errors: 0.01 }, start: 30, max: 1000, step: '1.5s', precision: 1.3,
});
export const options = {
  scenarios: { breakpoint: scenario('breakpoint', { maxVUs: 100, scale: 0.01 }) },
  thresholds: { chat_max_rate: ['value>=40', 'value<=130'] },
};
export default () => search.run(() => bot.conversation());
export const handleSummary = () => ({ stdout: JSON.stringify(search.result()) });
`)).wants(t, 0, `"reason":"found"`)
}
