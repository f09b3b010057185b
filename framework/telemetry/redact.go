package telemetry

import (
	"encoding"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/innatural/chatbot/framework/policy"
)

const (
	redacted = "[redacted]"
	maxText  = 8 << 10 // bytes of one string in a line
)

// redactAttr returns the attribute as it may be written: without what its key says is secret, nor what is secret or personal
// in its text. A value that is not of a type of slog's becomes text, as what is inside could not be searched otherwise.
func redactAttr(a slog.Attr) slog.Attr {
	if isSecretKey(a.Key) {
		return slog.String(a.Key, redacted)
	}
	if a.Value.Kind() == slog.KindLogValuer {
		if _, ok := a.Value.Any().(policy.Secret); ok {
			return slog.String(a.Key, redacted)
		}
	}
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, redactText(value.String()))
	case slog.KindGroup:
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(redactAttrs(value.Group())...)}
	case slog.KindAny:
		if value.Any() != nil {
			return slog.String(a.Key, redactText(textOf(value.Any())))
		}
	}
	return slog.Attr{Key: a.Key, Value: value}
}

func redactAttrs(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = redactAttr(a)
	}
	return out
}

// textOf writes a value as text. fmt survives a method that panics.
func textOf(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case error, fmt.Stringer:
		return fmt.Sprint(v)
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%+v", v)
}

// isSecretKey says whether a key names a secret: "password", "X-Api-Key", "admin_token", but not "tokens", which are counted.
func isSecretKey(key string) bool {
	var space [64]byte
	plain := space[:0]
	for _, c := range []byte(key) {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != '-' && c != '_' && c != '.' {
			plain = append(plain, c)
		}
	}
	for _, end := range [...]string{
		"authorization", "cookie", "cookies", "token", "password", "passwd", "apikey", "secret", "secretkey", "privatekey", "credentials",
	} {
		if len(plain) >= len(end) && string(plain[len(plain)-len(end):]) == end {
			return true
		}
	}
	return false
}

var (
	secretPair = regexp.MustCompile(`(?i)((?:authorization|cookie)"?\s*[=:]\s*)[^\r\n]+|` +
		`((?:token|password|passwd|api[_-]?key|secret|private[_-]?key|credentials)"?\s*[=:]\s*)(?:"[^"]*"|[^\s"&,;}\]]+)`)
	secretWord  = regexp.MustCompile(`(?i:\bbearer\s+)[\w.~+/=-]{8,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*|\bsk-[\w-]{16,}`)
	urlUserinfo = regexp.MustCompile(`://[^/\s@]*@`)
	email       = regexp.MustCompile(`[\pL\pN._%+-]+(?:@|%40)[\pL\pN-]+(?:\.[\pL\pN-]+)*\.\pL{2,}`)
	address     = regexp.MustCompile(`(?i)\b\d{1,4}(?:\s?(?:bis|ter))?,?\s+(?:rue|avenue|boulevard|bd|impasse|all[ée]e|chemin|quai)` +
		`(?:\s+[\pL'’.-]+){1,6}(?:,?\s+\d{5}(?:\s+[\pL'’-]+)?)?`)
)

// redactText returns a text without secrets (credentials in URLs, bearer tokens, password=…) and without personal data:
// e-mail addresses, phone numbers, bank accounts and cards, French social security numbers and street addresses. It keeps
// ids, hashes, durations and paths as they are. What is too long is cut, and control characters that a JSON handler would
// pass on to a terminal are replaced.
func redactText(s string) string {
	if len(s) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = fmt.Sprintf("%s… (%d bytes more)", s[:cut], len(s)-cut)
	}
	// Most texts have none of it; one look decides which searches are worth their time.
	var at, pair, control bool
	var digits, spaces int
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '@':
			at = true
		case c == '=' || c == ':':
			pair = true
		case c == ' ':
			spaces++
		case c == 0x7f, c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0:
			control = true
		}
	}
	if control {
		s = strings.Map(func(r rune) rune {
			if r >= 0x7f && r < 0xa0 {
				return utf8.RuneError
			}
			return r
		}, s)
	}
	if strings.Contains(s, "earer ") || strings.Contains(s, "EARER ") || strings.Contains(s, "eyJ") || strings.Contains(s, "sk-") {
		s = secretWord.ReplaceAllString(s, redacted)
	}
	if pair {
		s = secretPair.ReplaceAllString(s, "${1}${2}"+redacted)
		if at {
			s = urlUserinfo.ReplaceAllString(s, "://"+redacted+"@")
		}
	}
	if at || strings.Contains(s, "%40") {
		s = email.ReplaceAllString(s, redacted)
	}
	if digits > 7 {
		s = redactNumbers(s)
	}
	if digits > 0 && spaces > 1 {
		s = address.ReplaceAllString(s, redacted)
	}
	return s
}
