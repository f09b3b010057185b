// Package cacheadmin shows and purges what the cache layers hold. Its routes belong to the audience admin.
package cacheadmin

import (
	"context"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
)

// Plugin returns the plugin.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "cacheadmin",
		Doc:  "Shows and purges what the cache holds; give its routes audience = \"admin\".",
		Handlers: []framework.HandlerInfo{
			{Name: "cacheadmin.stats", Doc: "Keys, bytes, hits and misses of each layer."},
			{Name: "cacheadmin.flush", Doc: "Purges everything."},
			{Name: "cacheadmin.invalidate", Doc: "Purges by exact key, by pattern or by tags."},
		},
	}, framework.NoOptions{}, build)
}

func build(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
	return framework.Handlers{
		"cacheadmin.stats": func(context.Context, *framework.Request) (*framework.Response, error) { return stats(h) },
		"cacheadmin.flush": func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
			_, err := h.Layers.PurgeShared(ctx, cache.Purge{All: true})
			h.Log.InfoContext(ctx, "Cache flushed", "client", req.Client(), "redis", outcome(h, err))
			if err != nil {
				return nil, notShared(err)
			}
			return framework.JSON(map[string]any{
				"success": true, "message": "Cache flushed successfully", "layers": layers(h),
			})
		},
		"cacheadmin.invalidate": func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
			return invalidate(ctx, h, req)
		},
	}, nil
}

func stats(h *framework.Host) (*framework.Response, error) {
	return framework.JSON(map[string]any{
		"success": true, "cache": h.Layers.Report(), "timestamp": time.Now().UTC().Format(time.RFC3339),
	})
}

// order is what a client wants purged: one of key, pattern and tags. Soft is accepted: the memory layer removes at once, which
// keeps its promise and more.
type order struct {
	Key     string   `json:"key"`
	Pattern string   `json:"pattern"`
	Tags    []string `json:"tags"`
	Soft    bool     `json:"soft"`
	DryRun  bool     `json:"dryRun"`
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1000

func (o *order) check() error {
	given := 0
	for _, is := range []bool{o.Key != "", o.Pattern != "", len(o.Tags) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return framework.BadRequest("say what to purge by one of key, pattern and tags")
	case len(o.Pattern) > maxPattern:
		return framework.BadRequest("the body is not valid", framework.Detail{Field: "pattern", Message: "is longer than 1,000 bytes"})
	}
	return nil
}

func invalidate(ctx context.Context, h *framework.Host, req *framework.Request) (*framework.Response, error) {
	var o order
	if err := req.DecodeJSON(&o); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	what := o.purge()
	if o.DryRun {
		return framework.JSON(map[string]any{"success": true, "matched": h.Layers.CountPurge(what), "dryRun": true})
	}
	done, err := h.Layers.PurgeShared(ctx, what)
	h.Log.InfoContext(ctx, "Cache purged", "key", o.Key, "pattern", o.Pattern, "tags", o.Tags, "matched", done.Matched,
		"client", req.Client(), "redis", outcome(h, err))
	if err != nil {
		return nil, notShared(err)
	}
	return framework.JSON(map[string]any{"success": true, "matched": done.Matched, "dryRun": false, "layers": layers(h)})
}

// purge is what an order means.
func (o *order) purge() cache.Purge {
	if len(o.Tags) > 0 {
		return cache.Purge{Tags: o.Tags}
	}
	return cache.Purge{Selectors: []cache.Selector{{Key: o.Key, Pattern: o.Pattern}}}
}

// layers says what a purge that succeeded did in each layer.
func layers(h *framework.Host) map[string]string {
	return map[string]string{"memory": "purged", "redis": outcome(h, nil)}
}

func outcome(h *framework.Host, err error) string {
	switch {
	case err != nil:
		return "waiting: " + err.Error()
	case h.Layers.Shared() == nil:
		return "disabled"
	}
	return "purged"
}

// notShared tells a client that only this instance has purged so far.
func notShared(err error) error {
	return &framework.Error{
		Status: http.StatusBadGateway, Code: "redis_unavailable",
		Message: "purged in the memory of this instance; Redis does not answer, so it and the other instances follow once it does",
		Err:     err,
	}
}
