package cacheadmin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
)

// order is what a client wants purged: everything, or what one of key, pattern and tags names.
type order struct {
	Key     string   `json:"key"`
	Pattern string   `json:"pattern"`
	Tags    []string `json:"tags"`
	Soft    bool     `json:"soft"`
	DryRun  bool     `json:"dryRun"`

	everything bool
}

// Bounds of an order.
const (
	maxKey  = 64 << 10 // bytes
	maxText = 1000     // bytes of a pattern, and of a tag
	maxTags = 1000
)

// everything is the order of a flush, whatever its body says.
func everything(*framework.Request) (order, error) { return order{everything: true}, nil }

// ordered reads an order from a body.
func ordered(req *framework.Request) (order, error) {
	var o order
	if err := req.DecodeJSON(&o); err != nil {
		return o, err
	}
	given := 0
	for _, is := range []bool{o.Key != "", o.Pattern != "", len(o.Tags) > 0} {
		if is {
			given++
		}
	}
	invalid := func(field, message string) error {
		return framework.BadRequest("the body is not valid", framework.Detail{Field: field, Message: message})
	}
	switch {
	case given != 1:
		return o, framework.BadRequest("say what to purge by one of key, pattern and tags")
	case len(o.Key) > maxKey:
		return o, invalid("key", fmt.Sprintf("is longer than %d bytes", maxKey))
	case len(o.Pattern) > maxText:
		return o, invalid("pattern", fmt.Sprintf("is longer than %d bytes", maxText))
	case len(o.Tags) > maxTags:
		return o, invalid("tags", fmt.Sprintf("are more than %d", maxTags))
	case slices.ContainsFunc(o.Tags, func(tag string) bool { return tag == "" || len(tag) > maxText }):
		return o, invalid("tags", fmt.Sprintf("must have from 1 to %d bytes each", maxText))
	}
	return o, nil
}

// purge is what an order means to the layers.
func (o *order) purge() cache.Purge {
	p := cache.Purge{All: o.everything, Tags: o.Tags, Soft: o.Soft}
	if o.Key != "" || o.Pattern != "" {
		p.Selectors = []cache.Selector{{Key: o.Key, Pattern: o.Pattern}}
	}
	return p
}

// loggedTags is how many tags of an order the audit log names.
const loggedTags = 20

// audited says in the log what an order is.
func (o *order) audited() []any {
	var what []any
	switch {
	case o.everything:
		what = []any{"everything", true}
	case o.Key != "":
		what = []any{"key", o.Key}
	case o.Pattern != "":
		what = []any{"pattern", o.Pattern}
	default:
		what = []any{"tags", o.Tags[:min(len(o.Tags), loggedTags)], "tagCount", len(o.Tags)}
	}
	return append(what, "soft", o.Soft, "dryRun", o.DryRun)
}

// purging makes the handler that carries out the orders that read returns. Every attempt leaves a line in the log; those that
// have no token, or ask too often, leave one before they come here.
func purging(h *framework.Host, read func(*framework.Request) (order, error)) framework.Handler {
	return func(ctx context.Context, req *framework.Request) (*framework.Response, error) {
		log := h.Log.With("client", req.Client().String(), "path", req.Path())
		o, err := read(req)
		if err != nil {
			log.WarnContext(ctx, "Cache purge refused", "error", err)
			return nil, err
		}
		log = log.With(o.audited()...)
		if o.DryRun {
			matched := h.Layers.CountPurge(o.purge())
			log.InfoContext(ctx, "Cache purge counted", "matched", matched)
			return framework.JSON(map[string]any{"success": true, "matched": matched, "dryRun": true})
		}
		return carryOut(ctx, h, log, &o)
	}
}

// layers says what a purge did in each layer, and to the other instances.
type layers struct {
	Memory memoryOutcome `json:"memory"`
	Redis  redisOutcome  `json:"redis"`
}

type memoryOutcome struct {
	Outcome string `json:"outcome"` // "purged", or "made stale" by a soft purge
	Matched int    `json:"matched"`
}

type redisOutcome struct {
	Outcome       string `json:"outcome"`       // as of memory, or "disabled"
	InstancesTold int    `json:"instancesTold"` // of the others; who misses the message learns of it within a second
}

func carryOut(ctx context.Context, h *framework.Host, log *slog.Logger, o *order) (*framework.Response, error) {
	done, err := h.Layers.PurgeShared(ctx, o.purge())
	outcome := "purged"
	if o.Soft {
		outcome = "made stale"
	}
	did := layers{memoryOutcome{outcome, done.Matched}, redisOutcome{outcome, done.Told}}
	switch {
	case err != nil:
		did.Redis.Outcome = "waiting"
	case h.Layers.Shared() == nil:
		did.Redis.Outcome = "disabled"
	}
	log = log.With("matched", done.Matched, "memory", did.Memory.Outcome, "redis", did.Redis.Outcome, "told", done.Told)
	if err != nil {
		log.WarnContext(ctx, "Cache purged in part", "error", err)
		return nil, notShared(outcome, err)
	}
	log.InfoContext(ctx, "Cache purged")
	answer := map[string]any{"success": true, "matched": done.Matched, "dryRun": false, "layers": did}
	if o.everything {
		answer["message"] = "Cache flushed successfully"
	}
	return framework.JSON(answer)
}

// notShared tells a client that only this instance has purged so far.
func notShared(here string, err error) error {
	return &framework.Error{
		Status: http.StatusBadGateway, Code: "redis_unavailable", Err: err,
		Message: "purged in the memory of this instance only; Redis does not answer",
		Details: []framework.Detail{
			{Field: "memory", Message: here},
			{Field: "redis", Message: "waiting: it and the other instances follow once it answers"},
		},
	}
}
