package framework

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework/telemetry"
)

// log leaves the lines of a request: what went wrong, that it was slow, and that it was.
func (x *exchange) log(bytes int, err error) {
	rt, elapsed := x.route, time.Since(x.start)
	slow := x.stream == nil && elapsed-x.delayed > rt.policy.Slow.D()
	if isShed(err) { // lines of each would be a load of their own
		rt.gen.noteShed(x.start)
		return
	}
	limited := x.status == http.StatusTooManyRequests // leaves no more lines than who is answered
	always := rt.gen.policy.Log.Access.Enabled && (x.status >= 400 && !limited || slow)
	sampled := always || rt.gen.samples(x.about.ID, x.start)
	if sampled || slow || err != nil && !limited {
		x.lines(bytes, err, elapsed, slow, sampled)
	}
}

// samples says whether a successful request leaves a line in the access log.
func (g *generation) samples(id string, start time.Time) bool {
	access := &g.policy.Log.Access
	if !access.Enabled || !telemetry.Sampled(id, access.Sample) {
		return false
	}
	ok, before := g.app.lines.take(start, int64(access.MaxPerSecond))
	if before > 0 {
		g.log.Info("Requests left out of the access log", "count", before, "max_per_second", access.MaxPerSecond)
	}
	return ok
}

// lineBudget bounds the access lines of each second: a log that costs more than what it tells of would be the service's limit.
type lineBudget struct{ second, lines, left atomic.Int64 }

// take takes a line from the budget of a moment's second. With the first one of a second it says how many were refused before.
func (b *lineBudget) take(now time.Time, most int64) (ok bool, before int64) {
	second := now.Unix()
	if was := b.second.Load(); was != second && b.second.CompareAndSwap(was, second) {
		b.lines.Store(0)
		before = b.left.Swap(0)
	}
	if b.lines.Load() >= most || b.lines.Add(1) > most {
		b.left.Add(1)
		return false, before
	}
	return true, before
}

func (x *exchange) lines(bytes int, err error, elapsed time.Duration, slow, sampled bool) {
	rt, g, status := x.route, x.route.gen, x.status
	ctx, method, path := x.context(), x.method, x.path
	if status >= http.StatusInternalServerError && err != nil {
		var e *Error
		level := slog.LevelError
		if errors.As(err, &e) && e.Status != http.StatusInternalServerError && e.Err == nil {
			level = slog.LevelWarn // a refusal, not a fault
		}
		g.log.Log(ctx, level, "Request failed", "method", method, "path", path, "route", rt.policy.Path, "status", status, "error", err)
	}
	if errors.Is(err, ErrTimeout) {
		rt.metrics.Timeouts.Inc()
		g.log.WarnContext(ctx, "Request timeout", "method", method, "path", path, "route", rt.policy.Path,
			"duration", elapsed.String(), "timeout", rt.policy.Timeout.String())
	}
	if slow {
		rt.metrics.Slow.Inc()
		g.log.WarnContext(ctx, "Slow endpoint detected", "method", method, "path", path, "route", rt.policy.Path,
			"duration", elapsed.String(), "threshold", rt.policy.Slow.String())
	}
	if !sampled {
		return
	}
	attrs := append(make([]slog.Attr, 0, 7),
		slog.String("method", method), slog.String("path", path), slog.String("route", rt.policy.Path),
		slog.Int("status", status), slog.Int("bytes", bytes), slog.Duration("duration", elapsed),
	)
	if err != nil {
		attrs = append(attrs, slog.String("code", codeOf(err)))
	}
	g.log.LogAttrs(ctx, slog.LevelInfo, "Request", attrs...)
}

// isShed says whether a request was refused because there is too much to do.
func isShed(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e == errBusy
}

// shedLine is how often the log says that requests are refused.
const shedLine = 10 * time.Second

// noteShed counts a request that was refused because there is too much to do, and now and then says how many there were.
func (g *generation) noteShed(now time.Time) {
	a := g.app
	count, last := a.shed.Add(1), a.shedSaid.Load()
	if now.UnixNano()-last < int64(shedLine) || !a.shedSaid.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	a.shed.Add(-count)
	s := a.gate.Stats()
	g.log.Warn("Overloaded: requests are refused", "refused", count, "limit", s.Limit, "running", s.InFlight, "waiting", s.Waiting,
		"abandoned", a.abandoned.Load())
}

// codeOf returns the code of a request that failed, as clients get it but for those that have left.
func codeOf(err error) string {
	if errors.Is(err, ErrClientGone) {
		return "client_closed_request"
	}
	return asError(err).Code
}
