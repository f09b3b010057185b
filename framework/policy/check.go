package policy

import (
	"fmt"
	"net/textproto"
	"net/url"
	"strings"
)

// check reports what is wrong between values that are each right by themselves, and completes routes from their handlers.
func (l *loader) check(vocab Vocabulary) {
	l.checkServer()
	l.checkDefaults()
	handlers := map[string]Handler{}
	var names []string
	for _, plugin := range vocab.Plugins {
		for _, handler := range plugin.Handlers {
			handlers[handler.Name] = handler
			names = append(names, handler.Name)
		}
	}
	l.router = &router{}
	for i := range l.policy.Routes {
		c := routeChecker{loader: l, route: &l.policy.Routes[i], path: element("routes", i)}
		c.checkReach(i)
		c.checkRoute()
		handler, known := handlers[c.route.Handler]
		if !known {
			if c.route.Handler != "" {
				c.problem("handler", kindUnknownHandler, "no handler named "+quote(c.route.Handler)+" in this build",
					suggest(c.route.Handler, names, "its handlers are"))
			}
			continue
		}
		c.complete(handler)
		c.checkHandler(handler)
	}
}

func (l *loader) checkServer() {
	p := l.policy
	if tls := p.Server.TLS; tls.Cert != "" && tls.Key == "" {
		l.problem("server.tls.cert", kindTLSPair, "a certificate needs its private key", "add server.tls.key")
	} else if tls.Key != "" && tls.Cert == "" {
		l.problem("server.tls.key", kindTLSPair, "a private key needs its certificate", "add server.tls.cert")
	}
	if r := p.Cache.Redis; r.Host != "" && len(r.Addresses) > 0 {
		at := "cache.redis.addresses"
		if l.origin("cache.redis.host").Kind != FromFile {
			at = "cache.redis.host"
		}
		l.problem(at, kindRedisAddress, "Redis has a host and addresses", "keep one of the two")
	} else if r.Master != "" && len(r.Addresses) == 0 {
		l.problem("cache.redis.master", kindRedisAddress, "the master is named by Sentinels, and there are none",
			"add their addresses to cache.redis.addresses")
	}
	if e := p.Telemetry.Traces.Endpoint; e != "" {
		if u, err := url.Parse(e); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			l.problem("telemetry.traces.endpoint", kindBadValue, l.show(e, "telemetry.traces.endpoint")+" is not the URL of a receiver",
				`write one such as "http://127.0.0.1:4318"`)
		}
	}
	for i, sink := range p.Log.Sinks {
		path := element("log.sinks", i)
		if sink.Type == "file" && sink.Path == "" {
			l.problem(path, kindSinkPath, "a file sink needs a path", `add path = "logs/chatbot.log"`)
		} else if sink.Type != "" && sink.Type != "file" && sink.Path != "" {
			l.problem(path+".path", kindSinkPath, "a "+sink.Type+" sink has no path", `drop it, or write type = "file"`)
		}
	}
}

func (l *loader) checkDefaults() {
	d := &l.policy.Defaults
	l.checkTimeout("defaults.timeout", d.Timeout)
	l.checkOrder("defaults.slow", d.Slow, "defaults.timeout", d.Timeout, kindSlowTooLong, "a request times out before it is slow")
	l.checkOrder("defaults.stream.idle", d.Stream.Idle, "defaults.stream.max", d.Stream.Max, kindIdleTooLong,
		"a stream ends before it is idle")
}

// checkTimeout compares a timeout with the longest that the server allows. The problem is placed at the timeout, or at the
// server's where only that is written.
func (l *loader) checkTimeout(path string, timeout Duration) {
	longest := l.policy.Server.MaxTimeout
	const bound = "server.max_timeout"
	switch {
	case timeout <= longest:
	case l.written(path):
		l.problem(path, kindTimeoutTooLong, fmt.Sprintf("%s is longer than %s, %s (%s)", timeout, bound, longest, l.origin(bound)),
			"shorten one or raise the other")
	case path == "defaults.timeout":
		l.problem(bound, kindTimeoutTooLong, fmt.Sprintf("%s is shorter than %s, %s (%s)", longest, path, timeout, l.origin(path)),
			"write "+path+" too")
	}
}

// checkOrder reports a bound that is written and that a shorter one makes pointless.
func (l *loader) checkOrder(path string, value Duration, limitPath string, limit Duration, kind, why string) {
	if value > limit && l.written(path) {
		l.problem(path, kind, fmt.Sprintf("%s is longer than %s, %s: %s", value, limitPath, limit, why), "shorten it")
	}
}

// origin says where the value at path comes from.
func (l *loader) origin(path string) Origin {
	if at, ok := l.places[path]; ok {
		return at.Origin
	}
	return Origin{Kind: FromDefault}
}

// routeChecker checks one route.
type routeChecker struct {
	*loader
	route *Route
	path  string
}

