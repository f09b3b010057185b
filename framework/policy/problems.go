package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Problem kinds: stable words that tools may match on.
const (
	kindSyntax            = "syntax"               // not TOML, a key written twice, too large, too deep
	kindUnknownKey        = "unknown-key"          // no such key in that table
	kindUnknownPlugin     = "unknown-plugin"       // a table of plugins that this build has not
	kindUnknownHandler    = "unknown-handler"      // a handler that this build has not
	kindUnknownPreset     = "unknown-preset"       // cache_control names no preset
	kindWrongType         = "wrong-type"           // such as an integer for a duration
	kindBadValue          = "bad-value"            // of the right type, but not of the right form
	kindRequired          = "required"             // a key that must be written
	kindEmpty             = "empty"                // a value that must not be empty
	kindNotOneOf          = "not-one-of"           // not of the values listed
	kindOutOfRange        = "out-of-range"         // beyond its bounds
	kindReference         = "unresolved-reference" // ${env:…} or ${file:…} that cannot be read
	kindOptions           = "plugin-options"       // refused by the plugin's own check
	kindDuplicateRoute    = "duplicate-route"      // the method and path of an earlier route
	kindShadowedRoute     = "shadowed-route"       // all its requests go to an earlier route
	kindUnsafeMethod      = "unsafe-method"        // a TTL on a method that changes things
	kindSharedCredentials = "shared-credentials"   // a shared TTL on a route that reads who is asking
	kindCachedAudience    = "cached-audience"      // a cached route that is not meant for everybody
	kindCachedCookie      = "cached-cookie"        // a cached route that sets a cookie
	kindBadStatus         = "bad-status"           // answers of that status are not stored
	kindKeyInputs         = "key-inputs"           // inputs that are listed beside a key template
	kindMissingInput      = "missing-input"        // a cache key without what the handler reads
	kindStandardKey       = "standard-mode"        // a rule of the policy where the answers rule
	kindStreamCached      = "stream-cached"        // a stream cannot be stored
	kindGatewayCompressed = "gateway-compressed"   // what another server answered is passed on as it came
	kindStreamCompressed  = "stream-compressed"    // a stream is never compressed
	kindNotAStream        = "not-a-stream"         // stream limits on a handler that answers at once
	kindTimeoutTooLong    = "timeout-too-long"     // longer than server.max_timeout
	kindSlowTooLong       = "slow-too-long"        // the request times out before it is slow
	kindIdleTooLong       = "idle-too-long"        // the stream ends before it is idle
	kindDelayTooLong      = "delay-too-long"       // a delayed request times out
	kindNoLimit           = "no-limit"             // about a limit of requests that the route has not
	kindPublicAdmin       = "public-admin"         // a handler for who runs the server, on a route for everybody
	kindIgnoredLimit      = "ignored-limit"        // limits of what always answers
	kindCORSCredentials   = "cors-credentials"     // credentials for any origin
	kindSinkPath          = "sink-path"            // a file sink without a path, or a path without a file sink
	kindRedisAddress      = "redis-address"        // Redis in two places, or Sentinels without addresses
	kindTLSPair           = "tls-pair"             // a certificate without its key, or a key without its certificate
	kindAdminListener     = "admin-listener"       // what needs one, or an address or a path that it cannot have
	kindBadHeader         = "bad-header"           // not a header's name or value
	kindReservedHeader    = "reserved-header"      // a header that is the server's own, or never sent
)

// String writes a problem on one line: place, path, what is wrong, and after a semicolon what to do.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Error implements error: the text of every problem, a line each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sort puts problems in the order of their places, those of variables and flags last.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(min(1, b.Line), min(1, a.Line)), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Col, b.Col), cmp.Compare(a.Path, b.Path), cmp.Compare(a.What, b.What))
	})
}

// WriteText writes every problem on a line of its own. With caret, each one that is in src is followed by its source line
// and a mark under the place, for a terminal. Secrets of the line are hidden.
func (ps Problems) WriteText(w io.Writer, src Source, caret bool) error {
	var lines [][]byte
	if caret {
		lines = bytes.Split(trimBOM(src.Text), []byte("\n"))
	}
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.String() + "\n")
		if p.File == src.Name && p.Line >= 1 && p.Line <= len(lines) {
			writeCaret(&b, p, bytes.TrimSuffix(lines[p.Line-1], []byte("\r")))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The source line of a problem is cut to caretWidth characters, of which caretBefore come before the place.
const (
	caretWidth  = 100
	caretBefore = 60
)

func writeCaret(b *strings.Builder, p Problem, source []byte) {
	line := []rune(string(source))
	at := min(max(p.Col-1, 0), len(line))
	for _, col := range slices.Backward(p.hide) { // from the right, so that the columns still to come stay right
		start := min(col-1, len(line))
		end := start + tokenLength(line[start:])
		masked := []rune(quote(string(hiddenText)))
		if start < at {
			at += len(masked) - (end - start)
		}
		line = slices.Concat(line[:start], masked, line[end:])
	}
	mark := max(1, tokenLength(line[at:]))

	var before, after string
	if at > caretBefore {
		cut := at - caretBefore
		line, at, before = line[cut:], caretBefore, "…"
	}
	if len(line) > caretWidth {
		line, after = line[:caretWidth], "…"
		mark = max(1, min(mark, caretWidth-at))
	}

	number := fmt.Sprintf("%5d", p.Line)
	fmt.Fprintf(b, "%s | %s%s%s\n", number, before, printable(line), after)
	fmt.Fprintf(b, "%s | %s", strings.Repeat(" ", len(number)), strings.Repeat(" ", len([]rune(before))))
	for _, r := range line[:at] {
		if r == '\t' {
			b.WriteByte('\t')
			continue
		}
		b.WriteString(strings.Repeat(" ", columns(r)))
	}
	n := 1 // of a place behind the end of the line
	if at < len(line) {
		n = 0
		for _, r := range line[at : at+mark] {
			n += columns(r)
		}
	}
	b.WriteString(strings.Repeat("^", max(1, n)) + "\n")
}

// tokenLength returns how many characters the key or value has with which a line starts.
func tokenLength(line []rune) int {
	if len(line) == 0 {
		return 0
	}
	switch open := line[0]; open {
	case '"', '\'':
		for i := 1; i < len(line); i++ {
			if line[i] == '\\' && open == '"' {
				i++
			} else if line[i] == open {
				return i + 1
			}
		}
		return len(line)
	case '[', '{':
		return 1
	default:
		stop := " \t,=]}#"
		if !unicode.IsDigit(open) && open != '-' && open != '+' {
			stop += "." // of a dotted key the place is one part
		}
		n := slices.IndexFunc(line, func(r rune) bool { return strings.ContainsRune(stop, r) })
		if n < 0 {
			n = len(line)
		}
		return max(n, 1)
	}
}

// printable replaces what would move a terminal's cursor.
func printable(line []rune) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, string(line))
}

// columns returns how many columns of a terminal a character takes (Unicode Standard Annex #11).
func columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
