package telemetry

import (
	"time"

	"github.com/prometheus/common/model"
)

// PromiseReport is what a route promises, and how one instance keeps it, in the form of the HTTP contract's summary: since the instance
// started, over the promise's window at most.
type PromiseReport struct {
	Quantile      float64             `json:"quantile"`
	LatencyMS     float64             `json:"latencyMs,omitempty"` // 0 promises none
	Errors        float64             `json:"errors"`              // share; 0 promises none
	WindowSeconds float64             `json:"windowSeconds"`
	Requests      uint64              `json:"requests"` // that Measured is of
	Measured      Measured            `json:"measured"`
	Kept          bool                `json:"kept"`
	BudgetLeft    Rates               `json:"budgetLeft"` // share of what may go wrong that has not; below 0 the promise is broken
	BurnRates     map[string]BurnRate `json:"burnRates"`  // by window, such as "5m"
}

// Measured is what a promise is compared with.
type Measured struct {
	P95MS  float64 `json:"p95Ms"`  // since the start
	Slow   float64 `json:"slow"`   // share that took longer than promised
	Errors float64 `json:"errors"` // share answered 5xx or 408
}

// Rates are of the promises of latency and of errors.
type Rates struct {
	Latency float64 `json:"latency"`
	Errors  float64 `json:"errors"`
}

// BurnRate is how fast the budgets are spent in a window, as Objective.BurnRates has it.
type BurnRate struct {
	Rates
	Requests uint64 `json:"requests"`
}

// Report returns how the promise is kept. P95 is in milliseconds.
func (o *Objective) Report(now time.Time, p95 float64) PromiseReport {
	k := o.Over(o.slo.Window.D(), now)
	latency, errors := o.BurnRates(k)
	r := PromiseReport{
		Quantile: o.slo.Quantile, LatencyMS: float64(o.latency) / float64(time.Millisecond), Errors: o.slo.Errors,
		WindowSeconds: o.slo.Window.D().Seconds(), Requests: k.Requests, Measured: Measured{p95, k.Slow, k.Errors},
		Kept: latency <= 1 && errors <= 1, BudgetLeft: Rates{1 - latency, 1 - errors}, BurnRates: map[string]BurnRate{},
	}
	for _, window := range Windows() {
		k := o.Over(window, now)
		latency, errors := o.BurnRates(k)
		r.BurnRates[WindowName(window)] = BurnRate{Rates{latency, errors}, k.Requests}
	}
	return r
}

// WindowName writes a window as Prometheus does, such as 5m.
func WindowName(window time.Duration) string {
	return model.Duration(window).String()
}
