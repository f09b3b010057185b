package dashboards_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/plugins"
)

// shop is a policy with all that an alert watches: what is behind the shop is the test's.
const shop = `
version = 1
[server.admin]
listen = "127.0.0.1:0"
tls = { cert = "%[1]s/cert.pem", key = "%[1]s/key.pem" }
[log.access]
sample = 0.0
[[log.sinks]]
type = "stdout"
[telemetry.traces]
endpoint = "http://%[2]s"
[cache.redis]
host = "127.0.0.1"
port = %[3]d
[plugins.proxy.upstreams.origin]
targets = ["%[4]s"]
[plugins.proxy.upstreams.fragile]
prefix = "/fragile"
targets = ["http://%[5]s"]
[plugins.proxy.health]
path = "/"
interval = "200ms"
[plugins.chat.model]
reuse = "0s"
rate = { requests = 0 }
budget = { total = 0 }
[plugins.chat.model.upstreams.mock]
url = "http://%[6]s/v1"
model = "mock"
[[routes]]
path = "/metrics"
handler = "metrics"
[[routes]]
method = "POST"
path = "/api/chat"
handler = "chat"
audience = "user"
[[routes]]
path = "/api/products/search"
handler = "catalog.search"
cache = { ttl = "1h" }
slo = { errors = 0.01 }
[[routes]]
path = "/slow"
handler = "proxy"
[[routes]]
path = "/busy"
handler = "proxy"
limits = { in_flight = 10 }
[[routes]]
path = "/limited"
handler = "proxy"
limits = { requests = 1 }
[[routes]] # burns at over 1 while more than nine in ten fail, and is well again, in all windows, soon after
path = "/failing"
handler = "proxy"
slo = { errors = 0.9, window = "1d" }
`

// phase is how far the test has come with a cause.
type phase = int32

const (
	healthy phase = iota
	broken
	mended
	resolved
)

// cause brings alerts about, and ends them.
type cause struct {
	alerts        []string
	visit         func(phase) // what is asked of the shop, twenty times a second; nil is nothing
	breaks, mends func()      // nil is nothing
	phase         atomic.Int32
	since         time.Time
}

// clients ask a shop.
type clients struct {
	*http.Client
	ctx context.Context
	n   atomic.Int64
}

// ask sends a request, a post if it has a body, and reads the answer.
func (c *clients) ask(url, body string) {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(c.ctx, method, url, strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return // the test ends, or a server is gone
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
}

// asks returns what asks for one page, if any, and for another one while something is broken.
func (c *clients) asks(well, ill string) func(phase) {
	return func(now phase) {
		switch {
		case now == broken:
			c.ask(ill, "")
		case well != "":
			c.ask(well, "")
		}
	}
}

// chats returns what asks a chat something that is for the model.
func (c *clients) chats(url string) func(phase) {
	return func(phase) {
		c.ask(url+"/api/chat", fmt.Sprintf(`{"sessionId": "alerts-%d", "message": "Which oil is good for curly hair?"}`, c.n.Add(1)))
	}
}

// visit has the visits of all causes made until the context ends.
func (c *clients) visit(causes []*cause) {
	var visits sync.WaitGroup
	defer visits.Wait()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-every.C:
		}
		for _, cause := range causes {
			if cause.visit != nil {
				visits.Go(func() { cause.visit(cause.phase.Load()) })
			}
		}
	}
}

// origin answers late, or with an error, when it is asked to.
func origin(w http.ResponseWriter, r *http.Request) {
	late, _ := time.ParseDuration(r.FormValue("late"))
	wait(r.Context(), late)
	if status, err := strconv.Atoi(r.FormValue("status")); err == nil {
		w.WriteHeader(status)
	}
}

