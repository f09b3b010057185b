package dashboards_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

var images = flag.Duration("images", 0, "load the shop for so long, and draw panels for the README")

// more is what the shop's policy gets beside, so that each panel has something to show.
const more = `
[cache]
memory = "1MiB"
[cache.redis]
host = "127.0.0.1"
port = %[1]d
[defaults]
slow = "150ms"
[plugins.chat.model.upstreams.main.price]
input = 0.5
output = 1.5
[plugins.chat.model.budget]
total = 20_000_000
[plugins.chat]
store = "redis"
[plugins.proxy.upstreams.origin]
targets = ["%[2]s"]
[telemetry.traces]
endpoint = "%[2]s"
[[routes]]
path = "/test/origin/:what"
handler = "proxy"
timeout = "300ms"
[[routes]]
path = "/test/shared"
handler = "proxy"
cache = { ttl = "1s", query = ["n"] }
[[routes]]
path = "/test/limited"
handler = "proxy"
limits = { requests = 8, window = "1m", shared = true, delay_from = 0.1, delay_max = "50ms" }
[[routes]]
path = "/test/trouble"
handler = "trouble"
cache = { ttl = "1s" }
`

// handlers is how many may run at once, so few that requests wait for theirs.
const handlers = 8

// trouble is a plugin with the faults of plugins: it reads what it did not declare, and panics.
func trouble() framework.Plugin {
	return framework.NewPlugin(framework.Info{Name: "trouble", Handlers: []framework.HandlerInfo{{Name: "trouble"}}}, framework.NoOptions{},
		func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
			return framework.Handlers{"trouble": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
				if r.Query("undeclared") == "" {
					panic("trouble")
				}
				return framework.Text(""), nil
			}}, nil
		})
}

// visitors load a shop in all ways that a panel tells of.
type visitors struct {
	*frameworktest.Server
	ctx context.Context
	n   atomic.Int64
}

// send sends a request and reads the answer, for at most the time that the context leaves.
func (v *visitors) send(ctx context.Context, method, path string, body any, header ...string) {
	var content io.Reader = http.NoBody
	if body != nil {
		text, _ := json.Marshal(body)
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.URL+path, content)
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.Client.Do(req)
	if err != nil {
		return // the visit ends, or the server gives up the connection
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
}

func (v *visitors) get(path string, header ...string) {
	v.send(v.ctx, http.MethodGet, path, nil, header...)
}

func (v *visitors) post(path string, body map[string]any) { v.send(v.ctx, http.MethodPost, path, body) }

// leave sends a request and does not wait for its answer.
func (v *visitors) leave(after time.Duration, method, path string, body any) {
	ctx, cancel := context.WithTimeout(v.ctx, after)
	defer cancel()
	v.send(ctx, method, path, body)
}

// questions are of three languages and of what the shop's customers ask about.
var questions = []map[string]any{
	{"message": "Quel shampooing pour des cheveux secs ?", "language": "fr"},
	{"message": "My parcel arrived damaged, I want a refund", "language": "en"},
	{"message": "كم تكلفة التوصيل؟", "language": "ar"},
	{"message": "Bonjour", "language": "fr"},
	{"message": "What is the weather like in Paris?", "language": "en"},
	{"message": "Which oil is good for curly hair?", "language": "en"},
}

// browse reads pages: most of them known ones, some new, some that go wrong.
func (v *visitors) browse() {
	n := strconv.FormatInt(v.n.Add(1), 10)
	for range 6 {
		v.get("/api/products?language=fr", "Accept-Encoding", "gzip")
		v.get("/api/products?language=ar", "Accept-Encoding", "br")
		v.get("/api/health", "Accept-Encoding", "zstd")
		v.get("/")
	}
	v.get("/api/products/search?language=en&q=argan"+n, "Accept-Encoding", "zstd")
	v.get("/api/products/search?language=fr&q=argan")
	v.get("/api/faq?language=fr&q=livraison")
	v.get("/api/faq?language=en&q=zzzz" + n)
	v.get("/api/metrics/summary")
	v.get("/nowhere")
	v.get("/test/limited")
	v.get("/test/origin/failing")
	v.get("/test/origin/late")
	v.get("/test/origin/slow")
	v.get("/test/trouble")
	v.get("/test/trouble?undeclared=1")
	v.leave(60*time.Millisecond, http.MethodGet, "/test/origin/late", nil)
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() { v.get("/test/shared?n=" + n) })
	}
	for range 2 * handlers {
		together.Go(func() { v.get("/test/origin/slow") })
	}
	together.Wait()
}

