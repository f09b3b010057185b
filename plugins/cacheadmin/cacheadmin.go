// Package cacheadmin shows and purges what the cache layers hold. Its routes belong to the audience admin.
package cacheadmin

import (
	"context"
	"fmt"
	"regexp"
	"strings"
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
			h.Layers.Flush()
			h.Log.InfoContext(ctx, "Cache flushed", "client", req.Client())
			return framework.JSON(map[string]any{"success": true, "message": "Cache flushed successfully"})
		},
		"cacheadmin.invalidate": func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
			return invalidate(ctx, h, req)
		},
	}, nil
}

func stats(h *framework.Host) (*framework.Response, error) {
	s := h.Layers.Stats()
	return framework.JSON(map[string]any{
		"success":   true,
		"timestamp": time.Now().UTC().Format(time.RFC3339),
		"cache": map[string]any{
			"memory": map[string]any{
				"keys": s.Keys, "bytes": s.Bytes, "maxBytes": s.MaxBytes, "hits": s.Hits, "misses": s.Misses,
				"hitRate": fmt.Sprintf("%.2f%%", 100*s.HitRate()), "evictions": s.Evictions,
			},
			"redis": map[string]any{
				"available": false, "keys": 0, "hits": 0, "misses": 0, "latencyMs": 0, "circuit": "disabled",
			},
		},
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
	matched := purge(h.Layers, &o)
	h.Log.InfoContext(ctx, "Cache purged", "key", o.Key, "pattern", o.Pattern, "tags", o.Tags, "dry_run", o.DryRun,
		"matched", matched, "client", req.Client())
	return framework.JSON(map[string]any{"success": true, "matched": matched, "dryRun": o.DryRun})
}

// purge removes what an order names, or only counts it.
func purge(layers *cache.Memory, o *order) int {
	if len(o.Tags) > 0 {
		n := layers.CountTags(o.Tags...)
		if !o.DryRun {
			for _, tag := range o.Tags {
				layers.PurgeTag(tag)
			}
		}
		return n
	}
	match := matcher(o)
	if o.DryRun {
		return layers.Count(match)
	}
	return layers.Purge(match)
}

// matcher tells the stored keys that an order means. A key is written as explain prints it; a pattern is part of one, with * for
// any characters and ? for one.
func matcher(o *order) func(stored string) bool {
	if o.Key != "" {
		return func(stored string) bool {
			_, readable, _ := strings.Cut(stored, " ") // without its scope
			return readable == o.Key || stored == o.Key
		}
	}
	wild := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(o.Pattern))
	return regexp.MustCompile("(?s)" + wild).MatchString
}
