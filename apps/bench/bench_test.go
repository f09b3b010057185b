//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/perf/benchfmt"

	"github.com/innatural/chatbot/apps/bench/internal/result"
	"github.com/innatural/chatbot/framework/cli"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins"
)

// The test program is the server, and the command, when it is started as such.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("MORTAL") != "":
		mortal(os.Args[len(os.Args)-1])
	case os.Getenv("MEDIAN") != "":
		steady(os.Args[len(os.Args)-1])
	case len(os.Args) > 1 && os.Args[1] == "serve":
		os.Exit(cli.Main(cli.Program{Name: "chatbot", Version: "test", Plugins: plugins.Standard()}))
	case filepath.Base(os.Args[0]) == "bench":
		main()
	}
	frameworktest.VerifyNoLeaks(m)
}

// bench runs the command, and returns its exit code and all that it wrote.
func bench(t *testing.T, args ...string) (code int, out, problems string) {
	t.Helper()
	return benchUntil(t.Context(), args...)
}

// benchUntil runs the command, and interrupts it when ctx ends.
func benchUntil(ctx context.Context, args ...string) (code int, out, problems string) {
	var o, p bytes.Buffer
	code = run(ctx, args, &o, &p)
	return code, o.String(), p.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, name string) *result.Document {
	t.Helper()
	s, err := result.NewSchema(schemaText)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const policyText = `
version = 1
[log]
sinks = []
[[routes]]
path = "/api/products"
handler = "catalog.list"
cache = { ttl = "1h" }
slo = { latency = "30s", quantile = 0.5, errors = 0.5 }
[[routes]]
path = "/api/products/:id"
handler = "catalog.get"
[[routes]]
path = "/api/faq"
handler = "faq"
[[routes]]
path = "/livez"
handler = "health.live"
[[routes]]
path = "/api/cache/stats"
handler = "cacheadmin.stats"
audience = "admin"
[[routes]]
method = "POST"
path = "/api/analytics/track"
handler = "analytics.track"
`

const policyTests = `
[[tests]]
name = "an answer"
request = { path = "/api/faq?q=livraison&language=fr" }
expect = { status = 200 }
`

// A run asks for the policy's routes, and writes what it found in every form.
func TestRun(t *testing.T) {
	policy := write(t, "shop.toml", policyText)
	if err := os.WriteFile(strings.TrimSuffix(policy, ".toml")+"_test.toml", []byte(policyTests), 0o600); err != nil {
		t.Fatal(err)
	}
	server := frameworktest.Start(t, policyText, plugins.Standard()...)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	code, out, problems := bench(
		t, "run", "--url", server.URL, "--policy", policy, "--duration", "1s", "--warmup", "100ms", "--rate", "200", "--example", "id=shampooing-argan-nutrition",
		"--json", file("a.json"), "--html", file("a.html"), "--markdown", file("a.md"), "--csv", file("a.csv"), "--gobench", file("a.txt"),
	)
	if code != 0 && code != exitInvalid { // a busy machine is a late generator
		t.Fatalf("exit %d\n%s%s", code, out, problems)
	}
	d := read(t, file("a.json"))
	var total int64
	names := map[string]*result.Series{}
	for _, s := range d.Series {
		names[s.Name] = s
		if s.Name != "all requests" {
			total += s.Count
		}
	}
	products, faq, all := names["GET /api/products"], names["GET /api/faq?q=livraison&language=fr"], names["all requests"]
	if len(names) != 5 || products == nil || faq == nil || names["GET /livez"] == nil || names["GET /api/products/shampooing-argan-nutrition"] == nil || all == nil {
		t.Fatalf("endpoints: %v\n%s", names, out)
	}
	if all.Count != total || total < 100 || all.Errors.Total != 0 || len(all.Blocks) != 10 || products.Cache.Rate != 1 || faq.Cache != nil {
		t.Errorf("all %+v, products %+v", all, products)
	}
	if s := products; s.Latency.Min > s.Latency.Median || s.Latency.Median > s.Latency.P99 || s.Latency.P99 > s.Latency.Max*1.001 || s.Size.Avg < 5000 || s.Size.Avg > 12000 {
		t.Errorf("%+v, size %+v", s.Latency, s.Size)
	}
	if p := products.Promises; len(p) != 2 || p[0].Kept == nil || !*p[0].Kept || p[0].Route != "GET /api/products" || !strings.HasSuffix(p[0].Origin, "shop.toml:9:1") {
		t.Errorf("promises %+v", products.Promises)
	}
	for text, want := range map[string]string{
		out: "GET /api/products: kept: p50 latency", contents(t, file("a.html")): "<svg", contents(t, file("a.md")): "| GET /api/products |",
		contents(t, file("a.csv")): "run,all requests,,,9,",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%.3000s", want, text)
		}
	}
	r := benchfmt.NewReader(strings.NewReader(contents(t, file("a.txt"))), "a.txt")
	lines := 0
	for ; r.Scan(); lines++ {
		if _, ok := r.Result().(*benchfmt.Result); !ok {
			t.Errorf("%v", r.Result())
		}
	}
	if lines < 40 || lines > 50 { // a block in which nothing was due has none
		t.Errorf("%d lines of the benchmark format", lines)
	}
}