// TestAlertsLive sees every alert of a real Prometheus that scrapes three instances of the program that is shipped, under load:
// none fires while all is well; each is pending and then firing when what it watches is broken, and resolved once that is mended.
func TestAlertsLive(t *testing.T) {
	chatbot := build(t)
	redis := redistest.Start(t)
	behind := httptest.NewServer(http.HandlerFunc(origin))
	defer behind.Close()
	fragile := receive(t, func(http.ResponseWriter, *http.Request) {})
	traces := receive(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	model := run(t, frameworktest.FreeAddress(t), "/stats", chatbot, "model-mock")
	tls := certify(t)
	policy := fmt.Sprintf(shop, tls.dir, traces.address, redis.Port, behind.URL, fragile.address, model.address)
	first := serve(t, chatbot, frameworktest.FreeAddress(t), policy)
	second := serve(t, chatbot, frameworktest.FreeAddress(t), policy)
	third := serve(t, chatbot, frameworktest.FreeAddress(t), policy)
	// The program has no handler that panics.
	panicking := frameworktest.Start(t, `
version = 1
routes = [{ path = "/metrics", handler = "metrics" }, { path = "/trouble", handler = "trouble" }]
`, append(plugins.Standard(), trouble())...)

	ctx, stop := context.WithCancel(t.Context())
	c := &clients{Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: patience}, ctx: ctx}
	one := "http://" + first.address
	causes := []*cause{
		{alerts: []string{"InstanceDown"}, breaks: third.kill, mends: third.start},
		{alerts: []string{"HighResponseTime"}, visit: c.asks(one+"/slow", one+"/slow?late=1.5s")},
		{
			alerts: []string{
				"HighErrorRate", "SLOBudgetBurnsFast", "SLOBudgetBurnsMedium", "SLOBudgetBurnsSlow", "SLOBudgetBurnsCreeping",
			},
			visit: func(now phase) {
				if now != healthy { // or the long windows would take long to forget it
					c.asks(one+"/failing", one+"/failing?status=500")(now)
				}
			},
		},
		{alerts: []string{"HandlerPanics"}, visit: c.asks(panicking.URL+"/trouble?undeclared=1", panicking.URL+"/trouble")},
		{alerts: []string{"Overload"}, visit: c.asks(one+"/busy", one+"/busy?late=900ms")},
		{alerts: []string{"ClientsRateLimited"}, visit: c.asks("", one+"/limited")},
		{
			alerts: []string{"LowCacheHitRate"},
			visit: func(now phase) {
				c.asks(one+"/api/products/search?q=argan", fmt.Sprintf("%s/api/products/search?q=argan%d", one, c.n.Add(1)))(now)
			},
		},
		{alerts: []string{"RedisDown"}, breaks: redis.Kill, mends: redis.Restart},
		{
			alerts: []string{"PolicyReloadFailed"},
			breaks: func() { first.load("version = 1\nroute = []\n") }, mends: func() { first.load(policy) },
		},
		{
			alerts: []string{"PoliciesDiffer", "TokenBudgetSpent"}, visit: c.chats("http://" + second.address),
			breaks: func() { second.load(strings.Replace(policy, "total = 0", "total = 1", 1)) },
			mends:  func() { second.load(policy) },
		},
		{
			alerts: []string{"ModelDegraded"}, visit: c.chats(one),
			breaks: func() { put(t, model.address, `[{"fault": "500", "share": 1}]`) },
			mends:  func() { put(t, model.address, `[]`) },
		},
		{alerts: []string{"UpstreamTargetDown"}, breaks: fragile.stop, mends: fragile.start},
		{
			alerts: []string{"LogLinesLost"}, visit: c.asks(one+"/nowhere", one+"/nowhere/"+strings.Repeat("x", 8000)),
			breaks: func() { first.deaf.Store(true) }, mends: func() { first.deaf.Store(false) },
		},
		{alerts: []string{"TraceSpansLost"}, breaks: traces.stop, mends: traces.start},
		{alerts: []string{"CertificateExpires"}, breaks: func() { tls.renew(6) }, mends: func() { tls.renew(90) }},
	}
	p := startPrometheus(t, map[string][]string{
		"chatbot": {first.address, second.address, third.address}, "plugins": {strings.TrimPrefix(panicking.URL, "http://")},
	})
	waits := checkCauses(t, causes, p.rules())

	var visiting sync.WaitGroup
	defer visiting.Wait()
	defer stop()
	visiting.Go(func() { c.visit(causes) })
	p.await("it has seen ten seconds of healthy load", func() bool {
		return len(p.values("job", `count_over_time(job:requests:rate5m{job="chatbot"}[15s]) >= 20`)) > 0
	})
	if firing := p.seen("firing"); len(firing) > 0 {
		t.Errorf("under healthy load: %v fire", firing)
	}
	for _, c := range causes {
		c.enter(broken, c.breaks)
	}
	p.follow(causes, waits)
	p.await("all is quiet", func() bool { return len(p.values("alertname", `max_over_time(ALERTS[3s])`)) == 0 })
}

