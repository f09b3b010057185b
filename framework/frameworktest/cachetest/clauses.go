package cachetest

import (
	"slices"
)

// Clauses is the table: RFC 9111, sections 3 to 5, RFC 5861, RFC 9211, RFC 9213, and the parts of RFC 9110 that a cache evaluates.
func Clauses() []Case {
	return slices.Concat(
		storing(), authorization(), keys(), freshness(), dates(), ages(), heuristics(), directives(), requestDirectives(),
		targeted(), validation(), updates(), heads(), invalidation(), staleness(), status(), conditions(), ranges(), bodies(),
	)
}

// reused is the case of an answer that serves the next request.
func reused(clause, name string, fields ...string) Case {
	return Case{clause, name, []Exchange{{Answer: fields, Asked: true}, {Of: 1}}}
}

// notReused is the case of an answer that does not.
func notReused(clause, name string, fields ...string) Case {
	return Case{clause, name, []Exchange{{Answer: fields, Asked: true}, {Asked: true}}}
}

func storing() []Case {
	const s = "RFC 9111 3"
	with := func(status int, fields ...string) []Exchange {
		return []Exchange{{Status: status, Got: status, Answer: fields, Asked: true}, {Got: status, Of: 1}}
	}
	without := func(status int, fields ...string) []Exchange {
		return []Exchange{{Status: status, Got: status, Answer: fields, Asked: true}, {Status: status, Got: status, Answer: fields, Asked: true}}
	}
	cases := []Case{
		reused(s, "max-age", "Cache-Control", "max-age=100"),
		reused(s, "s-maxage", "Cache-Control", "s-maxage=100"),
		reused(s, "Expires", "Expires", "{now+100}"),
		reused(s, "directives in two lines", "Cache-Control", "public", "Cache-Control", "max-age=100"),
		notReused(s, "nothing says that it may be", "X-Any", "thing"),
		notReused(s, "no-store", "Cache-Control", "max-age=100, no-store"),
		notReused(s, "no-store in another line", "Cache-Control", "max-age=100", "Cache-Control", "no-store"),
		notReused(s, "private", "Cache-Control", "max-age=100, private"),
		notReused(s, "private in capitals", "Cache-Control", "max-age=100, PRIVATE"),
		notReused(s, "Set-Cookie", "Cache-Control", "public, max-age=100", "Set-Cookie", "id=1"),
		notReused(s, "text/event-stream without a word", "Content-Type", "text/event-stream", "Last-Modified", "{now-100000}"),
		{s, "any status with explicit freshness", with(299, "Cache-Control", "max-age=100")},
		{s, "an unknown class of status", with(599, "Cache-Control", "max-age=100")},
		{s, "an error with explicit freshness", with(503, "Cache-Control", "max-age=100")},
		{s, "a redirect with explicit freshness", with(302, "Cache-Control", "max-age=100", "Location", "/elsewhere")},
		{s, "an error without", without(500, "Last-Modified", "{now-100000}")},
		{s, "an unknown status without", without(299, "Last-Modified", "{now-100000}")},
		{"RFC 9111 5.2.2.3", "must-understand, understood, stands above no-store", with(200, "Cache-Control", "max-age=100, no-store, must-understand")},
		{"RFC 9111 5.2.2.3", "must-understand, not understood", without(299, "Cache-Control", "max-age=100, must-understand")},
		{s, "a request with no-store", []Exchange{
			{Fields: Fields{"Cache-Control", "no-store"}, Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true},
			{Asked: true},
		}},
		{s, "an answer to POST", []Exchange{
			{Method: "POST", Body: "x", Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true},
			{Asked: true},
		}},
		{s, "an incomplete answer", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true, Break: true, Incomplete: true, Of: -1},
			{Asked: true},
		}},
		{s, "an incomplete answer in chunks", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true, Break: true, Chunks: true, Incomplete: true, Of: -1},
			{Asked: true},
		}},
		{"RFC 9111 3.1", "fields of the connection", []Exchange{
			{
				Answer: Fields{"Cache-Control", "max-age=100", "Connection", "X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=1", "X-Own", "a"},
				Asked:  true, Has: Fields{"X-Hop", "-", "Keep-Alive", "-", "X-Own", "a"},
			},
			{Of: 1, Has: Fields{"X-Hop", "-", "Keep-Alive", "-", "X-Own", "a"}},
		}},
		{"RFC 9111 3.1", "lines of one name stay apart and in order", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100", "X-Many", "b", "X-Many", "a"}, Asked: true, Has: Fields{"X-Many", "b, a"}},
			{Of: 1, Has: Fields{"X-Many", "b, a"}},
		}},
		{"RFC 9111 3.1", "the fields named by private", []Exchange{
			{Answer: Fields{"Cache-Control", `max-age=100, private="X-Mine"`, "X-Mine", "1"}, Asked: true, Has: Fields{"X-Mine", "1"}},
			{Of: 1, Has: Fields{"X-Mine", "-"}},
		}},
		{"RFC 9111 5.2.2.4", "the fields named by no-cache", []Exchange{
			{Answer: Fields{"Cache-Control", `max-age=100, no-cache="X-Mine, x-too"`, "X-Mine", "1", "X-Too", "2"}, Asked: true},
			{Of: 1, Has: Fields{"X-Mine", "-", "X-Too", "-"}},
		}},
	}
	for _, status := range []int{203, 204, 300, 301, 308, 404, 405, 410, 414, 501} {
		text := ""
		if status == 204 {
			text = "-"
		}
		cases = append(cases, Case{"RFC 9110 15.1", "heuristic freshness of " + itoa(status), []Exchange{
			{Status: status, Got: status, Text: text, Answer: Fields{"Last-Modified", "{now-100000}"}, Asked: true},
			{Got: status, Of: 1, Text: text},
		}})
	}
	return cases
}

