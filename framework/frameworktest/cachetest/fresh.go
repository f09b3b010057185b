package cachetest

import (
	"slices"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

func freshness() []Case {
	const s = "RFC 9111 4.2.1"
	return []Case{
		notReused("RFC 9111 4.2", "max-age is over", "Cache-Control", "max-age=10", "Age", "10"),
		notReused(s, "max-age=0", "Cache-Control", "max-age=0"),
		reused(s, "s-maxage stands above max-age", "Cache-Control", "max-age=0, s-maxage=100"),
		notReused(s, "also when it is shorter", "Cache-Control", "s-maxage=0, max-age=100"),
		reused(s, "max-age stands above Expires", "Cache-Control", "max-age=100", "Expires", "{now-100}"),
		notReused(s, "also when it is shorter than Expires", "Cache-Control", "max-age=0", "Expires", "{now+100}"),
		reused(s, "s-maxage stands above Expires", "Cache-Control", "s-maxage=100", "Expires", "{now-100}"),
		notReused(s, "Expires is past", "Expires", "{now-10}"),
		notReused(s, "Expires is the Date", "Date", "{now}", "Expires", "{now}"),
		reused(s, "Expires counts from Date", "Date", "{now-3600}", "Expires", "{now+10}"),
		notReused(s, "Age counts against Expires", "Expires", "{now+100}", "Age", "100"),
		notReused(s, "an old Date counts against max-age", "Date", "{now-200}", "Cache-Control", "max-age=100"),
		reused(s, "the first of two values", "Cache-Control", "max-age=100, max-age=0"),
		notReused(s, "the first of two values, which is stale", "Cache-Control", "max-age=0", "Cache-Control", "max-age=100"),
		reused(s, "the first of two Expires", "Expires", "{now+100}", "Expires", "{now-100}"),
		notReused(s, "the stricter of directives that conflict", "Cache-Control", "max-age=100, no-cache"),
		{"RFC 9111 4.2", "it becomes stale with time", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100", "Age", "97"}, Asked: true}, {Of: 1}, {Wait: 3100e6, Asked: true},
		}},
	}
}

func dates() []Case {
	const s, f = "RFC 9111 5.3", "RFC 9110 5.6.7"
	return []Case{
		reused(f, "RFC 850", "Expires", "{rfc850+100}"),
		reused(f, "asctime", "Expires", "{asctime+100}"),
		reused("RFC 9111 4.2", "dates without regard to case", "Expires", "thu, 18 AUG 2095 02:01:18 gmt"),
		notReused(f, "RFC 850 of the past", "Expires", "{rfc850-100}"),
		notReused(s, "0", "Expires", "0"),
		notReused(s, "-1", "Expires", "-1"),
		notReused(s, "nothing", "Expires", ""),
		notReused(s, "words", "Expires", "tomorrow"),
		notReused(s, "another zone", "Expires", "Thu, 18 Aug 2095 02:01:18 AEST"),
		notReused(s, "a zone as a number", "Expires", "Thu, 18 Aug 2095 02:01:18 +0000"),
		notReused(s, "no zone", "Expires", "Thu, 18 Aug 2095 02:01:18"),
		notReused(s, "UTC", "Expires", "Thu, 18 Aug 2095 02:01:18 UTC"),
		notReused(s, "a year of two digits", "Expires", "Thu, 18 Aug 95 02:01:18 GMT"),
		notReused(s, "a day of one digit", "Expires", "Thu, 8 Aug 2095 02:01:18 GMT"),
		notReused(s, "no comma", "Expires", "Thu 18 Aug 2095 02:01:18 GMT"),
		notReused(s, "more spaces", "Expires", "Thu, 18  Aug  2095 02:01:18 GMT"),
		notReused(s, "dots in the time", "Expires", "Thu, 18 Aug 2095 02.01.18 GMT"),
		notReused(s, "a time of day that is none", "Expires", "Thu, 18 Aug 2095 25:01:18 GMT"),
		notReused(s, "not even with a modification date", "Expires", "0", "Last-Modified", "{now-100000}"),
		{"RFC 9110 6.6.1", "a missing Date is added", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100", "Date", "-"}, Asked: true, Has: Fields{"Date", "~GMT"}},
			{Of: 1, Has: Fields{"Date", "~GMT"}},
		}},
		{"RFC 9110 6.6.1", "the origin's Date is kept", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100000", "Date", "Mon, 01 Jan 2024 10:00:00 GMT"}, Asked: true, Has: Fields{"Date", "Mon, 01 Jan 2024 10:00:00 GMT"}},
		}},
	}
}

