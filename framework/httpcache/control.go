package httpcache

import (
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// delta is the argument of a directive that is a number of seconds. Of several the first counts (RFC 9111, section 4.2.1).
type delta struct {
	given, valid bool
	seconds      time.Duration
}

func (d *delta) set(value string) {
	if !d.given {
		d.given = true
		d.seconds, d.valid = deltaSeconds(value)
	}
}

// control is what the directives of a response say to a shared cache (RFC 9111, section 5.2.2, and RFC 5861).
type control struct {
	maxAge, sMaxAge                    delta
	staleWhileRevalidate, staleIfError delta
	noStore, noCache, private, public  bool
	mustRevalidate, proxyRevalidate    bool
	mustUnderstand                     bool
	hidden                             []string // fields that only a validated answer, or a private one, may have; canonical
	malformed                          bool     // a quoted string without an end: nothing is fresh by such a field
	targeted                           bool     // by CDN-Cache-Control, so Cache-Control and Expires are ignored
}

// responseControl reads CDN-Cache-Control if that is valid and not empty (RFC 9213, section 2.2), else Cache-Control.
func responseControl(h http.Header) control {
	if c, ok := targetedControl(h.Values("Cdn-Cache-Control")); ok {
		return c
	}
	var c control
	c.malformed = eachDirective(h.Values("Cache-Control"), func(name, value string, hasValue bool) {
		switch name {
		case "max-age":
			c.maxAge.set(value)
		case "s-maxage":
			c.sMaxAge.set(value)
		case "stale-while-revalidate":
			c.staleWhileRevalidate.set(value)
		case "stale-if-error":
			c.staleIfError.set(value)
		case "no-cache":
			c.hide(&c.noCache, value, hasValue)
		case "private":
			c.hide(&c.private, value, hasValue)
		default:
			c.flag(name)
		}
	})
	return c
}

func (c *control) flag(name string) {
	switch name {
	case "no-store":
		c.noStore = true
	case "public":
		c.public = true
	case "must-revalidate":
		c.mustRevalidate = true
	case "proxy-revalidate":
		c.proxyRevalidate = true
	case "must-understand":
		c.mustUnderstand = true
	}
}

// hide takes no-cache or private: of the fields that it names, or of the whole answer.
func (c *control) hide(whole *bool, fields string, qualified bool) {
	named := len(c.hidden)
	if qualified {
		for name := range listMembers(fields) {
			c.hidden = append(c.hidden, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	if len(c.hidden) == named {
		*whole = true
	}
}

// targetedControl reads a targeted field, which is a dictionary (RFC 9213, section 2.1, and RFC 9651, section 3.2).
func targetedControl(lines []string) (control, bool) {
	if len(lines) == 0 {
		return control{}, false
	}
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dictionary.Names()) == 0 {
		return control{}, false
	}
	c := control{targeted: true}
	for _, name := range dictionary.Names() {
		member, _ := dictionary.Get(name)
		item, isItem := member.(httpsfv.Item)
		number := func(d *delta) {
			d.given = true
			if n, ok := item.Value.(int64); ok && n >= 0 {
				d.valid, d.seconds = true, time.Duration(min(n, maxDelta))*time.Second
			}
		}
		text, isText := item.Value.(string)
		set, isBoolean := item.Value.(bool)
		switch name {
		case "max-age":
			number(&c.maxAge)
		case "s-maxage":
			number(&c.sMaxAge)
		case "stale-while-revalidate":
			number(&c.staleWhileRevalidate)
		case "stale-if-error":
			number(&c.staleIfError)
		case "no-cache", "private":
			whole := &c.private
			if name == "no-cache" {
				whole = &c.noCache
			}
			if !isBoolean || set {
				c.hide(whole, text, isText)
			}
		default:
			if !isItem || !isBoolean || set {
				c.flag(name)
			}
		}
	}
	return c, true
}

// requestControl is what the directives of a request ask for (RFC 9111, section 5.2.1, and RFC 5861, section 4).
type requestControl struct {
	maxAge, minFresh, maxStale, staleIfError delta
	anyStale                                 bool // max-stale without a limit
	noCache, noStore, onlyIfCached           bool
}

func requestDirectives(lines []string) requestControl {
	var c requestControl
	if len(lines) == 0 {
		return c
	}
	eachDirective(lines, func(name, value string, hasValue bool) {
		switch name {
		case "max-age":
			c.maxAge.set(value)
		case "min-fresh":
			c.minFresh.set(value)
		case "max-stale":
			c.maxStale.set(value)
			c.anyStale = c.anyStale || !hasValue
		case "stale-if-error":
			c.staleIfError.set(value)
		case "no-cache":
			c.noCache = true
		case "no-store":
			c.noStore = true
		case "only-if-cached":
			c.onlyIfCached = true
		}
	})
	return c
}

// eachDirective calls f with every directive of a Cache-Control: its name in lower case and its argument without quotes. Both
// forms of an argument are accepted (RFC 9111, section 5.2); one of neither form is passed on as it is. It reports whether
// a quoted string had no end; what follows its beginning is then read as if it were not quoted.
func eachDirective(lines []string, f func(name, value string, hasValue bool)) (malformed bool) {
	for _, line := range lines {
		members := listMembers(line)
		if unclosed(line) {
			malformed = true
			members = func(yield func(string) bool) {
				for member := range strings.SplitSeq(line, ",") {
					if !yield(strings.Trim(member, " \t")) {
						return
					}
				}
			}
		}
		for member := range members {
			name, value, hasValue := strings.Cut(member, "=")
			if text, ok := unquote(value); ok {
				value = text
			}
			trimmed := strings.TrimRight(name, " \t")
			if len(trimmed) < len(name) {
				value = " " + value // there must be no space: the name counts, and the argument is not valid
			}
			f(strings.ToLower(trimmed), value, hasValue)
		}
	}
	return malformed
}

// unclosed reports whether a quoted string in a list has no end.
func unclosed(list string) bool {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == '\\' && quoted:
			i++
		}
	}
	return quoted
}

// unquote returns what a quoted string says (RFC 9110, section 5.6.4), and whether s is one.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' || unclosed(s) {
		return s, false
	}
	b := make([]byte, 0, len(s))
	for i := 1; i < len(s)-1; i++ {
		switch s[i] {
		case '"':
			return s, false // it ends before the end of s
		case '\\':
			i++
		}
		b = append(b, s[i])
	}
	return string(b), true
}
