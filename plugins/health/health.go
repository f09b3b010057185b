// Package health answers whether the service lives, is ready for work, and how its dependencies do.
package health

import (
	"context"
	"maps"
	"net/http"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
)

// Plugin returns the plugin. Its checks are those that other plugins register with Host.AddCheck.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "health",
		Doc:  "Says whether the service lives, is ready, and how its dependencies do.",
		Handlers: []framework.HandlerInfo{
			{Name: "health", Doc: "The state of the service and of what it depends on; 503 when unhealthy.", Always: true},
			{Name: "health.live", Doc: "200 as long as the process answers.", Always: true},
			{Name: "health.ready", Doc: "200 when the service takes work, 503 while it stops.", Always: true},
		},
	}, framework.NoOptions{}, build)
}

func build(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
	return framework.Handlers{
		"health":       func(ctx context.Context, _ *framework.Request) (*framework.Response, error) { return report(ctx, h) },
		"health.live":  live,
		"health.ready": func(context.Context, *framework.Request) (*framework.Response, error) { return ready(h.Status()) },
	}, nil
}

type uptime struct {
	Seconds   int64  `json:"seconds"`
	Formatted string `json:"formatted"`
	StartTime string `json:"startTime"`
}

type system struct {
	Memory     memory `json:"memory"`
	CPU        cpu    `json:"cpu"`
	Goroutines int    `json:"goroutines"`
}

type memory struct {
	HeapBytes  uint64 `json:"heapBytes"`
	TotalBytes uint64 `json:"totalBytes"`
}

type cpu struct {
	Cores int `json:"cores"`
	Limit int `json:"limit"` // cores that the process may use at once
}

type state struct {
	Status    string                    `json:"status"`
	Timestamp string                    `json:"timestamp"`
	Uptime    uptime                    `json:"uptime"`
	Version   string                    `json:"version"`
	Services  map[string]map[string]any `json:"services"`
	System    system                    `json:"system"`
}

// report is unhealthy only when a dependency says so: a busy or an idle machine is neither.
func report(ctx context.Context, h *framework.Host) (*framework.Response, error) {
	app, now := h.Status(), time.Now()
	up := now.Sub(app.Started)
	s := state{
		Status: "healthy", Timestamp: timestamp(now), Version: app.Version,
		Uptime:   uptime{int64(up.Seconds()), up.Round(time.Second).String(), timestamp(app.Started)},
		Services: map[string]map[string]any{},
		System:   usage(),
	}
	layers := h.Layers.Report()
	memory := layers.Memory
	s.Services["cache"] = map[string]any{
		"status": "healthy", "keys": memory.Keys, "bytes": memory.Bytes, "maxBytes": memory.MaxBytes, "hitRate": memory.HitRate,
	}
	redis, fields := sharedLayer(layers.Redis)
	s.Services["redis"] = fields
	if redis == "degraded" {
		s.Status = redis
	}
	for name, check := range h.Checks(ctx) {
		fields := map[string]any{"status": check.Status}
		maps.Copy(fields, check.Fields)
		s.Services[name] = fields
		if check.Status == "unhealthy" || check.Status == "degraded" && s.Status == "healthy" {
			s.Status = check.Status
		}
	}
	r, err := framework.JSON(s)
	if err == nil && s.Status == "unhealthy" {
		r.Status = http.StatusServiceUnavailable
	}
	return r, err
}

// sharedLayer tells how Redis does. Without it the memory layer serves alone, so the service is degraded and no more.
func sharedLayer(r cache.RedisReport) (status string, fields map[string]any) {
	switch {
	case r.Circuit == "disabled":
		status = "disabled"
	case r.Available:
		status = "healthy"
	default:
		status = "degraded"
	}
	return status, map[string]any{"status": status, "latencyMs": r.LatencyMS, "circuit": r.Circuit}
}

func live(context.Context, *framework.Request) (*framework.Response, error) {
	return framework.JSON(map[string]string{"status": "ok", "timestamp": timestamp(time.Now())})
}

func ready(app framework.Status) (*framework.Response, error) {
	status := "ready"
	if app.Draining {
		status = "not_ready"
	}
	r, err := framework.JSON(map[string]string{"status": status, "timestamp": timestamp(time.Now()), "version": app.Version})
	if err == nil && app.Draining {
		r.Status = http.StatusServiceUnavailable
	}
	return r, err
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// usage reads the runtime's own accounts, which stop nothing.
func usage() system {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
	}
	metrics.Read(samples)
	return system{
		Memory:     memory{samples[0].Value.Uint64(), samples[1].Value.Uint64()},
		CPU:        cpu{runtime.NumCPU(), runtime.GOMAXPROCS(0)},
		Goroutines: runtime.NumGoroutine(),
	}
}
