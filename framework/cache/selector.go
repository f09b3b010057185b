package cache

import "strings"

// Selector chooses stored keys by one of its fields.
type Selector struct {
	Key     string // as people write it: without the scope, which is the first word of a stored key
	Pattern string // part of a key as people write it, with * for any bytes and ? for one
	Prefix  string // beginning of a stored key

	hashed string // name in the log of a key that is too long for it
}

// Matches reports whether the selector means a stored key.
func (s Selector) Matches(stored string) bool {
	switch {
	case s.Key != "":
		return readable(stored) == s.Key || stored == s.Key
	case s.Pattern != "":
		return matches("*"+s.Pattern+"*", readable(stored))
	case s.hashed != "":
		return len(stored) > maxName && logName(stored) == s.hashed
	default:
		return s.Prefix != "" && strings.HasPrefix(stored, s.Prefix)
	}
}

// readable returns a stored key as people write it: without its scope, which a plugin's key does not have.
func readable(stored string) string {
	scope, rest, ok := strings.Cut(stored, " ")
	if !ok || strings.Contains(scope, "\x00") {
		return stored
	}
	return rest
}

// text is the selector in one string, and parseSelector its inverse.
func (s Selector) text() string {
	switch {
	case s.Key != "":
		return "=" + s.Key
	case s.Pattern != "":
		return "~" + s.Pattern
	}
	return "^" + s.Prefix
}

func parseSelector(text string) Selector {
	if text == "" {
		return Selector{}
	}
	switch rest := text[1:]; text[0] {
	case '=':
		return Selector{Key: rest}
	case '~':
		return Selector{Pattern: rest}
	default:
		return Selector{Prefix: rest}
	}
}

// matches reports whether a pattern with * and ? means the whole of s, in time proportional to the product of their lengths
// at worst: a star takes as little as it can, and only the last one is ever tried again.
func matches(pattern, s string) bool {
	p, i, star, retry := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
