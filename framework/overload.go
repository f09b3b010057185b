package framework

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// Why requests are refused before their handler runs, beside limit's reasons.
const (
	rejectedStopping  = "stopping"
	rejectedRate      = "rate"
	rejectedInFlight  = "in_flight"
	rejectedAbandoned = "abandoned"
)

// shed names why an overloaded server refuses.
var shed = map[error]string{
	limit.ErrQueueFull: "queue_full", limit.ErrWaited: "queue_timeout", limit.ErrHopeless: "queue_deadline",
}

// refused counts a request that was refused.
func (rt *route) refused(reason string) { rt.gen.app.rejected.With(reason, rt.priority.String()).Inc() }

// allow decides on a request of a client.
func (rt *route) allow(ctx context.Context, client netip.Addr) limit.Decision {
	if rt.shared == nil {
		return rt.limiter.Allow(client)
	}
	d, shared := rt.shared.Allow(ctx, client)
	store := "memory"
	if shared {
		store = "redis"
	}
	rt.gen.app.limited.With(store).Inc()
	return d
}

// work prepares for what no stored answer answers: it slows down a client that is near its limit, and takes a place among the route's
// requests.
func (x *exchange) work() error {
	rt := x.route
	if wait := x.limit.Delay(rt.policy.Limits.From, rt.policy.Limits.Delay.D()); wait > 0 {
		x.app().delayed.With().Inc()
		if err := x.pause(wait); err != nil {
			return err
		}
	}
	if rt.inFlight != nil {
		if !rt.inFlight.Acquire() {
			rt.refused(rejectedInFlight)
			return errBusy
		}
		x.releaseInFlight = rt.inFlight.Release
	}
	return nil
}

// pause waits, at most until the client leaves or the generation is closed.
func (x *exchange) pause(wait time.Duration) error {
	gone := make(chan struct{})
	stop := func() {}
	if conn := x.http.Conn(); conn != nil {
		stop = x.app().watchers.watch(conn, func() { close(gone) })
	}
	defer stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	began := time.Now()
	defer func() { x.delayed = time.Since(began) }()
	select {
	case <-timer.C:
		return nil
	case <-gone:
		return ErrClientGone
	case <-x.route.gen.ctx.Done():
		return ErrStopping
	}
}

// enter takes a place among the handlers that run.
func (a *App) enter(ctx context.Context, rt *route) (limit.Pass, error) {
	longest := rt.policy.Timeout.D()
	if promise := rt.policy.SLO; promise != nil && promise.Latency > 0 {
		longest = min(longest, promise.Latency.D()/2) // the other half is for the handler
	}
	pass, err := a.gate.Enter(ctx, rt.priority, time.Now().Add(longest), rt.usual)
	if pass.Waited > 0 {
		a.waited.With().Observe(pass.Waited.Seconds())
	}
	for why, reason := range shed {
		if errors.Is(err, why) {
			rt.refused(reason)
			return pass, errBusy
		}
	}
	return pass, err //nolint:wrapcheck // why the request's context has ended
}

// gateOptions are what a policy says of overload.
func gateOptions(o policy.Overload) limit.GateOptions {
	return limit.GateOptions{InFlight: o.InFlight, Queue: o.Queue, Wait: o.Wait.D()}
}

// exportOverload exports what refuses and delays requests.
func (a *App) exportOverload() {
	a.rejected = a.metrics.Counter(telemetry.HTTPRejectedRequests, telemetry.HTTPRejectedRequestsHelp,
		telemetry.LabelReason, telemetry.LabelPriority)
	a.delayed = a.metrics.Counter(telemetry.HTTPDelayedRequests, telemetry.HTTPDelayedRequestsHelp)
	a.waited = a.metrics.Histogram(telemetry.HTTPQueueWait, telemetry.HTTPQueueWaitHelp, telemetry.HTTPBuckets())
	reasons := []string{rejectedStopping, rejectedRate, rejectedInFlight, rejectedAbandoned}
	for _, reason := range shed {
		reasons = append(reasons, reason)
	}
	for _, reason := range reasons { // exported as 0 before the first
		a.rejected.With(reason, limit.Normal.String())
	}
	gauge := func(name, help string, value func(limit.GateStats) int) {
		a.metrics.GaugeFunc(name, help, func() float64 { return float64(value(a.gate.Stats())) })
	}
	a.metrics.GaugeFunc(telemetry.HTTPOpenConnections, telemetry.HTTPOpenConnectionsHelp,
		func() float64 { return float64(a.connections.Count()) })
	a.closed = a.metrics.Counter(telemetry.HTTPRefusedConnections, telemetry.HTTPRefusedConnectionsHelp, telemetry.LabelReason)
	a.closed.With(closedTotal)
	a.closed.With(closedClient)
	a.limited = a.metrics.Counter(telemetry.HTTPRateDecisions, telemetry.HTTPRateDecisionsHelp, telemetry.LabelStore)
	gauge(telemetry.HTTPConcurrencyLimit, telemetry.HTTPConcurrencyLimitHelp, func(s limit.GateStats) int { return s.Limit })
	gauge(telemetry.HTTPRunningHandlers, telemetry.HTTPRunningHandlersHelp, func(s limit.GateStats) int { return s.InFlight })
	gauge(telemetry.HTTPQueuedRequests, telemetry.HTTPQueuedRequestsHelp, func(s limit.GateStats) int { return s.Waiting })
}
