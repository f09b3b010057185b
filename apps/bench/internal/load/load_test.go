//go:build linux

package load

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/innatural/chatbot/framework/frameworktest"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

// known is a server whose times are known: it waits as long as it is told for each request, and notes how long it really took.
type known struct {
	*httptest.Server
	delay func(n int, now time.Time) time.Duration

	mu   sync.Mutex
	n    int
	took []time.Duration
}

func serve(t *testing.T, delay func(n int, now time.Time) time.Duration) *known {
	t.Helper()
	k := &known{delay: delay}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came := time.Now()
		k.mu.Lock()
		n := k.n
		k.n++
		k.mu.Unlock()
		waitUntil(r.Context(), came.Add(k.delay(n, came)))
		k.mu.Lock()
		k.took = append(k.took, time.Since(came))
		k.mu.Unlock()
	}))
	t.Cleanup(k.Close)
	return k
}

// quantile returns a quantile of what the server took.
func (k *known) quantile(q float64) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	slices.Sort(k.took)
	return k.took[max(0, int(math.Ceil(q*float64(len(k.took))))-1)]
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

// noise measures how late the machine is while something else is measured: how late a goroutine wakes and is answered by another
// one, over a socket, that has nothing to do. The returned function ends it, and tells whether a quantile is the one that is wanted: within 2 %
// or 1 ms, and twice what the machine was late.
func noise(t *testing.T) func() func(q float64, got, want time.Duration) bool {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	late := NewHistogram()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		_, _ = io.Copy(server, server) // until the client closes
		_ = server.Close()
	})
	wait.Go(func() {
		defer client.Close()
		for b := make([]byte, 1); ; {
			due := time.Now().Add(2 * time.Millisecond)
			if !waitUntil(ctx, due) {
				return
			}
			_, sent := client.Write(b)
			if _, err := io.ReadFull(client, b); err != nil || sent != nil {
				return
			}
			record(late, time.Since(due))
		}
	})
	return func() func(q float64, got, want time.Duration) bool {
		cancel()
		wait.Wait()
		_ = listener.Close()
		return func(q float64, got, want time.Duration) bool {
			return (got - want).Abs() <= max(want/50, time.Millisecond)+2*time.Duration(late.ValueAtQuantile(50+100*q/2))
		}
	}
}

// Figures are true: of a server with constant times, and of one with exponential ones, they are what is computed by hand, and
// what the server saw.
func TestFiguresAreTrue(t *testing.T) {
	const n, rate = 400, 200
	exponential := make([]time.Duration, n) // the quantiles of the distribution, so that nothing is left to chance
	for i := range exponential {
		exponential[i] = time.Duration(-math.Log(1-(float64(i)+0.5)/n) * float64(50*time.Millisecond))
	}
	shuffled := slices.Clone(exponential)
	rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	const constant = 80 * time.Millisecond
	for _, c := range []struct {
		name  string
		delay func(n int, now time.Time) time.Duration
		want  map[float64]time.Duration
	}{
		{
			"constant", func(int, time.Time) time.Duration { return constant },
			map[float64]time.Duration{0.5: constant, 0.95: constant, 0.99: constant},
		},
		{
			"exponential", func(i int, _ time.Time) time.Duration { return shuffled[i%n] },
			map[float64]time.Duration{0.5: exponential[n/2-1], 0.95: exponential[n*95/100-1], 0.99: exponential[n*99/100-1]},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := serve(t, c.delay)
			quiet := noise(t)
			rec := run(t, Plan{URL: at(t, k.URL), Rate: rate, Even: true}, n*time.Second/rate, 10)
			isTrue := quiet()
			if rec.Kinds[0].Count != n || rec.Due != n || rec.Dropped != 0 || len(rec.Kinds[0].Failed) > 0 {
				t.Fatalf("%d were due, %d dropped, %d answered; failed %v", rec.Due, rec.Dropped, rec.Kinds[0].Count, rec.Kinds[0].Failed)
			}
			for q, want := range c.want {
				lag := time.Duration(rec.Lag.ValueAtQuantile(q * 100))
				got, service := time.Duration(latency(rec.Kinds[0]).ValueAtQuantile(q*100)), time.Duration(rec.Kinds[0].Service.ValueAtQuantile(q*100))
				if took := k.quantile(q); !isTrue(q, got, want) || !isTrue(q, service, took) || !isTrue(q, lag, 0) {
					t.Errorf("P%v is %v, computed %v; the service time %v, the server took %v; the lag %v", q*100, got, want, service, took, lag)
				}
			}
		})
	}
}

// A server that stands still for two seconds in the middle: what was due meanwhile waits for the end of it, so that a third of six
// seconds' requests have latencies that are spread from nothing to two seconds. A service time that starts when a connection
// is free does not show that.
func TestAFreezeIsCharged(t *testing.T) {
	const rate, base = 100, 2 * time.Millisecond
	for _, c := range []struct {
		name        string
		connections int
	}{{"many connections", 1000}, {"one connection", 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var began time.Time
			var once sync.Once
			k := serve(t, func(_ int, now time.Time) time.Duration {
				once.Do(func() { began = now })
				if since := now.Sub(began); since >= 2*time.Second && since < 4*time.Second {
					return 4*time.Second - since + base
				}
				return base
			})
			quiet := noise(t)
			rec := run(t, Plan{URL: at(t, k.URL), Rate: rate, Even: true, Connections: c.connections}, 6*time.Second, 12)
			isTrue := quiet()
			quantile := func(q float64) time.Duration { return time.Duration(latency(rec.Kinds[0]).ValueAtQuantile(q * 100)) }
			lag, service := time.Duration(rec.Lag.ValueAtQuantile(99)), time.Duration(rec.Kinds[0].Service.ValueAtQuantile(95))
			if c.connections > 1 {
				for q, want := range map[float64]time.Duration{0.5: base, 0.95: 1700*time.Millisecond + base, 0.99: 1940*time.Millisecond + base} {
					if !isTrue(q, quantile(q), want) {
						t.Errorf("P%v is %v, computed %v", q*100, quantile(q), want)
					}
				}
				if !isTrue(0.99, lag, 0) {
					t.Errorf("P99 of the lag is %v, and there was always a connection", lag)
				}
				return
			}
			// The connection is held for two seconds, and then works off 200 requests that have waited for it.
			if quantile(0.99) < 1900*time.Millisecond || lag < 1900*time.Millisecond || !isTrue(0.95, service, base) {
				t.Errorf("P99 %v, P99 of the lag %v, P95 of the service time %v", quantile(0.99), lag, service)
			}
		})
	}
}

// Requests are due as a Poisson process unless they are to be even: as many as the rate says, with gaps that vary as much as they are long.
func TestSchedule(t *testing.T) {
	for _, even := range []bool{true, false} {
		next := schedule(Plan{Rate: 500, Even: even, Seed: 7})
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
		{hits: true}, {misses: true}, {shed: true}, {failed: failed5xx, unserved: true}, {failed: failed4xx}, {failed: failedTimeout, unserved: true},
		{failed: failedDecode, unserved: true}, {failed: failedNetwork, unserved: true}, {},
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
		if _, err := g.Run(ctx, 0, time.Minute, 10, nil); err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("rate %v: %v after %v", rate, err, time.Since(began))
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
