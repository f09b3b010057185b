package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Match is what a policy says about one request line.
type Match struct {
	Route  *Route   // nil when no route serves the request
	Index  int      // of Route in the policy; -1 without one
	Params []Param  // path parameters in their order, still percent-encoded; the rest of a path is called "*"
	Allow  []string // where routes have the path but none has the method: the methods that they have, sorted
}

// Param is one path parameter.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// methods are those that a route may name.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*"}

// Bounds of a path pattern. Fiber's router, which serves the same patterns, takes up to 30 parameters.
const (
	maxPattern = 1024
	maxParams  = 30
)

// Match returns the first route, in written order, that serves the method and the path as it was sent (still percent-encoded,
// without the query). A GET route serves HEAD too; a pattern that ends in /* also serves the path without that slash. It
// costs the depth of the path rather than the number of routes, and may be called concurrently.
func (p *Policy) Match(method, path string) Match {
	i := p.Find(method, path)
	if i < 0 {
		none := Match{Index: -1}
		if p.meta.router != nil && strings.HasPrefix(path, "/") {
			search := search{routes: p.Routes, method: method}
			none.Allow = search.allow(p.meta.router, path[1:])
		}
		return none
	}
	route := &p.Routes[i]
	return Match{Route: route, Index: i, Params: params(route.Path, path)}
}

// Find returns the index of the route that Match finds, or -1. It does not allocate and keeps neither string.
func (p *Policy) Find(method, path string) int {
	if p.meta.router == nil || !strings.HasPrefix(path, "/") {
		return -1
	}
	search := search{routes: p.Routes, method: method, best: len(p.Routes)}
	search.path(p.meta.router, path[1:], true)
	if search.best == len(p.Routes) {
		return -1
	}
	return search.best
}

// router is a tree of the segments of path patterns. Its values are indexes of routes, ascending.
type router struct {
	literal map[string]*router
	param   *router
	ends    []int // patterns that end here
	rest    []int // patterns whose * stands here
	first   int   // the least index at or below this node
}

func (r *router) add(segments []string, route int) {
	for _, segment := range segments {
		var next *router
		switch {
		case segment == "*":
			r.rest = append(r.rest, route)
			return
		case strings.HasPrefix(segment, ":"):
			if r.param == nil {
				r.param = &router{first: route}
			}
			next = r.param
		default:
			if next = r.literal[segment]; next == nil {
				next = &router{first: route}
				if r.literal == nil {
					r.literal = map[string]*router{}
				}
				r.literal[segment] = next
			}
		}
		r = next
	}
	r.ends = append(r.ends, route)
}

// search looks for the earliest route of a tree.
type search struct {
	routes []Route
	method string
	best   int
}

func (s *search) take(candidates []int) {
	for _, i := range candidates {
		if i < s.best && serves(s.routes[i].Method, s.method) {
			s.best = i
			return
		}
	}
}

// path finds routes that serve a path. rest is what of it is still to be matched; more is false behind its last segment.
func (s *search) path(r *router, rest string, more bool) {
	if r == nil || r.first >= s.best {
		return
	}
	s.take(r.rest)
	if !more {
		s.take(r.ends)
		return
	}
	segment, rest, more := strings.Cut(rest, "/")
	s.path(r.literal[segment], rest, more)
	if segment != "" {
		s.path(r.param, rest, more)
	}
}

// pattern finds routes that serve every path of a pattern.
func (s *search) pattern(r *router, segments []string) {
	if r == nil || r.first >= s.best {
		return
	}
	s.take(r.rest)
	if len(segments) == 0 {
		s.take(r.ends)
		return
	}
	switch segment := segments[0]; {
	case segment == "*":
	case strings.HasPrefix(segment, ":"):
		s.pattern(r.param, segments[1:])
	default:
		s.pattern(r.literal[segment], segments[1:])
		if segment != "" {
			s.pattern(r.param, segments[1:])
		}
	}
}

