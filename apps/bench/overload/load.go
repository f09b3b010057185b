//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// outcome is what became of requests.
type outcome struct {
	mu       sync.Mutex
	answered []time.Duration // how long each 200 took
	refused  int             // 503 with Retry-After
	failed   int             // all else
	lasted   time.Duration
	sorted   bool
}

func (o *outcome) add(status int, retryAfter bool, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case status == http.StatusOK:
		o.answered = append(o.answered, took)
	case status == http.StatusServiceUnavailable && retryAfter:
		o.refused++
	default:
		o.failed++
	}
}

// rate returns how many were answered in a second.
func (o *outcome) rate() float64 { return float64(len(o.answered)) / o.lasted.Seconds() }

// quantile returns the time within which that share of the answers came.
func (o *outcome) quantile(q float64) time.Duration {
	if len(o.answered) == 0 {
		return 0
	}
	if !o.sorted {
		slices.Sort(o.answered)
		o.sorted = true
	}
	return o.answered[min(int(q*float64(len(o.answered))), len(o.answered)-1)]
}

// load asks a server.
type load struct{ client *fasthttp.HostClient }

func newLoad(address string) *load {
	return &load{client: &fasthttp.HostClient{
		Addr: address, MaxConns: 8192, ReadTimeout: 30 * time.Second, WriteTimeout: 10 * time.Second, MaxIdleConnDuration: time.Minute,
		NoDefaultUserAgentHeader: true, MaxIdemponentCallAttempts: 1,
	}}
}

// ask sends a request. Its time runs from when it was due.
func (l *load) ask(path string, due time.Time, o *outcome) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + l.client.Addr + path)
	status := 0
	if err := l.client.Do(req, res); err == nil {
		status = res.StatusCode()
	}
	o.add(status, len(res.Header.Peek("Retry-After")) > 0, time.Since(due))
}

// closed asks with a number of clients, each as soon as it has its answer, and returns how many were answered in a second.
func (l *load) closed(ctx context.Context, clients int, lasts time.Duration) (float64, error) {
	var o outcome
	var all sync.WaitGroup
	began := time.Now()
	for range clients {
		all.Go(func() {
			for time.Since(began) < lasts && ctx.Err() == nil {
				l.ask("/work", time.Now(), &o)
			}
		})
	}
	all.Wait()
	if o.lasted = time.Since(began); o.failed > 0 {
		return 0, fmt.Errorf("%d requests failed while the capacity was measured", o.failed)
	}
	return o.rate(), ctx.Err()
}

// mostWaiting is how many requests may be under way at once. A client that is far behind its schedule would measure itself.
const mostWaiting = 8000

// open asks at a rate, whether answers come or not: four of five requests are of normal priority, one is of high; beside them health
// and a stored answer are asked for twenty times a second each.
func (l *load) open(ctx context.Context, rate float64, lasts time.Duration) *phase {
	p := &phase{}
	var all sync.WaitGroup
	var waiting atomic.Int64
	began := time.Now()
	every := func(rate float64, ask func(n int, due time.Time)) {
		gap := time.Duration(float64(time.Second) / rate)
		all.Go(func() {
			for n := 0; ; n++ {
				due := began.Add(time.Duration(n) * gap)
				if due.Sub(began) > lasts || ctx.Err() != nil {
					return
				}
				time.Sleep(time.Until(due))
				ask(n, due)
			}
		})
	}
	asked := 0
	every(rate, func(n int, due time.Time) {
		path, o := "/work", &p.work
		if n%5 == 4 {
			path, o = "/first", &p.first
		}
		asked++
		if waiting.Add(1) > mostWaiting {
			o.add(0, false, 0)
			waiting.Add(-1)
			return
		}
		all.Go(func() {
			l.ask(path, due, o)
			waiting.Add(-1)
		})
	})
	for path, o := range map[string]*outcome{"/livez": &p.probe, "/stored": &p.hit} {
		every(20, func(_ int, due time.Time) { all.Go(func() { l.ask(path, due, o) }) })
	}
	all.Wait()
	lasted := time.Since(began)
	p.asked = float64(asked) / lasts.Seconds()
	for _, o := range []*outcome{&p.work, &p.first, &p.probe, &p.hit} {
		o.lasted = lasted
	}
	return p
}
