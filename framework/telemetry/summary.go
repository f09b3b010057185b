package telemetry

import (
	"cmp"
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A Distribution sums up a histogram, in the unit of its metric.
type Distribution struct {
	Count         uint64
	Mean          float64
	P50, P95, P99 float64
}

// Requests sums up the requests since the start. Times are in milliseconds.
type Requests struct {
	Traffic
	ByRoute map[string]Traffic `json:"byRoute"` // by method and template, such as "GET /api/products"
	ByType  map[string]uint64  `json:"-"`       // errors by class and by code: "4xx", "404"
}

// Traffic sums up requests. One is an error when it was answered 4xx or 5xx.
type Traffic struct {
	Total   uint64  `json:"total"`
	Success uint64  `json:"success"`
	Errors  uint64  `json:"errors"`
	Average float64 `json:"avgDuration"`
	P50     float64 `json:"p50"`
	P95     float64 `json:"p95"`
	P99     float64 `json:"p99"`
}

// Requests returns the summary of every request since the start, overall and by route. Quantiles are within 9.1 % of the
// exact ones: see quantile.
func (r *Registry) Requests() Requests {
	type tally struct {
		buckets
		errors uint64
	}
	all, byRoute := &tally{}, map[string]*tally{}
	summary := Requests{ByRoute: map[string]Traffic{}, ByType: map[string]uint64{}}
	r.routes.durations.each(func(_, values []string, m prometheus.Metric) {
		h := read(m).GetHistogram()
		method, template, status := values[0], values[1], values[2]
		key := method + " " + template
		if template == Unmatched {
			key = Unmatched
		}
		if byRoute[key] == nil {
			byRoute[key] = &tally{}
		}
		for _, t := range []*tally{all, byRoute[key]} {
			t.add(h)
			if status >= "400" {
				t.errors += h.GetSampleCount()
			}
		}
		if status >= "400" {
			summary.ByType[status] += h.GetSampleCount()
			if status != Other {
				summary.ByType[status[:1]+"xx"] += h.GetSampleCount()
			}
		}
	})
	traffic := func(t *tally) Traffic {
		d := t.distribution()
		return Traffic{
			Total: d.Count, Success: d.Count - t.errors, Errors: t.errors,
			Average: d.Mean * 1000, P50: d.P50 * 1000, P95: d.P95 * 1000, P99: d.P99 * 1000,
		}
	}
	summary.Traffic = traffic(all)
	for key, t := range byRoute {
		summary.ByRoute[key] = traffic(t)
	}
	return summary
}

// Distribution sums up the histogram of that name over all its series; it is zero when there is none.
func (r *Registry) Distribution(name string) Distribution {
	var b buckets
	r.visit(name, func(_, _ []string, m prometheus.Metric) { b.add(read(m).GetHistogram()) })
	return b.distribution()
}

// Sum returns the values of a metric summed by one label, or, when by is empty, in all under the empty string: a counter's
// count, a gauge's value, a histogram's number of observations. It is empty when there is no such metric or label.
func (r *Registry) Sum(name, by string) map[string]float64 {
	sums := map[string]float64{}
	r.visit(name, func(labels, values []string, m prometheus.Metric) {
		key := ""
		if by != "" {
			i := slices.Index(labels, by)
			if i < 0 {
				return
			}
			key = values[i]
		}
		d := read(m)
		sums[key] += d.GetCounter().GetValue() + d.GetGauge().GetValue() + float64(d.GetHistogram().GetSampleCount())
	})
	return sums
}

func (r *Registry) visit(name string, visit func(labels, values []string, m prometheus.Metric)) {
	r.mu.Lock()
	f := r.families[name]
	r.mu.Unlock()
	if f != nil {
		f.each(visit)
	}
}

func read(m prometheus.Metric) *dto.Metric {
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		return &dto.Metric{} // an invalid metric, which the scrape tells about
	}
	return &d
}

// buckets add up the native buckets of histograms.
type buckets struct {
	count  uint64
	sum    float64
	zero   uint64 // observations up to zeroTo
	zeroTo float64
	schema int32
	counts map[int]uint64 // by index: bucket i is (base^(i-1), base^i], with base 2^(2^-schema)
}

func (b *buckets) add(h *dto.Histogram) {
	b.count += h.GetSampleCount()
	b.sum += h.GetSampleSum()
	b.zero += h.GetZeroCount()
	b.zeroTo = max(b.zeroTo, h.GetZeroThreshold())
	if b.counts == nil {
		b.counts, b.schema = map[int]uint64{}, h.GetSchema()
	}
	b.coarsen(h.GetSchema())
	index, count, next := 0, int64(0), 0
	for _, span := range h.GetPositiveSpan() {
		index += int(span.GetOffset())
		for range span.GetLength() {
			count += h.GetPositiveDelta()[next]
			b.counts[coarser(index, h.GetSchema()-b.schema)] += uint64(count)
			next++
			index++
		}
	}
}

// coarsen lowers the resolution to that of a histogram which had to lower its own.
func (b *buckets) coarsen(schema int32) {
	if schema >= b.schema {
		return
	}
	merged := make(map[int]uint64, len(b.counts))
	for i, n := range b.counts {
		merged[coarser(i, b.schema-schema)] += n
	}
	b.counts, b.schema = merged, schema
}

// coarser returns the index that a bucket has when the width of buckets is doubled a number of times: rounded up, for a
// bucket is named by its upper bound.
func coarser(index int, times int32) int { return (index + 1<<times - 1) >> times }

func (b *buckets) distribution() Distribution {
	if b.count == 0 {
		return Distribution{}
	}
	list, mean := b.list(), b.sum/float64(b.count)
	if math.IsNaN(mean) || math.IsInf(mean, 0) {
		mean = 0 // somebody observed what is not a number; JSON has no word for it
	}
	return Distribution{
		Count: b.count, Mean: mean,
		P50: quantile(list, b.count, 0.5), P95: quantile(list, b.count, 0.95), P99: quantile(list, b.count, 0.99),
	}
}

// bucket counts the observations in (lower, upper].
type bucket struct {
	lower, upper float64
	count        uint64
}

// list returns the buckets in ascending order.
func (b *buckets) list() []bucket {
	list := make([]bucket, 0, 1+len(b.counts))
	if b.zero > 0 {
		list = append(list, bucket{0, b.zeroTo, b.zero})
	}
	width := math.Exp2(-float64(b.schema))
	for i, n := range b.counts {
		lower, upper := math.Exp2(float64(i-1)*width), math.Exp2(float64(i)*width)
		list = append(list, bucket{min(lower, math.MaxFloat64), min(upper, math.MaxFloat64), n})
	}
	slices.SortFunc(list, func(x, y bucket) int { return cmp.Compare(x.upper, y.upper) })
	return list
}

// quantile estimates the q-quantile by interpolating between the bounds of the bucket that holds it, geometrically, as the
// buckets grow. The exact quantile is in the same bucket, so that the estimate is off by less than the bucket's width, which
// is 9.1 % (2^(1/8) - 1), or by a microsecond at the very bottom.
func quantile(list []bucket, count uint64, q float64) float64 {
	rank := q * float64(count)
	var below float64
	for i, b := range list {
		n := float64(b.count)
		if below+n < rank && i < len(list)-1 {
			below += n
			continue
		}
		share := min((rank-below)/n, 1)
		if b.lower == 0 {
			return b.upper * share
		}
		return b.lower * math.Pow(b.upper/b.lower, share)
	}
	return 0
}
