// Package cacheadmin shows and purges what the cache layers hold. Its routes belong to the audience admin.
package cacheadmin

import (
	"context"
	"time"

	"github.com/innatural/chatbot/framework"
)

// Plugin returns the plugin.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "cacheadmin",
		Doc:  "Shows and purges what the cache holds; give its routes audience = \"admin\", and those that purge limits.",
		Handlers: []framework.HandlerInfo{
			{Name: "cacheadmin.stats", Admin: true, Doc: "Keys, bytes, hits and misses of each layer."},
			{Name: "cacheadmin.inspect", Admin: true, Doc: "What is stored for a URL, and what a request for it would get now."},
			{Name: "cacheadmin.flush", Admin: true, Doc: "Purges everything."},
			{Name: "cacheadmin.invalidate", Admin: true, Doc: "Purges by exact key, by pattern or by tags."},
		},
	}, framework.NoOptions{}, build)
}

func build(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
	return framework.Handlers{
		"cacheadmin.stats": func(context.Context, *framework.Request) (*framework.Response, error) {
			return framework.JSON(map[string]any{
				"success": true, "cache": h.Layers.Report(), "timestamp": time.Now().UTC().Format(time.RFC3339),
			})
		},
		"cacheadmin.inspect": func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
			return inspect(ctx, h, req)
		},
		"cacheadmin.flush":      purging(h, everything),
		"cacheadmin.invalidate": purging(h, ordered),
	}, nil
}