func contents(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// slow starts a server that takes a time.
func slow(t *testing.T, took time.Duration) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(took) }))
	t.Cleanup(s.Close)
	return s.URL
}

func TestABrokenPromise(t *testing.T) {
	policy := write(t, "p.toml", "version = 1\n[[routes]]\npath = \"/livez\"\nhandler = \"health.live\"\nslo = { latency = \"1ms\", quantile = 0.9 }\n")
	code, out, problems := bench(t, "run", "--url", slow(t, 5*time.Millisecond), "--policy", policy, "-c", "2", "--duration", "1s", "--warmup", "0s")
	if code != exitBroken || !strings.Contains(out, "GET /livez: broken: p90 latency") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// A route that fails is measured, and breaks its promise; only one that the server does not have is left out.
func TestARouteThatFails(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		switch r.URL.Path {
		case "/failing":
			w.WriteHeader(http.StatusInternalServerError)
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	route := func(path string) string {
		return "[[routes]]\npath = \"" + path + "\"\nhandler = \"health.live\"\nslo = { latency = \"30s\", quantile = 0.5 }\n"
	}
	for name, text := range map[string]string{
		"beside others": "version = 1\n" + route("/livez") + route("/failing") + route("/missing"),
		"alone":         "version = 1\n" + route("/failing") + route("/missing"),
	} {
		code, out, problems := bench(
			t, "run", "--url", s.URL, "--policy", write(t, "p.toml", text), "-c", "2", "--duration", "500ms", "--warmup", "0s",
		)
		if code != exitBroken || !strings.Contains(out, "GET /failing: broken: errors 100 %") || strings.Contains(out, "/missing") ||
			!strings.Contains(problems, "bench: GET /failing is answered 500 at first, and is measured all the same\n") ||
			!strings.Contains(problems, "bench: left out: GET /missing is answered 404") {
			t.Errorf("%s: exit %d\n%s%s", name, code, out, problems)
		}
	}
}

// A server that fails at the first request, or refuses it, is measured all the same; and a candidate that answers is taken before one that
// does not.
func TestTheFirstRequest(t *testing.T) {
	for _, status := range []int{500, 503, 429, 408} {
		var n atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 || r.URL.RawQuery == "" {
				w.WriteHeader(status)
			}
		}))
		t.Cleanup(s.Close)
		to := []string{"--endpoint", "/x?a=b", "-c", "1", "--duration", "100ms", "--warmup", "0s"}
		if code, out, problems := bench(t, append([]string{"run", "--url", s.URL}, to...)...); code != 0 || !strings.Contains(out, "100 %") {
			t.Errorf("%d: exit %d\n%s%s", status, code, out, problems)
		}
		policy := write(t, "p.toml", "version = 1\n[[routes]]\npath = \"/api/faq\"\nhandler = \"faq\"\n")
		if err := os.WriteFile(strings.TrimSuffix(policy, ".toml")+"_test.toml", []byte(policyTests), 0o600); err != nil {
			t.Fatal(err)
		}
		to = []string{"--policy", policy, "-c", "1", "--duration", "100ms", "--warmup", "0s"}
		code, out, problems := bench(t, append([]string{"run", "--url", s.URL}, to...)...)
		if code != 0 || !strings.Contains(out, "GET /api/faq?q=livraison&language=fr") || problems != "" {
			t.Errorf("%d: exit %d\n%s%s", status, code, out, problems)
		}
	}
}