// checkCauses holds the loaded rules to the house's rules, and sees that each alert has one cause. It returns those that wait
// before they fire.
func checkCauses(t *testing.T, causes []*cause, rules []rule) (waits map[string]bool) {
	t.Helper()
	checkRules(t, rules)
	count := map[string]int{}
	for _, c := range causes {
		for _, name := range c.alerts {
			count[name]++
		}
	}
	waits = map[string]bool{}
	for _, r := range rules {
		if r.Type != "alerting" {
			continue
		}
		if count[r.Name] != 1 {
			t.Errorf("%d causes bring %s about", count[r.Name], r.Name)
		}
		delete(count, r.Name)
		waits[r.Name] = r.Duration > 0
	}
	for name := range count {
		t.Errorf("there is no alert %s", name)
	}
	return waits
}

// those are the alerts of which something is so.
func (c *cause) those(is func(name string) bool) []string {
	return slices.DeleteFunc(slices.Clone(c.alerts), func(name string) bool { return !is(name) })
}

// enter begins a phase.
func (c *cause) enter(next phase, by func()) {
	c.phase.Store(next)
	if by != nil {
		by()
	}
	c.since = time.Now()
}

// seen are the alerts that have been in a state in the last minutes.
func (p *prometheus) seen(state string) []string {
	p.t.Helper()
	return p.values("alertname", fmt.Sprintf(`max_over_time(ALERTS{alertstate=%q}[5m])`, state))
}

// follow mends each cause once its alerts have fired, and waits until they are resolved.
func (p *prometheus) follow(causes []*cause, waits map[string]bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * patience); ; time.Sleep(200 * time.Millisecond) {
		fired, active := p.seen("firing"), p.values("alertname", "ALERTS")
		late := map[string][]string{}
		for _, c := range causes {
			missing := c.those(func(name string) bool { return !slices.Contains(fired, name) })
			left := c.those(func(name string) bool { return slices.Contains(active, name) })
			switch {
			case c.phase.Load() == broken && len(missing) > 0:
				late["do not fire"] = append(late["do not fire"], missing...)
			case c.phase.Load() == broken:
				p.t.Logf("%v fired within %.1f s", c.alerts, time.Since(c.since).Seconds())
				p.checkPending(c.alerts, waits)
				checkTexts(p.t, p)
				c.enter(mended, c.mends)
				late["are not resolved"] = append(late["are not resolved"], c.alerts...)
			case c.phase.Load() == mended && len(left) > 0:
				late["are not resolved"] = append(late["are not resolved"], left...)
			case c.phase.Load() == mended:
				p.t.Logf("%v were resolved within %.1f s", c.alerts, time.Since(c.since).Seconds())
				c.phase.Store(resolved)
			}
		}
		if len(late) == 0 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("alerts that %v", late)
		}
	}
}

// checkPending sees that alerts that wait before they fire have been pending.
func (p *prometheus) checkPending(alerts []string, waits map[string]bool) {
	p.t.Helper()
	pending := p.seen("pending")
	for _, name := range alerts {
		if waits[name] && !slices.Contains(pending, name) {
			p.t.Errorf("%s was never pending", name)
		}
	}
}

// checkTexts reads what alerts say to people, once their templates are filled in.
func checkTexts(t *testing.T, p *prometheus) {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct{ Labels, Annotations map[string]string }
		}
	}
	if err := json.Unmarshal(p.get("/api/v1/alerts"), &answer); err != nil {
		t.Fatal(err)
	}
	for _, a := range answer.Data.Alerts {
		for key, text := range a.Annotations {
			if text == "" || strings.Contains(text, "<error") || strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
				t.Errorf("%s: %s is %q", a.Labels["alertname"], key, text)
			}
		}
	}
}
