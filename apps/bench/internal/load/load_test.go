//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/innatural/chatbot/framework/frameworktest"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

// serve starts a server that waits as long as it is told for each request.
func serve(t *testing.T, delay func(n int, now time.Time) time.Duration) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(delayed(delay))
	t.Cleanup(s.Close)
	return s
}

func delayed(delay func(n int, now time.Time) time.Duration) http.HandlerFunc {
	var n atomic.Int64
	return func(http.ResponseWriter, *http.Request) { time.Sleep(delay(int(n.Add(1))-1, time.Now())) }
}

func run(t *testing.T, p Plan, duration time.Duration, blocks int) *Recording {
	t.Helper()
	if p.Requests == nil {
		p.Requests = []Request{{Method: "GET", Target: "/"}}
	}
	if p.Connections == 0 {
		p.Connections = 2000
	}
	if p.Timeout == 0 {
		p.Timeout = 10 * time.Second
	}
	g, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	rec, err := g.Run(t.Context(), 0, duration, blocks, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func at(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// latency is the latencies of a kind of request.
func latency(k *Kind) *hdrhistogram.Histogram {
	all := NewHistogram()
	for _, b := range k.Blocks {
		all.Merge(b.Latency)
	}
	return all
}

// virtual runs a plan against a server, both in a time of their own, in which nothing takes time but what waits for it, and over
// connections in memory. So what is measured is what the server's times and the plan say, whatever the machine is doing.
func virtual(t *testing.T, p Plan, duration time.Duration, delay func(n int, now time.Time) time.Duration) *Recording {
	t.Helper()
	p.URL, p.Requests, p.Timeout = at(t, "http://in.memory"), []Request{{Method: "GET", Target: "/"}}, 10*time.Second
	g, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	l := listener{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: delayed(delay)}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	g.dial = func(time.Time) (net.Conn, error) {
		near, far := net.Pipe()
		l.conns <- far
		return near, nil
	}
	g.wait = func(ctx context.Context, due time.Time) bool {
		time.Sleep(time.Until(due))
		return ctx.Err() == nil
	}
	rec, err := g.Run(t.Context(), time.Second, duration, 10, nil)
	g.Close()
	if err := errors.Join(err, server.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	served.Wait()
	return rec
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	close(l.closed)
	return nil
}

func (l listener) Addr() net.Addr { return &net.UnixAddr{} }

// Figures are true: of servers with constant and with exponential times, and of one that stands still for two seconds in the middle,
// they are what is computed by hand, as exactly as three digits are. BenchmarkFigures compares them over sockets.
func TestFiguresAreTrue(t *testing.T) {
	const n, rate = 1000, 100
	exponential := make([]time.Duration, n) // the quantiles of the distribution, so that nothing is left to chance
	for i := range exponential {
		exponential[i] = time.Duration(-math.Log(1-(float64(i)+0.5)/n) * float64(20*time.Millisecond))
	}
	shuffled := slices.Clone(exponential)
	rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	const base = 5 * time.Millisecond
	for _, c := range []struct {
		name        string
		connections int
		delay       func(n int, since time.Duration) time.Duration
		want        map[float64]time.Duration
		lag         time.Duration // its P99
		service     time.Duration // its P95
	}{
		{
			"constant", 10, func(int, time.Duration) time.Duration { return base },
			map[float64]time.Duration{0: base, 50: base, 95: base, 99: base, 100: base},
			0, base,
		},
		{
			"exponential", 50, func(i int, _ time.Duration) time.Duration { return shuffled[(i+n)%n] },
			map[float64]time.Duration{50: exponential[n/2-1], 95: exponential[n*95/100-1], 99: exponential[n*99/100-1], 100: exponential[n-1]},
			0, exponential[n*95/100-1],
		},
		{ // What was due in the two of ten seconds waits for their end: latencies that go from 2 s down to nothing, 10 ms apart.
			"freeze", 500, frozen(base),
			map[float64]time.Duration{50: base, 95: 1500*time.Millisecond + base, 99: 1900*time.Millisecond + base, 100: 2*time.Second + base},
			0,
			1500*time.Millisecond + base,
		},
		{ // One connection is held for the two seconds; 400 more wait for it, the kth of which is due 10k ms and ends 5k ms after the first.
			"freeze, one connection", 1, frozen(base),
			map[float64]time.Duration{50: base, 95: 1755 * time.Millisecond, 99: 1955 * time.Millisecond, 100: 2*time.Second + base},
			1945 * time.Millisecond, base,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now().Add(5*time.Millisecond + time.Second) // as Run begins, with its warm-up
				rec := virtual(t, Plan{Rate: rate, Even: true, Connections: c.connections}, n*time.Second/rate, func(i int, now time.Time) time.Duration {
					return c.delay(i-rate, now.Sub(began))
				})
				k, all := rec.Kinds[0], latency(rec.Kinds[0])
				if k.Count != n || rec.Due != n || rec.Sent != n || rec.Dropped != 0 || len(k.Failed) > 0 {
					t.Fatalf("%d were due, %d sent, %d dropped, %d answered; failed %v", rec.Due, rec.Sent, rec.Dropped, k.Count, k.Failed)
				}
				exact(t, "P99 of the lag", rec.Lag.ValueAtQuantile(99), c.lag)
				exact(t, "P95 of the service time", k.Service.ValueAtQuantile(95), c.service)
				for q, want := range c.want {
					exact(t, fmt.Sprintf("P%v", q), all.ValueAtQuantile(q), want)
				}
			})
		})
	}
}

// frozen stands still from the fourth second to the sixth.
func frozen(base time.Duration) func(int, time.Duration) time.Duration {
	return func(_ int, since time.Duration) time.Duration {
		if since >= 4*time.Second && since < 6*time.Second {
			return 6*time.Second - since + base
		}
		return base
	}
}

func exact(t *testing.T, what string, got int64, want time.Duration) {
	t.Helper()
	if (time.Duration(got) - want).Abs() > want/500+100 {
		t.Errorf("%s is %v, computed %v", what, time.Duration(got), want)
	}
}

// Requests are due as a Poisson process unless they are to be even: as many as the rate says, with gaps that vary as much as they are long.
func TestSchedule(t *testing.T) {
	for _, even := range []bool{true, false} {
		next := schedule(Plan{Rate: 500, Even: even}, rand.New(rand.NewPCG(7, 2)))
		const n = 10_000
		sum, squares, before := 0.0, 0.0, next()
		if even && before != 0 {
			t.Errorf("the first is due at %v", before)
		}
		for range n {
			at := next()
			gap := (at - before).Seconds()
			sum += gap
			squares += gap * gap
			before = at
		}
		mean := sum / n
		variation := math.Sqrt(max(0, squares/n-mean*mean)) / mean
		if math.Abs(mean*500-1) > 0.03 || even && variation > 0.01 || !even && math.Abs(variation-1) > 0.05 {
			t.Errorf("even %v: gaps of %v s with a coefficient of variation of %.3f", even, mean, variation)
		}
	}
}

// The runs of a generator are a sample: each has arrivals of its own, so that they vary in number as those of a Poisson process do. A
// generator with the same seed has the same.
func TestRunsHaveTheirOwnArrivals(t *testing.T) {
	counts := func(t *testing.T) (all []int64) {
		t.Helper()
		g, err := New(Plan{
			URL: at(t, "http://in.memory"), Requests: []Request{{Method: "GET", Target: "/"}}, Rate: 100, Connections: 1,
			Timeout: time.Millisecond, Seed: 7,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.dial = func(time.Time) (net.Conn, error) { return nil, net.ErrClosed } // who comes counts, and not what they get
		g.wait = func(_ context.Context, due time.Time) bool {
			time.Sleep(time.Until(due))
			return true
		}
		for range 40 {
			rec, err := g.Run(t.Context(), 0, time.Second, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rec.Due)
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		first, again := counts(t), counts(t)
		if !slices.Equal(first, again) {
			t.Errorf("with one seed %v, and %v", first, again)
		}
		sum, squares := 0.0, 0.0
		for _, n := range first {
			sum += float64(n)
			squares += float64(n * n)
		}
		mean := sum / float64(len(first))
		spread := math.Sqrt(max(0, squares/float64(len(first))-mean*mean))
		if math.Abs(mean-100) > 6 || spread < 6 || spread > 15 { // computed: 100 and 10
			t.Errorf("%v: %.1f in a run, with a spread of %.1f", first, mean, spread)
		}
	})
}

// Every answer is counted as what it is.
func TestOutcomes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hit":
			w.Header().Set("X-Cache", "HIT")
			_, _ = w.Write([]byte(strings.Repeat("x", 1000)))
		case "/miss":
			w.Header().Set("Cache-Status", "far; hit, near; fwd=uri-miss; stored")
		case "/shed":
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/refused":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/unknown":
			w.WriteHeader(http.StatusNotFound)
		case "/late":
			<-r.Context().Done()
		case "/broken":
			hijacked, _, _ := w.(http.Hijacker).Hijack()
			_, _ = hijacked.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"))
			_ = hijacked.Close()
		case "/closed":
			hijacked, _, _ := w.(http.Hijacker).Hijack()
			_ = hijacked.Close()
		case "/posted":
			if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.ContentLength != 2 {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
	}))
	t.Cleanup(server.Close)
	paths := []string{"/hit", "/miss", "/shed", "/refused", "/unknown", "/late", "/broken", "/closed"}
	var requests []Request
	for _, p := range paths {
		requests = append(requests, Request{Method: "GET", Target: p})
	}
	requests = append(requests, Request{Method: "POST", Target: "/posted", Header: [][2]string{{"Content-Type", "application/json"}}, Body: []byte("{}")})
	rec := run(t, Plan{URL: at(t, server.URL), Requests: requests, Rate: 200, Even: true, Timeout: 300 * time.Millisecond}, time.Second, 2)
	for i, want := range []struct {
		failed                       string
		hits, misses, shed, unserved bool
	}{
		{hits: true},
		{misses: true},
		{shed: true},
		{failed: failed5xx, unserved: true},
		{failed: failed4xx},
		{failed: failedTimeout, unserved: true},
		{failed: failedDecode, unserved: true},
		{failed: failedNetwork, unserved: true},
		{},
	} {
		k, name := rec.Kinds[i], requests[i].Target
		all := func(n int64, wanted bool) bool { return n == 0 && !wanted || n == k.Count && wanted }
		if k.Count < 20 || !all(k.Hits, want.hits) || !all(k.Misses, want.misses) || !all(k.Shed, want.shed) || !all(k.BadStatus, want.unserved) {
			t.Errorf("%s: %+v", name, k)
		}
		if want.failed == "" && len(k.Failed) > 0 || want.failed != "" && k.Failed[want.failed] != k.Count {
			t.Errorf("%s: failed %v of %d", name, k.Failed, k.Count)
		}
	}
	if size := rec.Kinds[0].Size.Max(); size != 1000 {
		t.Errorf("a body of 1000 bytes has %d", size)
	}
}

