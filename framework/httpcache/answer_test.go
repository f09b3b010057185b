package httpcache_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/innatural/chatbot/framework/httpcache"
)

const lastModified = "Wed, 01 Jul 2026 10:00:00 GMT"

// both gives a request the same treatment on its way past the cache and from it, and returns the two answers, the stored one
// last.
func both(t *testing.T, resp *httpcache.Response, req httpcache.Request) [2]httpcache.Result {
	t.Helper()
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	f := start(t)
	f.fetch = func(context.Context) (*httpcache.Response, error) { return resp, nil }
	f.get(httpcache.Request{})
	stored := f.get(req)
	if stored.Outcome != httpcache.Hit {
		t.Fatalf("not a hit: %s", stored.Outcome)
	}
	return [2]httpcache.Result{httpcache.Finish(&req, resp, f.rule.Encoder), stored}
}

func decode(t *testing.T, coding string, b []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r); err == nil {
			defer d.Close()
		}
		r = d
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// RFC 9110, sections 8.4, 8.8.3.3, 12.5.3 and 12.5.5.
func TestContentCoding(t *testing.T) {
	plain := httpcache.Finish(&httpcache.Request{Method: "GET"}, answer(200), nil)
	tag := strings.TrimSuffix(header(&plain).Get("ETag"), `"`)
	small := func(contentType string, size int, fields ...string) *httpcache.Response {
		r := answer(200, fields...)
		r.Header.Set("Content-Type", contentType)
		r.Body = bytes.Repeat([]byte("a"), size)
		return r
	}
	coded := small("text/plain", 4096, "Content-Encoding", "br")
	fixed := small("text/plain", 4096, "Cache-Control", "no-transform")
	for _, test := range []struct {
		name         string
		resp         *httpcache.Response
		req          httpcache.Request
		coding, vary string
	}{
		{"gzip", answer(200), httpcache.Request{AcceptEncoding: "gzip"}, "gzip", "Accept-Encoding"},
		{"br", answer(200), httpcache.Request{AcceptEncoding: "gzip, br"}, "br", "Accept-Encoding"},
		{"zstd", answer(200), httpcache.Request{AcceptEncoding: "gzip;q=0.1, zstd;q=0.2"}, "zstd", "Accept-Encoding"},
		{"none accepted", answer(200), httpcache.Request{AcceptEncoding: "deflate"}, "", "Accept-Encoding"},
		{"12.4.1: none acceptable", answer(200), httpcache.Request{AcceptEncoding: "identity;q=0"}, "", "Accept-Encoding"},
		{"no field", answer(200), httpcache.Request{}, "", "Accept-Encoding"},
		{"R1: X-No-Compression", answer(200), httpcache.Request{AcceptEncoding: "gzip", NoCompression: true}, "", "Accept-Encoding"},
		{"R1: below the threshold", small("text/plain", 1023), httpcache.Request{AcceptEncoding: "gzip"}, "", "Accept-Encoding"},
		{"R1: at the threshold", small("text/plain", 1024), httpcache.Request{AcceptEncoding: "gzip"}, "gzip", "Accept-Encoding"},
		{"R1: image", small("image/png", 4096), httpcache.Request{AcceptEncoding: "gzip"}, "", ""},
		{"no type", small("", 4096), httpcache.Request{AcceptEncoding: "gzip"}, "", ""},
		{"compressed already", coded, httpcache.Request{AcceptEncoding: "gzip"}, "br", ""},
		{"9111 5.2.2.6: no-transform", fixed, httpcache.Request{AcceptEncoding: "gzip"}, "", ""},
		{"Vary merged", answer(200, "Vary", "Origin"), httpcache.Request{AcceptEncoding: "gzip"}, "gzip", "Origin, Accept-Encoding"},
		{"Vary merged", answer(200, "Vary", "Origin", "Vary", "accept-encoding"), httpcache.Request{}, "", "Origin, accept-encoding"},
	} {
		for i, res := range both(t, test.resp, test.req) {
			h := header(&res)
			if h.Get("Content-Encoding") != test.coding || strings.Join(h["Vary"], "|") != test.vary {
				t.Errorf("%s: %d: encoded in %q, Vary %q", test.name, i, h.Get("Content-Encoding"), h["Vary"])
			}
			if test.coding == "" || test.resp.Header.Get("Content-Encoding") != "" {
				if !bytes.Equal(res.Body, test.resp.Body) {
					t.Errorf("%s: %d: the body was changed", test.name, i)
				}
				continue
			}
			if decode(t, test.coding, res.Body) != string(test.resp.Body) || len(res.Body) >= len(test.resp.Body) {
				t.Errorf("%s: %d: the body does not come back smaller", test.name, i)
			}
			want := tag + map[string]string{"gzip": `-gz"`, "br": `-br"`, "zstd": `-zs"`}[test.coding]
			if got := h.Get("ETag"); bytes.Equal(test.resp.Body, body) && got != want {
				t.Errorf("%s: %d: ETag %s, want %s", test.name, i, got, want)
			}
		}
	}
}