// talk is a customer's conversation, and what else they do.
func (v *visitors) talk() {
	n := v.n.Add(1)
	session := "dashboards-" + strconv.FormatInt(n, 10)
	question := map[string]any{"sessionId": session}
	maps.Copy(question, questions[n%int64(len(questions))])
	v.post("/api/chat", question)
	v.post("/api/chat/stream", question)
	v.post("/api/chat", map[string]any{"message": "", "sessionId": session})
	v.post("/v1/chat/completions", map[string]any{"model": "mock", "messages": []map[string]any{{"role": "user", "content": question["message"]}}})
	v.leave(50*time.Millisecond, http.MethodPost, "/api/chat/stream", question)
	v.post("/api/analytics/track", map[string]any{"event": "message_sent", "sessionId": session})
	v.post("/api/analytics/feedback", map[string]any{"sessionId": session, "rating": 1 + n%5})
	v.post("/api/qualification/start", map[string]any{"sessionId": session, "language": "en"})
	for step, option := range []string{"hair", "dry", "hydration", "oil"} {
		v.post("/api/qualification/answer", map[string]any{
			"sessionId": session, "step": step + 1, "answer": map[string]any{"selected": option}, "language": "en",
		})
	}
}

// TestPanels loads the shop, under a Prometheus that scrapes it, and runs every query of every panel.
func TestPanels(t *testing.T) {
	redis := redistest.Start(t)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/test/origin/failing":
			w.WriteHeader(http.StatusInternalServerError)
		case "/test/origin/late":
			wait(r.Context(), time.Second)
		case "/test/origin/slow", "/test/shared":
			wait(r.Context(), 200*time.Millisecond)
		}
	}))
	defer origin.Close()
	profile, err := modelmock.ProfileNamed("fast")
	if err != nil {
		t.Fatal(err)
	}
	mock, err := modelmock.New(modelmock.Config{Profile: profile, Faults: []modelmock.Fault{
		{Kind: modelmock.ServerError, Share: 0.1}, {Kind: modelmock.Contradiction, Share: 0.2}, {Kind: modelmock.NoUsage, Share: 0.1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	model := httptest.NewServer(mock)
	defer model.Close()
	text := read(t, "../policies/chatbot.toml")
	for of, instead := range map[string]string{"${env:MODEL_URL:-}": model.URL + "/v1", "in_flight = 1000": fmt.Sprintf("in_flight = %d", handlers)} {
		if !strings.Contains(text, of) {
			t.Fatalf("the shop's policy has no %s", of)
		}
		text = strings.Replace(text, of, instead, 1)
	}
	text += fmt.Sprintf(more, redis.Port, origin.URL)
	var broken atomic.Bool
	server := frameworktest.StartWith(t, func(v policy.Vocabulary) (*policy.Policy, error) {
		if broken.Load() {
			return nil, errors.New("the policy is broken")
		}
		return framework.PolicyText("chatbot.toml", text)(v)
	}, append(plugins.Standard(), trouble())...)
	p := startPrometheus(t, map[string][]string{"chatbot": {asText(t, server.URL)}}, "--web.enable-remote-write-receiver", "--enable-feature=native-histograms")
	begun := time.Now()

	ctx, stop := context.WithCancel(t.Context())
	var users sync.WaitGroup
	defer users.Wait()
	defer stop()
	v := &visitors{Server: server, ctx: ctx}
	for _, visit := range []func(){v.browse, v.browse, v.talk, v.talk, v.talk} {
		users.Go(func() {
			for ctx.Err() == nil {
				visit()
			}
		})
	}
	load := 12 * time.Second
	if *images > 0 {
		load = *images
	}
	k6 := startK6(t, p, faulty(t, server.URL), load)
	wait(ctx, load/2)
	broken.Store(true)
	if server.App.Reload(ctx) == nil {
		t.Error("a broken policy was loaded")
	}
	broken.Store(false)
	text = strings.Replace(text, "/test/limited", "/test/bounded", 1)
	if err := server.App.Reload(ctx); err != nil {
		t.Error(err)
	}
	redis.Kill()
	wait(ctx, 2*time.Second)
	redis.Restart()
	v.post("/api/cache/invalidate", map[string]any{"tags": []string{"products"}})
	wait(ctx, load/2)
	k6()
	p.await("two more scrapes", func() bool {
		return len(p.values("job", fmt.Sprintf(`timestamp(up) > %d`, time.Now().Unix()-1))) > 0
	})

	live := map[string]bool{}
	for _, name := range p.labelValues("__name__", "") {
		live[name] = true
	}
	used := map[string]bool{}
	for name, d := range boards(t) {
		t.Run(name, func(t *testing.T) {
			p := &prometheus{t: t, url: p.url}
			p.checkBoard(d, begun, live)
		})
		for _, expr := range d.queries() {
			for _, metric := range asked(expr) {
				used[metric] = true
			}
		}
	}
	for _, r := range p.rules() {
		for _, name := range bare.FindAllString(r.Query, -1) {
			used[name] = true
		}
	}
	checkUnused(t, server.Get(t, "/metrics").Body, used)
	if *images > 0 {
		draw(t, p.url, begun)
	}
}

// asText returns the address of what passes scrapes of a server on without the wish for protobuf. From that a Prometheus that takes native
// histograms, as k6 sends them, would keep those alone and no buckets, which the rules and panels ask for. What keeps both is the setting
// always_scrape_classic_histograms, which Debian's Prometheus is too old for.
func asText(t *testing.T, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Accept")
	}})
	t.Cleanup(front.Close)
	return strings.TrimPrefix(front.URL, "http://")
}

