// Package telemetry makes a running service visible: metrics for Prometheus, structured logs, and the trace id that joins
// them. It knows neither Fiber nor plugins.
//
// Labels are bounded by construction: routes are those of the policy, methods and status codes are those of HTTP, and every
// other metric holds at most a fixed number of series, beyond which values count as Other.
package telemetry

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const (
	maxSeries = 200 // of one metric; more label values than that are a mistake or an attack
	maxValue  = 128 // bytes of a label value

	// Native histograms: each bucket is at most 10 % wider than the one before. 240 of them span 30 octaves, from a
	// microsecond to a thousand seconds, so that the resolution never has to be lowered.
	nativeFactor    = 1.1
	nativeThreshold = 1.0 / (1 << 20)
	nativeBuckets   = 240
)

// A Registry holds the metrics of one App. It outlives reloads of the policy: whoever asks for a metric that exists gets
// it back with its values. It may be used concurrently.
type Registry struct {
	prom     *prometheus.Registry
	promises *promises
	routes   *routes
	reloads  *Counter
	reloadOK *Gauge
	reloadAt *Gauge

	mu       sync.Mutex
	families map[string]family
	mistakes []error
}

// family is what the Registry needs of a metric of any kind.
type family interface {
	prometheus.Collector
	forget(routes map[string]bool)
	each(func(labels, values []string, m prometheus.Metric))
}