func TestABodyThatDoesNotShrinkIsSentAsItIs(t *testing.T) {
	resp := answer(200)
	resp.Body = make([]byte, 4096)
	x := uint32(1)
	for i := range resp.Body { // noise
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		resp.Body[i] = byte(x)
	}
	for _, res := range both(t, resp, httpcache.Request{AcceptEncoding: "gzip"}) {
		h := header(&res)
		if h.Get("Content-Encoding") != "" || strings.Contains(h.Get("ETag"), "-gz") || !bytes.Equal(res.Body, resp.Body) {
			t.Errorf("%v", h)
		}
	}
}

// R1: a cached body is compressed once per encoding, and the entry's cost says so.
func TestAStoredBodyIsCompressedOnce(t *testing.T) {
	f := start(t)
	f.get(httpcache.Request{})
	plain := f.memory.Stats().Bytes
	if plain < int64(len(body)) {
		t.Errorf("an answer of %d bytes costs %d", len(body), plain)
	}
	var variants sync.Map
	var wait sync.WaitGroup
	var bytesOf sync.Map
	for range 50 {
		for _, coding := range []string{"gzip", "br", "zstd"} {
			wait.Go(func() {
				res, err := f.do(t.Context(), "k", httpcache.Request{AcceptEncoding: coding})
				if err != nil {
					t.Error(err)
					return
				}
				first, _ := variants.LoadOrStore(coding, &res.Body[0])
				if first != &res.Body[0] {
					t.Errorf("%s was made twice", coding)
				}
				bytesOf.Store(coding, int64(len(res.Body)))
			})
		}
	}
	wait.Wait()
	least := plain
	bytesOf.Range(func(_, n any) bool { least += n.(int64); return true })
	if got := f.memory.Stats().Bytes; got < least || got > least+6000 {
		t.Errorf("%d bytes with the variants; they alone are %d", got, least)
	}
	if f.calls.Load() != 1 || f.memory.Stats().Keys != 1 {
		t.Error("not one entry")
	}
}