// faulty returns the address of what passes requests on to a server, and fails one in twenty of those that are posted.
func faulty(t *testing.T, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var posted atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && posted.Add(1)%20 == 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil { // else it closes the request before the proxy has seen its end
			t.Error(err)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// startK6 starts the scenario spike of the k6 extension, in the shape that fits the time, with its metrics sent to Prometheus. It returns
// what waits for its end.
func startK6(t *testing.T, p *prometheus, target string, load time.Duration) (end func()) {
	t.Helper()
	const program, script = "../bin/k6", "../xk6-chatbot/scenarios/spike.js"
	const whole = 410 * time.Second // of the scenario
	cmd := exec.CommandContext(t.Context(), program, "run", "--quiet", "--tag", "testid=dashboards", "--out", "experimental-prometheus-rw", script)
	cmd.Env = append(os.Environ(), "K6_FEATURES=native-histograms", "K6_PROMETHEUS_RW_PUSH_INTERVAL=1s",
		"K6_PROMETHEUS_RW_SERVER_URL="+p.url+"/api/v1/write", "BASE_URL="+target, "OUT="+t.TempDir(),
		fmt.Sprintf("SCALE=%.3f", load.Seconds()/whole.Seconds()))
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs bin/k6 (make k6): %v", err)
	}
	return func() {
		var exit *exec.ExitError
		if err := cmd.Wait(); errors.As(err, &exit) && exit.ExitCode() == 99 {
			t.Logf("k6: promises of the policy were not kept by the faulty shop") // as they are not meant to be
		} else if err != nil {
			t.Errorf("k6: %v\n%s", err, out)
		}
	}
}

// labelValues are the values of a label, of the series that a selector finds.
func (p *prometheus) labelValues(label, selector string) []string {
	p.t.Helper()
	path := "/api/v1/label/" + label + "/values"
	if selector != "" {
		path += "?match[]=" + url.QueryEscape(selector)
	}
	var answer struct{ Data []string }
	if err := json.Unmarshal(p.get(path), &answer); err != nil {
		p.t.Fatal(err)
	}
	return answer.Data
}

// series is what a query found over time.
type series struct {
	Metric map[string]string
	Values [][2]any
}

// over runs a query over the time since begun, as Grafana would with every variable at All.
func (p *prometheus) over(expr string, begun time.Time) []series {
	p.t.Helper()
	form := url.Values{
		"query": {fill(expr, begun)}, "step": {"1"},
		"start": {strconv.FormatInt(begun.Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Unix(), 10)},
	}
	var answer struct{ Data struct{ Result []series } }
	if err := json.Unmarshal(p.get("/api/v1/query_range?"+form.Encode()), &answer); err != nil {
		p.t.Fatal(err)
	}
	return answer.Data.Result
}

// fill gives the variables of a query their values.
func fill(expr string, begun time.Time) string {
	return strings.NewReplacer("$__rate_interval", "4s", "$__interval", "2s", "$__range", fmt.Sprintf("%ds", int(time.Since(begun).Seconds())),
		"$job", "chatbot", "$instance", ".*", "$route", ".*", "$testid", ".*", "$scenario", ".*").Replace(expr)
}

var (
	legends     = regexp.MustCompile(`{{(\w+)}}`)
	labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
)

// checkBoard runs all that a dashboard asks: each query finds something, with the labels that its legend shows.
func (p *prometheus) checkBoard(d dashboard, begun time.Time, live map[string]bool) {
	t := p.t
	t.Helper()
	for _, v := range d.Templating.List {
		if m := labelValues.FindStringSubmatch(v.Query); v.Type == "query" && (m == nil || len(p.labelValues(m[2], fill(m[1], begun))) == 0) {
			t.Errorf("variable %s has no values: %s", v.Name, v.Query)
		}
	}
	for _, a := range d.Annotations.List {
		if len(p.over(a.Expr, begun)) == 0 {
			t.Errorf("annotation %s marks nothing: %s", a.Name, a.Expr)
		}
	}
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			for _, metric := range asked(q.Expr) {
				if !live[metric] {
					t.Errorf("%s asks for %s, which does not exist", panel.Title, metric)
				}
			}
			found := p.over(q.Expr, begun)
			if !slices.ContainsFunc(found, hasNumber) {
				t.Errorf("%s: no data for\n%s", panel.Title, q.Expr)
			}
			for _, label := range legends.FindAllStringSubmatch(q.LegendFormat, -1) {
				if !slices.ContainsFunc(found, func(s series) bool { return s.Metric[label[1]] != "" }) {
					t.Errorf("%s: no %s in what was found for\n%s", panel.Title, label[1], q.Expr)
				}
			}
		}
	}
}

