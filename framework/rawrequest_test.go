package framework

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestRawRequest(t *testing.T) {
	const end = "\r\nHost: shop\r\n\r\n"
	for _, test := range []struct {
		name, request string
		ok            bool
	}{
		{"plain", "GET /a?b=c HTTP/1.1" + end, true},
		{"HEAD", "HEAD /a HTTP/1.1" + end, true},
		{"another behind", "GET /a HTTP/1.1" + end + "GET /b", true},
		{"keep-alive", "GET /a HTTP/1.1\r\nConnection: Keep-Alive" + end, true},
		{"white space round a value", "GET /a HTTP/1.1\r\nHost:\t shop \t\r\n\r\n", true},
		{"a browser's", "GET /a HTTP/1.1\r\nHost: shop\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\nAccept: */*\r\nAccept-Language: fr,en;q=0.5\r\n" +
			"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://shop/é\r\nCookie: a=b; c=d\r\nSec-Fetch-Mode: cors\r\n" +
			"If-None-Match: \"x\"\r\nIf-Modified-Since: Mon, 23 Nov 2026 10:00:00 GMT\r\n\r\n", true},

		{"incomplete", "GET /a HTTP/1.1\r\nHost: shop\r\n", false},
		{"another method", "POST /a HTTP/1.1" + end, false},
		{"a method that begins like one", "GETS /a HTTP/1.1" + end, false},
		{"absolute-form", "GET http://shop/a HTTP/1.1" + end, false},
		{"asterisk-form", "GET * HTTP/1.1" + end, false},
		{"HTTP/1.0", "GET /a HTTP/1.0" + end, false},
		{"no version", "GET /a" + end, false},
		{"two spaces", "GET  /a HTTP/1.1" + end, false},
		{"a space in the target", "GET /a b HTTP/1.1" + end, false},
		{"a fragment", "GET /a#b HTTP/1.1" + end, false},
		{"a raw letter in the target", "GET /é HTTP/1.1" + end, false},
		{"a control in the target", "GET /\x01 HTTP/1.1" + end, false},
		{"bare line feeds", "GET /a HTTP/1.1\nHost: shop\r\n\r\n", false},
		{"a bare line feed between fields", "GET /a HTTP/1.1\r\nA: b\nHost: shop\r\n\r\n", false},
		{"a bare carriage return", "GET /a HTTP/1.1\r\nA: b\rc" + end, false},
		{"a zero byte", "GET /a HTTP/1.1\r\nA: \x00" + end, false},
		{"white space before the colon", "GET /a HTTP/1.1\r\nHost : shop\r\n\r\n", false},
		{"a folded line", "GET /a HTTP/1.1\r\nA: b\r\n c" + end, false},
		{"no name", "GET /a HTTP/1.1\r\n: b" + end, false},
		{"no colon", "GET /a HTTP/1.1\r\nabc" + end, false},
		{"no host", "GET /a HTTP/1.1\r\nA: b\r\n\r\n", false},
		{"an empty host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", false},
		{"a host that is none", "GET /a HTTP/1.1\r\nHost: a b/c\r\n\r\n", false},
		{"a host by address, with a port", "GET /a HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n", true},
		{"two hosts", "GET /a HTTP/1.1\r\nHost: other" + end, false},
		{"a body", "GET /a HTTP/1.1\r\nContent-Length: 5" + end + "hello", false},
		{"no body, said so", "GET /a HTTP/1.1\r\ncontent-length: 0" + end, false},
		{"chunks", "GET /a HTTP/1.1\r\nTransfer-Encoding: chunked" + end, false},
		{"an upgrade", "GET /a HTTP/1.1\r\nConnection: Upgrade" + end, false},
		{"close", "GET /a HTTP/1.1\r\nConnection: close" + end, false},
		{"an expectation", "GET /a HTTP/1.1\r\nExpect: 100-continue" + end, false},
		{"a range", "GET /a HTTP/1.1\r\nRange: bytes=0-1" + end, false},
		{"If-Match", "GET /a HTTP/1.1\r\nIf-Match: \"x\"" + end, false},
		{"If-Unmodified-Since", "GET /a HTTP/1.1\r\nIf-Unmodified-Since: x" + end, false},
		{"a list in two lines", "GET /a HTTP/1.1\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip" + end, false},
		{"very many fields", "GET /a HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxRawFields) + end[2:], false},
	} {
		var r rawRequest
		if _, ok := r.parse([]byte(test.request)); ok != test.ok {
			t.Errorf("%s: parse says %v", test.name, ok)
		}
	}
}

// FuzzRawRequest compares with the server's parser what is taken from it: both must see the same request, and the same end of it.
func FuzzRawRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /a?b=c HTTP/1.1\r\nHost: shop\r\n\r\nGET /b",
		"HEAD /%41//..?& HTTP/1.1\r\nhOST: shop:80 \r\nAccept-Encoding: gzip\r\nX-Request-Id: 1\r\nCookie: a=b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: s\r\nConnection: keep-alive\r\nIf-None-Match: *\r\nX-No-Compression: 1\r\n\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: s\r\nA:\r\nB: \"\xff\t\"\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r rawRequest
		size, ok := r.parse(b)
		if !ok {
			return
		}
		in := bufio.NewReader(bytes.NewReader(b))
		var req fasthttp.Request
		if err := req.Read(in); err != nil {
			t.Fatalf("%q: the server says %v", b[:size], err)
		}
		h := &req.Header
		target := r.path
		if bytes.IndexByte(h.RequestURI(), '?') >= 0 {
			target += "?" + r.query
		}
		if rest := in.Buffered(); len(b) <= in.Size() && rest != len(b)-size {
			t.Errorf("%q: %d bytes, the server leaves %d of %d", b, size, rest, len(b))
		}
		if string(h.Method()) != r.method || string(h.RequestURI()) != target || len(req.Body()) > 0 || h.ConnectionClose() {
			t.Errorf("%q: %s %s; the server says %s %s, body %q", b, r.method, target, h.Method(), h.RequestURI(), req.Body())
		}
		for name, want := range map[string]string{
			"Host": r.host, "X-Request-Id": string(r.id), "If-None-Match": r.conditions.IfNoneMatch,
			"Accept-Encoding": r.conditions.AcceptEncoding, "If-Modified-Since": r.conditions.IfModifiedSince,
		} {
			if got := string(h.Peek(name)); got != want {
				t.Errorf("%q: %s %q; the server says %q", b, name, want, got)
			}
		}
		if len(h.Peek("X-No-Compression")) > 0 != r.conditions.NoCompression {
			t.Errorf("%q: no compression: %v", b, r.conditions.NoCompression)
		}
		for _, name := range []string{
			"Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "Range", "Te", "Trailer", "If-Match", "If-Unmodified-Since",
		} {
			if len(h.Peek(name)) > 0 {
				t.Errorf("%q has %s", b, name)
			}
		}
	})
}
