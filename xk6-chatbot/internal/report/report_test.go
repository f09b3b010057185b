package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

var keep = flag.String("keep", "", "folder in which the pages of the tests are left, to be looked at")

var start = time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)

// spikeRun is a spike that made the server slow, failing and shedding, from which it came back once and then not.
func spikeRun() *record.Run {
	r := record.New()
	random := rand.New(rand.NewPCG(1, 2))
	at := time.Duration(0)
	for _, p := range []struct {
		name   string
		length time.Duration
		rate   float64 // turns per second
		median float64 // ms
		failed float64
	}{
		{"baseline", 60 * time.Second, 4, 12, 0},
		{"ramp", 10 * time.Second, 20, 25, 0},
		{"peak", 120 * time.Second, 60, 260, 0.06},
		{"recovery", 40 * time.Second, 5, 14, 0},
		{"ramp", 10 * time.Second, 12, 20, 0},
		{"peak", 60 * time.Second, 30, 90, 0.01},
		{"recovery", 40 * time.Second, 5, 400, 0},
	} {
		r.Declare(record.Phase{Scenario: "spike", Name: p.name, Start: start.Add(at), Duration: p.length})
		for due := at; due < at+p.length; due += time.Duration(float64(time.Second) / p.rate) {
			took := time.Duration(p.median*1000*(0.5+random.ExpFloat64())) * time.Microsecond
			t := record.Turn{
				Scenario: "spike", Phase: p.name, Intended: start.Add(due), Start: start.Add(due + time.Millisecond),
				End: start.Add(due + time.Millisecond + took), FirstToken: took / 3, Tokens: 20, OK: true, Good: took < 500*time.Millisecond,
				Cache: []string{"hit", "hit", "miss"}[random.IntN(3)], Bytes: 800 + int64(random.IntN(900)),
			}
			switch chance := random.Float64(); {
			case chance < p.failed:
				t.OK, t.Good, t.ErrorType = false, false, []string{"http_5xx", "http_5xx", "timeout", "contract"}[random.IntN(4)]
				if t.ErrorType == "contract" {
					t.Rule = "foreign_reply"
				}
			case chance < 1.5*p.failed:
				t.OK, t.Good, t.Shed = false, false, true
			}
			r.Observe(t)
		}
		at += p.length
	}
	r.Recovered("spike", 1, 4200*time.Millisecond, true)
	r.Recovered("spike", 2, 40*time.Second, false)
	return r.Snapshot()
}

// spikeData is what k6 says of it.
const spikeData = `{
	"state": {"testRunDurationMs": 340000},
	"metrics": {
		"chat_duration{phase:baseline,expected_response:true}": {"type": "trend", "contains": "time",
			"values": {"avg": 20, "p(95)": 43.1}, "thresholds": {"p(95)<500": {"ok": true}}},
		"chat_duration{phase:peak,expected_response:true}": {"type": "trend", "contains": "time",
			"values": {"avg": 350, "p(95)": 912.4}, "thresholds": {"p(95)<500": {"ok": false}, "p(99)<10000": {"ok": true}}},
		"chat_duration{phase:sleep}": {"type": "trend", "contains": "time", "values": {"avg": 0, "p(95)": 0}, "thresholds": {"p(95)<500": {"ok": true}}},
		"errors{phase:peak}": {"type": "rate", "contains": "default",
			"values": {"rate": 0.051, "passes": 450, "fails": 8000}, "thresholds": {"rate<0.15": {"ok": true}, "rate<0.05": {"ok": false}}},
		"chat_recovery_time": {"type": "gauge", "contains": "time",
			"values": {"value": 40000, "min": 0, "max": 40000}, "thresholds": {"value<30000": {"ok": false}}},
		"dropped_iterations": {"type": "counter", "contains": "default", "values": {"count": 0, "rate": 0}, "thresholds": {"count==0": {"ok": true}}},
		"chat_schedule_lag": {"type": "trend", "contains": "time", "values": {"p(99)": 1.2}}
	}
}`

