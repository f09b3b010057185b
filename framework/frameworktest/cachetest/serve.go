package cachetest

func staleness() []Case {
	const sie, swr, s = "RFC 5861 4", "RFC 5861 3", "RFC 9111 4.2.4"
	stale := func(control string) Exchange {
		return Exchange{Answer: Fields{"Cache-Control", control, "Age", "101"}, Asked: true}
	}
	gone := Exchange{OriginFails: true, Asked: true, Of: 1}
	lost := Exchange{OriginFails: true, Asked: true, Got: 502, Of: -1}
	return []Case{
		{swr, "stale, and asked behind", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100, stale-while-revalidate=100", "Age", "101"}, Asked: true},
			{Answer: Fields{"Cache-Control", "max-age=100"}, Of: 1, Behind: true, Has: Fields{"X-Cache", "STALE"}},
		}},
		{swr, "the time is over", []Exchange{stale("max-age=90, stale-while-revalidate=10"), {Asked: true}}},
		{swr, "must-revalidate forbids it", []Exchange{stale("max-age=100, stale-while-revalidate=100, must-revalidate"), {Asked: true}}},
		{swr, "s-maxage forbids it", []Exchange{stale("s-maxage=100, stale-while-revalidate=100"), {Asked: true}}},
		{sie, "500", []Exchange{stale("max-age=100, stale-if-error=100"), {Status: 500, Asked: true, Of: 1, Has: Fields{"X-Cache", "STALE"}}}},
		{sie, "503", []Exchange{stale("max-age=100, stale-if-error=100"), {Status: 503, Asked: true, Of: 1}}},
		{sie, "404 is no error", []Exchange{stale("max-age=100, stale-if-error=100"), {Status: 404, Got: 404, Asked: true}}},
		{sie, "the time is over", []Exchange{stale("max-age=90, stale-if-error=10"), {Status: 503, Got: 503, Asked: true}}},
		{sie, "must-revalidate forbids it", []Exchange{stale("max-age=100, stale-if-error=100, must-revalidate"), {Status: 503, Got: 503, Asked: true}}},
		{sie, "a request allows it", []Exchange{
			stale("max-age=100"), {Fields: Fields{"Cache-Control", "stale-if-error=100"}, Status: 503, Asked: true, Of: 1},
		}},
		{sie, "the connection breaks", []Exchange{stale("max-age=100, stale-if-error=100"), gone}},
		{s, "the origin is away", []Exchange{stale("max-age=100"), gone}},
		{s, "the origin is away, and must-revalidate", []Exchange{stale("max-age=100, must-revalidate"), lost}},
		{s, "the origin is away, and proxy-revalidate", []Exchange{stale("max-age=100, proxy-revalidate"), lost}},
		{s, "the origin is away, and s-maxage", []Exchange{stale("s-maxage=100"), lost}},
		{s, "the origin is away, and no-cache", []Exchange{stale("max-age=100, no-cache"), lost}},
		{s, "the origin is away, and nothing is stored", []Exchange{lost}},
	}
}