func ages() []Case {
	const s = "RFC 9111 5.1"
	age := func(name string, fresh bool, lines ...string) Case {
		fields := []string{"Cache-Control", "max-age=3600"}
		for _, line := range lines {
			fields = append(fields, "Age", line)
		}
		if fresh {
			return reused(s, name, fields...)
		}
		return notReused(s, name, fields...)
	}
	return []Case{
		age("greater than the lifetime", false, "7200"),
		age("less than the lifetime", true, "1800"),
		age("0", true, "0"),
		age("the first of a list", false, "7200, 0"),
		age("the first of a list, which is less", true, "0, 7200"),
		age("the first of two lines", false, "7200", "0"),
		age("the first of two lines, which is less", true, "0", "7200"),
		age("negative", true, "-7200"),
		age("with a sign", true, "+7200"),
		age("a float", true, "7200.0"),
		age("letters before", true, "a7200"),
		age("letters behind", true, "7200a"),
		age("a parameter", true, "7200;x=y"),
		age("quoted", true, `"7200"`),
		age("2^31", false, "2147483648"),
		age("2^63", false, "9223372036854775808"),
		age("beyond any number", false, "99999999999999999999999999"),
		{s, "it is sent with what is reused", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=3600"}, Asked: true}, {Of: 1, Has: Fields{"Age", "0"}},
		}},
		{"RFC 9111 4.2.3", "it counts on from what the origin sent", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=3600", "Age", "30"}, Asked: true, Has: Fields{"Age", "30"}},
			{Of: 1, Has: Fields{"Age", "30"}},
			{Wait: 1100e6, Of: 1, Has: Fields{"Age", "31"}},
		}},
		{"RFC 9111 4.2.3", "the apparent age, when that is greater", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=3600", "Age", "5", "Date", "{now-100}"}, Asked: true},
			{Of: 1, Has: Fields{"Age", "~10"}},
		}},
		{"RFC 9111 4.2.3", "a Date ahead of time", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=3600", "Date", "{now+100}"}, Asked: true}, {Of: 1, Has: Fields{"Age", "0"}},
		}},
	}
}

func heuristics() []Case {
	const s = "RFC 9111 4.2.2"
	return []Case{
		reused(s, "a modification long ago", "Last-Modified", "{now-100000}"),
		notReused(s, "no modification date", "X-Any", "thing"),
		notReused(s, "a modification just now", "Last-Modified", "{now}"),
		notReused(s, "older than a tenth of its time", "Last-Modified", "{now-100}", "Age", "11"),
		{s, "public allows it for any status", []Exchange{
			{Status: 299, Got: 299, Answer: Fields{"Cache-Control", "public", "Last-Modified", "{now-100000}"}, Asked: true},
			{Got: 299, Of: 1},
		}},
		notReused(s, "not where max-age=0 says otherwise", "Cache-Control", "max-age=0", "Last-Modified", "{now-100000}"),
		notReused(s, "not with a modification date that is none", "Last-Modified", "long ago"),
	}
}