// A promise that nothing fails is one too: a single failure breaks it.
func TestNoErrorsArePromised(t *testing.T) {
	policy := write(t, "p.toml", "version = 1\n[[routes]]\npath = \"/livez\"\nhandler = \"health.live\"\nslo = { latency = \"30s\", errors = 0.0 }\n")
	for every, want := range map[int64]struct {
		code int
		text string
	}{
		20:      {exitBroken, "GET /livez: broken: errors"},
		1 << 40: {0, "errors 0 % of at most 0 %"},
	} {
		var n atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if time.Sleep(time.Millisecond); n.Add(1)%every == 0 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
		t.Cleanup(s.Close)
		code, out, problems := bench(t, "run", "--url", s.URL, "--policy", policy, "-c", "2", "--duration", "1s", "--warmup", "0s")
		if code != want.code || !strings.Contains(out, want.text) {
			t.Errorf("one in %d fails: exit %d\n%s%s", every, code, out, problems)
		}
	}
}

func TestAnInvalidRun(t *testing.T) {
	code, out, problems := bench(
		t, "run", "--url", slow(t, 50*time.Millisecond), "--endpoint", "/x", "--rate", "400", "--connections", "1", "--timeout", "200ms", "--duration", "500ms", "--warmup", "0s",
	)
	if code != exitInvalid || !strings.Contains(out, "invalid: only") || !strings.Contains(out, "raise --connections") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// What can't be run says why, and what to do.
func TestMistakes(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(missing.Close)
	policy := write(t, "p.toml", "version = 1\n[[routes]]\npath = \"/livez\"\nhandler = \"health.live\"\n")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"is the server running there?", []string{"run", "--url", down.URL, "--endpoint", "/"}},
		{"is answered 404", []string{"run", "--url", missing.URL, "--endpoint", "/"}},
		{"none of the policy's GET routes", []string{"run", "--url", missing.URL, "--policy", policy}},
		{"name a policy with --policy", []string{"run", "--url", missing.URL}},
		{"write it as 'GET /path?query'", []string{"run", "--endpoint", "products"}},
		{"without a path", []string{"run", "--url", "http://x/y", "--endpoint", "/"}},
		{"write it as 'Name: value'", []string{"run", "--endpoint", "/", "-H", "x"}},
		{"--blocks must be 10", []string{"run", "--blocks", "2"}},
		{"unknown key", []string{"run", "--policy", write(t, "bad.toml", "version = 1\nx = 2\n")}},
		{"no such file", []string{"run", "--policy", "none.toml"}},
		{"200001 requests", []string{"run", "--url", missing.URL, "--endpoint", "/", "--rate", "200001"}},
		{"nothing would be due", []string{"run", "--url", missing.URL, "--endpoint", "/", "--rate", "0"}},
		{"NaN requests", []string{"run", "--url", missing.URL, "--endpoint", "/", "--rate", "NaN"}},
		{"--closed 0: there must be", []string{"run", "--url", missing.URL, "--endpoint", "/", "-c", "0"}},
		{"--closed -1: there must be", []string{"ab", "--base", missing.URL, "--cand", missing.URL, "--endpoint", "/", "-c", "-1"}},
		{"0 connections", []string{"run", "--url", missing.URL, "--endpoint", "/", "--connections", "0"}},
		{"10 blocks in 5ns", []string{"run", "--url", slow(t, 0), "--endpoint", "/", "--duration", "5ns"}},
		{"has no GET route", []string{"run", "--url", missing.URL, "--policy", write(t, "none.toml", "version = 1\n")}},
		{"none/a.json", []string{"run", "--url", slow(t, 0), "--endpoint", "/", "--json", "none/a.json"}},
		{"only one result", []string{"run", "--url", slow(t, 0), "--endpoint", "/", "--json", "-", "--csv", "-"}},
		{"--rounds must be 6", []string{"ab", "--rounds", "2"}},
		{"name a server with --base URL", []string{"ab"}},
		{"--closed has no place", []string{"limit", "--base", missing.URL, "-c", "3"}},
		{"nothing is promised of GET /", []string{"limit", "--base", slow(t, 0), "--endpoint", "/"}},
		{"--base-set needs --base-policy", []string{"ab", "--base", missing.URL, "--base-set", "a=b"}},
		{"it is pass or fail", []string{"ab", "--inconclusive", "maybe"}},
		{"accepts 2 arg(s)", []string{"compare", "a.json"}},
		{"no such file", []string{"compare", "a.json", "b.json"}},
		{"bad.json: not JSON", []string{"compare", write(t, "bad.json", "{"), "b.json"}},
		{"empty.json: it is empty", []string{"compare", write(t, "empty.json", ""), "b.json"}},
		{"new.json: schema_version is 2, and this program reads 1", []string{"compare", write(t, "new.json", `{"schema_version": 2}`), "b.json"}},
		{"unknown flag", []string{"run", "--rat", "5"}},
	} {
		code, out, problems := bench(t, c.args...)
		if code != exitFailed || !strings.Contains(problems, c.want) || !strings.HasPrefix(problems, "bench: ") {
			t.Errorf("%q: exit %d\n%s%s, want %s", c.args, code, out, problems, c.want)
		}
	}
}

