package policy

import (
	"encoding"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// File returns the name of the file that the policy was loaded from.
func (p *Policy) File() string { return p.meta.file }

// Hash returns the SHA-256 of all effective values in hexadecimal, but for the addresses that the server listens on. It does not depend
// on comments, the order of keys or which layer a value came from; secrets enter it hashed.
func (p *Policy) Hash() string { return p.meta.hash }

// Origin says where the value at a dotted path, such as routes[2].cache.ttl, came from. A value that a route takes from the
// defaults has their origin.
func (p *Policy) Origin(path string) Origin {
	for {
		if at, ok := p.meta.places[path]; ok {
			return at.Origin
		}
		inherited, ok := inherits(path)
		if !ok {
			return Origin{Kind: FromDefault}
		}
		path = inherited
	}
}

// inherits returns the path whose value the one at path takes when nothing is written there.
func inherits(path string) (string, bool) {
	list, rest, _ := strings.Cut(path, "[")
	_, key, _ := strings.Cut(rest, "].")
	switch {
	case list == "log.sinks" && key == "level":
		return "log.level", true
	case list != "routes":
		return "", false
	}
	switch key {
	case "timeout", "slow", "compress", "stream.idle", "stream.max", "cache.ttl":
		return "defaults." + key, true
	}
	return "", false
}

// plain writes a value as a person would: strings without quotes, lists with commas. A secret is written hidden.
func plain(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case encoding.TextMarshaler:
		return strings.Trim(literal(v), `"`)
	case fmt.Stringer:
		return value.String()
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = plain(v.Index(i))
		}
		return strings.Join(parts, ", ")
	}
	return literal(v)
}

// Explanation says how a policy serves one request, and why.
type Explanation struct {
	Method   string    `json:"method"`
	Target   string    `json:"target"`
	Route    string    `json:"route,omitempty"` // method and path as written; empty when no route serves the request
	Index    int       `json:"index"`           // of the route; -1 without one
	Place    string    `json:"place,omitempty"` // where the route is written
	Allow    []string  `json:"allow,omitempty"` // the methods with which the path is served, when this one is not among them
	Params   []Param   `json:"params,omitempty"`
	Settings []Setting `json:"settings,omitempty"` // every effective value of the route
	Cached   bool      `json:"cached"`
	Why      string    `json:"why"` // whether answers are stored, and why or why not
	CacheKey []KeyPart `json:"cacheKey,omitempty"`
	Key      string    `json:"key,omitempty"` // the whole of it as the cache writes it, set by the caller
	Plugin   string    `json:"plugin,omitempty"`
	Options  []Setting `json:"options,omitempty"` // of the plugin
	Stages   []string  `json:"stages,omitempty"`  // that a request passes, in order
}

