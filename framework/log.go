package framework

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework/telemetry"
)

// log leaves the lines of a request: what went wrong, that it was slow, and that it was.
func (x *exchange) log(bytes int, err error) {
	rt, g, status, elapsed := x.route, x.route.gen, x.status, time.Since(x.start)
	slow := x.stream == nil && elapsed > rt.policy.Slow.D()
	access := g.policy.Log.Access
	sampled := access.Enabled && (status >= 400 || slow || telemetry.Sampled(x.about.ID, access.Sample))
	if !sampled && !slow && err == nil {
		return
	}
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
	g.log.LogAttrs(ctx, slog.LevelInfo, "Request",
		slog.String("method", method), slog.String("path", path), slog.String("route", rt.policy.Path),
		slog.Int("status", status), slog.Int("bytes", bytes), slog.Duration("duration", elapsed),
	)
}