// NewRegistry returns a Registry that holds the metrics of the Go runtime, of the process, of requests and of the policy.
func NewRegistry() *Registry {
	r := &Registry{
		prom:     prometheus.NewRegistry(),
		promises: newPromises(),
		families: map[string]family{},
	}
	r.prom.MustRegister(
		collectors.NewBuildInfoCollector(),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/sched/latencies:seconds$`)},
		)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		r.promises,
	)
	r.routes = newRoutes(r)
	r.reloads = r.Counter(PolicyReloads, PolicyReloadsHelp, LabelResult)
	r.reloadOK = r.Gauge(PolicyLastReloadSuccess, PolicyLastReloadSuccessHelp)
	r.reloadAt = r.Gauge(PolicyLastReloadTimestamp, PolicyLastReloadTimestampHelp)
	return r
}

// The kinds of metrics.
type (
	// A Counter goes up.
	Counter = Vec[prometheus.Counter]
	// A Gauge goes up and down.
	Gauge = Vec[prometheus.Gauge]
	// A Histogram counts observations by their size.
	Histogram = Vec[prometheus.Histogram]
)

// Counter returns the counter of that name, which it makes when there is none. Asked with other labels than the existing
// one has, or with an invalid name, it returns a counter that works and is not exported, and Err says so.
func (r *Registry) Counter(name, help string, labels ...string) *Counter {
	return r.counter(name, help, labels, maxSeries)
}

func (r *Registry) counter(name, help string, labels []string, limit int) *Counter {
	return vecOf(r, name, labels, limit, nil, func() (*prometheus.CounterVec, func([]string) prometheus.Counter) {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		return v, func(values []string) prometheus.Counter { return v.WithLabelValues(values...) }
	}, prometheus.NewCounter(prometheus.CounterOpts{}))
}

// Gauge returns the gauge of that name, as Counter does.
func (r *Registry) Gauge(name, help string, labels ...string) *Gauge {
	return vecOf(r, name, labels, maxSeries, nil, func() (*prometheus.GaugeVec, func([]string) prometheus.Gauge) {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		return v, func(values []string) prometheus.Gauge { return v.WithLabelValues(values...) }
	}, prometheus.NewGauge(prometheus.GaugeOpts{}))
}

// Histogram returns the histogram of that name, as Counter does. It has native buckets beside the classic ones, whose upper
// bounds, ascending, are given in the metric's base unit.
func (r *Registry) Histogram(name, help string, buckets []float64, labels ...string) *Histogram {
	return r.histogram(name, help, buckets, labels, maxSeries)
}

func (r *Registry) histogram(name, help string, buckets []float64, labels []string, limit int) *Histogram {
	opts := prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:    nativeFactor,
		NativeHistogramZeroThreshold:   nativeThreshold,
		NativeHistogramMaxBucketNumber: nativeBuckets,
	}
	return vecOf(r, name, labels, limit, buckets, func() (*prometheus.HistogramVec, func([]string) prometheus.Histogram) {
		v := prometheus.NewHistogramVec(opts, labels)
		return v, func(values []string) prometheus.Histogram { return v.WithLabelValues(values...).(prometheus.Histogram) }
	}, prometheus.NewHistogram(prometheus.HistogramOpts{}))
}

// Err returns the mistakes made in asking for metrics since the last call, nil when there were none. The App calls it after
// building a generation.
func (r *Registry) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := errors.Join(r.mistakes...)
	r.mistakes = nil
	return err
}

func mistake(name string, err error) error { return fmt.Errorf("register metric %q: %w", name, err) }

func errOtherKind() error { return errors.New("it exists as another kind of metric") }

func errOtherLabels(have, want []string) error {
	return fmt.Errorf("it exists with labels [%s], not [%s]", strings.Join(have, " "), strings.Join(want, " "))
}

// deletable is a vector of client_golang.
type deletable interface {
	prometheus.Collector
	DeleteLabelValues(values ...string) bool
}

// vecOf returns the Vec of that name: the existing one, a new one, or, after a mistake, one that only holds spare.
func vecOf[M prometheus.Metric, V deletable](r *Registry, name string, labels []string, limit int, buckets []float64,
	build func() (V, func([]string) M), spare M,
) *Vec[M] {
	r.mu.Lock()
	defer r.mu.Unlock()
	detached := func(err error) *Vec[M] {
		r.mistakes = append(r.mistakes, mistake(name, err))
		return &Vec[M]{labels: labels, method: -1, spare: spare, detached: true}
	}
	if existing, ok := r.families[name]; ok {
		v, ok := existing.(*Vec[M])
		switch {
		case !ok:
			return detached(errOtherKind())
		case !slices.Equal(v.labels, labels):
			return detached(errOtherLabels(v.labels, labels))
		case !slices.Equal(v.buckets, buckets):
			return detached(errors.New("it exists with other buckets"))
		}
		return v
	}
	// client_golang panics on these two only when the first series is made.
	if slices.Contains(labels, "le") {
		return detached(errors.New(`"le" is reserved and cannot be a label`))
	}
	for i := range buckets {
		if i > 0 && buckets[i] <= buckets[i-1] || math.IsNaN(buckets[i]) {
			return detached(errors.New("its buckets do not ascend"))
		}
	}
	vector, add := build()
	if err := r.prom.Register(vector); err != nil {
		return detached(err)
	}
	v := &Vec[M]{
		Collector: vector, labels: slices.Clone(labels), method: slices.Index(labels, LabelMethod), limit: limit,
		buckets: slices.Clone(buckets), add: add, drop: vector.DeleteLabelValues, series: map[string]series[M]{},
	}
	r.families[name] = v
	if len(labels) == 0 {
		v.With() // exported as 0 before it is first used
	}
	return v
}

// A Vec is a metric with labels, one series for each combination of their values. It holds at most 200 combinations;
// further ones, and values that are longer than 128 bytes or not UTF-8, count as Other. It may be used concurrently.
type Vec[M prometheus.Metric] struct {
	prometheus.Collector
	labels  []string
	method  int // index of LabelMethod, or -1
	limit   int
	buckets []float64
	add     func(values []string) M
	drop    func(values ...string) bool

	detached bool
	spare    M

	mu     sync.RWMutex
	series map[string]series[M]
}

type series[M prometheus.Metric] struct {
	values []string
	metric M
}

// With returns the series of these label values, in the order in which the labels were declared. It does not allocate once
// the series exists. A wrong number of values is a series of Other alone.
func (v *Vec[M]) With(values ...string) M {
	var space [256]byte
	key := appendKey(space[:0], values, v.method)
	v.mu.RLock()
	found, ok := v.series[string(key)]
	v.mu.RUnlock()
	if ok && len(values) == len(v.labels) {
		return found.metric
	}
	return v.make(values)
}

func (v *Vec[M]) make(values []string) M {
	if v.detached {
		return v.spare
	}
	own := make([]string, len(v.labels))
	for i := range own {
		own[i] = Other
		if len(values) == len(own) && utf8.ValidString(values[i]) &&
			(len(values[i]) <= maxValue || v.labels[i] == LabelRoute) { // a policy bounds its routes itself
			own[i] = strings.Clone(values[i]) // the caller may reuse its buffer
		}
		if i == v.method {
			own[i] = methodName(own[i])
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	key := appendKey(nil, own, v.method)
	if s, ok := v.series[string(key)]; ok {
		return s.metric
	}
	if len(v.series) >= v.limit {
		for i := range own {
			own[i] = Other
		}
		key = appendKey(nil, own, v.method)
		if s, ok := v.series[string(key)]; ok {
			return s.metric
		}
	}
	m := v.add(own)
	v.series[string(key)] = series[M]{values: own, metric: m}
	return m
}

// appendKey appends the key of a series: its values, each ended by a byte that is never part of UTF-8.
func appendKey(key []byte, values []string, method int) []byte {
	for i, value := range values {
		if i == method {
			value = methodName(value)
		}
		key = append(append(key, value...), 0xff)
	}
	return key
}

// forget deletes the series of routes.
func (v *Vec[M]) forget(routes map[string]bool) {
	i := slices.Index(v.labels, LabelRoute)
	if i < 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, s := range v.series {
		if routes[s.values[i]] {
			v.drop(s.values...)
			delete(v.series, key)
		}
	}
}

func (v *Vec[M]) each(visit func(labels, values []string, m prometheus.Metric)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, s := range v.series {
		visit(v.labels, s.values, s.metric)
	}
}
