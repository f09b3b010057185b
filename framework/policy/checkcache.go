package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkCache checks what of a cache table does not depend on the handler.
func (c *routeChecker) checkCache() {
	r := c.route
	if r.Cache == nil {
		return
	}
	for i, name := range r.Cache.Query {
		if name == "" {
			c.loader.problem(element(c.path+".cache.query", i), kindEmpty, "must not be empty", "")
		}
	}
	lists := []struct {
		key   string
		names []string
	}{{"headers", r.Cache.Headers}, {"cookies", r.Cache.Cookies}}
	for _, list := range lists {
		for i, name := range list.names {
			if !isToken(name) {
				path := element(c.path+".cache."+list.key, i)
				c.loader.problem(path, kindBadHeader, c.show(name, path)+" is not the name of a header or cookie", "use letters, digits and -")
			}
		}
	}
	c.checkTemplate()
	c.checkStatuses()
	if !c.cached() {
		return
	}
	ttl := "cache"
	if c.has("cache.ttl") {
		ttl = "cache.ttl"
	}
	if r.Cache.Standard() {
		c.checkStandard()
		ttl = "cache.mode"
	} else if r.Method != "GET" && r.Method != "HEAD" {
		c.problem(ttl, kindUnsafeMethod, "answers to "+r.Method+" cannot be stored: it may change something each time",
			"drop the cache table, or serve it with GET")
	}
	if r.Audience != "public" {
		c.problem(ttl, kindCachedAudience, "an answer for audience "+quote(r.Audience)+" is never stored",
			`drop the cache table, or write audience = "public"`)
	}
}

// unstoredStatuses are those of final answers that a cache must not give to others, and why.
var unstoredStatuses = map[string]string{
	"206": "is a part of an answer", "304": "has no body of its own",
	"412": "depends on the conditions of one request", "416": "depends on the range of one request",
	"401": "tells one client to say who it is", "407": "tells one client to say who it is",
	"408": "tells one client that it was too slow", "429": "tells one client that it asks too often",
}

func (c *routeChecker) checkStatuses() {
	for status := range c.route.Cache.StatusTTL {
		path := join(c.path+".cache.status_ttl", status)
		code, err := strconv.Atoi(status)
		why, unstored := unstoredStatuses[status]
		switch {
		case err != nil || len(status) != 3 || code < 200 || code > 599:
			c.keyProblem(path, kindBadStatus, quote(status)+" is not the status of an answer", "write a number from 201 to 599, such as 404")
		case code == 200:
			c.keyProblem(path, kindBadStatus, "answers of status 200 are stored for the ttl of the route", "write ttl")
		case unstored:
			c.keyProblem(path, kindBadStatus, "a "+status+" "+why+", so it is never stored", "drop it")
		}
	}
}

// checkStandard reports what a route in standard mode must not say, because its answers do.
func (c *routeChecker) checkStandard() {
	for _, key := range []string{"ttl", "status_ttl", "jitter", "early_refresh", "key", "query", "headers", "cookies", "host", "stream"} {
		if c.has("cache." + key) {
			c.problem("cache."+key, kindStandardKey, "in standard mode the answers say that themselves, not the policy",
				`drop it, or write mode = "policy"`)
		}
	}
	if c.has("cache_control") {
		c.problem("cache_control", kindStandardKey, "in standard mode the answers say that themselves, not the policy",
			`drop it, or write cache.mode = "policy"`)
	}
	if c.route.Compress && c.has("compress") {
		c.problem("compress", kindStandardKey, "in standard mode answers are passed on and stored as they came",
			`drop it, or write cache.mode = "policy"`)
	}
}

// complete fills in what a route takes from its handler.
func (c *routeChecker) complete(h Handler) {
	r := c.route
	if (h.Stream || h.Gateway || r.Cache.Standard()) && !c.has("compress") {
		r.Compress = false
	}
	if (h.Always || r.Audience == "admin") && !c.has("priority") {
		r.Priority = "critical"
	}
	if r.Cache.Standard() {
		r.Cache.TTL = 0
	}
	if r.Cache == nil || r.Cache.Standard() {
		return
	}
	lists := c.inputs(h)
	for _, in := range lists {
		if r.Cache.Key == "" && !c.has("cache."+in.key) {
			*in.listed = slices.Clone(in.read)
		}
	}
}