// Setting is one effective value and where it came from. Secrets are hidden.
type Setting struct {
	Key    string `json:"key"` // dotted, within the route or the plugin's table
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// KeyPart is one input of a cache key. Its value is that of the explained target, or tells that it is in the request.
type KeyPart struct {
	Part  string `json:"part"` // method, host, path, parameter, query, header or cookie
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
}

// Explain says how the policy serves a request for target, a path with an optional query. The stages that a request passes
// are the caller's to know; they are repeated for a request that a route serves. It may be called concurrently.
func (p *Policy) Explain(method, target string, stages []string) Explanation {
	path, query, _ := strings.Cut(target, "?")
	match := p.Match(method, path)
	e := Explanation{Method: method, Target: target, Index: match.Index, Allow: match.Allow, Params: match.Params}
	if match.Route == nil {
		e.Why = "no route has this path"
		if match.Allow != nil {
			e.Why = "no route has this method for this path"
		}
		return e
	}
	route := match.Route
	e.Route, e.Place, e.Stages = route.Method+" "+route.Path, p.Origin(element("routes", match.Index)).String(), stages
	x := explainer{policy: p, route: route}
	x.settings(p.meta.root.Key("routes").Elem, reflect.ValueOf(route).Elem(), element("routes", match.Index), "")
	e.Settings, x.found = x.found, nil

	e.Plugin, _, _ = strings.Cut(route.Handler, ".")
	options := reflect.ValueOf(p.Plugins[e.Plugin])
	for options.Kind() == reflect.Pointer && !options.IsNil() {
		options = options.Elem()
	}
	if options.Kind() == reflect.Struct {
		x.settings(p.meta.root.Key("plugins").Key(e.Plugin), options, join("plugins", e.Plugin), "")
		e.Options = x.found
	}

	switch {
	case route.Cache == nil:
		e.Why = "not cached: the route has no cache table"
	case route.Cache.Standard() && method != "GET" && method != "HEAD":
		e.Why = "not cached: it is " + method + "; unless that is a safe method, a success voids what is stored for the target"
	case route.Cache.Standard():
		e.Cached, e.Why = true, "as each answer says (RFC 9111)"
		e.CacheKey = standardKey(method, target)
	case route.Cache.TTL == 0:
		e.Why = "not cached: its ttl is 0s"
	default:
		e.Cached, e.Why = true, p.stored(route)
		e.CacheKey = cacheKey(*route.Cache, method, path, query, match.Params)
	}
	return e
}

// stored says for how long answers of a route are stored.
func (p *Policy) stored(r *Route) string {
	c := r.Cache
	why := []string{"cached for " + c.TTL.String()}
	for _, status := range slices.Sorted(maps.Keys(c.StatusTTL)) {
		why = append(why, "a "+status+" for "+c.StatusTTL[status].String())
	}
	percent := func(share float64) string { return strconv.FormatFloat(100*share, 'f', -1, 64) + " %" }
	if c.Stream {
		why = append(why, "each stream once it is whole")
	}
	if c.Jitter > 0 {
		why = append(why, "each up to "+percent(c.Jitter)+" less")
	}
	if c.EarlyRefresh > 0 {
		why = append(why, "made anew behind a hit in the last "+percent(c.EarlyRefresh))
	}
	if r.Compress && p.Compression.Enabled && p.Compression.Best {
		why = append(why, "compressed once more when asked for again")
	}
	return strings.Join(why, ", ")
}

// standardKey lists what is in the key of an answer in standard mode.
func standardKey(method, target string) []KeyPart {
	if method == "HEAD" {
		method = "GET"
	}
	return []KeyPart{
		{Part: "method", Value: method},
		{Part: "host", Value: "(of the request)"},
		{Part: "target", Value: target},
		{Part: "header", Value: "(those that the answer's Vary names)"},
	}
}

// cacheKey lists what is in the key of an answer.
func cacheKey(c RouteCache, method, path, query string, params []Param) []KeyPart {
	if method == "HEAD" {
		method = "GET" // whose stored answers serve it
	}
	parts := []KeyPart{{Part: "method", Value: method}, {Part: "path", Value: path}}
	if c.Key != "" {
		parts = templateKey(c.Key, path, params)
	}
	if c.Host {
		parts = append(parts, KeyPart{Part: "host", Value: "(of the request)"})
	}
	values, _ := url.ParseQuery(query) // what cannot be read is not in the key
	for _, name := range c.Query {
		value := "(absent)"
		if found, ok := values[name]; ok {
			value = strings.Join(found, ", ")
		}
		parts = append(parts, KeyPart{Part: "query", Name: name, Value: value})
	}
	for _, name := range c.Headers {
		parts = append(parts, KeyPart{Part: "header", Name: name, Value: "(of the request)"})
	}
	for _, name := range c.Cookies {
		parts = append(parts, KeyPart{Part: "cookie", Name: name, Value: "(of the request)"})
	}
	return parts
}

// templateKey lists what a template has in the key of the path of a request.
func templateKey(template, path string, params []Param) []KeyPart {
	var key []KeyPart
	parts, _ := ParseKeyTemplate(template) // it was checked
	for _, part := range parts {
		switch part.Input {
		case "path":
			key = append(key, KeyPart{Part: "path", Value: path})
		case "param":
			i := slices.IndexFunc(params, func(p Param) bool { return p.Name == part.Name })
			key = append(key, KeyPart{Part: "parameter", Name: part.Name, Value: params[i].Value})
		}
	}
	return key
}

// explainer gathers the settings of one table.
type explainer struct {
	policy *Policy
	route  *Route
	found  []Setting
}

func (x *explainer) settings(key *Key, v reflect.Value, path, name string) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			x.found = append(x.found, Setting{Key: name, Value: "-", Origin: x.policy.Origin(path).String()})
			return
		}
		v = v.Elem()
	}
	switch {
	case key.Type == TypeTable:
		for _, child := range key.Keys {
			dotted := keyLiteral(child.Name)
			if name != "" {
				dotted = name + "." + dotted
			}
			x.settings(child, v.Field(child.field), join(path, child.Name), dotted)
		}
	case key.Type == TypeList && key.Elem.Type == TypeTable && v.Len() > 0:
		for i := range v.Len() {
			x.settings(key.Elem, v.Index(i), element(path, i), element(name, i))
		}
	case key.Type == TypeMap && v.Len() > 0:
		for _, entry := range sortedKeys(v) {
			x.settings(key.Elem, v.MapIndex(entry), join(path, entry.String()), join(name, entry.String()))
		}
	default:
		value := plain(v)
		if key.Type == TypeMap {
			value = ""
		}
		if x.policy.isHidden(path, v) {
			value = hiddenText
		}
		if value == "" {
			value = "-"
		}
		x.found = append(x.found, Setting{Key: name, Value: value, Origin: x.origin(path, name, v)})
	}
}

