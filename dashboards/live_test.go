package dashboards_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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
)

const patience = time.Minute

// prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

// faster is by how much the rules' times are shortened, so that a test sees in a minute what takes an hour and a half.
const faster = 100

var (
	ranges = regexp.MustCompile(`\[(\d+)([smhd])\]`)
	waits  = regexp.MustCompile(`(?m)^( +for: )(\d+)([smhd])$`)
	units  = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
)

// shorten divides a time by faster.
func shorten(number, unit string) string {
	n, _ := strconv.Atoi(number)
	return strconv.FormatInt((time.Duration(n)*units[unit]/faster).Milliseconds(), 10) + "ms"
}

// startPrometheus starts Prometheus with the rules, at another pace, on a server, with further arguments.
func startPrometheus(t *testing.T, target string, args ...string) *prometheus {
	t.Helper()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range files(t, "rules/*.yml") {
		text := ranges.ReplaceAllStringFunc(read(t, file), func(s string) string {
			m := ranges.FindStringSubmatch(s)
			return "[" + shorten(m[1], m[2]) + "]"
		})
		text = waits.ReplaceAllStringFunc(text, func(s string) string {
			m := waits.FindStringSubmatch(s)
			return m[1] + shorten(m[2], m[3])
		})
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.NewReplacer("15s", "500ms", "127.0.0.1:5000", target).Replace(read(t, "prometheus.yml"))
	file := filepath.Join(folder, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	log := &strings.Builder{}
	args = append(args, "--config.file", file, "--storage.tsdb.path", filepath.Join(folder, "data"),
		"--web.listen-address", address, "--enable-feature=exemplar-storage", "--log.level=warn")
	cmd := exec.Command("prometheus", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs prometheus (apt-get install prometheus): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", log)
		}
	})
	p := &prometheus{t: t, url: "http://" + address}
	p.await("it is ready", func() bool {
		res, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return p
}

func (p *prometheus) await(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("Prometheus: %s: did not come about", what)
		}
	}
}

func (p *prometheus) get(path string) []byte {
	p.t.Helper()
	res, err := http.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("GET %s: %d %s (%v)", path, res.StatusCode, body, err)
	}
	return body
}

// values returns the values of one label in what a query finds now.
func (p *prometheus) values(label, query string) []string {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.Unmarshal(p.get("/api/v1/query?query="+url.QueryEscape(query)), &answer); err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, r := range answer.Data.Result {
		all = append(all, r.Metric[label])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (p *prometheus) alerts(state string) []string {
	p.t.Helper()
	return p.values("alertname", fmt.Sprintf(`ALERTS{alertstate=%q}`, state))
}

// shop is a policy whose pages come from a server of the test, through the proxy, so that their time and status are the test's.
const shop = `
version = 1
[log.access]
enabled = false
[defaults]
slow = "500ms"
timeout = "10s"
[cache.redis]
host = "127.0.0.1"
port = %d
[plugins.proxy.upstreams.origin]
targets = ["%s"]
[[routes]]
path = "/metrics"
handler = "metrics"
[[routes]]
path = "/api/products/search"
handler = "catalog.search"
cache = { ttl = "1h" }
[[routes]]
path = "/slow"
handler = "proxy"
[[routes]]
path = "/failing"
handler = "proxy"
slo = { latency = "5s", quantile = 0.99, errors = 0.01 }
`

// TestAlertsLive sees the alerts of a real Prometheus that scrapes the shop under load: none while it is well, each pending and then
// firing when what it watches is broken, none when that is mended.
func TestAlertsLive(t *testing.T) {
	var broken atomic.Bool
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case broken.Load() && r.URL.Path == "/slow":
			time.Sleep(1500 * time.Millisecond)
		case broken.Load() && r.URL.Path == "/failing":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer origin.Close()
	redis := redistest.Start(t)
	text := fmt.Sprintf(shop, redis.Port, origin.URL)
	server := frameworktest.StartWith(t, func(v policy.Vocabulary) (*policy.Policy, error) {
		if broken.Load() {
			return nil, errors.New("the policy is broken")
		}
		return framework.PolicyText("shop.toml", text)(v)
	}, plugins.Standard()...)
	p := startPrometheus(t, strings.TrimPrefix(server.URL, "http://"))
	checkRules(t, p.rules())

	loading, stop := context.WithCancel(t.Context())
	var users sync.WaitGroup
	defer users.Wait()
	defer stop()
	for _, path := range []string{"/api/products/search?q=", "/slow", "/failing"} {
		users.Go(func() {
			for loading.Err() == nil {
				target := path
				if strings.HasSuffix(path, "q=") {
					target += "argan"
					if broken.Load() {
						target += strconv.FormatInt(time.Now().UnixNano(), 36) // each question another one
					}
				}
				if path == "/slow" {
					go visit(loading, server, target)
				} else {
					visit(loading, server, target)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}

	p.await("it has seen ten seconds of healthy load", func() bool {
		return len(p.values("job", `count_over_time(job:requests:rate5m[15s]) >= 20`)) > 0
	})
	if pending, firing := p.alerts("pending"), p.alerts("firing"); len(pending)+len(firing) > 0 {
		t.Errorf("under healthy load: pending %v, firing %v", pending, firing)
	}

	want := []string{
		"HighErrorRate", "HighResponseTime", "LowCacheHitRate", "PolicyReloadFailed", "RedisDown", "SLOBudgetBurnsFast",
	}
	broken.Store(true)
	redis.Kill()
	if server.App.Reload(t.Context()) == nil {
		t.Error("a broken policy was loaded")
	}
	firing := []string{}
	defer func() {
		if t.Failed() {
			t.Logf("last seen firing: %v", firing)
		}
	}()
	p.await(fmt.Sprintf("%v fire", want), func() bool {
		firing = p.alerts("firing")
		return !slices.ContainsFunc(want, func(name string) bool { return !slices.Contains(firing, name) })
	})
	was := p.values("alertname", `max_over_time(ALERTS{alertstate="pending"}[5m])`)
	for _, name := range want {
		if name != "PolicyReloadFailed" && !slices.Contains(was, name) { // which fires at once
			t.Errorf("%s was never pending: %v", name, was)
		}
	}
	checkTexts(t, p)

	broken.Store(false)
	redis.Restart()
	if err := server.App.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	p.await("they are resolved", func() bool { // others, which look at days, are not yet
		firing = p.alerts("firing")
		return !slices.ContainsFunc(want, func(name string) bool { return slices.Contains(firing, name) })
	})

	stop()
	users.Wait()
	server.Stop()
	p.await("InstanceDown fires", func() bool { return slices.Contains(p.alerts("firing"), "InstanceDown") })
}

func visit(ctx context.Context, server *frameworktest.Server, path string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, http.NoBody)
	if err != nil {
		return
	}
	res, err := server.Client.Do(req)
	if err != nil {
		return // the load ends
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
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
