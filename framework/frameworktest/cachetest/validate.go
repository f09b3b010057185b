package cachetest

func validation() []Case {
	const s = "RFC 9111 4.3.1"
	stale := func(fields ...string) Fields { return append(Fields{"Cache-Control", "max-age=0"}, fields...) }
	return []Case{
		{s, "by entity tag", []Exchange{
			{Answer: stale("ETag", `"a"`), Asked: true},
			{Status: 304, Answer: Fields{"ETag", `"a"`}, Asked: true, Sent: Fields{"If-None-Match", `"a"`}, Of: 1},
		}},
		{s, "by a weak entity tag", []Exchange{
			{Answer: stale("ETag", `W/"a"`), Asked: true},
			{Status: 304, Answer: Fields{"ETag", `W/"a"`}, Asked: true, Sent: Fields{"If-None-Match", `W/"a"`}, Of: 1},
		}},
		{s, "by date", []Exchange{
			{Answer: stale("Last-Modified", "Mon, 01 Jan 2024 10:00:00 GMT"), Asked: true},
			{Status: 304, Asked: true, Sent: Fields{"If-Modified-Since", "Mon, 01 Jan 2024 10:00:00 GMT", "If-None-Match", "-"}, Of: 1},
		}},
		{s, "by both", []Exchange{
			{Answer: stale("ETag", `"a"`, "Last-Modified", "Mon, 01 Jan 2024 10:00:00 GMT"), Asked: true},
			{
				Status: 304, Answer: Fields{"ETag", `"a"`}, Asked: true, Of: 1,
				Sent: Fields{"If-Modified-Since", "Mon, 01 Jan 2024 10:00:00 GMT", "If-None-Match", `"a"`},
			},
		}},
		{s, "no-cache is validated each time", []Exchange{
			{Answer: Fields{"Cache-Control", "no-cache", "ETag", `"a"`}, Asked: true},
			{Status: 304, Answer: Fields{"ETag", `"a"`}, Asked: true, Sent: Fields{"If-None-Match", `"a"`}, Of: 1},
			{Status: 304, Answer: Fields{"ETag", `"a"`}, Asked: true, Of: 1},
		}},
		{s, "a request's no-cache validates what is fresh", []Exchange{
			{Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"a"`}, Asked: true},
			{
				Fields: Fields{"Cache-Control", "no-cache"},
				Status: 304, Answer: Fields{"ETag", `"a"`}, Asked: true, Sent: Fields{"If-None-Match", `"a"`}, Of: 1,
			},
		}},
		{s, "with the tags of all that is stored", []Exchange{
			{Fields: Fields{"X-A", "1"}, Answer: Fields{"Cache-Control", "max-age=100", "Vary", "X-A", "ETag", `"a"`}, Asked: true},
			{Fields: Fields{"X-A", "2"}, Answer: Fields{"Cache-Control", "max-age=100", "Vary", "X-A", "ETag", `"b"`}, Asked: true},
			{
				Fields: Fields{"X-A", "3"}, Asked: true, Sent: Fields{"If-None-Match", `"b", "a"`}, Of: 1,
				Status: 304, Answer: Fields{"Cache-Control", "max-age=100", "Vary", "X-A", "ETag", `"a"`},
			},
			{Fields: Fields{"X-A", "3"}, Of: 1},
			{Fields: Fields{"X-A", "2"}, Of: 2},
		}},
		{"RFC 9111 4.3.3", "a whole answer replaces what is stored", []Exchange{
			{Answer: stale("ETag", `"a"`), Asked: true},
			{Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"b"`}, Asked: true, Has: Fields{"ETag", `"b"`}},
			{Of: 2},
		}},
		{"RFC 9111 4.3.3", "a 304 about something else", []Exchange{
			{Answer: stale("ETag", `"a"`), Asked: true},
			{Status: 304, Answer: Fields{"ETag", `"c"`}, Asked: true, Sent: Fields{"If-None-Match", "-"}},
		}},
		{"RFC 9111 4.3.3", "a 5xx is passed on", []Exchange{
			{Answer: stale("ETag", `"a"`), Asked: true},
			{Status: 503, Got: 503, Asked: true},
		}},
		{"RFC 9111 4.3.1", "on a miss the client's own condition goes on", []Exchange{
			{
				Fields: Fields{"If-None-Match", `"a"`}, Asked: true, Sent: Fields{"If-None-Match", `"a"`},
				Status: 304, Got: 304, Answer: Fields{"ETag", `"a"`},
			},
			{Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true},
			{Of: 2},
		}},
		{"RFC 9111 4.3.2", "a client's condition is evaluated after validation", []Exchange{
			{Answer: stale("ETag", `"a"`), Asked: true},
			{
				Fields: Fields{"If-None-Match", `"a"`}, Got: 304,
				Status: 304, Answer: Fields{"ETag", `"a"`}, Asked: true, Sent: Fields{"If-None-Match", `"a"`},
			},
			{
				Fields: Fields{"If-None-Match", `"x"`}, Of: 1,
				Status: 304, Answer: Fields{"ETag", `"a"`}, Asked: true, Sent: Fields{"If-None-Match", `"a"`},
			},
			{
				Fields: Fields{"If-None-Match", `"b"`}, Got: 304,
				Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"b"`}, Asked: true, Sent: Fields{"If-None-Match", `"a"`},
			},
			{Of: 4},
		}},
	}
}

func updates() []Case {
	const s = "RFC 9111 4.3.4"
	first := Exchange{
		Answer: Fields{
			"Cache-Control", "max-age=0", "ETag", `"a"`, "X-Old", "1", "X-New", "1", "Content-Type", "text/plain",
			"Content-Language", "en", "Expires", "{now+1}",
		},
		Asked: true,
	}
	update := func(name string, answer, has Fields) Case {
		with := append(Fields{"ETag", `"a"`, "Cache-Control", "max-age=100"}, answer...)
		return Case{s, name, []Exchange{
			first,
			{Status: 304, Answer: with, Asked: true, Of: 1, Has: has},
			{Of: 1, Has: has},
		}}
	}
	return []Case{
		update("a field is replaced", Fields{"X-New", "2"}, Fields{"X-New", "2", "X-Old", "1"}),
		update("a field is added", Fields{"X-More", "2"}, Fields{"X-More", "2", "X-Old", "1"}),
		update("Cache-Control makes it fresh", nil, Fields{"Cache-Control", "max-age=100"}),
		update("Expires", Fields{"Expires", "Thu, 18 Aug 2095 02:01:18 GMT"}, Fields{"Expires", "Thu, 18 Aug 2095 02:01:18 GMT"}),
		update("Date", Fields{"Date", "Thu, 18 Aug 2095 02:01:18 GMT"}, Fields{"Date", "Thu, 18 Aug 2095 02:01:18 GMT"}),
		update("Content-Language", Fields{"Content-Language", "fr"}, Fields{"Content-Language", "fr"}),
		update("not Content-Encoding, which says how to read the body", Fields{"Content-Encoding", "br"}, Fields{"Content-Encoding", "-"}),
		update("not Content-Range", Fields{"Content-Range", "bytes 0-1/9"}, Fields{"Content-Range", "-"}),
		update("not the fields of the connection", Fields{"Keep-Alive", "timeout=9"}, Fields{"Keep-Alive", "-"}),
		update("the age begins anew", Fields{"Age", "30"}, Fields{"Age", "30"}),
		{s, "no-store in a 304", []Exchange{
			first,
			{Status: 304, Answer: Fields{"ETag", `"a"`, "Cache-Control", "no-store"}, Asked: true, Of: 1},
			{Asked: true, Sent: Fields{"If-None-Match", "-"}},
		}},
		{s, "a cookie in a 304 is for one client", []Exchange{
			first,
			{
				Status: 304, Answer: Fields{"ETag", `"a"`, "Cache-Control", "max-age=100", "Set-Cookie", "id=1"}, Asked: true, Of: 1,
				Has: Fields{"Set-Cookie", "id=1"},
			},
			{Of: 1, Has: Fields{"Set-Cookie", "-"}},
		}},
		{s, "all that have the strong validator", []Exchange{
			{Fields: Fields{"X-A", "1"}, Answer: Fields{"Cache-Control", "max-age=100", "Age", "100", "Vary", "X-A", "ETag", `"a"`}, Asked: true},
			{Fields: Fields{"X-A", "2"}, Answer: Fields{"Cache-Control", "max-age=100", "Age", "100", "Vary", "X-A", "ETag", `"a"`}, Asked: true},
			{Fields: Fields{"X-A", "1"}, Status: 304, Answer: Fields{"ETag", `"a"`, "Cache-Control", "max-age=200"}, Asked: true, Of: 1},
			{Fields: Fields{"X-A", "2"}, Of: 2, Has: Fields{"Cache-Control", "max-age=200"}},
		}},
	}
}

func heads() []Case {
	const s = "RFC 9111 4.3.5"
	first := Exchange{Answer: Fields{"Cache-Control", "max-age=100", "ETag", `"a"`, "X-New", "1"}, Asked: true, Text: "body"}
	ask := func(name string, answer Fields, after Exchange) Case {
		head := Exchange{
			Method: "HEAD", Fields: Fields{"Cache-Control", "no-cache"}, Asked: true, Text: "body",
			Answer: append(Fields{"Cache-Control", "max-age=100"}, answer...),
		}
		return Case{s, name, []Exchange{first, head, after}}
	}
	return []Case{
		{"RFC 9110 9.3.2", "HEAD from a stored GET", []Exchange{
			first, {Method: "HEAD", GotText: "-", Has: Fields{"ETag", `"a"`, "X-New", "1", "Content-Length", "4"}},
		}},
		{"RFC 9110 9.3.2", "HEAD is passed on as HEAD, and does not answer GET", []Exchange{
			{Method: "HEAD", Answer: Fields{"Cache-Control", "max-age=100"}, Asked: true, Text: "body", Has: Fields{"Content-Length", "4"}},
			{Asked: true},
		}},
		ask("it updates", Fields{"ETag", `"a"`, "X-New", "2"}, Exchange{Of: 1, Text: "body", Has: Fields{"X-New", "2"}}),
		ask("another tag makes stale", Fields{"ETag", `"b"`}, Exchange{Asked: true}),
		ask("another length makes stale", Fields{"ETag", `"a"`, "Content-Length", "5"}, Exchange{Asked: true}),
		ask("another date makes stale", Fields{"Last-Modified", "{now-100}"}, Exchange{Asked: true}),
	}
}

func invalidation() []Case {
	const s = "RFC 9111 4.4"
	fresh := Fields{"Cache-Control", "max-age=100"}
	unsafe := func(method string, status int, void bool) Case {
		next := Exchange{Asked: void}
		if !void {
			next.Of = 1
		}
		return Case{s, method + " answered " + itoa(status), []Exchange{
			{Answer: fresh, Asked: true},
			{Method: method, Body: "x", Status: status, Got: status, Asked: true, Text: "done", GotText: "done"},
			next,
		}}
	}
	named := func(name, field, value string, void bool) Case {
		next := Exchange{Path: "/other?x=1", Asked: void}
		if !void {
			next.Of = 1
		}
		return Case{s, name, []Exchange{
			{Path: "/other?x=1", Answer: fresh, Asked: true},
			{Method: "POST", Body: "x", Status: 201, Got: 201, Answer: Fields{field, value}, Asked: true},
			next,
		}}
	}
	return []Case{
		unsafe("POST", 200, true),
		unsafe("PUT", 201, true),
		unsafe("PATCH", 200, true),
		unsafe("DELETE", 200, true),
		unsafe("M-SEARCH", 200, true),
		unsafe("POST", 303, true),
		unsafe("POST", 400, false),
		unsafe("PUT", 500, false),
		unsafe("OPTIONS", 200, false),
		named("Location", "Location", "{path}/other?x=1", true),
		named("Location with an authority", "Location", "http://{host}{path}/other?x=1", true),
		named("Location relative", "Location", "{path}/../{path}/other?x=1", true),
		named("Content-Location", "Content-Location", "{path}/other?x=1", true),
		named("Location elsewhere", "Location", "http://elsewhere.example{path}/other?x=1", false),
		named("Content-Location elsewhere", "Content-Location", "http://elsewhere.example{path}/other?x=1", false),
		{s, "every variant", []Exchange{
			{Fields: Fields{"X-A", "1"}, Answer: Fields{"Cache-Control", "max-age=100", "Vary", "X-A"}, Asked: true},
			{Method: "POST", Body: "x", Fields: Fields{"X-A", "2"}, Asked: true},
			{Fields: Fields{"X-A", "1"}, Asked: true},
		}},
	}
}