func directives() []Case {
	const s = "RFC 9111 5.2"
	var cases []Case
	for _, c := range []struct {
		name, value string
		fresh       bool
	}{
		{"in capitals", "MAX-AGE=100", true},
		{"an unknown one before", "foo=bar, max-age=100", true},
		{"an unknown one behind", "max-age=100, foo", true},
		{"empty members", ",, max-age=100 ,,", true},
		{"tabs", "\tmax-age=100\t,\tfoo", true},
		{"a quoted argument", `max-age="100"`, true},
		{"a quoted string that holds another", `foo="max-age=100"`, false},
		{"a quoted string that holds no-store", `foo="no-store, x", max-age=100`, true},
		{"a quoted string with an escaped quote", `foo="\", no-store, \"", max-age=100`, true},
		{"a quoted string without an end", `max-age=100, foo="bar`, false},
		{"single quotes", "max-age='100'", false},
		{"negative", "max-age=-100", false},
		{"a float", "max-age=100.5", false},
		{"letters before", "max-age=a100", false},
		{"letters behind", "max-age=100a", false},
		{"a parameter", "max-age=100;x=y", false},
		{"nothing", "max-age", false},
		{"nothing behind =", "max-age=", false},
		{"a space before =", "max-age =100", false},
		{"a space behind =", "max-age= 100", false},
		{"zeros before", "max-age=00100", true},
		{"beyond any number", "max-age=99999999999999999999", true},
		{"2^31", "max-age=2147483648", true},
		{"s-maxage that is no number, and max-age", "s-maxage=x, max-age=100", false},
		{"part of another's name", "x-max-age=100", false},
		{"no-store in capitals", "max-age=100, NO-STORE", false},
		{"no-store with an argument", "max-age=100, no-store=foo", false},
		{"no-cache", "max-age=100, no-cache", false},
		{"immutable", "max-age=100, immutable", true},
		{"no-transform", "max-age=100, no-transform", true},
	} {
		if c.fresh {
			cases = append(cases, reused(s, c.name, "Cache-Control", c.value))
		} else {
			cases = append(cases, notReused(s, c.name, "Cache-Control", c.value))
		}
	}
	return append(cases,
		reused("RFC 9111 5.4", "Pragma in an answer", "Cache-Control", "max-age=100", "Pragma", "no-cache"),
		Case{"RFC 9111 5.4", "Pragma in a request", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true}, {Fields: Fields{"Pragma", "no-cache"}, Of: 1},
		}},
	)
}

func requestDirectives() []Case {
	asked := func(clause, name, control string, fields Fields, hit bool) Case {
		next := Exchange{Fields: Fields{"Cache-Control", control}, Asked: !hit}
		if hit {
			next.Of = 1
		}
		return Case{clause, name, []Exchange{{Answer: fields, Asked: true}, next}}
	}
	fresh, aged := Fields{"Cache-Control", "max-age=100"}, Fields{"Cache-Control", "max-age=100", "Age", "50"}
	stale := Fields{"Cache-Control", "max-age=100", "Age", "150", "ETag", `"a"`}
	with := func(fields Fields, control string) Fields {
		return append(slices.Clone(fields), "Cache-Control", control)
	}
	return []Case{
		asked("RFC 9111 5.2.1.1", "max-age that is enough", "max-age=60", aged, true),
		asked("RFC 9111 5.2.1.1", "max-age that is not", "max-age=40", aged, false),
		asked("RFC 9111 5.2.1.1", "max-age=0", "max-age=0", fresh, false),
		asked("RFC 9111 5.2.1.1", "max-age that is no number", "max-age=x", fresh, true),
		asked("RFC 9111 5.2.1.2", "max-stale", "max-stale", stale, true),
		asked("RFC 9111 5.2.1.2", "max-stale that is enough", "max-stale=60", stale, true),
		asked("RFC 9111 5.2.1.2", "max-stale that is not", "max-stale=40", stale, false),
		asked("RFC 9111 5.2.1.2", "max-stale, and must-revalidate", "max-stale=60", with(stale, "must-revalidate"), false),
		asked("RFC 9111 5.2.1.2", "max-stale, and proxy-revalidate", "max-stale=60", with(stale, "proxy-revalidate"), false),
		asked("RFC 9111 5.2.1.2", "max-stale, and s-maxage", "max-stale=60", with(stale, "s-maxage=100"), false),
		asked("RFC 9111 5.2.1.2", "max-stale, and no-cache", "max-stale=60", with(aged, "no-cache"), false),
		asked("RFC 9111 5.2.1.3", "min-fresh that is there", "min-fresh=40", aged, true),
		asked("RFC 9111 5.2.1.3", "min-fresh that is not", "min-fresh=60", aged, false),
		asked("RFC 9111 5.2.1.4", "no-cache", "no-cache", fresh, false),
		asked("RFC 9111 5.2.1.4", "no-cache in capitals among others", "foo, NO-CACHE", fresh, false),
		{"RFC 9111 5.2.1.4", "the answer to no-cache is stored", []Exchange{
			{Answer: fresh, Asked: true},
			{Fields: Fields{"Cache-Control", "no-cache"}, Answer: fresh, Asked: true},
			{Of: 2},
		}},
		{"RFC 9111 5.2.1.5", "no-store", []Exchange{
			{Fields: Fields{"Cache-Control", "no-store"}, Answer: fresh, Asked: true},
			{Answer: fresh, Asked: true},
			{Fields: Fields{"Cache-Control", "no-store, no-cache"}, Answer: fresh, Asked: true},
			{Of: 2},
		}},
		{"RFC 9111 5.2.1.7", "only-if-cached, and there is none", []Exchange{
			{Fields: Fields{"Cache-Control", "only-if-cached"}, Got: 504, Of: -1},
		}},
		{"RFC 9111 5.2.1.7", "only-if-cached, and there is one", []Exchange{
			{Answer: fresh, Asked: true}, {Fields: Fields{"Cache-Control", "only-if-cached"}, Of: 1},
		}},
		{"RFC 9111 5.2.1.7", "only-if-cached, and there is a stale one", []Exchange{
			{Answer: stale, Asked: true}, {Fields: Fields{"Cache-Control", "only-if-cached"}, Got: 504, Of: -1},
		}},
	}
}

