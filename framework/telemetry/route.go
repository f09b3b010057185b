package telemetry

import (
	"context"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RouteMetrics are the metrics of one route, looked up once so that counting a request costs no search. Generations that
// have the route in common share them. They may be used concurrently.
type RouteMetrics struct {
	Slow            prometheus.Counter
	Timeouts        prometheus.Counter
	Panics          prometheus.Counter
	ClientGone      prometheus.Counter
	UndeclaredReads prometheus.Counter

	bodyBytes prometheus.Counter
	all       *routes
	template  string
	holders   int // guarded by all.mu
	durations [methodCount]atomic.Pointer[statuses]
}

// statuses are the histograms of one method by status code, filled as codes occur: a service uses few of them.
type statuses [5 * statusWidth]atomic.Pointer[prometheus.Histogram]

const statusWidth = 32 // status codes of a class with a place of their own; further ones are looked up each time

// routes are the metrics that have a route for a label; the policy bounds how many series they have.
type routes struct {
	durations                                                    *Histogram
	slow, timeouts, panics, clientGone, undeclaredReads, bodyLen *Counter

	mu   sync.Mutex
	held map[string]*RouteMetrics
}

func newRoutes(r *Registry) *routes {
	counter := func(name, help string) *Counter { return r.counter(name, help, []string{LabelRoute}, math.MaxInt) }
	return &routes{
		durations: r.histogram(HTTPRequestDuration, HTTPRequestDurationHelp, HTTPBuckets(),
			[]string{LabelMethod, LabelRoute, LabelStatus}, math.MaxInt),
		slow:            counter(HTTPSlowRequests, HTTPSlowRequestsHelp),
		timeouts:        counter(HTTPRequestTimeouts, HTTPRequestTimeoutsHelp),
		panics:          counter(HTTPPanics, HTTPPanicsHelp),
		clientGone:      counter(HTTPClientGone, HTTPClientGoneHelp),
		undeclaredReads: counter(HTTPUndeclaredReads, HTTPUndeclaredReadsHelp),
		bodyLen:         counter(HTTPResponseBodyBytes, HTTPResponseBodyBytesHelp),
		held:            map[string]*RouteMetrics{},
	}
}

// Route returns the metrics of a route, given by its template, and holds them; Unmatched is the route of requests that no
// route matches. Each call is paired with one Release, when the generation that made it has closed.
func (r *Registry) Route(template string) *RouteMetrics {
	r.routes.mu.Lock()
	defer r.routes.mu.Unlock()
	m, ok := r.routes.held[template]
	if !ok {
		m = &RouteMetrics{
			Slow:            r.routes.slow.With(template),
			Timeouts:        r.routes.timeouts.With(template),
			Panics:          r.routes.panics.With(template),
			ClientGone:      r.routes.clientGone.With(template),
			UndeclaredReads: r.routes.undeclaredReads.With(template),
			bodyBytes:       r.routes.bodyLen.With(template),
			all:             r.routes,
			template:        template,
		}
		r.routes.held[template] = m
	}
	m.holders++
	return m
}

// Release gives up one hold of each route's metrics. With the last one every series of the route is deleted, those of plugins
// too, so that a policy that changes often leaves nothing behind.
func (r *Registry) Release(all ...*RouteMetrics) {
	r.routes.mu.Lock()
	defer r.routes.mu.Unlock()
	gone := map[string]bool{}
	for _, m := range all {
		if m.holders--; m.holders == 0 {
			delete(r.routes.held, m.template)
			gone[m.template] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.families {
		f.forget(gone)
	}
}

// Observe counts an answered request: its method, the status code, the time that it took and the bytes of its body. It does
// not allocate, save for the first request of each method and status.
func (m *RouteMetrics) Observe(method string, status int, elapsed time.Duration, body int) {
	if h := m.duration(method, status); h != nil {
		h.Observe(elapsed.Seconds())
	}
	m.sent(body)
}

// ObserveTraced counts a request as Observe does, with the trace of ctx as the example of its duration where that is sampled.
func (m *RouteMetrics) ObserveTraced(ctx context.Context, method string, status int, elapsed time.Duration, body int) {
	if h := m.duration(method, status); h != nil {
		Exemplar(ctx, h, elapsed.Seconds())
	}
	m.sent(body)
}

func (m *RouteMetrics) sent(body int) {
	if body > 0 {
		m.bodyBytes.Add(float64(body))
	}
}

func (m *RouteMetrics) duration(method string, status int) prometheus.Histogram {
	class, rest := status/100-1, status%100
	if class < 0 || class > 4 || rest >= statusWidth {
		return m.resolve(method, status)
	}
	of := &m.durations[methodIndex(method)]
	table := of.Load()
	if table == nil {
		of.CompareAndSwap(nil, new(statuses))
		table = of.Load()
	}
	place := &table[class*statusWidth+rest]
	h := place.Load()
	if h == nil {
		found := m.resolve(method, status)
		if found == nil {
			return nil
		}
		h = &found
		place.Store(h)
	}
	return *h
}

// resolve looks up a histogram, unless the route is gone: a handler that outlived its generation brings no series back.
func (m *RouteMetrics) resolve(method string, status int) prometheus.Histogram {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	if m.holders == 0 {
		return nil
	}
	code := Other
	if status >= 100 && status <= 599 {
		code = strconv.Itoa(status)
	}
	return m.all.durations.With(method, m.template, code)
}

// methods are those of RFC 9110, PATCH (RFC 5789) and QUERY; every other one is Other.
const methodCount = 11

func methodIndex(method string) int {
	switch method {
	case "GET":
		return 1
	case "POST":
		return 2
	case "HEAD":
		return 3
	case "PUT":
		return 4
	case "DELETE":
		return 5
	case "PATCH":
		return 6
	case "OPTIONS":
		return 7
	case "CONNECT":
		return 8
	case "TRACE":
		return 9
	case "QUERY":
		return 10
	}
	return 0
}

// methodName returns the method as a label value.
func methodName(method string) string {
	if methodIndex(method) == 0 {
		return Other
	}
	return method
}