// RFC 9110, sections 8.8.3, 13.1.2, 13.1.3, 13.2.2 and 15.4.5.
func TestConditionalRequests(t *testing.T) {
	plain := httpcache.Finish(&httpcache.Request{Method: "GET"}, answer(200), nil)
	tag := header(&plain).Get("ETag")
	gz := strings.TrimSuffix(tag, `"`) + `-gz"`
	br := strings.TrimSuffix(tag, `"`) + `-br"`
	for _, test := range []struct {
		clause string
		req    httpcache.Request
		want   int
		etag   string
	}{
		{"13.1.2: the tag", httpcache.Request{IfNoneMatch: tag}, 304, tag},
		{"13.1.2: HEAD", httpcache.Request{Method: "HEAD", IfNoneMatch: tag}, 304, tag},
		{"13.1.2: weak comparison", httpcache.Request{IfNoneMatch: "W/" + tag}, 304, tag},
		{"13.1.2: a list", httpcache.Request{IfNoneMatch: `"a", W/"b,c" ,` + tag + `, "d"`}, 304, tag},
		{"13.1.2: a list without spaces", httpcache.Request{IfNoneMatch: `"a",` + tag}, 304, tag},
		{"13.1.2: *", httpcache.Request{IfNoneMatch: " * "}, 304, tag},
		{"13.1.2: another tag", httpcache.Request{IfNoneMatch: `"a"`}, 200, tag},
		{"13.1.2: the tag within another", httpcache.Request{IfNoneMatch: `"x` + strings.Trim(tag, `"`) + `"`}, 200, tag},
		{"13.1.2: malformed", httpcache.Request{IfNoneMatch: strings.Trim(tag, `"`)}, 200, tag},
		{"13.1.2: malformed", httpcache.Request{IfNoneMatch: `"a`}, 200, tag},
		{"8.8.3.3: the tag of the coding", httpcache.Request{IfNoneMatch: gz, AcceptEncoding: "gzip"}, 304, gz},
		{"8.8.3.3: the tag of another coding", httpcache.Request{IfNoneMatch: br, AcceptEncoding: "gzip"}, 200, gz},
		{"8.8.3.3: the plain tag", httpcache.Request{IfNoneMatch: tag, AcceptEncoding: "gzip"}, 200, gz},
		{"13.1.3: the same date", httpcache.Request{IfModifiedSince: lastModified}, 304, tag},
		{"13.1.3: RFC 850 date", httpcache.Request{IfModifiedSince: "Wednesday, 01-Jul-26 10:00:00 GMT"}, 304, tag},
		{"13.1.3: asctime date", httpcache.Request{IfModifiedSince: "Wed Jul  1 10:00:00 2026"}, 304, tag},
		{"13.1.3: later", httpcache.Request{IfModifiedSince: "Thu, 02 Jul 2026 10:00:00 GMT"}, 304, tag},
		{"13.1.3: earlier", httpcache.Request{IfModifiedSince: "Wed, 01 Jul 2026 09:59:59 GMT"}, 200, tag},
		{"13.1.3: no date", httpcache.Request{IfModifiedSince: "yesterday"}, 200, tag},
		{"13.2.2: If-None-Match wins", httpcache.Request{IfNoneMatch: `"a"`, IfModifiedSince: lastModified}, 200, tag},
		{"13.2.2: If-None-Match wins", httpcache.Request{IfNoneMatch: tag, IfModifiedSince: "Mon, 01 Jan 2001 00:00:00 GMT"}, 304, tag},
		{"13.2.2: before Range", httpcache.Request{IfNoneMatch: tag, Range: "bytes=0-1"}, 304, tag},
	} {
		resp := answer(200, "Last-Modified", lastModified, "Cache-Control", "max-age=60", "Content-Location", "/p", "Expires",
			"Wed, 01 Jul 2026 11:00:00 GMT", "Content-Language", "fr", "X-Own", "1")
		for i, res := range both(t, resp, test.req) {
			h := header(&res)
			if res.Status != test.want || h.Get("ETag") != test.etag {
				t.Errorf("%s: %d: %d, ETag %s; want %d, %s", test.clause, i, res.Status, h.Get("ETag"), test.want, test.etag)
			}
			if test.want != 304 {
				continue
			}
			// Section 15.4.5: what a 304 repeats, and what it leaves out.
			for _, name := range []string{"Cache-Control", "Content-Location", "Date", "Expires", "Vary"} {
				if h.Get(name) == "" {
					t.Errorf("%s: %d: 304 without %s", test.clause, i, name)
				}
			}
			for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Language", "Last-Modified", "X-Own"} {
				if h.Get(name) != "" {
					t.Errorf("%s: %d: 304 with %s", test.clause, i, name)
				}
			}
			if len(res.Body) != 0 {
				t.Errorf("%s: %d: 304 with a body", test.clause, i)
			}
		}
	}
	for name, resp := range map[string]*httpcache.Response{
		"no Last-Modified":  answer(200),
		"bad Last-Modified": answer(200, "Last-Modified", "today"),
	} {
		for _, res := range both(t, resp, httpcache.Request{IfModifiedSince: lastModified}) {
			if res.Status != 200 {
				t.Errorf("%s: %d", name, res.Status)
			}
		}
	}
}

