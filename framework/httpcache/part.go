package httpcache

import (
	"net/http"
	"strconv"
	"strings"
)

// part is which part of a whole a body is; the zero part is the whole.
type part struct{ first, size int64 } // size is that of the whole

// partOf reads which part of a whole a 206 is, if it may be stored as one (RFC 9111, section 3.3): a single part of a known size, with
// a validator that is strong enough for others to be of the same whole.
func partOf(v *stored, h http.Header, length int64) (part, bool) {
	unit, spec, _ := strings.Cut(h.Get("Content-Range"), " ")
	interval, total, _ := strings.Cut(spec, "/")
	from, to, _ := strings.Cut(interval, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	size, err3 := strconv.ParseInt(total, 10, 64)
	ok := err == nil && err2 == nil && err3 == nil && strings.EqualFold(unit, "bytes") && first >= 0 && first <= last && last < size
	strong := strings.HasPrefix(v.etag, `"`)
	if !ok || !strong || length != last-first+1 {
		return part{}, false
	}
	return part{first, size}, true
}

// end returns the place behind the part.
func (v *stored) end() int64 { return v.part.first + int64(len(v.body)) }

// covers returns which bytes of a whole a request asks for, and whether the part has them (RFC 9110, sections 14.2 and 13.1.5).
func (v *stored) covers(req *StandardRequest) (start, end int64, ok bool) {
	ranges, ifRange := req.Values("Range"), req.Values("If-Range")
	if req.Method != http.MethodGet || len(ranges) != 1 ||
		len(ifRange) > 0 && !rangeApplies(ifRange[0], v.etag, v.lastModified, v.date) {
		return 0, 0, false
	}
	from, to, kind := parseRange(ranges[0], int(v.part.size))
	start, end = int64(from), int64(to)
	return start, end, kind == rangeSatisfiable && start >= v.part.first && end <= v.end()
}

// answerPart returns the part of a part that a request asks for. It was chosen because it has it.
func answerPart(v *stored, req *StandardRequest) Result {
	start, end, ok := v.covers(req)
	if !ok { // the request asks for the whole after all, which nobody has
		start, end = v.part.first, v.end()
	}
	res := Result{Status: http.StatusPartialContent, fields: v.fields, Body: v.body[start-v.part.first : end-v.part.first]}
	res.add("Content-Range", "bytes "+strconv.FormatInt(start, 10)+"-"+strconv.FormatInt(end-1, 10)+"/"+strconv.FormatInt(v.part.size, 10))
	return res
}

// replaces reports whether a response makes one void that would have answered the same request: a whole does, and a part does to the
// parts within it and to those of another whole.
func (v *stored) replaces(old *stored) bool {
	if v.part.size == 0 {
		return true
	}
	return old.part.size > 0 && (old.etag != v.etag || old.part.first >= v.part.first && old.end() <= v.end())
}