func status() []Case {
	const s = "RFC 9211 2"
	return []Case{
		{s + ".1", "hit", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true, Has: Fields{"Cache-Status", "innatural; fwd=uri-miss; stored; ttl=100", "X-Cache", "MISS"}},
			{Of: 1, Has: Fields{"Cache-Status", "innatural; hit; ttl=100", "X-Cache", "HIT"}},
		}},
		{s + ".2", "vary-miss", []Exchange{
			{Fields: Fields{"X-A", "1"}, Answer: Fields{"Cache-Control", "max-age=100", "Vary", "X-A"}, Asked: true},
			{Fields: Fields{"X-A", "2"}, Asked: true, Has: Fields{"Cache-Status", "~innatural; fwd=vary-miss"}},
		}},
		{s + ".2", "stale, and what the origin said", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=0", "ETag", `"a"`}, Asked: true},
			{
				Status: 304, Answer: Fields{"ETag", `"a"`, "Cache-Control", "max-age=100"}, Asked: true, Of: 1,
				Has: Fields{"Cache-Status", "innatural; fwd=stale; fwd-status=304; ttl=100"},
			},
		}},
		{s + ".2", "request", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true},
			{Fields: Fields{"Cache-Control", "no-cache"}, Asked: true, Has: Fields{"Cache-Status", "~innatural; fwd=request"}},
		}},
		{s + ".2", "method", []Exchange{
			{Method: "POST", Body: "x", Asked: true, Has: Fields{"Cache-Status", "innatural; fwd=method", "X-Cache", "BYPASS"}},
		}},
		{s + ".8", "detail", []Exchange{
			{Answer: Fields{"Cache-Control", "private"}, Asked: true, Has: Fields{"Cache-Status", "innatural; fwd=uri-miss; detail=private", "X-Cache", "BYPASS"}},
		}},
		{s + ".5", "ttl of a stale answer", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100, stale-if-error=100", "Age", "110"}, Asked: true},
			{Status: 503, Asked: true, Of: 1, Has: Fields{"Cache-Status", "innatural; fwd=stale; fwd-status=503; ttl=-10; detail=stale-if-error"}},
		}},
		{s, "the line of the cache behind this one stays", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100", "Cache-Status", "origin; hit"}, Asked: true, Has: Fields{"Cache-Status", "~origin; hit, innatural; fwd="}},
			{Of: 1, Has: Fields{"Cache-Status", "~origin; hit, innatural; hit"}},
		}},
	}
}