// A handler's own tag is kept, with the suffix of the coding; a weak one stays weak.
func TestTheHandlersETag(t *testing.T) {
	for _, test := range []struct{ own, accept, want string }{
		{`"v7"`, "", `"v7"`},
		{`"v7"`, "gzip", `"v7-gz"`},
		{`W/"v7"`, "", `W/"v7"`},
		{`W/"v7"`, "br", `W/"v7-br"`},
	} {
		for _, res := range both(t, answer(200, "ETag", test.own), httpcache.Request{AcceptEncoding: test.accept}) {
			if got := header(&res)["Etag"]; len(got) != 1 || got[0] != test.want {
				t.Errorf("%s in %q: %s", test.own, test.accept, got)
			}
		}
		req := httpcache.Request{AcceptEncoding: test.accept, IfNoneMatch: strings.TrimPrefix(test.want, "W/")}
		for _, res := range both(t, answer(200, "ETag", test.own), req) {
			if res.Status != 304 {
				t.Errorf("%s: %d", test.want, res.Status)
			}
		}
	}
}

func TestAMalformedETagIsReplaced(t *testing.T) {
	plain := httpcache.Finish(&httpcache.Request{Method: "GET"}, answer(200), nil)
	want := header(&plain).Get("ETag")
	for _, own := range []string{"v7", `"v7`, `v7"`, `"`, `"a"b"`, `w/"v7"`, `W/`} {
		for _, res := range both(t, answer(200, "ETag", own), httpcache.Request{}) {
			if got := header(&res)["Etag"]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s", own, got)
			}
		}
	}
}

// Without a cached route: what has no validator is not compared, and only GET and HEAD of a 200 are conditional.
func TestFinish(t *testing.T) {
	for _, test := range []struct {
		name   string
		method string
		resp   *httpcache.Response
		status int
		tag    bool
	}{
		{"conditional", "GET", answer(200), 304, true},
		{"no-store", "GET", answer(200, "Cache-Control", "no-store"), 200, false},
		{"POST", "POST", answer(200), 200, true},
		{"not found", "GET", answer(404), 404, false},
		{"created", "GET", answer(201), 201, false},
		{"no status is 200", "GET", answer(0), 304, true},
	} {
		req := httpcache.Request{Method: test.method, IfNoneMatch: "*", Range: "bytes=0-1", AcceptEncoding: "gzip"}
		res := httpcache.Finish(&req, test.resp, encoder(t))
		h := header(&res)
		if res.Status != test.status || (h.Get("ETag") != "") != test.tag {
			t.Errorf("%s: %d %v", test.name, res.Status, h)
		}
		if res.Outcome != "" || h.Get("X-Cache") != "" || h.Get("Cache-Status") != "" || h.Get("Age") != "" {
			t.Errorf("%s: an answer past the cache has its fields: %v", test.name, h)
		}
		if test.status != 304 && h.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: not compressed: %v", test.name, h)
		}
	}
	resp := answer(200, "Set-Cookie", "a=1", "Set-Cookie", "b=2")
	res := httpcache.Finish(&httpcache.Request{Method: "GET"}, resp, nil)
	if got := header(&res)["Set-Cookie"]; len(got) != 2 {
		t.Errorf("Set-Cookie: %v", got)
	}
	get := httpcache.Request{Method: "GET", AcceptEncoding: "gzip"}
	empty := httpcache.Finish(&get, &httpcache.Response{Status: 204}, encoder(t))
	if h := header(&empty); empty.Status != 204 || h.Get("ETag") != "" || h.Get("Vary") != "" {
		t.Errorf("204: %v", h)
	}
}

