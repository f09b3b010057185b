package chatbot

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"
	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"
	"gopkg.in/guregu/null.v3"

	"github.com/innatural/chatbot/xk6-chatbot/internal/pace"
	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
	"github.com/innatural/chatbot/xk6-chatbot/internal/recovery"
	"github.com/innatural/chatbot/xk6-chatbot/internal/search"
)

// live returns the bytes on the heap that are in use.
func live() int64 {
	runtime.GC()
	runtime.GC() // empties what pools kept from the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// flat pushes into something, and checks that it keeps no more after all than after the first tenth. What the test process itself
// does in the meantime is within the 32 KiB allowed: less than a bit of each of 450,000 turns, less than a pointer to each of
// 7,200 conversations.
func flat(t *testing.T, n int, push func(i int)) {
	t.Helper()
	for i := range n / 10 {
		push(i)
	}
	early := live()
	for i := n / 10; i < n; i++ {
		push(i)
	}
	late := live()
	t.Logf("%d bytes are live after %d, %d after %d", early, n/10, late, n)
	if grown := late - early; grown > 32<<10 {
		t.Errorf("%d more take %d bytes more", n-n/10, grown)
	}
}

const turns = 500_000

// What the extension keeps of a run does not grow with it: four hours at 35 turns a second, after a spike that the server never
// recovers from, in an open model that leaves arrivals out.
func TestStateIsFlat(t *testing.T) {
	const length = 4 * time.Hour
	every := length / turns
	begin := time.Now().Add(-length)
	phases := []string{"baseline", "peak", "recovery"}
	kinds := []string{"network", "timeout", "http_4xx", "http_5xx", "stream", "decode", "contract"}

	t.Run("recorder", func(t *testing.T) {
		recorder := record.New()
		flat(t, turns, func(i int) {
			at := begin.Add(time.Duration(i) * every)
			turn := record.Turn{
				Scenario: "soak", Phase: phases[i%3], Index: i % 7, Intended: at, Start: at.Add(rand.N(time.Second)), OK: i%10 > 0,
				FirstToken: rand.N(time.Second), Tokens: i % 50, Cache: "miss", Bytes: int64(i), Rule: "order",
			}
			turn.End = turn.Start.Add(rand.N(90 * time.Second))
			if !turn.OK {
				turn.ErrorType = kinds[i/10%len(kinds)]
			}
			recorder.Observe(turn)
		})
		runtime.KeepAlive(recorder)
	})
	t.Run("recovery", func(t *testing.T) {
		promise := recovery.Promise{Latency: time.Millisecond, Quantile: 0.95}
		tracker := recovery.New(promise, []recovery.Phase{{Start: time.Second, End: 2 * length}})
		flat(t, turns, func(i int) {
			tracker.Baseline(rand.N(time.Minute))
			tracker.Observe(time.Second+time.Duration(i)*every, time.Second, i%2 > 0)
		})
		runtime.KeepAlive(tracker)
	})
	t.Run("search", func(t *testing.T) {
		// The only rate is so high that both steps of the search, which last 0.15 s by its own clock, are over 500,000 turns.
		s := search.New(search.Options{
			Latency: time.Second, Quantile: 0.95, Start: 4e6, Max: 4e6, Control: 4e6, Step: 100 * time.Millisecond, Precision: 1.1,
		}, func(search.Step) {})
		flat(t, turns, func(i int) {
			turn, ok := s.Next(t.Context())
			if !ok {
				t.Fatalf("the search ended after %d turns", i)
			}
			s.Done(turn, 0, 0, true)
		})
		runtime.KeepAlive(s)
	})
	t.Run("arrivals and pauses", func(t *testing.T) {
		r := open(t, "40/s", length)
		think, rng := pace.DefaultThink(), rand.New(rand.NewPCG(1, 2))
		flat(t, turns, func(i int) {
			r.due(uint64(i), r.start.Add(time.Duration(i)*every), i%2 > 0)
			think.Draw(rng)
		})
		runtime.KeepAlive(r)
	})
}

// talker returns a virtual user in an iteration of a scenario.
func talker(t *testing.T, transport http.RoundTripper) *modulestest.Runtime {
	t.Helper()
	rt := modulestest.NewRuntime(t)
	exports := New().NewModuleInstance(rt.VU).Exports().Named
	for name, export := range exports {
		if err := rt.VU.RuntimeField.Set(name, export); err != nil {
			t.Fatal(err)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	samples := make(chan metrics.SampleContainer, 1000)
	go func() {
		for range samples { // as k6 takes them
		}
	}()
	t.Cleanup(func() { close(samples) })
	iteration := uint64(0)
	state := &lib.State{
		Logger: rt.VU.InitEnvField.Logger, Transport: transport, Samples: samples, BuiltinMetrics: rt.BuiltinMetrics,
		Tags: lib.NewVUStateTags(rt.VU.InitEnvField.Registry.RootTagSet()), BufferPool: lib.NewBufferPool(), CookieJar: jar,
		GetScenarioGlobalVUIter: func() uint64 { iteration++; return iteration },
	}
	rt.MoveToVUContext(state)
	rt.VU.CtxField = lib.WithScenarioState(rt.VU.CtxField, &lib.ScenarioState{Name: "talk", StartTime: time.Now()})
	return rt
}

// answering is a transport that answers by itself, at once: streams, JSON, and cached routes.
type answering struct{}

// RoundTrip implements http.RoundTripper.
func (answering) RoundTrip(req *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": req.Header["X-Request-Id"]}
	body := `{"response": "Oui."}`
	switch {
	case strings.HasSuffix(req.URL.Path, "/stream"):
		header.Set("Content-Type", "text/event-stream")
		body = `data: {"type":"connected"}` + "\n\n" + `data: {"content":"Oui."}` + "\n\n" +
			`data: {"success":true,"done":true,"fullMessage":"Oui."}` + "\n\n"
	case req.Method == http.MethodGet:
		header.Set("X-Cache", []string{"HIT", "MISS"}[rand.N(2)])
		header.Set("Age", strconv.Itoa(rand.N(100)))
	}
	if req.Body != nil {
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: header, Request: req, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// Conversations leave nothing behind in the user who held them, nor cached answers. STATE=all takes 500,000 turns, a minute of
// work.
func TestConversationsLeaveNothing(t *testing.T) {
	n := 40_000
	if os.Getenv("STATE") == "all" {
		n = turns
	}
	rt := talker(t, answering{})
	if _, err := rt.RunOnEventLoop(`
const baseURL = 'http://127.0.0.1:5000';
const bot = new Client({ baseURL }), whole = new Client({ baseURL, stream: false });
let failed = 0;
`); err != nil {
		t.Fatal(err)
	}
	// Each push is an iteration of ten turns.
	flat(t, n/10, func(int) {
		if _, err := rt.RunOnEventLoop(`
(async () => {
  for (const client of [bot, whole]) {
    const ok = await client.conversation({ turns: [4, 4], think: { dist: 'fixed', median: 0 } }).run();
    const kept = await client.cached('/api/products', { ttl: '1m' });
    if (!ok || !kept.ok) failed++;
  }
})();
`); err != nil {
			t.Fatal(err)
		}
	})
	if failed := rt.VU.RuntimeField.Get("failed"); failed == nil || failed.ToInteger() != 0 {
		t.Errorf("%v conversations failed", failed)
	}
}

// open returns a scenario of an open model with a rate such as "40/s".
func open(t *testing.T, rate string, length time.Duration) *running {
	t.Helper()
	n, unit, _ := strings.Cut(rate, "/")
	count, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	per, err := time.ParseDuration("1" + unit)
	if err != nil {
		t.Fatal(err)
	}
	return newRunning(&lib.ScenarioState{Name: "open", StartTime: time.Now().Add(-length)}, &executor.ConstantArrivalRateConfig{
		Rate: null.IntFrom(count), TimeUnit: types.NullDurationFrom(per), Duration: types.NullDurationFrom(length),
	})
}
