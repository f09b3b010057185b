package framework

import (
	"context"
	"strings"

	"github.com/innatural/chatbot/framework/httpcache"
)

// Inspection is what is stored for a request, and what it would get now.
type Inspection struct {
	Method  string `json:"method"`
	URL     string `json:"url"`               // path and query
	Route   string `json:"route,omitempty"`   // method and path as the policy has them; empty when no route serves the request
	Place   string `json:"place,omitempty"`   // of the route in the policy
	Handler string `json:"handler,omitempty"` // of the route
	Mode    string `json:"mode,omitempty"`    // how the route's answers are stored; empty when they are not
	Key     string `json:"key,omitempty"`     // as purges take it, with cookies and credentials hidden
	httpcache.Inspection
}

// Inspect says what the cache holds for a request, a GET or HEAD without a body, and what it would do with it, changing nothing.
func (h *Host) Inspect(ctx context.Context, req *Request) Inspection {
	target := req.path
	if req.query != "" {
		target += "?" + req.query
	}
	e := h.gen.policy.Explain(req.method, target, nil)
	found := Inspection{Method: req.method, URL: target, Route: e.Route, Place: e.Place}
	found.Stored = []httpcache.Stored{}
	if e.Index < 0 {
		found.Verdict.Reason = e.Why
		return found
	}
	rt := h.gen.routes[e.Index]
	found.Handler, found.Key = rt.policy.Handler, CacheKey(&rt.policy, req)
	switch host := req.Header("Host"); {
	case rt.standard != nil:
		found.Mode = "standard"
		found.Inspection = h.gen.app.standard.Inspect(ctx, &rt.standard.rule, &httpcache.StandardRequest{
			Method: req.method, Key: httpcache.TargetKey(rt.standard.scope, host, target), Values: req.values,
		})
	case rt.cache != nil:
		found.Mode = "policy"
		var key httpcache.Key
		rt.cache.read(&key, host, req.path, req.query, req.headers)
		found.Inspection = h.gen.app.responses.Inspect(ctx, key.String(), &rt.cache.rule, req.conditions())
	default:
		found.Verdict = httpcache.Verdict{Outcome: httpcache.Bypass, Reason: e.Why}
	}
	return found
}

// conditions is what answering reads of a request beyond the handler's inputs, as an exchange has it.
func (r *Request) conditions() *httpcache.Request {
	joined := func(name string) string {
		var values []string
		for _, f := range r.headers {
			if strings.EqualFold(f.name, name) {
				values = append(values, f.value)
			}
		}
		return strings.Join(values, ", ")
	}
	return &httpcache.Request{
		Method:          r.method,
		AcceptEncoding:  joined("Accept-Encoding"),
		IfModifiedSince: joined("If-Modified-Since"),
		IfNoneMatch:     joined("If-None-Match"),
		IfRange:         joined("If-Range"),
		Range:           joined("Range"),
		NoCompression:   joined("X-No-Compression") != "",
	}
}