func files(t *testing.T, run *record.Run, data string, change ...func(*Options)) map[string]string {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(data), &d); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "results")
	o := Options{
		Dir: dir, Name: "spike", Target: "http://127.0.0.1:5000", Config: map[string]any{"scale": 1}, Seed: 7,
		Silent: map[string]bool{"chat_duration{phase:sleep}": true},
	}
	for _, f := range change {
		f(&o)
	}
	out, err := Files(run, d, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	texts := map[string]string{}
	for name, content := range out {
		name = filepath.Base(name)
		texts[name] = content.(string)
		if *keep != "" {
			file := strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-") + "-" + name
			if err := os.WriteFile(filepath.Join(*keep, file), []byte(texts[name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return texts
}

func TestTextNamesWhatFailed(t *testing.T) {
	text := files(t, spikeRun(), spikeData)["stdout"]
	for _, want := range []string{
		"spike · 5m40s ·", "http://127.0.0.1:5000",
		"failed turns", "✗ peak", "below 5 %", "http_5xx", "the contract was broken",
		"✓ whole run", "conversations that never started",
		"? sleep", "nothing",
		"P95 of turn time", "912 ms", "below 500 ms", "worst 2m", "not in summaryTrendStats",
		"spike 1: back to normal 4.2 s after it ended", "spike 2: not back to normal when the test ended, 40 s after the spike",
		"FAILED: 4 of 8 promises not kept", "results/spike.html",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

func TestHealthyRunPasses(t *testing.T) {
	r := record.New()
	for i := range 100 {
		at := start.Add(time.Duration(i) * 100 * time.Millisecond)
		r.Observe(record.Turn{Scenario: "basic", Phase: "hold", Intended: at, Start: at, End: at.Add(5 * time.Millisecond), OK: true, Good: true})
	}
	out := files(t, r.Snapshot(), `{"state": {"testRunDurationMs": 10000}, "metrics": {
		"errors": {"type": "rate", "values": {"rate": 0, "passes": 0, "fails": 100}, "thresholds": {"rate<0.01": {"ok": true}}}}}`)
	for _, want := range []string{"PASSED: all 1 promise kept", "✓ whole run"} {
		if !strings.Contains(out["stdout"], want) {
			t.Errorf("the text lacks %q:\n%s", want, out["stdout"])
		}
	}
}

// A run says when its figures are worth nothing.
func TestWhatProvesNothingFails(t *testing.T) {
	one := record.New()
	one.Declare(record.Phase{Scenario: "spike", Name: "peak", Start: start, Duration: time.Second}, record.Phase{Scenario: "spike", Name: "recovery", Start: start})
	one.Observe(record.Turn{Scenario: "spike", Phase: "peak", Intended: start, Start: start, End: start.Add(time.Millisecond), OK: true})
	for _, tt := range []struct {
		name string
		run  *record.Run
		data string
		want string
	}{
		{"no turn", record.New().Snapshot(), `{}`, "NOT VALID: nothing was measured"},
		{"no data", one.Snapshot(), `{}`, "NOT VALID: phases without a turn: recovery"},
		{
			"nothing of a promise", one.Snapshot(), `{"metrics": {"chat_duration{phase:sleep}": {"type": "trend", "thresholds": {"p(95)<500": {"ok": true}}}}}`,
			"NOT VALID: 1 of 1 promise not kept",
		},
		{"dropped", one.Snapshot(), `{"metrics": {"dropped_iterations": {"type": "counter", "values": {"count": 3}}}}`, "not valid: 3 conversations were due and never started"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := files(t, tt.run, tt.data)
			if !strings.Contains(out["stdout"], tt.want) {
				t.Errorf("the text lacks %q:\n%s", tt.want, out["stdout"])
			}
			validate(t, out["spike.json"])
		})
	}
}

// A promise of how long answers take is not kept where all turns were shed, however soon.
func TestNothingIsKeptByWhatIsShed(t *testing.T) {
	r := record.New()
	for range 10 {
		r.Observe(record.Turn{Scenario: "spike", Phase: "peak", Start: start, End: start.Add(time.Millisecond), Shed: true})
	}
	nothing := func(o *Options) {
		o.Silent = map[string]bool{"chat_duration{phase:peak,expected_response:true}": true, "chat_duration_corrected": true}
	}
	text := files(t, r.Snapshot(), `{"metrics": {
		"chat_duration{phase:peak,expected_response:true}": {"type": "trend", "contains": "time",
			"values": {"p(95)": 0}, "thresholds": {"p(95)<500": {"ok": true}}},
		"chat_duration_corrected": {"type": "trend", "contains": "time",
			"values": {"p(95)": 1}, "thresholds": {"p(95)<500": {"ok": true}}},
		"chat_turns{phase:peak,expected_response:true}": {"type": "counter",
			"values": {"count": 0}, "thresholds": {"count>0": {"ok": false}}}}}`, nothing)["stdout"]
	for _, want := range []string{
		"? whole run  P95 of turn time from when it was due  nothing", "? peak       P95 of turn time                       nothing",
		"✗ peak       answered turns                         0        above 0", "FAILED: 3 of 3 promises not kept",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

// Of several scenarios it is said which one is meant.
func TestSeveralScenariosAreNamed(t *testing.T) {
	r := record.New()
	for _, name := range []string{"talk", "ask"} {
		r.Declare(record.Phase{Scenario: name, Name: "peak", Start: start, Duration: time.Second})
	}
	r.Observe(record.Turn{Scenario: "talk", Phase: "peak", Start: start, End: start.Add(time.Second), ErrorType: "timeout"})
	r.Observe(record.Turn{Scenario: "talk", Phase: "ramp", Start: start, End: start.Add(time.Second), OK: true})
	r.Recovered("talk", 1, 2*time.Second, true)
	r.Recovered("ask", 1, 3*time.Second, false)
	out := files(t, r.Snapshot(), `{}`, func(o *Options) { o.Failed = true })
	text := out["stdout"]
	for _, want := range []string{
		"talk peak  1 timeout", "FAILED: phases without a turn: ask peak",
		"talk spike 1: back to normal 2 s after", "ask spike 1: not back to normal",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for _, want := range []string{`<li class="series-1">talk ramp</li>`, "within 3 s after ask spike 1"} {
		if !strings.Contains(out["spike.html"], want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// Scenarios that go on at once each have their phases behind the plots, those that are declared and those that are not, and each its
// promises.
func TestPlotsShowThePhasesOfAllScenarios(t *testing.T) {
	r := record.New()
	second := func(n float64) time.Time { return start.Add(time.Duration(n * float64(time.Second))) }
	phases := func(scenario string, from float64, phases ...string) {
		for i, name := range phases {
			r.Declare(record.Phase{Scenario: scenario, Name: name, Start: second(from + 25*float64(i)), Duration: 25 * time.Second})
		}
	}
	phases("talk", 0, "baseline", "ramp", "peak", "recovery")
	phases("burst", 25, "baseline", "peak", "recovery")
	turns := func(scenario string, phase func(at float64) string, from, to, took float64) {
		for at := from; at < to; at += 0.25 {
			intended := second(at)
			r.Observe(record.Turn{
				Scenario: scenario, Phase: phase(at), Intended: intended, Start: intended,
				End: intended.Add(time.Duration((took + 5*math.Mod(at, 3)) * float64(time.Millisecond))), OK: true, Good: true,
			})
		}
	}
	turns("talk", func(at float64) string { return []string{"baseline", "ramp", "peak", "recovery"}[int(at/25)] }, 0, 100, 20)
	turns("burst", func(at float64) string { return []string{"baseline", "peak", "recovery"}[int(at/25)-1] }, 25, 100, 80)
	turns("steady", func(float64) string { return "steady" }, 10, 90, 40)
	out := files(t, r.Snapshot(), `{"state": {"testRunDurationMs": 100000}, "metrics": {
		"chat_duration{phase:peak,scenario:burst}": {"type": "trend", "contains": "time", "values": {"p(95)": 90}, "thresholds": {"p(95)<500": {"ok": true}}},
		"chat_duration{phase:peak}": {"type": "trend", "contains": "time", "values": {"p(95)": 90}, "thresholds": {"p(95)<300": {"ok": true}}}}}`)
	var told result
	if err := json.Unmarshal([]byte(out["spike.json"]), &told); err != nil {
		t.Fatal(err)
	}
	least := map[string]float64{"talk": 20, "burst": 80, "steady": 40}
	for _, s := range told.Series {
		var n int64
		for _, b := range s.Blocks {
			if n += b.Count; *b.Avg < least[s.Scenario]-1 || *b.Avg > least[s.Scenario]+16 {
				t.Errorf("a block of %s %s has an average of %v ms, of another scenario's turns too", s.Scenario, s.Phase, *b.Avg)
			}
		}
		if s.Scenario != "" && (n < s.Count*9/10 || n > s.Count*11/10) { // a moment at the edge is one phase's
			t.Errorf("the blocks of %s %s have %d of %d turns", s.Scenario, s.Phase, n, s.Count)
		}
	}
	for _, p := range told.Timeline {
		if *p.Median < least[p.Scenario]-1 || *p.Median > least[p.Scenario]+16 {
			t.Errorf("at %v s, %s is said to have a median of %v ms", p.At, p.Scenario, *p.Median)
		}
	}
	page := out["spike.html"]
	for want, n := range map[string]int{
		`phase-ramp" style="left:24.80%;width:24.80%;top:0.00%;height:33.33%"><span>talk ramp</span>`:       2, // latency and rate
		`phase-peak" style="left:49.60%;width:24.80%;top:0.00%;height:33.33%"><span>talk peak</span>`:       2,
		`phase-peak" style="left:49.60%;width:24.80%;top:33.33%;height:33.33%"><span>burst peak</span>`:     2,
		`phase-steady" style="left:9.92%;width:79.17%;top:66.67%;height:33.33%"><span>steady steady</span>`: 2,
		`<title>burst P95 below 500 ms</title>`:                                                             1,
		`<title>burst P95 below 300 ms</title>`:                                                             1,
		`<title>talk P95 below 300 ms</title>`:                                                              1,
		`talk P95 below 500 ms`:                                                                             0,
		`talk ramp, burst baseline, steady steady`:                                                          32, // what the pointer finds
	} {
		if got := strings.Count(page, want); got != n {
			t.Errorf("the page has %q %d times, want %d", want, got, n)
		}
	}
}

// validate checks a result against the schema that bench writes and compare reads.
func validate(t *testing.T, result string) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../../apps/bench/result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(result))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("the result is not as the schema wants: %v\n%s", err, result)
	}
}

func TestJSONFollowsTheSchema(t *testing.T) {
	out := files(t, spikeRun(), spikeData)["spike.json"]
	validate(t, out)
	var r result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	var peak resultSeries
	for _, s := range r.Series {
		if s.Phase == "peak" {
			peak = s
		}
	}
	if len(peak.Blocks) < 10 || peak.Seconds != 180 || len(peak.Promises) != 4 || peak.Errors.Total == 0 || peak.Shed == 0 {
		t.Errorf("the peak has %d blocks, %v s, %d promises, %+v, %d shed", len(peak.Blocks), peak.Seconds, len(peak.Promises), peak.Errors, peak.Shed)
	}
	for i, b := range peak.Blocks {
		if b.Seconds != peak.Blocks[0].Seconds || i > 0 && b.Start < peak.Blocks[i-1].Start+b.Seconds-1e-9 {
			t.Errorf("block %d is from %v, %v s long", i, b.Start, b.Seconds)
		}
	}
	if len(r.Promises) != 3 || len(r.Recovery) != 2 || r.Recovery[0].PeakEnd != 190 || r.Recovery[1].PeakEnd != 300 {
		t.Errorf("%d promises of the whole, recovery %+v", len(r.Promises), r.Recovery)
	}
	var unmeasured int
	for _, p := range r.Promises {
		if p.Kept == nil && p.Measured == nil {
			unmeasured++
		}
	}
	if unmeasured != 1 {
		t.Errorf("%d promises are unmeasured, want that of phase sleep alone", unmeasured)
	}
}

// The page loads nothing, says nothing on the console, and fits every screen.
func TestPage(t *testing.T) {
	page := files(t, spikeRun(), spikeData)["spike.html"]
	for _, forbidden := range []string{"http-equiv", "<script", "src=", "href=", "url(", "@import", "ZgotmplZ"} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page has %q", forbidden)
		}
	}
	for _, want := range []string{"<title>spike: 4 of 8 promises not kept</title>", "recovered in 4.2 s", "not recovered", `class="promised"`, "P95 below 500 ms"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	probe := `<script>
		const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1);
		document.title = 'width ' + innerWidth + ' overflow ' + (document.documentElement.scrollWidth > innerWidth) + ' ' + wide.map(e => e.outerHTML).join(' ');
	</script>`
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page+probe), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, width := range []string{"500", "1200"} {
		dom := chromium(t, "--window-size="+width+",900", "--dump-dom", file)
		if !bytes.Contains(dom, []byte("<title>width "+width+" overflow false </title>")) {
			_, title, _ := bytes.Cut(dom, []byte("<title>"))
			t.Errorf("at %s pixels: %.300s", width, title)
		}
	}
}

func chromium(t *testing.T, arguments ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), "chromium", append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(),
	}, arguments...)...)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return out
}