// origin says where a setting came from. What a route's handler declares comes from none of the layers.
func (x *explainer) origin(path, name string, v reflect.Value) string {
	origin := x.policy.Origin(path)
	declared := false
	switch name {
	case "cache.query", "cache.headers", "cache.cookies", "cache.host":
		if strings.HasPrefix(path, "routes[") && x.route.Cache.Key != "" {
			return x.policy.Origin(strings.TrimSuffix(path, strings.TrimPrefix(name, "cache.")) + "key").String()
		}
		declared = name != "cache.host" && v.Len() > 0 && origin.Kind == FromDefault
	case "compress":
		_, written := x.policy.meta.places[path]
		declared = !written && x.policy.Defaults.Compress && !v.Bool() // a stream
	}
	if declared && name == "compress" && x.route.Cache.Standard() {
		return "standard mode"
	}
	if declared && strings.HasPrefix(path, "routes[") {
		return "handler " + x.route.Handler
	}
	return origin.String()
}

// isHidden reports whether a value, or a part of it, came from a reference.
func (p *Policy) isHidden(path string, v reflect.Value) bool {
	if p.meta.hidden[path] {
		return true
	}
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			if p.meta.hidden[element(path, i)] {
				return true
			}
		}
	}
	return false
}

// WriteText writes the explanation in aligned columns.
func (e Explanation) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = io.WriteString(t, strings.Join(cells, "\t")+"\n") } // Flush returns the error
	head := strings.TrimSpace(e.Method + " " + e.Target + "   " + e.Place)
	if _, err := io.WriteString(w, head+"\n"); err != nil {
		return fmt.Errorf("write explanation: %w", err)
	}
	if e.Route == "" {
		row("  " + e.Why)
		if e.Allow != nil {
			row("  allowed", strings.Join(e.Allow, ", "))
		}
		return t.Flush()
	}
	row("  route", e.Route)
	for _, param := range e.Params {
		row("  parameter "+param.Name, param.Value)
	}
	for _, s := range e.Settings {
		row("  "+s.Key, s.Value, s.Origin)
	}
	for _, s := range e.Options {
		row("  plugins."+e.Plugin+"."+s.Key, s.Value, s.Origin)
	}
	row("  stored", e.Why)
	for _, part := range e.CacheKey {
		row("  key: "+strings.TrimSpace(part.Part+" "+part.Name), part.Value)
	}
	if e.Key != "" {
		row("  key", e.Key)
	}
	if len(e.Stages) > 0 {
		row("  order", strings.Join(e.Stages, " → "))
	}
	return t.Flush()
}