func conditions() []Case {
	const s = "RFC 9111 4.3.2"
	fresh := Exchange{
		Answer: Fields{
			"Cache-Control", "max-age=100", "ETag", `"a"`, "Last-Modified", "Mon, 01 Jan 2024 10:00:00 GMT",
			"Content-Location", "/x", "Vary", "X-V", "X-Other", "1", "Content-Language", "en",
		},
		Asked: true,
	}
	when := func(clause, name string, hit bool, fields ...string) Case {
		next := Exchange{Fields: fields, Of: 1}
		if hit {
			next.Got = 304
		}
		return Case{clause, name, []Exchange{fresh, next}}
	}
	const inm, ims = "RFC 9110 13.1.2", "RFC 9110 13.1.3"
	return []Case{
		when(inm, "the same tag", true, "If-None-Match", `"a"`),
		when(inm, "a weak one", true, "If-None-Match", `W/"a"`),
		when(inm, "another tag", false, "If-None-Match", `"b"`),
		when(inm, "one of a list", true, "If-None-Match", `"x", "a"`),
		when(inm, "one of two lines", true, "If-None-Match", `"x"`, "If-None-Match", `"a"`),
		when(inm, "a star", true, "If-None-Match", "*"),
		when(inm, "without quotes", false, "If-None-Match", "a"),
		when(inm, "it stands above If-Modified-Since", false, "If-None-Match", `"b"`, "If-Modified-Since", "{now}"),
		when(ims, "the same date", true, "If-Modified-Since", "Mon, 01 Jan 2024 10:00:00 GMT"),
		when(ims, "a later date", true, "If-Modified-Since", "Mon, 01 Jan 2024 10:00:01 GMT"),
		when(ims, "a date of another form", true, "If-Modified-Since", "Monday, 01-Jan-24 10:00:00 GMT"),
		when(ims, "an earlier date", false, "If-Modified-Since", "Mon, 01 Jan 2024 09:59:59 GMT"),
		when(ims, "what is no date", false, "If-Modified-Since", "yesterday"),
		{s, "without a modification date, the Date counts", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100", "Date", "{now-10}"}, Asked: true},
			{Fields: Fields{"If-Modified-Since", "{now}"}, Got: 304},
			{Fields: Fields{"If-Modified-Since", "{now-60}"}, Of: 1},
		}},
		{"RFC 9110 15.4.5", "the fields of a 304", []Exchange{fresh, {
			Fields: Fields{"If-None-Match", `"a"`}, Got: 304,
			Has: Fields{
				"ETag", `"a"`, "Cache-Control", "max-age=100", "Content-Location", "/x", "Vary", "X-V", "Date", "~GMT",
				"X-Other", "-", "Content-Language", "-", "Last-Modified", "-", "Content-Length", "-",
			},
		}}},
		{"RFC 9110 13.2.1", "conditions are for successes", []Exchange{
			{Status: 404, Got: 404, Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"a"`}, Asked: true},
			{Fields: Fields{"If-None-Match", `"a"`}, Got: 404, Of: 1},
		}},
	}
}

func ranges() []Case {
	fresh := Exchange{
		Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"a"`, "Last-Modified", "Mon, 01 Jan 2024 10:00:00 GMT"},
		Asked:  true, Text: "0123456789",
	}
	part := func(clause, name string, got int, text, contentRange string, fields ...string) Case {
		return Case{clause, name, []Exchange{
			fresh, {Fields: fields, Got: got, GotText: text, Has: Fields{"Content-Range", contentRange}},
		}}
	}
	first := Exchange{
		Fields: Fields{"Range", "bytes=2-5"}, Asked: true, Sent: Fields{"Range", "bytes=2-5"}, Status: 206, Got: 206, Text: "2345",
		Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"a"`, "Content-Range", "bytes 2-5/10"},
		Has:    Fields{"Content-Range", "bytes 2-5/10"},
	}
	const s, r = "RFC 9110 14.1.2", "RFC 9110 13.1.5"
	return []Case{
		part(s, "from the beginning", 206, "01234", "bytes 0-4/10", "Range", "bytes=0-4"),
		part(s, "from the middle", 206, "56", "bytes 5-6/10", "Range", "bytes=5-6"),
		part(s, "to the end", 206, "56789", "bytes 5-9/10", "Range", "bytes=5-"),
		part(s, "the last bytes", 206, "789", "bytes 7-9/10", "Range", "bytes=-3"),
		part(s, "more last bytes than there are", 206, "0123456789", "bytes 0-9/10", "Range", "bytes=-30"),
		part(s, "beyond the end", 206, "89", "bytes 8-9/10", "Range", "bytes=8-100"),
		part(s, "behind the end", 416, "-", "bytes */10", "Range", "bytes=10-"),
		part("RFC 9110 14.2", "another unit", 200, "0123456789", "-", "Range", "lines=1-2"),
		part("RFC 9110 14.2", "malformed", 200, "0123456789", "-", "Range", "bytes=a-b"),
		part("RFC 9110 14.2", "last before first", 200, "0123456789", "-", "Range", "bytes=5-2"),
		part(r, "If-Range that holds", 206, "01", "bytes 0-1/10", "Range", "bytes=0-1", "If-Range", `"a"`),
		part(r, "If-Range that does not", 200, "0123456789", "-", "Range", "bytes=0-1", "If-Range", `"b"`),
		part(r, "If-Range with a weak tag", 200, "0123456789", "-", "Range", "bytes=0-1", "If-Range", `W/"a"`),
		part(r, "If-Range with the date", 206, "01", "bytes 0-1/10", "Range", "bytes=0-1", "If-Range", "Mon, 01 Jan 2024 10:00:00 GMT"),
		part(r, "If-Range with another date", 200, "0123456789", "-", "Range", "bytes=0-1", "If-Range", "Mon, 01 Jan 2024 10:00:01 GMT"),
		{"RFC 9110 13.2.2", "If-None-Match stands above Range", []Exchange{
			fresh, {Fields: Fields{"Range", "bytes=0-1", "If-None-Match", `"a"`}, Got: 304},
		}},
		{"RFC 9111 3.3", "on a miss the range goes on, and a part is no whole", []Exchange{
			first,
			{
				Asked: true, Text: "0123456789", Sent: Fields{"If-None-Match", "-"},
				Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"a"`}, Has: Fields{"Cache-Status", "~fwd=partial"},
			},
			{Fields: Fields{"Range", "bytes=2-3"}, Got: 206, GotText: "23"},
		}},
		{"RFC 9111 3.3", "a part answers for itself and what is within", []Exchange{
			first,
			{Fields: Fields{"Range", "bytes=2-5"}, Got: 206, Of: 1, Has: Fields{"Content-Range", "bytes 2-5/10", "Content-Length", "4"}},
			{Fields: Fields{"Range", "bytes=3-4"}, Got: 206, GotText: "34", Has: Fields{"Content-Range", "bytes 3-4/10"}},
			{Fields: Fields{"Range", "bytes=3-4", "If-Range", `"a"`}, Got: 206, GotText: "34"},
			{Fields: Fields{"Range", "bytes=3-4", "If-Range", `"b"`}, Asked: true, Text: "0123456789"},
		}},
		{"RFC 9111 3.3", "and for nothing else", []Exchange{
			first,
			{Fields: Fields{"Range", "bytes=3-6"}, Asked: true, Status: 206, Got: 206, Text: "3456", Answer: Fields{"Content-Range", "bytes 3-6/10"}},
			{Fields: Fields{"Range", "bytes=-1"}, Asked: true, Status: 206, Got: 206, Text: "9", Answer: Fields{"Content-Range", "bytes 9-9/10"}},
		}},
		{"RFC 9111 3.3", "the last bytes, when the part has them", []Exchange{
			{
				Fields: Fields{"Range", "bytes=-4"}, Asked: true, Status: 206, Got: 206, Text: "6789",
				Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"a"`, "Content-Range", "bytes 6-9/10"},
			},
			{Fields: Fields{"Range", "bytes=-2"}, Got: 206, GotText: "89", Has: Fields{"Content-Range", "bytes 8-9/10"}},
			{Fields: Fields{"Range", "bytes=7-"}, Got: 206, GotText: "789"},
		}},
		{"RFC 9111 3.4", "a part without a strong validator is not stored", []Exchange{
			{
				Fields: Fields{"Range", "bytes=2-5"}, Asked: true, Status: 206, Got: 206, Text: "2345",
				Answer: Fields{"Cache-Control", "max-age=100", "ETag", `W/"a"`, "Content-Range", "bytes 2-5/10"},
			},
			{Fields: Fields{"Range", "bytes=2-5"}, Asked: true, Status: 206, Got: 206, Text: "2345", Answer: Fields{"Content-Range", "bytes 2-5/10"}},
		}},
		{"RFC 9111 3.4", "a part is validated as such", []Exchange{
			{
				Fields: Fields{"Range", "bytes=2-5"}, Asked: true, Status: 206, Got: 206, Text: "2345",
				Answer: Fields{"Cache-Control", "max-age=0", "ETag", `"a"`, "Content-Range", "bytes 2-5/10"},
			},
			{
				Fields: Fields{"Range", "bytes=3-5"}, Asked: true, Sent: Fields{"If-None-Match", `"a"`}, Got: 206, GotText: "345",
				Status: 304, Answer: Fields{"ETag", `"a"`, "Cache-Control", "max-age=100"},
			},
			{Fields: Fields{"Range", "bytes=3-5"}, Got: 206, GotText: "345"},
		}},
	}
}

func bodies() []Case {
	return []Case{
		{"RFC 9112 7.1", "a body in chunks", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100"}, Chunks: true, Asked: true}, {Of: 1, Has: Fields{"Content-Length", "8"}},
		}},
		{"RFC 9110 15.2", "an interim response is not stored", []Exchange{
			{
				Raw: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
					"HTTP/1.1 200 OK\r\nConnection: close\r\nDate: {now}\r\nCache-Control: max-age=100\r\nContent-Length: 8\r\n\r\nanswer 1",
				Asked: true,
			},
			{Of: 1, Has: Fields{"Link", "-"}},
		}},
		{"RFC 9110 8.4", "a content coding stays", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100", "Content-Encoding", "x-any"}, Asked: true, Has: Fields{"Content-Encoding", "x-any"}},
			{Of: 1, Fields: Fields{"Accept-Encoding", "gzip"}, Has: Fields{"Content-Encoding", "x-any"}},
		}},
		{"RFC 9110 8.8.3", "no entity tag is invented", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true, Has: Fields{"ETag", "-", "Accept-Ranges", "-"}},
			{Of: 1, Has: Fields{"ETag", "-", "Accept-Ranges", "-"}},
		}},
		{"RFC 9110 6.4", "no Cache-Control is invented", []Exchange{
			{Asked: true, Has: Fields{"Cache-Control", "-"}},
			{Method: "POST", Body: "x", Asked: true, Has: Fields{"Cache-Control", "-"}},
		}},
	}
}
