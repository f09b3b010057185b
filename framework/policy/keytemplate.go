package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxTemplate is the length in bytes of the longest key template.
const maxTemplate = 256

// TemplatePart is a part of a key template: a literal text, or a placeholder for an input of the request.
type TemplatePart struct {
	Literal string
	Input   string // path, host, param, query, header or cookie; empty for a literal
	Name    string // of a param, query, header or cookie; "*" is the param that a final * matches
}

// ParseKeyTemplate reads the template of a cache key, such as "user:{id}" or "{path}:{query.language}". A mistake is worded for
// the user: what; what to do.
//
// Between two placeholders stands a character that values have escaped, so different inputs always have different keys.
func ParseKeyTemplate(text string) ([]TemplatePart, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("the template is longer than %d bytes; shorten it", maxTemplate)
	}
	var parts []TemplatePart
	for rest := text; rest != ""; {
		literal, behind, found := strings.Cut(rest, "{")
		if err := checkTemplateLiteral(literal); err != nil {
			return nil, err
		}
		between := found && len(parts) > 0
		if between && strings.IndexFunc(literal, isDelimiter) < 0 {
			return nil, errors.New("nothing separates two of its placeholders; put a character such as : or / between them")
		}
		if literal != "" {
			parts = append(parts, TemplatePart{Literal: literal})
		}
		if !found {
			break
		}
		var placeholder string
		if placeholder, rest, found = strings.Cut(behind, "}"); !found {
			return nil, errors.New("a placeholder has no end; write }")
		}
		part, err := parsePlaceholder(placeholder)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// isDelimiter reports whether a character of a literal may separate placeholders.
func isDelimiter(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func checkTemplateLiteral(literal string) error {
	for _, r := range literal {
		if r <= ' ' || r >= 0x7f || r == '%' || r == '}' {
			return fmt.Errorf("%s cannot stand in a key; use letters, digits and characters such as : / - _", quote(string(r)))
		}
	}
	return nil
}

func parsePlaceholder(text string) (TemplatePart, error) {
	part := TemplatePart{Input: "param", Name: text}
	switch kind, name, named := strings.Cut(text, "."); {
	case text == "path" || text == "host":
		return TemplatePart{Input: text}, nil
	case named && slices.Contains([]string{"query", "header", "cookie"}, kind):
		part = TemplatePart{Input: kind, Name: name}
		if name == "" || kind != "query" && !isToken(name) {
			return part, fmt.Errorf("{%s} names nothing; write it like {%s.name}", text, kind)
		}
	case text != "*" && !isName(text):
		return part, fmt.Errorf("{%s} is not a placeholder; use {path}, {host}, {query.name}, {header.name}, {cookie.name} or "+
			"the name of a parameter of the path", text)
	}
	return part, nil
}

// checkTemplate checks a route's key template, and has the route declare the inputs that it names.
func (c *routeChecker) checkTemplate() {
	cache := c.route.Cache
	if cache.Key == "" {
		return
	}
	parts, err := ParseKeyTemplate(cache.Key)
	if err != nil {
		return // reported where the key was read
	}
	for _, key := range []string{"query", "headers", "cookies", "host"} {
		if c.has("cache." + key) {
			c.problem("cache."+key, kindKeyInputs, "the key says itself what is in it", "drop this, or the key")
		}
	}
	cache.Query, cache.Headers, cache.Cookies, cache.Host = []string{}, []string{}, []string{}, false
	var named []string
	if _, err := parsePattern(c.route.Path); err == nil {
		for _, param := range params(c.route.Path, c.route.Path) {
			named = append(named, param.Name)
		}
	}
	add := func(list *[]string, name string) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, part := range parts {
		switch part.Input {
		case "query":
			add(&cache.Query, part.Name)
		case "header":
			add(&cache.Headers, part.Name)
		case "cookie":
			add(&cache.Cookies, part.Name)
		case "host":
			cache.Host = true
		case "param":
			if !slices.Contains(named, part.Name) {
				c.problem("cache.key", kindBadValue, "the path has no parameter for {"+part.Name+"}",
					suggest(part.Name, named, "its parameters are"))
			}
		}
	}
}