// RFC 9110, sections 13.1.5, 14.1.2, 14.2, 14.4, 15.3.7 and 15.5.17.
func TestRanges(t *testing.T) {
	n := len(body)
	size := strconv.Itoa(n)
	toEnd := strconv.Itoa(n-1) + "/" + size
	plain := httpcache.Finish(&httpcache.Request{Method: "GET"}, answer(200), nil)
	tag := header(&plain).Get("ETag")
	for _, test := range []struct {
		clause       string
		req          httpcache.Request
		status       int
		contentRange string
		start, end   int
	}{
		{"14.1.2: first", httpcache.Request{Range: "bytes=0-0"}, 206, "bytes 0-0/" + size, 0, 1},
		{"14.1.2: middle", httpcache.Request{Range: "bytes=10-19"}, 206, "bytes 10-19/" + size, 10, 20},
		{"14.1.2: open", httpcache.Request{Range: "bytes=10-"}, 206, "bytes 10-" + toEnd, 10, n},
		{"14.1.2: last", httpcache.Request{Range: "bytes=-5"}, 206, "bytes " + strconv.Itoa(n-5) + "-" + toEnd, n - 5, n},
		{"14.1.2: last, more than all", httpcache.Request{Range: "bytes=-" + size + "0"}, 206, "bytes 0-" + toEnd, 0, n},
		{"14.1.2: end beyond", httpcache.Request{Range: "bytes=1-99999999999999999999"}, 206, "bytes 1-" + toEnd, 1, n},
		{"14.1: unit in either case", httpcache.Request{Range: "Bytes=0-1"}, 206, "bytes 0-1/" + size, 0, 2},
		{"leading zeros", httpcache.Request{Range: "bytes=00000000000000000000001-02"}, 206, "bytes 1-2/" + size, 1, 3},
		{"15.5.17: beyond", httpcache.Request{Range: "bytes=" + size + "-"}, 416, "bytes */" + size, 0, 0},
		{"15.5.17: far beyond", httpcache.Request{Range: "bytes=99999999999999999999-"}, 416, "bytes */" + size, 0, 0},
		{"15.5.17: last none", httpcache.Request{Range: "bytes=-0"}, 416, "bytes */" + size, 0, 0},
		{"14.1.1: backwards", httpcache.Request{Range: "bytes=5-4"}, 200, "", 0, n},
		{"14.2: another unit", httpcache.Request{Range: "lines=0-1"}, 200, "", 0, n},
		{"14.2: malformed", httpcache.Request{Range: "bytes 0-1"}, 200, "", 0, n},
		{"14.2: malformed", httpcache.Request{Range: "bytes=-"}, 200, "", 0, n},
		{"14.2: malformed", httpcache.Request{Range: "bytes=a-b"}, 200, "", 0, n},
		{"14.2: malformed", httpcache.Request{Range: "bytes=+1-2"}, 200, "", 0, n},
		{"14.2: several need not be served", httpcache.Request{Range: "bytes=0-1,5-6"}, 200, "", 0, n},
		{"14.2: only GET", httpcache.Request{Method: "HEAD", Range: "bytes=0-1"}, 200, "", 0, n},
		{"13.1.5: the tag", httpcache.Request{Range: "bytes=0-1", IfRange: tag}, 206, "bytes 0-1/" + size, 0, 2},
		{"13.1.5: another tag", httpcache.Request{Range: "bytes=0-1", IfRange: `"a"`}, 200, "", 0, n},
		{"13.1.5: a weak tag", httpcache.Request{Range: "bytes=0-1", IfRange: "W/" + tag}, 200, "", 0, n},
		{"13.1.5: the date", httpcache.Request{Range: "bytes=0-1", IfRange: lastModified}, 206, "bytes 0-1/" + size, 0, 2},
		{"13.1.5: a later date", httpcache.Request{Range: "bytes=0-1", IfRange: "Thu, 02 Jul 2026 10:00:00 GMT"}, 200, "", 0, n},
		{"13.1.5: no date", httpcache.Request{Range: "bytes=0-1", IfRange: "x"}, 200, "", 0, n},
		{"parts of the plain body", httpcache.Request{Range: "bytes=0-1", AcceptEncoding: "gzip"}, 206, "bytes 0-1/" + size, 0, 2},
	} {
		for i, res := range both(t, answer(200, "Last-Modified", lastModified, "Cache-Control", "max-age=60"), test.req) {
			h := header(&res)
			same := bytes.Equal(res.Body, body[test.start:test.end])
			if res.Status != test.status || h.Get("Content-Range") != test.contentRange || !same {
				t.Errorf("%s: %d: %d, Content-Range %q, %d bytes", test.clause, i, res.Status, h.Get("Content-Range"), len(res.Body))
			}
			switch res.Status {
			case 206: // section 15.3.7: the fields that a 200 would have
				for _, name := range []string{"ETag", "Date", "Cache-Control", "Vary", "Content-Type"} {
					if h.Get(name) == "" {
						t.Errorf("%s: %d: 206 without %s", test.clause, i, name)
					}
				}
				if h.Get("ETag") != tag || h.Get("Content-Encoding") != "" {
					t.Errorf("%s: %d: %v", test.clause, i, h)
				}
			case 200: // section 14.3
				if h.Get("Accept-Ranges") != "bytes" {
					t.Errorf("%s: %d: no Accept-Ranges", test.clause, i)
				}
			}
		}
	}
	// Section 8.8.2.2: a date that is not a second older than the answer is no strong validator.
	now := time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat)
	for _, res := range both(t, answer(200, "Last-Modified", now), httpcache.Request{Range: "bytes=0-1", IfRange: now}) {
		if res.Status != 200 {
			t.Errorf("a date too young: %d", res.Status)
		}
	}
	empty := answer(200)
	empty.Body = nil
	for _, res := range both(t, empty, httpcache.Request{Range: "bytes=0-"}) {
		if h := header(&res); res.Status != 416 || h.Get("Content-Range") != "bytes */0" {
			t.Errorf("an empty body: %d %v", res.Status, h)
		}
	}
}

