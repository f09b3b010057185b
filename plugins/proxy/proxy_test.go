package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/proxy"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

// gateway serves a policy with one upstream in front of an origin. plugin and route are further lines of those tables.
func gateway(t *testing.T, origin, plugin, route string) *frameworktest.Server {
	t.Helper()
	return frameworktest.Start(t, `
version = 1
[server]
body_limit = "64MiB"
drain = "2s"
[plugins.proxy.upstreams.origin]
targets = ["`+origin+`"]
`+plugin+`
[[routes]]
method = "*"
path = "/*"
handler = "proxy"
`+route, proxy.Plugin())
}

// raw is an origin that talks to connections itself. Its connections are closed, and waited for, at the end of the test.
func raw(t *testing.T, talk func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talks sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	talks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			talks.Go(func() {
				defer c.Close()
				talk(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		talks.Wait()
	})
	return "http://" + l.Addr().String()
}

// head reads a message's head as it was sent.
func head(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// answering answers every request with the same bytes, and keeps what it was asked.
func answering(t *testing.T, answer string) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	url = raw(t, func(c net.Conn, r *bufio.Reader) {
		for {
			h, err := head(r)
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, h)
			mu.Unlock()
			if _, err := io.WriteString(c, answer); err != nil || strings.Contains(answer, "Connection: close") {
				return
			}
		}
	})
	return url, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// exchange sends raw bytes, and returns all that comes until the server closes the connection.
func exchange(t *testing.T, s *frameworktest.Server, request string) (string, error) {
	t.Helper()
	c := s.Dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// lines returns the lines of a head that are neither its first nor this server's own.
func lines(message string) []string {
	h, _, _ := strings.Cut(message, "\r\n\r\n")
	all := strings.Split(h, "\r\n")[1:]
	slices.Sort(all)
	return slices.DeleteFunc(all, func(line string) bool {
		return strings.HasPrefix(line, "X-Request-Id: ") || strings.HasPrefix(line, "X-Response-Time: ") || line == "Connection: close"
	})
}

func TestTheRequestPassesByteForByte(t *testing.T) {
	origin, asked := answering(t, "HTTP/1.1 204 No Content\r\n\r\n")
	s := gateway(t, origin, "", "")
	for i, target := range []string{
		"/", "/?", "/a?b", "//a/../b?x=%2f", "/a//b/./c/../d", "/%7e%2F%zz", "/a?x=1&x=2&&=", "/a|b{c}\"<>^`", "/é?é", "/a;b=c,d?e#f",
		"/a?http://x/?", "/:80/*?*", "//", "//?",
	} {
		if _, err := exchange(t, s, "GET "+target+" HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		all := asked()
		if len(all) != i+1 || !strings.HasPrefix(all[i], "GET "+target+" HTTP/1.1\r\nHost: shop.example\r\n") {
			t.Errorf("%s: the origin got %q", target, all[len(all)-1])
		}
	}
	if _, err := exchange(t, s, "GET http://other.example/x?y HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if last := asked()[len(asked())-1]; !strings.HasPrefix(last, "GET /x?y HTTP/1.1\r\nHost: other.example\r\n") {
		t.Errorf("of an absolute target the origin got %q", last)
	}
}

func TestTheHeaderOfARequestPasses(t *testing.T) {
	origin, asked := answering(t, "HTTP/1.1 204 No Content\r\n\r\n")
	s := gateway(t, origin, "", "")
	_, err := exchange(t, s, "GET / HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nX-A: \r\nx-b: 2\r\nCookie: a=1; b=\"2\"; =;c\r\nCookie: d=4\r\n"+
		"Accept: */*\r\nAccept: text/html;q=0.5\r\nConnection: close, X-Hop , keep-alive\r\nX-Hop: gone\r\nTE: trailers\r\n"+
		"Keep-Alive: 5\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"+
		"Via: 1.0 somebody\r\nX-Odd: \"'%;,é\xff\r\nExpect-Not: 1\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Accept: */*", "Accept: text/html;q=0.5", "Cookie: a=1; b=\"2\"; =;c", "Cookie: d=4", "Expect-Not: 1", "Host: h",
		"Via: 1.0 somebody, 1.1 innatural", "X-A: ", "X-B: 1", "X-B: 2", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: h",
		"X-Forwarded-Proto: http", "X-Odd: \"'%;,é\xff",
	}
	if got := lines(asked()[0]); !slices.Equal(got, want) {
		t.Errorf("the origin got\n%q\nwant\n%q", got, want)
	}
}

func TestTheHeaderOfAnAnswerPasses(t *testing.T) {
	origin, _ := answering(t, "HTTP/1.1 200 Fine\r\nSet-Cookie: a=1; Path=/\r\nX-B: 1\r\nX-A: \r\nSet-Cookie: b=2\r\nx-b: 2\r\n"+
		"Server: origin/1\r\nX-Powered-By: PHP\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nETag: W/\"x\"\r\nVary: A\r\nVary: B\r\n"+
		"Content-Encoding: a\r\nContent-Encoding: b\r\nAge: 1.5\r\nCache-Control: max-age='1', \"x\r\nConnection: X-Hop\r\nX-Hop: gone\r\n"+
		"Keep-Alive: timeout=5\r\nExpires: 0\r\nWarning: 110 - \"x\"\r\nContent-Length: 2\r\n\r\nok")
	s := gateway(t, origin, "", "")
	want := []string{
		"Age: 1.5", "Cache-Control: max-age='1', \"x", "Content-Encoding: a, b", "Content-Length: 2", "Date: Thu, 01 Jan 1970 00:00:00 GMT",
		"ETag: W/\"x\"", "Expires: 0", "Server: origin/1", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "Vary: A", "Vary: B",
		"Warning: 110 - \"x\"", "X-A: ", "X-B: 1", "X-B: 2", "X-Powered-By: PHP",
	}
	got, err := exchange(t, s, "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
	for i, line := range want {
		want[i] = strings.Replace(line, "ETag:", "Etag:", 1) // names are compared without case
	}
	if have := lines(got); err != nil || !slices.Equal(have, want) || !strings.HasSuffix(got, "\r\n\r\nok") {
		t.Errorf("%v: the client got\n%q\nwant\n%q", err, have, want)
	}
}

// A message that is forwarded without a Date gets one (RFC 9110, section 6.6.1), and nothing else that was not there.
func TestNothingIsAddedToAnAnswer(t *testing.T) {
	origin, _ := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	s := gateway(t, origin, "", "")
	got, err := exchange(t, s, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if have := lines(got); err != nil || len(have) != 2 || have[0] != "Content-Length: 2" || !strings.HasPrefix(have[1], "Date: ") {
		t.Errorf("%v: the client got %q", err, have)
	}
}

func TestStatusesAndMethodsPass(t *testing.T) {
	for _, status := range []int{200, 203, 226, 299, 300, 302, 305, 399, 400, 404, 418, 499, 500, 503, 599, 600, 999} {
		origin, asked := answering(t, fmt.Sprintf("HTTP/1.1 %d Whatever\r\nLocation: /x\r\nContent-Length: 1\r\n\r\nx", status))
		s := gateway(t, origin, "", "")
		for _, method := range []string{"GET", "POST", "FOO", "M-SEARCH", "get"} {
			got, err := exchange(t, s, method+" / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			if err != nil || !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", status)) || !strings.HasSuffix(got, "\r\n\r\nx") {
				t.Errorf("%s %d: %v, %q", method, status, err, got)
			}
			if all := asked(); !strings.HasPrefix(all[len(all)-1], method+" / ") {
				t.Errorf("%s: the origin got %q", method, all[len(all)-1])
			}
		}
		s.Stop()
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	for _, c := range []struct{ method, answer, want string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "Content-Length: 1000000"},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n", "Content-Length: 7"},
		{"GET", "HTTP/1.1 304 Not Modified\r\n\r\n", ""},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", ""},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0"},
	} {
		origin, _ := answering(t, c.answer)
		s := gateway(t, origin, "", "")
		for range 2 { // the second on the same connection to the origin
			got, err := exchange(t, s, c.method+" / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			have := ""
			for _, line := range lines(got) {
				if strings.HasPrefix(line, "Content-Length") || strings.HasPrefix(line, "Transfer-Encoding") {
					have = line
				}
			}
			if err != nil || have != c.want || !strings.HasSuffix(got, "\r\n\r\n") {
				t.Errorf("%s of %q: %v, %q", c.method, c.answer, err, got)
			}
		}
		s.Stop()
	}
}

func TestBodiesPassBothWays(t *testing.T) {
	echo := raw(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			length := fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
			if req.URL.RawQuery == "chunked" {
				length = "Transfer-Encoding: chunked\r\n\r\n"
				body = append(fmt.Appendf(nil, "%x;ext=1\r\n", len(body)), body...)
				body = append(body, "\r\n0\r\nX-Trailer: 1\r\n\r\n"...)
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Method: %s\r\nX-Framing: %d %q\r\n%s%s", req.Method, req.ContentLength, req.TransferEncoding, length, body)
		}
	})
	s := gateway(t, echo, "", "")
	for _, size := range []int{1, 5000, 64 << 10, 64<<10 + 1, 3 << 20} {
		for _, method := range []string{"POST", "FOO", "GET", "DELETE"} {
			for _, answer := range []string{"", "?chunked"} {
				for _, known := range []bool{true, false} {
					body := bytes.Repeat([]byte("é\x00\r\n"), size/5+1)
					req, err := http.NewRequest(method, s.URL+"/"+answer, io.MultiReader(bytes.NewReader(body)))
					if err != nil {
						t.Fatal(err)
					}
					framing := `-1 ["chunked"]`
					if known {
						req.ContentLength, framing = int64(len(body)), fmt.Sprintf("%d []", len(body))
					}
					res, err := s.Client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil || !bytes.Equal(got, body) || res.Header.Get("X-Method") != method || res.Header.Get("X-Framing") != framing {
						t.Errorf("%s of %d bytes: %v, %d bytes, %v", method, len(body), err, len(got), res.Header)
					}
				}
			}
		}
	}
}

func TestPiecesPassAtOnce(t *testing.T) {
	for _, framing := range []string{"Transfer-Encoding: chunked", "Content-Length: 1000000", "Connection: close"} {
		next := make(chan string)
		origin := raw(t, func(c net.Conn, r *bufio.Reader) {
			if _, err := head(r); err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n\r\n", framing)
			for piece := range next {
				if strings.HasPrefix(framing, "Transfer") {
					piece = fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
				}
				if _, err := io.WriteString(c, piece); err != nil {
					return
				}
			}
		})
		s := gateway(t, origin, "", "")
		res, err := s.Client.Get(s.URL) // which returns before the first piece is sent
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{"data: 1\n\n", "data: 2\n\n"} {
			next <- piece
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != piece {
				t.Errorf("%s: %v, %q", framing, err, got)
			}
		}
		close(next)
		res.Body.Close()
		s.Stop()
	}
}

// An answer that the origin did not finish never looks finished.
func TestIncompleteAnswers(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nshort\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n50\r\nshort",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\nshort",
	} {
		origin, _ := answering(t, answer)
		s := gateway(t, origin, "", "")
		res, err := s.Client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%q: a whole answer of %q", answer, body)
		}
		res.Body.Close()
		s.Stop()
	}
	origin, _ := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nshort")
	s := gateway(t, origin, "", "")
	if a := s.Get(t, "/api/x"); a.Status != 502 || !strings.Contains(a.Body, `"code":"bad_gateway"`) {
		t.Errorf("a small one: %d %s", a.Status, a.Body)
	}
}

func TestOriginsThatFail(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	silent := raw(t, func(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	for _, c := range []struct {
		name, origin string
		status       int
		code         string
	}{
		{"refuses", "http://" + refusing.Addr().String(), 502, "upstream_unreachable"},
		{"closes", raw(t, func(_ net.Conn, r *bufio.Reader) { _, _ = head(r) }), 502, "bad_gateway"},
		{"is silent", silent, 504, "gateway_timeout"},
		{"talks nonsense", raw(t, func(c net.Conn, r *bufio.Reader) {
			_, _ = head(r)
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n\r\n")
		}), 502, "bad_gateway"},
		{"has no end of headers", raw(t, func(c net.Conn, r *bufio.Reader) {
			_, _ = head(r)
			for err := error(nil); err == nil; _, err = io.WriteString(c, "X-Big: "+strings.Repeat("x", 1000)+"\r\n") {
				if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n"); err != nil {
					return
				}
			}
		}), 502, "bad_gateway"},
		{"changes the protocol unasked", raw(t, func(c net.Conn, r *bufio.Reader) {
			_, _ = head(r)
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		}), 502, "bad_gateway"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := gateway(t, c.origin, "", "timeout = \"300ms\"\n")
			a := s.Get(t, "/api/x")
			if a.Status != c.status || !strings.Contains(a.Body, `"code":"`+c.code+`"`) || a.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

// What was sent is not sent again, whatever the method.
func TestNothingIsSentTwice(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
		var mu sync.Mutex
		var asked []string
		origin := raw(t, func(c net.Conn, r *bufio.Reader) {
			for n := 0; ; n++ {
				h, err := head(r)
				if err != nil {
					return
				}
				mu.Lock()
				asked = append(asked, h)
				mu.Unlock()
				if n > 0 { // the second on a connection gets no answer
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		})
		s := gateway(t, origin, "", "")
		if a := s.Do(t, method, "/", ""); a.Status != 204 {
			t.Fatalf("%s: %d", method, a.Status)
		}
		if a := s.Do(t, method, "/", ""); a.Status != 502 {
			t.Errorf("%s: %d", method, a.Status)
		}
		mu.Lock()
		if len(asked) != 2 {
			t.Errorf("%s: the origin was asked %d times", method, len(asked))
		}
		mu.Unlock()
		s.Stop()
	}
}

// A connection on which an answer is followed by more is never used again, however fast the next request is.
func TestUnreadBytesNeverAnswerSomebodyElse(t *testing.T) {
	origin, _ := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
	s := gateway(t, origin, "", "")
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				if a := s.Get(t, "/"); a.Body != "mine" {
					t.Errorf("%d %q", a.Status, a.Body)
					return
				}
			}
		})
	}
	clients.Wait()
}

func TestInterimAnswersConfuseNobody(t *testing.T) {
	origin, _ := answering(t, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal")
	s := gateway(t, origin, "", "")
	for range 20 {
		if a := s.Get(t, "/"); a.Status != 200 || a.Body != "final" || a.Header.Get("Link") != "" {
			t.Fatalf("%d %q %v", a.Status, a.Body, a.Header)
		}
	}
}

func TestTwentyFiveClientsOfASlowOrigin(t *testing.T) {
	origin := raw(t, func(c net.Conn, r *bufio.Reader) {
		for {
			h, err := head(r)
			if err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond) // what is tested: an origin that takes its time
			id, _, _ := strings.Cut(strings.TrimPrefix(h, "GET /"), " ")
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id)
		}
	})
	s := gateway(t, origin, "", "timeout = \"20s\"\n")
	var clients sync.WaitGroup
	for i := range 25 {
		clients.Go(func() {
			for n := range 3 {
				if a := s.Get(t, fmt.Sprintf("/%d-%d", i, n)); a.Body != fmt.Sprintf("%d-%d", i, n) {
					t.Errorf("%d-%d: %d %q", i, n, a.Status, a.Body)
				}
			}
		})
	}
	clients.Wait()
}

func TestHTTP10Clients(t *testing.T) {
	for _, framing := range []string{"Content-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		origin, _ := answering(t, "HTTP/1.1 200 OK\r\n"+framing)
		s := gateway(t, origin, "", "")
		got, err := exchange(t, s, "GET / HTTP/1.0\r\n\r\n")
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if err != nil || strings.Contains(got, "Transfer-Encoding") || len(body) != 5 && len(body) != 70000 {
			t.Errorf("%v: %.300q", err, got)
		}
		s.Stop()
	}
}

func TestTargetsThatAreNotPaths(t *testing.T) {
	origin, asked := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	s := gateway(t, origin, "", "")
	for _, c := range []struct{ line, status string }{
		{"OPTIONS *", "204"}, {"CONNECT h:443", "404"}, {"CONNECT /", "501"},
	} {
		got, err := exchange(t, s, c.line+" HTTP/1.1\r\nHost: h:443\r\nConnection: close\r\n\r\n")
		if err != nil || !strings.HasPrefix(got, "HTTP/1.1 "+c.status) {
			t.Errorf("%s: %v, %q", c.line, err, got)
		}
	}
	if len(asked()) > 0 {
		t.Errorf("the origin was asked %q", asked())
	}
}
