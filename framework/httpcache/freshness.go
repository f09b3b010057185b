package httpcache

import (
	"net/http"
	"time"
)

// Heuristic freshness is a tenth of the time since the last modification, up to a week (RFC 9111, section 4.2.2).
const (
	heuristicShare = 10
	heuristicMost  = 7 * 24 * time.Hour
)

// heuristic reports whether answers of a status may be reused without being told for how long (RFC 9110, section 15.1). 206 is
// among them there; it is stored on terms of its own.
func heuristic(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusPartialContent,
		http.StatusMultipleChoices, http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestURITooLong, http.StatusNotImplemented:
		return true
	}
	return false
}

// understood reports whether the cache knows what a status asks of caches, which must-understand wants (RFC 9111, section
// 5.2.2.3).
func understood(status int) bool {
	return heuristic(status) || status != 304 && http.StatusText(status) != ""
}

// freshnessLifetime returns for how long a response is fresh, counted from its date, and whether it says so itself (RFC 9111, section 4.2.1).
// Without a word of its own, and where no heuristic may be used, it is not fresh at all.
func freshnessLifetime(c *control, h http.Header, status int, date, now time.Time) (d time.Duration, explicit bool) {
	switch {
	case c.sMaxAge.given:
		return c.sMaxAge.fresh(c), true
	case c.maxAge.given:
		return c.maxAge.fresh(c), true
	}
	if expires := h.Values("Expires"); len(expires) > 0 && !c.targeted {
		at, ok := parseDate(expires[0], now)
		if !ok || c.malformed {
			return 0, true // whatever is no date is past (RFC 9111, section 5.3)
		}
		return max(0, at.Sub(date)), true
	}
	modified, ok := parseDate(h.Get("Last-Modified"), now)
	if !ok || c.malformed || !heuristic(status) && !c.public || isEventStream(h) {
		return 0, false
	}
	return min(max(0, date.Sub(modified))/heuristicShare, heuristicMost), false
}

// fresh returns the lifetime that a directive gives: none if its argument is not valid (RFC 9111, section 4.2.1).
func (d delta) fresh(c *control) time.Duration {
	if !d.valid || c.malformed {
		return 0
	}
	return d.seconds
}

// strict reports whether a stale answer must not be sent, whoever allows it (RFC 9111, section 4.2.4).
func (c *control) strict() bool {
	return c.mustRevalidate || c.proxyRevalidate || c.sMaxAge.given || c.noCache
}

// sharedThoughAuthorized reports whether a response to a request with Authorization may be used for others (RFC 9111, section 3.5).
func (c *control) sharedThoughAuthorized() bool {
	return c.public || c.mustRevalidate || c.sMaxAge.valid
}