// Two servers in turns: the slower one has regressed, the faster one has improved, and the file says so again.
func TestAB(t *testing.T) {
	fast, late := slow(t, 4*time.Millisecond), slow(t, 16*time.Millisecond)
	file, page := filepath.Join(t.TempDir(), "ab.json"), filepath.Join(t.TempDir(), "ab.html")
	args := []string{"--endpoint", "/", "-c", "2", "--rounds", "12", "--block", "100ms", "--settle", "0s", "--json", file, "--html", page}
	code, out, problems := bench(t, append([]string{"ab", "--base", fast, "--cand", late}, args...)...)
	if code != exitRegressed || !strings.Contains(out, "overall: regressed") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
	d := read(t, file)
	c := d.Comparison
	if !c.Paired || !c.Interleaved || c.Verdict != result.Regressed || len(c.Warnings) > 0 {
		t.Errorf("%+v", c)
	}
	for _, ch := range c.Changes {
		if ch.Metric == "median" && (ch.Change < 50 || ch.Low == nil || ch.Verdict != result.Regressed) || ch.Metric == "rate" && ch.Change > -30 {
			t.Errorf("%+v", ch)
		}
	}
	if text := contents(t, page); !strings.Contains(text, ">candidate</li>") || !strings.Contains(text, `class="verdict regressed"`) {
		t.Errorf("%.2000s", text)
	}
	if code, out, problems = bench(t, append([]string{"ab", "--base", late, "--cand", fast}, args...)...); code != 0 || !strings.Contains(out, "overall: improved") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}

	// The two runs of the file, taken for themselves.
	names := make([]string, 2)
	for i, run := range []*result.Document{d.Base, d.Cand} {
		names[i] = filepath.Join(t.TempDir(), "run.json")
		if err := writeFile(names[i], run, func(w io.Writer, d *result.Document) error { return d.Write(w) }); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, problems = bench(t, "compare", names[0], names[1]); code != exitRegressed {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
	if code, out, problems = bench(t, "compare", names[0], names[0]); code != 0 || !strings.Contains(out, "overall: equivalent") {
		t.Errorf("a run against itself: exit %d\n%s%s", code, out, problems)
	}
	if code, _, problems = bench(t, "compare", names[0], file); code != exitNotComparable || !strings.Contains(problems, "is a comparison") {
		t.Errorf("exit %d\n%s", code, problems)
	}
}

// That a server refuses nine of ten is shown, and it is no better than one that serves all, however fast it serves the tenth.
func TestRefusals(t *testing.T) {
	var n atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if time.Sleep(2 * time.Millisecond); n.Add(1)%10 > 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(busy.Close)
	file, page, table := filepath.Join(t.TempDir(), "a.json"), filepath.Join(t.TempDir(), "a.html"), filepath.Join(t.TempDir(), "a.md")
	code, out, problems := bench(
		t, "run", "--url", busy.URL, "--endpoint", "/", "-c", "2", "--duration", "1s", "--warmup", "0s", "--json", file, "--html", page, "--markdown", table,
	)
	s := read(t, file).Series[0]
	if code != 0 || s.Shed < s.Count*8/10 || s.Errors.Total != 0 || s.SuccessRate > 0.2 {
		t.Errorf("exit %d, %+v\n%s%s", code, s, out, problems)
	}
	for _, text := range []string{out, contents(t, page), contents(t, table)} {
		if !strings.Contains(text, fmt.Sprintf("refused: GET /: %d of %d requests", s.Shed, s.Count)) {
			t.Errorf("refusals are not shown:\n%.3000s", text)
		}
	}
	code, out, problems = bench(
		t, "ab", "--base", slow(t, 20*time.Millisecond), "--cand", busy.URL, "--endpoint", "/", "--rate", "100", "--rounds", "8",
		"--block", "200ms", "--settle", "0s", "--force", // a busy machine is a late generator
	)
	if code != exitRegressed || !strings.Contains(out, "overall: regressed") || !strings.Contains(out, "refused: candidate: GET /: ") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// Policies are served, to the end of it, and what one changes is measured: without a cache nothing is a hit.
func TestABOfPolicies(t *testing.T) {
	policy := write(t, "shop.toml", policyText)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ab.json")
	code, out, problems := bench(
		t, "ab", "--server", self, "--base-policy", policy, "--base-set", "routes.0.cache.ttl=0s", "--cand-policy", policy, "--endpoint", "/api/products",
		"--rate", "200", "--rounds", "6", "--block", "100ms", "--settle", "20ms", "--inconclusive", "pass", "--force", "--json", file,
	)
	if code == exitFailed || code == exitNotComparable {
		t.Fatalf("exit %d\n%s%s", code, out, problems)
	}
	d := read(t, file)
	base, cand := d.Base.Series[0], d.Cand.Series[0]
	if base.Cache != nil && base.Cache.Rate > 0 || cand.Cache == nil || cand.Cache.Rate != 1 || cand.CPU == nil || base.CPU == nil || !strings.Contains(d.Base.Run.Server, "ttl=0s") {
		t.Errorf("base %+v %+v, candidate %+v", d.Base.Run, base, cand)
	}
}

func TestHelp(t *testing.T) {
	for _, c := range []string{"run", "ab", "compare", "limit"} {
		if code, out, _ := bench(t, c, "--help"); code != 0 || !strings.Contains(out, "Exit codes: 0") || regexp.MustCompile(`(?m)^.{260}`).MatchString(out) {
			t.Errorf("%s --help: exit %d\n%s", c, code, out)
		}
	}
}