func targeted() []Case {
	const s = "RFC 9213 2"
	name := "CDN-Cache-Control"
	return []Case{
		reused(s+".2", "max-age", name, "max-age=100"),
		reused(s+".2", "it stands above no-store", name, "max-age=100", "Cache-Control", "no-store"),
		reused(s+".2", "it stands above max-age", name, "max-age=100", "Cache-Control", "max-age=0"),
		notReused(s+".2", "also when it is shorter", name, "max-age=0", "Cache-Control", "max-age=100"),
		reused(s+".2", "it stands above Expires", name, "max-age=100", "Expires", "{now-100}"),
		notReused(s+".2", "Expires does not help it out", name, "foo", "Expires", "{now+100}"),
		notReused(s+".2", "no-store", name, "max-age=100, no-store"),
		notReused(s+".2", "no-store alone", name, "no-store", "Cache-Control", "max-age=100"),
		notReused(s+".2", "private", name, "private", "Cache-Control", "max-age=100"),
		notReused(s+".2", "no-cache", name, "max-age=100, no-cache", "Cache-Control", "max-age=100"),
		reused(s+".2", "no-store that is false", name, "max-age=100, no-store=?0"),
		reused(s+".2", "s-maxage", name, "s-maxage=100, max-age=0"),
		reused(s+".1", "one that is empty is ignored", name, "", "Cache-Control", "max-age=100"),
		notReused(s+".1", "empty and no other", name, ""),
		reused(s+".1", "one that is no dictionary is ignored", name, "max-age=0, &", "Cache-Control", "max-age=100"),
		reused(s+".1", "in capitals it is none", name, "MAX-AGE=0", "Cache-Control", "max-age=100"),
		reused(s+".1", "spaces round = are none", name, "max-age = 0", "Cache-Control", "max-age=100"),
		notReused(s+".1", "a float is no lifetime", name, "max-age=100.5", "Cache-Control", "max-age=100"),
		notReused(s+".1", "a string is no lifetime", name, `max-age="100"`, "Cache-Control", "max-age=100"),
		notReused(s+".1", "a negative lifetime", name, "max-age=-1", "Cache-Control", "max-age=100"),
		reused(s+".1", "parameters of members", name, "max-age=100;foo=bar"),
		reused(s+".1", "unknown members", name, "foo, max-age=100, bar=(1 2)"),
		reused(s+".1", "two lines", name, "foo", name, "max-age=100"),
		notReused(s+".1", "the last of two values", name, "max-age=100, max-age=0"),
		notReused(s+".2", "it ends", name, "max-age=100", "Age", "100"),
		{s + ".2", "it is passed on", []Exchange{
			{Answer: Fields{name, "max-age=100", "Cache-Control", "no-store"}, Asked: true, Has: Fields{name, "max-age=100", "Cache-Control", "no-store"}},
			{Of: 1, Has: Fields{name, "max-age=100", "Cache-Control", "no-store"}},
		}},
		{"RFC 9111 3.5", "by CDN-Cache-Control", []Exchange{
			{Fields: Fields{"Authorization", "Basic eDp5"}, Answer: Fields{name, "max-age=100, public"}, Asked: true}, {Of: 1},
		}},
	}
}