func FuzzFinish(f *testing.F) {
	f.Add("bytes=0-1", `"a", W/"b"`, lastModified, "gzip, br;q=0.5", `"a"`)
	f.Add("bytes=-5", "*", "", "*", "")
	f.Add("bytes=99999999999999999999-5", `W/"`, "Wed", "identity;q=0", `W/"a"`)
	f.Add("bytes=0-,-", `",",""`, "", ",;q=", lastModified)
	e := encoder(f)
	f.Fuzz(func(t *testing.T, ranges, ifNoneMatch, ifModifiedSince, accept, ifRange string) {
		req := httpcache.Request{
			Method: "GET", Range: ranges, IfNoneMatch: ifNoneMatch, IfModifiedSince: ifModifiedSince, AcceptEncoding: accept,
			IfRange: ifRange,
		}
		res := httpcache.Finish(&req, answer(200, "Last-Modified", lastModified), e)
		h := header(&res)
		switch res.Status {
		case 200:
			if coding := h.Get("Content-Encoding"); coding != "" {
				if decode(t, coding, res.Body) != string(body) {
					t.Error("another body")
				}
			} else if !bytes.Equal(res.Body, body) {
				t.Error("another body")
			}
		case 206:
			if len(res.Body) == 0 || !bytes.Contains(body, res.Body) {
				t.Error("not a part of the body")
			}
		case 304, 416:
			if len(res.Body) != 0 {
				t.Errorf("%d with a body", res.Status)
			}
		default:
			t.Errorf("status %d", res.Status)
		}
	})
}
