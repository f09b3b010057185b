package framework

import (
	"slices"
	"strings"

	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/policy"
)

// narrowing says what of the path is in a key that has a template. Other keys hold all of it.
type narrowing struct {
	path   bool
	params []string
}

// of leaves away what is not in the key.
func (n *narrowing) of(path string, params []policy.Param) (string, []policy.Param) {
	if !n.path {
		path = ""
	}
	kept := make([]policy.Param, 0, len(n.params))
	for _, param := range params {
		if slices.Contains(n.params, param.Name) {
			kept = append(kept, param)
		}
	}
	return path, kept
}

// keyTemplate returns the template of a route's keys and what of the path is in them, or nil for the keys of every route.
func keyTemplate(r *policy.Route) (*httpcache.Template, *narrowing) {
	if r.Cache.Key == "" {
		return nil, nil
	}
	written, _ := policy.ParseKeyTemplate(r.Cache.Key) // it was checked
	narrow := &narrowing{}
	parts := make([]httpcache.TemplatePart, len(written))
	for i, w := range written {
		part := &parts[i]
		part.Text = w.Name
		switch w.Input {
		case "path":
			part.From, narrow.path = httpcache.FromPath, true
		case "host":
			part.From = httpcache.FromHost
		case "param":
			part.From, part.Segment = segmentOf(r.Path, w.Name)
			narrow.params = append(narrow.params, w.Name)
		case "query":
			part.From = httpcache.FromQuery
		case "header":
			part.From, part.Text = httpcache.FromHeader, strings.ToLower(w.Name)
		case "cookie":
			part.From = httpcache.FromCookie
		default:
			part.Text = w.Literal
		}
	}
	return httpcache.NewTemplate(parts), narrow
}

// segmentOf returns where in a path its parameter of a name is.
func segmentOf(pattern, name string) (httpcache.Source, int) {
	segments := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	if name == "*" {
		return httpcache.FromRest, len(segments) - 1
	}
	return httpcache.FromSegment, slices.Index(segments, ":"+name)
}