// input is one kind of what a handler reads beside what a route's cache key lists of it.
type input struct {
	key, noun, placeholder string
	listed                 *[]string
	read                   []string
	same                   func(a, b string) bool
}

func (c *routeChecker) inputs(h Handler) []input {
	exact := func(a, b string) bool { return a == b }
	return []input{
		{"query", "query parameter", "query", &c.route.Cache.Query, h.Reads.Query, exact},
		{"headers", "header", "header", &c.route.Cache.Headers, h.Reads.Headers, strings.EqualFold},
		{"cookies", "cookie", "cookie", &c.route.Cache.Cookies, h.Reads.Cookies, exact},
	}
}

// checkHandler checks how the route serves its handler.
func (c *routeChecker) checkHandler(h Handler) {
	r := c.route
	switch {
	case r.Cache.Standard():
	case h.Stream && r.Cache != nil && !r.Cache.Stream:
		c.problem("cache", kindStreamCached, h.Name+" answers with a stream, which is stored only if that is asked for",
			"write stream = true in the cache table, or drop the table")
	case r.Cache != nil && r.Cache.Stream && !h.Stream:
		c.problem("cache.stream", kindNotAStream, h.Name+" does not answer with a stream", "drop it")
	case r.Cache != nil:
		c.checkInputs(h)
		c.checkStored()
	}
	if h.Stream && r.Compress {
		c.problem("compress", kindStreamCompressed, h.Name+" answers with a stream, which is never compressed", "drop compress")
	}
	if h.Gateway && r.Compress {
		c.problem("compress", kindGatewayCompressed, h.Name+" passes answers on as they came", "drop compress, or compress them where they are made")
	}
	if h.Admin && r.Audience != "admin" {
		c.problem("handler", kindPublicAdmin, h.Name+" is for who runs the server, and the route is for everybody", `write audience = "admin"`)
	}
	if h.Always && (r.Limits.Requests > 0 || r.Limits.InFlight > 0) {
		c.problem("limits", kindIgnoredLimit, h.Name+" always answers: who is told nothing takes the server for a dead one", "drop limits")
	}
	if !h.Stream && !h.Gateway && c.has("stream") {
		c.problem("stream", kindNotAStream, h.Name+" does not answer with a stream", "drop the stream table")
	}
}

// checkStored reports what a stored stream has not: it is replayed while it is fresh, or made anew by the client that asks.
func (c *routeChecker) checkStored() {
	if !c.route.Cache.Stream {
		return
	}
	for _, key := range []string{"status_ttl", "early_refresh", "stale_while_revalidate", "stale_if_error"} {
		if c.has("cache." + key) {
			c.problem("cache."+key, kindStreamCached, "a stream is stored whole, as a 200, and sent while it is fresh", "drop it")
		}
	}
}

func (c *routeChecker) checkInputs(h Handler) {
	for _, in := range c.inputs(h) {
		for _, name := range in.read {
			if slices.ContainsFunc(*in.listed, func(listed string) bool { return in.same(listed, name) }) {
				continue
			}
			at, hint := "cache."+in.key, "add it, or drop the list to take what the handler declares"
			if c.route.Cache.Key != "" {
				at, hint = "cache.key", "add {"+in.placeholder+"."+name+"}"
			}
			c.problem(at, kindMissingInput, fmt.Sprintf("%s reads the %s %s, which would read as absent", h.Name, in.noun, quote(name)),
				hint)
		}
	}
	if !c.cached() || c.route.Audience != "public" {
		return
	}
	report := func(key, what string) {
		at := "cache"
		switch {
		case c.route.Cache.Key != "":
			at += ".key"
		case c.has("cache." + key):
			at += "." + key
		}
		c.problem(at, kindSharedCredentials, "the answer depends on "+what+", so it must not be shared between customers",
			`drop the cache table, and write audience = "user"`)
	}
	for _, name := range c.route.Cache.Headers {
		if strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Cookie") {
			report("headers", "the header "+name)
		}
	}
	for _, name := range c.route.Cache.Cookies {
		report("cookies", "the cookie "+quote(name))
	}
}
