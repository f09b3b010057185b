package httpcache

import (
	"strings"
	"time"
)

// maxAhead is how far ahead a date with a year of two digits may be; one further ahead is of the past century (RFC 9110, section
// 5.6.7).
const maxAhead = 50

// parseDate reads an HTTP date in any of its three forms (RFC 9110, section 5.6.7), without regard to case. What is not exactly of
// one of them is none, and so is another zone than GMT (RFC 9111, section 4.2).
func parseDate(s string, now time.Time) (time.Time, bool) {
	s = strings.ToUpper(s)
	switch {
	case len(s) == len("SUN, 06 NOV 1994 08:49:37 GMT") && s[3] == ',':
		if strings.Contains(s, "  ") { // time.Parse takes any number of spaces for one
			return time.Time{}, false
		}
		return exactly("Mon, 02 Jan 2006 15:04:05 GMT", s)
	case len(s) == len("SUN NOV  6 08:49:37 1994") && s[3] == ' ':
		t, ok := exactly("Mon Jan _2 15:04:05 2006", s)
		return t, ok && (s[8] == ' ') == (t.Day() < 10)
	}
	_, rest, ok := strings.Cut(s, ", ")
	if !ok || len(rest) != len("06-NOV-94 08:49:37 GMT") || strings.Contains(rest, "  ") {
		return time.Time{}, false
	}
	t, ok := exactly("Monday, 02-Jan-06 15:04:05 GMT", s)
	if !ok {
		return time.Time{}, false
	}
	t = t.AddDate(now.Year()/100*100-t.Year()/100*100, 0, 0)
	if t.After(now.AddDate(maxAhead, 0, 0)) {
		t = t.AddDate(-100, 0, 0)
	}
	return t, true
}

func exactly(layout, s string) (time.Time, bool) {
	t, err := time.Parse(strings.ReplaceAll(layout, "GMT", ""), strings.TrimSuffix(s, "GMT"))
	if err != nil || strings.HasSuffix(layout, "GMT") != strings.HasSuffix(s, "GMT") {
		return time.Time{}, false
	}
	return t, true
}