func (c *routeChecker) problem(key, kind, what, hint string) {
	c.loader.problem(c.path+"."+key, kind, what, hint)
}

func (c *routeChecker) has(key string) bool { return c.written(c.path + "." + key) }

// cached reports whether answers of the route are stored for any time.
func (c *routeChecker) cached() bool { return c.route.Cache.Stores() }

// checkReach reports a route that no request can reach, and adds it to the router.
func (c *routeChecker) checkReach(index int) {
	segments, err := parsePattern(c.route.Path)
	if err != nil {
		return // reported where the path was read, unless it is missing
	}
	earlier := search{routes: c.policy.Routes, method: c.route.Method, best: index}
	earlier.pattern(c.router, segments)
	if earlier.best < index {
		other := c.policy.Routes[earlier.best]
		at, _ := c.place(element("routes", earlier.best))
		name := fmt.Sprintf("%s %s at line %d", other.Method, other.Path, at.Line)
		if other.Method == c.route.Method && shape(other.Path) == shape(c.route.Path) {
			c.problem("path", kindDuplicateRoute, "the same requests as "+name, "drop one of the two")
		} else {
			c.problem("path", kindShadowedRoute, "never reached: all its requests are served by "+name, "move this route before it")
		}
	}
	c.router.add(segments, index)
}

// shape is a pattern without the names of its parameters.
func shape(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, ":") {
			segments[i] = ":"
		}
	}
	return strings.Join(segments, "/")
}

// checkRoute checks what does not depend on the handler.
func (c *routeChecker) checkRoute() {
	r := c.route
	if c.has("timeout") {
		c.checkTimeout(c.path+".timeout", r.Timeout)
	}
	if c.has("slow") {
		c.checkOrder(c.path+".slow", r.Slow, "the route's timeout", r.Timeout, kindSlowTooLong, "a request times out before it is slow")
	}
	if c.has("stream.idle") {
		c.checkOrder(c.path+".stream.idle", r.Stream.Idle, "the stream's max", r.Stream.Max, kindIdleTooLong,
			"a stream ends before it is idle")
	}
	if _, known := c.policy.Presets.CacheControl[r.CacheControl]; r.CacheControl != "" && !known {
		var names []string
		for name := range c.policy.Presets.CacheControl {
			names = append(names, name)
		}
		c.problem("cache_control", kindUnknownPreset, "no preset named "+c.show(r.CacheControl, c.path+".cache_control"),
			suggest(r.CacheControl, names, "the presets are"))
	}
	c.checkHeaders()
	c.checkCORS()
	c.checkCache()
}

// serverHeaders are headers that a policy cannot set, and why.
var serverHeaders = map[string]string{
	"Server":            "is never sent: it tells attackers what to try",
	"X-Powered-By":      "is never sent: it tells attackers what to try",
	"Connection":        "is the server's own",
	"Content-Length":    "is the server's own",
	"Date":              "is the server's own",
	"Keep-Alive":        "is the server's own",
	"Trailer":           "is the server's own",
	"Transfer-Encoding": "is the server's own",
	"Upgrade":           "is the server's own",
}

func (c *routeChecker) checkHeaders() {
	for name, value := range c.route.Headers {
		path := join(c.path+".headers", name)
		why, reserved := serverHeaders[textproto.CanonicalMIMEHeaderKey(name)]
		switch {
		case !isToken(name):
			c.keyProblem(path, kindBadHeader, quote(name)+" is not a header's name", "use letters, digits and -")
		case reserved:
			c.keyProblem(path, kindReservedHeader, name+" "+why, "drop it")
		case !isFieldValue(value):
			c.loader.problem(path, kindBadHeader, "a header's value is one line without spaces around it", "")
		case strings.EqualFold(name, "Set-Cookie") && c.cached():
			c.keyProblem(path, kindCachedCookie, "a cached answer would give every customer the same cookie",
				"drop it, or drop the cache table")
		}
	}
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s is a field value (RFC 9110, section 5.5).
func isFieldValue(s string) bool {
	for _, c := range []byte(s) {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}

func (c *routeChecker) checkCORS() {
	cors := c.route.CORS
	for i, origin := range cors.Origins {
		if origin == "*" {
			if cors.Credentials {
				c.problem("cors.credentials", kindCORSCredentials, "credentials for any origin would let every web site act as the customer",
					"name the origins")
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin {
			path := element(c.path+".cors.origins", i)
			c.loader.problem(path, kindBadValue, c.show(origin, path)+" is not an origin", `write it like "https://shop.example"`)
		}
	}
	for i, name := range cors.Headers {
		if !isToken(name) {
			path := element(c.path+".cors.headers", i)
			c.loader.problem(path, kindBadHeader, c.show(name, path)+" is not a header's name", "use letters, digits and -")
		}
	}
}