func authorization() []Case {
	as := func(name string, want bool, control string) Case {
		return Case{"RFC 9111 3.5", name, []Exchange{
			{Fields: Fields{"Authorization", "Basic eDp5"}, Answer: Fields{"Cache-Control", control}, Asked: true},
			{Asked: !want, Of: map[bool]int{true: 1}[want]},
		}}
	}
	return []Case{
		as("an answer to a request with Authorization", false, "max-age=100"),
		as("public", true, "max-age=100, public"),
		as("must-revalidate", true, "max-age=100, must-revalidate"),
		as("s-maxage", true, "s-maxage=100"),
		as("s-maxage that is no number", false, "max-age=100, s-maxage=x"),
	}
}

func keys() []Case {
	const s = "RFC 9111 4.1"
	vary := func(name string, hit bool, vary string, first, second Fields) Case {
		next := Exchange{Fields: second, Asked: !hit}
		if hit {
			next.Of = 1
		}
		return Case{s, name, []Exchange{
			{Fields: first, Answer: Fields{"Cache-Control", "max-age=100", "Vary", vary}, Asked: true}, next,
		}}
	}
	fresh := Fields{"Cache-Control", "max-age=100", "Vary", "X-A"}
	return []Case{
		{"RFC 9111 2", "another query", []Exchange{
			{Path: "?a=1", Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true},
			{Path: "?a=2", Asked: true},
			{Path: "?a=1", Of: 1},
		}},
		vary("the same value", true, "X-A", Fields{"X-A", "1"}, Fields{"X-A", "1"}),
		vary("another value", false, "X-A", Fields{"X-A", "1"}, Fields{"X-A", "2"}),
		vary("a value that is there no more", false, "X-A", Fields{"X-A", "1"}, nil),
		vary("a value that was not there", false, "X-A", nil, Fields{"X-A", "1"}),
		vary("absent both times", true, "X-A", nil, nil),
		vary("names without regard to case", true, "x-a", Fields{"X-A", "1"}, Fields{"X-A", "1"}),
		vary("whitespace in a list", true, "X-A", Fields{"X-A", "1,2"}, Fields{"X-A", " 1 ,  2 "}),
		vary("one line or two", true, "X-A", Fields{"X-A", "1, 2"}, Fields{"X-A", "1", "X-A", "2"}),
		vary("another order", false, "X-A", Fields{"X-A", "1, 2"}, Fields{"X-A", "2, 1"}),
		vary("another case of a value", false, "X-A", Fields{"X-A", "a"}, Fields{"X-A", "A"}),
		vary("two names, the same", true, "X-A, X-B", Fields{"X-A", "1", "X-B", "1"}, Fields{"X-A", "1", "X-B", "1"}),
		vary("two names, one differs", false, "X-A, X-B", Fields{"X-A", "1", "X-B", "1"}, Fields{"X-A", "1", "X-B", "2"}),
		vary("two names, one absent", false, "X-A, X-B", Fields{"X-A", "1", "X-B", "1"}, Fields{"X-A", "1"}),
		vary("a star", false, "*", nil, nil),
		vary("a star among names", false, "X-A, *", Fields{"X-A", "1"}, Fields{"X-A", "1"}),
		vary("Accept-Encoding", false, "Accept-Encoding", Fields{"Accept-Encoding", "gzip"}, Fields{"Accept-Encoding", "br"}),
		{s, "several are stored", []Exchange{
			{Fields: Fields{"X-A", "1"}, Answer: fresh, Asked: true},
			{Fields: Fields{"X-A", "2"}, Answer: fresh, Asked: true},
			{Fields: Fields{"X-A", "1"}, Of: 1},
			{Fields: Fields{"X-A", "2"}, Of: 2},
		}},
		{s, "an answer that forgets Vary is not preferred", []Exchange{
			{Fields: Fields{"X-A", "1"}, Answer: fresh, Asked: true},
			{Fields: Fields{"X-A", "2"}, Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true},
			{Fields: Fields{"X-A", "1"}, Of: 1},
		}},
		{s, "the most recent of those that match", []Exchange{
			{Fields: Fields{"X-A", "1"}, Answer: Fields{"Cache-Control", "max-age=100", "Vary", "X-A", "Date", "{now-10}"}, Asked: true},
			{
				Fields: Fields{"X-A", "1", "X-B", "1", "Cache-Control", "no-cache"},
				Answer: Fields{"Cache-Control", "max-age=100", "Vary", "X-B"}, Asked: true,
			},
			{Fields: Fields{"X-A", "1", "X-B", "1"}, Of: 2},
		}},
	}
}
