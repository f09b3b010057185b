package telemetry

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/innatural/chatbot/framework/policy"
)

// SetPolicy exports which policy is in force and what it promises of each route, in place of the policy before it and in
// one step. The version is that of the program.
func (r *Registry) SetPolicy(p *policy.Policy, hash, version, file string) {
	d := r.promises
	of := []prometheus.Metric{constant(d.info, 1, hash, version, file)}
	seen := map[[2]string]bool{}
	for _, route := range p.Routes {
		if at := [2]string{route.Path, route.Method}; seen[at] {
			continue // a policy has none; one series too many would cost the whole scrape
		} else {
			seen[at] = true
		}
		slo := route.SLO
		if slo == nil {
			slo = &policy.SLO{}
		}
		if slo.Latency > 0 {
			quantile := strconv.FormatFloat(slo.Quantile, 'g', -1, 64)
			of = append(of, constant(d.latency, slo.Latency.D().Seconds(), route.Path, route.Method, quantile))
		}
		if slo.Errors > 0 {
			of = append(of, constant(d.errors, slo.Errors, route.Path, route.Method))
		}
		for _, objective := range []string{objectiveLatency, objectiveErrors} {
			if budget := budgetOf(*slo, objective); budget > 0 {
				of = append(of, constant(d.budget, budget, route.Path, route.Method, objective))
			}
		}
		if slo.Latency > 0 || slo.Errors > 0 {
			of = append(of, constant(d.window, slo.Window.D().Seconds(), route.Path, route.Method))
		}
		if route.Cache != nil {
			of = append(of, constant(d.ttl, route.Cache.TTL.D().Seconds(), route.Path, route.Method))
		}
	}
	d.current.Store(&of)
}

// Loaded says that a first policy was loaded, at a time.
func (r *Registry) Loaded(at time.Time) {
	r.reloadOK.With().Set(1)
	r.reloadAt.With().Set(float64(at.UnixMilli()) / 1000)
}

// Reloaded counts an attempt to load a policy, made at a time.
func (r *Registry) Reloaded(ok bool, at time.Time) {
	if !ok {
		r.reloads.With(Failure).Inc()
		r.reloadOK.With().Set(0)
		return
	}
	r.reloads.With(Success).Inc()
	r.Loaded(at)
}

// promises collects what the policy in force says.
type promises struct {
	info, latency, errors, budget, window, ttl *prometheus.Desc
	current                                    atomic.Pointer[[]prometheus.Metric]
}

func newPromises() *promises {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &promises{
		info:    desc(PolicyInfo, PolicyInfoHelp, LabelHash, LabelVersion, LabelFile),
		latency: desc(PolicySLOLatency, PolicySLOLatencyHelp, LabelRoute, LabelMethod, LabelQuantile),
		errors:  desc(PolicySLOErrorRatio, PolicySLOErrorRatioHelp, LabelRoute, LabelMethod),
		budget:  desc(SLOBudget, SLOBudgetHelp, LabelRoute, LabelMethod, LabelObjective),
		window:  desc(PolicySLOWindow, PolicySLOWindowHelp, LabelRoute, LabelMethod),
		ttl:     desc(PolicyTTL, PolicyTTLHelp, LabelRoute, LabelMethod),
	}
}

func (p *promises) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.info, p.latency, p.errors, p.budget, p.window, p.ttl} {
		ch <- d
	}
}

func (p *promises) Collect(ch chan<- prometheus.Metric) {
	if of := p.current.Load(); of != nil {
		for _, m := range *of {
			ch <- m
		}
	}
}

// constant returns a gauge of fixed value; one that cannot be, such as a file name that is not UTF-8, is told at the scrape.
func constant(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}