// allow returns the methods with which a path is served.
func (s *search) allow(r *router, path string) []string {
	var allowed []string
	for _, method := range methods {
		one := search{routes: s.routes, method: method, best: len(s.routes)}
		if method == "*" {
			continue
		}
		if one.path(r, path, true); one.best < len(s.routes) {
			allowed = append(allowed, method)
		}
	}
	if allowed != nil && !slices.Contains(allowed, "OPTIONS") {
		allowed = append(allowed, "OPTIONS")
	}
	slices.Sort(allowed)
	return allowed
}

// serves reports whether a route of one method takes requests of another.
func serves(route, request string) bool {
	return route == "*" || route == request || (route == "GET" && request == "HEAD")
}

// params reads the parameters of a path that a pattern matches.
func params(pattern, path string) []Param {
	var found []Param
	var value string
	rest := path[1:]
	for segment := range strings.SplitSeq(pattern[1:], "/") {
		if segment == "*" {
			return append(found, Param{Name: "*", Value: rest})
		}
		value, rest, _ = strings.Cut(rest, "/")
		if name, ok := strings.CutPrefix(segment, ":"); ok {
			found = append(found, Param{Name: name, Value: value})
		}
	}
	return found
}

// parsePattern splits a path pattern into its segments. A mistake is worded for the user: what; what to do.
func parsePattern(path string) ([]string, error) {
	switch {
	case !strings.HasPrefix(path, "/"):
		return nil, fmt.Errorf("%s does not start with a slash; write %s", quote(path), quote("/"+path))
	case len(path) > maxPattern:
		return nil, fmt.Errorf("the path is longer than %d characters; use * for the rest", maxPattern)
	}
	segments := strings.Split(path[1:], "/")
	names := map[string]bool{}
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case segment == "" && !last:
			return nil, errors.New("the path has an empty segment; write one slash, not two")
		case segment == "" && len(names) > 0:
			return nil, errors.New("a path with parameters cannot end in a slash; drop the slash")
		case segment == "*" && !last:
			return nil, errors.New("* stands for the rest of a path; move it to the end, or use :name for one segment")
		case segment == "*":
		case segment == "." || segment == "..":
			return nil, fmt.Errorf("clients resolve %s before they ask; write the path that they end up with", quote(segment))
		case strings.HasPrefix(segment, ":"):
			name := segment[1:]
			if !isName(name) {
				return nil, fmt.Errorf("%s does not name a parameter; write a colon, a letter, then letters, digits or _",
					quote(segment))
			}
			if names[name] {
				return nil, fmt.Errorf("the path has two parameters called %s; give one another name", quote(name))
			}
			if names[name] = true; len(names) > maxParams {
				return nil, fmt.Errorf("the path has more than %d parameters; use * for the rest", maxParams)
			}
		default:
			if err := checkLiteral(segment); err != nil {
				return nil, err
			}
		}
	}
	return segments, nil
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// checkLiteral refuses what a literal segment cannot hold: what RFC 3986, section 3.3, does not allow and what means
// something in a pattern.
func checkLiteral(segment string) error {
	for _, r := range segment {
		switch {
		case r == '%':
			return errors.New("the path is percent-encoded; use :name for a segment that needs encoding")
		case r == '?':
			return errors.New("the path holds a query; write the path alone, and name query parameters in cache.query")
		case r == '*':
			return errors.New("* must be a segment of its own; write /* at the end, or :name for one segment")
		case r == ':':
			return errors.New("a parameter must be a whole segment; write /:name")
		case r >= 0x80:
			return fmt.Errorf("%s arrives percent-encoded; use :name for a segment that needs encoding", quote(string(r)))
		case r <= ' ' || strings.ContainsRune("+<>\\\"#[]^`{|}\x7f", r):
			return fmt.Errorf("%s cannot stand in a path; use :name for a segment that needs it", quote(string(r)))
		}
	}
	return nil
}
