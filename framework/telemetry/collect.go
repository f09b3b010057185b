package telemetry

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// GaugeFunc exports a value that f returns each time it is asked for; labels are pairs of name and value. f must return at
// once and may be called concurrently. The returned function takes the value away again. Of several functions given for one
// series the latest that was not taken away is used, so that a new generation replaces the value of an old one, and a
// generation that fails to build gives it back. Mistakes are told by Err.
func (r *Registry) GaugeFunc(name, help string, f func() float64, labels ...string) (remove func()) {
	return r.function(prometheus.GaugeValue, name, help, f, labels)
}

// CounterFunc exports a count that somebody else keeps, as GaugeFunc does. It must never go down.
func (r *Registry) CounterFunc(name, help string, f func() float64, labels ...string) (remove func()) {
	return r.function(prometheus.CounterValue, name, help, f, labels)
}

func (r *Registry) function(kind prometheus.ValueType, name, help string, f func() float64, pairs []string) func() {
	var labels, values []string
	for pair := range slices.Chunk(pairs, 2) {
		labels = append(labels, pair[0])
		values = append(values, append(pair, "")[1])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	existing, ok := r.families[name]
	if !ok {
		made := &functions{
			kind: kind, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil), series: map[string][]*function{},
		}
		if err := r.prom.Register(made); err != nil {
			r.mistakes = append(r.mistakes, mistake(name, err))
			return func() {}
		}
		r.families[name], existing = made, made
	}
	of, ok := existing.(*functions)
	if !ok || of.kind != kind {
		r.mistakes = append(r.mistakes, mistake(name, errOtherKind()))
		return func() {}
	}
	if !slices.Equal(of.labels, labels) {
		r.mistakes = append(r.mistakes, mistake(name, errOtherLabels(of.labels, labels)))
		return func() {}
	}
	return of.push(&function{values: values, value: f})
}

// functions is a metric whose values are asked for.
type functions struct {
	kind   prometheus.ValueType
	labels []string
	desc   *prometheus.Desc

	mu     sync.Mutex
	series map[string][]*function // by label values, the latest last
}

type function struct {
	values []string
	value  func() float64
}

func (f *functions) push(added *function) (remove func()) {
	key := string(appendKey(nil, added.values, -1))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.series[key] = append(f.series[key], added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.series[key] = slices.DeleteFunc(f.series[key], func(one *function) bool { return one == added })
		if len(f.series[key]) == 0 {
			delete(f.series, key)
		}
	}
}

// latest returns the functions in use, to be called without the lock.
func (f *functions) latest() []*function {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]*function, 0, len(f.series))
	for _, stack := range f.series {
		found = append(found, stack[len(stack)-1])
	}
	return found
}

func (f *functions) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

func (f *functions) Collect(ch chan<- prometheus.Metric) {
	f.each(func(_, _ []string, m prometheus.Metric) { ch <- m })
}

func (f *functions) each(visit func(labels, values []string, m prometheus.Metric)) {
	for _, one := range f.latest() {
		m, err := prometheus.NewConstMetric(f.desc, f.kind, one.value(), one.values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(f.desc, err)
		}
		visit(f.labels, one.values, m)
	}
}

// forget does nothing: whoever gave a function takes it away.
func (f *functions) forget(map[string]bool) {}