// A connection that the server closed between two requests is opened again.
func TestIdleConnections(t *testing.T) {
	k := serve(t, func(int, time.Time) time.Duration { return 0 })
	g, err := New(Plan{URL: at(t, k.URL), Requests: []Request{{Method: "GET", Target: "/"}}, Connections: 2, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for range 2 {
		rec, err := g.Run(t.Context(), 0, 50*time.Millisecond, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kinds[0].Count == 0 || len(rec.Kinds[0].Failed) > 0 {
			t.Errorf("%+v", rec.Kinds[0])
		}
		k.CloseClientConnections()
	}
}

// A closed loop asks as fast as it is answered, on all its connections, and is told how it goes.
func TestClosedLoop(t *testing.T) {
	const each = 20 * time.Millisecond
	k := serve(t, func(int, time.Time) time.Duration { return each })
	g, err := New(Plan{URL: at(t, k.URL), Requests: []Request{{Method: "GET", Target: "/"}}, Connections: 4, Timeout: time.Second, PID: 1 << 22})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Run(t.Context(), 0, 100*time.Millisecond, 1, nil); err == nil || !strings.Contains(err.Error(), "CPU time of process") {
		t.Errorf("%v, and there is no such process", err)
	}
	g.plan.PID = 0
	var seen []Progress
	rec, err := g.Run(t.Context(), 100*time.Millisecond, time.Second, 5, func(p Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	if n := rec.Kinds[0].Count; n > 4*50 || n < 4*50/3 { // as slow as it may be under the race detector
		t.Errorf("%d requests in a second on four connections of 20 ms each", n)
	}
	if len(seen) < 3 || len(seen) > 10 || seen[0].Elapsed >= 0 || seen[len(seen)-1].Count == 0 || seen[len(seen)-1].P95 < each {
		t.Errorf("%+v", seen)
	}
	if cpu := rec.ClientCPU(); cpu <= 0 || cpu > 1.1 {
		t.Errorf("the client used %v of its CPU time", cpu)
	}
}

// A server that is down is a run full of errors, at a bounded pace.
func TestNoServer(t *testing.T) {
	k := serve(t, nil)
	k.Close()
	rec := run(t, Plan{URL: at(t, k.URL), Connections: 2}, 200*time.Millisecond, 1)
	if n := rec.Kinds[0].Failed[failedNetwork]; n == 0 || n != rec.Kinds[0].Count || n > 100 {
		t.Errorf("%+v", rec.Kinds[0])
	}
}

// What the server is too slow for is dropped in the end rather than waited for.
func TestOverload(t *testing.T) {
	k := serve(t, func(int, time.Time) time.Duration { return 100 * time.Millisecond })
	rec := run(t, Plan{URL: at(t, k.URL), Rate: 1000, Connections: 1, Timeout: 300 * time.Millisecond}, 500*time.Millisecond, 1)
	if rec.Dropped < 400 || rec.Due < 450 || rec.Sent > 20 || !rec.Exhausted {
		t.Errorf("of %d due %d were sent and %d dropped; exhausted %v", rec.Due, rec.Sent, rec.Dropped, rec.Exhausted)
	}
}

func TestItEndsWithItsContext(t *testing.T) {
	k := serve(t, func(int, time.Time) time.Duration { return 0 })
	for _, rate := range []float64{0, 0.1, 100} {
		g, err := New(Plan{URL: at(t, k.URL), Requests: []Request{{Method: "GET", Target: "/"}}, Rate: rate, Connections: 2, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		rec, err := g.Run(ctx, 0, time.Minute, 10, nil)
		if err != nil || rec.Cut == nil || len(rec.Kinds[0].Blocks) != 1 || time.Since(began) > 5*time.Second {
			t.Errorf("rate %v: %+v, %v after %v", rate, rec, err, time.Since(began))
		}
		if _, err := g.Run(ctx, time.Second, time.Minute, 10, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("rate %v: %v, and nothing was measured", rate, err)
		}
		cancel()
		g.Close()
	}
}

func TestPlans(t *testing.T) {
	good := Plan{URL: at(t, "http://127.0.0.1:1"), Requests: []Request{{Method: "GET", Target: "/"}}, Connections: 1, Timeout: time.Second}
	for want, change := range map[string]func(*Plan){
		"address of a server": func(p *Plan) { p.URL = &url.URL{Scheme: "ftp", Host: "x"} },
		"nothing to ask":      func(p *Plan) { p.Requests = nil },
		"rate of -1":          func(p *Plan) { p.Rate = -1 },
		"0 connections":       func(p *Plan) { p.Connections = 0 },
		"timeout of 0s":       func(p *Plan) { p.Timeout = 0 },
	} {
		p := good
		change(&p)
		if _, err := New(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	g, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(t.Context(), 0, time.Second, MaxCells+1, nil); err == nil || !strings.Contains(err.Error(), "not more than") {
		t.Errorf("%v", err)
	}
}

// BenchmarkFigures is by how much figures over sockets differ from what the server's times are, at a rate of 200 per second.
func BenchmarkFigures(b *testing.B) {
	for _, c := range []struct {
		name string
		took time.Duration
	}{{"2ms", 2 * time.Millisecond}, {"20ms", 20 * time.Millisecond}, {"200ms", 200 * time.Millisecond}} {
		b.Run(c.name, func(b *testing.B) {
			var served hdrMutex
			served.h = NewHistogram()
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				came := time.Now()
				time.Sleep(c.took)
				served.record(time.Since(came))
			}))
			defer server.Close()
			u, err := url.Parse(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			g, err := New(Plan{URL: u, Requests: []Request{{Method: "GET", Target: "/"}}, Rate: 200, Connections: 1000, Timeout: 10 * time.Second})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			for b.Loop() {
				rec, err := g.Run(b.Context(), 0, 5*time.Second, 10, nil)
				if err != nil {
					b.Fatal(err)
				}
				all := latency(rec.Kinds[0])
				for _, q := range []float64{50, 95, 99} {
					b.ReportMetric(float64(all.ValueAtQuantile(q)-served.h.ValueAtQuantile(q))/1e3, fmt.Sprintf("µs-more-at-p%v", q))
				}
				b.ReportMetric(float64(rec.Lag.ValueAtQuantile(99))/1e3, "µs-lag-p99")
			}
		})
	}
}

type hdrMutex struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func (m *hdrMutex) record(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record(m.h, d)
}

// BenchmarkClosed is what a request costs the generator, its server on the same machine included.
func BenchmarkClosed(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	g, err := New(Plan{URL: u, Requests: []Request{{Method: "GET", Target: "/"}}, Connections: 1, Timeout: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	c := g.take()
	defer g.give(c)
	b.ReportAllocs()
	for b.Loop() {
		if o := c.ask(0, time.Now()); o.failed != "" {
			b.Fatal(o.failed)
		}
	}
}