func hasNumber(s series) bool {
	return slices.ContainsFunc(s.Values, func(at [2]any) bool { return at[1] != "NaN" })
}

// checkUnused sees that each metric of a scrape is on a panel, in a rule, or in unused.txt with the reason, and that no line there is out
// of date.
func checkUnused(t *testing.T, scrape string, used map[string]bool) {
	t.Helper()
	excused := map[string]bool{}
	for line := range strings.Lines(read(t, "unused.txt")) {
		if name, why, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			excused[name] = strings.TrimSpace(why) != ""
		}
	}
	exported := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(scrape, -1) {
		name := m[1]
		exported[name] = true
		seen := used[name] || used[name+"_bucket"] || used[name+"_count"] || used[name+"_sum"]
		switch {
		case !seen && !excused[name]:
			t.Errorf("%s is on no panel and in no rule: show it, remove it, or say why in unused.txt", name)
		case seen && excused[name]:
			t.Errorf("%s is used: it does not belong in unused.txt", name)
		}
	}
	for name := range excused {
		if !exported[name] {
			t.Errorf("%s of unused.txt is not exported", name)
		}
	}
}

// draw has the panels of the README drawn.
func draw(t *testing.T, url string, begun time.Time) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", "-C", "generate", "./draw", "-prometheus", url,
		"-from", strconv.FormatInt(begun.Unix(), 10), "-to", strconv.FormatInt(time.Now().Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("draw: %v\n%s", err, out)
	}
}
