package httpcache

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// directives are those of a response's Cache-Control that policy mode obeys (RFC 9111, section 5.2.2).
type directives struct {
	noStore, private, noCache, noTransform bool
}

func cacheControl(h http.Header) directives {
	var d directives
	eachDirective(h.Values("Cache-Control"), func(name, _ string, _ bool) {
		switch name {
		case "no-store":
			d.noStore = true
		case "private": // also when it names fields
			d.private = true
		case "no-cache":
			d.noCache = true
		case "no-transform":
			d.noTransform = true
		}
	})
	return d
}

// personal says why a response must not answer anybody but the client that caused it, or "".
func personal(h http.Header) string {
	d := cacheControl(h)
	switch {
	case len(h.Values("Set-Cookie")) > 0:
		return "set-cookie"
	case d.noStore:
		return "no-store"
	case d.private:
		return "private"
	case d.noCache:
		return "no-cache" // policy mode can't ask the handler whether the answer still holds
	case listHas(strings.Join(h.Values("Vary"), ","), "*"):
		return "vary" // RFC 9111, section 4.1
	}
	return ""
}

// Why a response that is not personal is not stored.
const (
	otherStatus = "status"
	tooLarge    = "too-large"
)

// unstorable says why a response that is not personal is not stored, or "".
func unstorable(resp *Response, rule *Rule) string {
	switch {
	case rule.ttl(resp.Status) <= 0:
		return otherStatus
	case len(resp.Body) > rule.MaxEntry:
		return tooLarge
	}
	return ""
}

// endToEnd returns the fields of a response that belong to the answer, by name: without those of the connection (RFC 9110,
// section 7.6.1), those that a cache never stores (RFC 9111, section 3.1) and those that are set anew.
func endToEnd(h http.Header, anew ...string) []field {
	drop := append([]string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
	}, anew...)
	for _, line := range h.Values("Connection") {
		for name := range listMembers(line) {
			drop = append(drop, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	kept := make([]field, 0, len(h)+4)
	for name, values := range h {
		if slices.Contains(drop, name) {
			continue
		}
		for _, value := range values {
			kept = append(kept, field{name, value})
		}
	}
	slices.SortStableFunc(kept, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return kept
}

// listHas reports whether a list of tokens has one, without regard to case.
func listHas(list, token string) bool {
	for member := range listMembers(list) {
		if strings.EqualFold(member, token) {
			return true
		}
	}
	return false
}

// listMembers yields the members of a comma-separated list; a comma within a quoted string separates nothing (RFC 9110, sections
// 5.6.1 and 5.6.4).
func listMembers(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i <= len(list); i++ {
			switch {
			case i == len(list) || list[i] == ',' && !quoted:
				if member := strings.Trim(list[start:i], " \t"); member != "" && !yield(member) {
					return
				}
				start = i + 1
			case list[i] == '"':
				quoted = !quoted
			case list[i] == '\\' && quoted:
				i++
			}
		}
	}
}
