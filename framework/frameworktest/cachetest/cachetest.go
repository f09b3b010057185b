// Package cachetest checks a shared HTTP cache clause by clause: exchanges with a scripted origin server, through a cache, all over
// real sockets. Clauses is the table; Run runs it through any cache that it is given.
package cachetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Case is what one clause asks of a cache, as exchanges for one target that nothing is stored for yet.
type Case struct {
	Clause    string // such as "RFC 9111 4.2.1"
	Name      string
	Exchanges []Exchange
}

// Fields are names and values in turn. A value may hold {now}, {now+60} or {now-60}: the date that many seconds away, {rfc850…} and
// {asctime…}, the same in the other forms of a date, {path}, the case's path, and {host}, the host that is asked.
type Fields []string

// Exchange is a request and what is expected of its answer.
type Exchange struct {
	Method string // GET when empty
	Path   string // appended to the case's path
	Body   string
	Fields Fields
	Wait   time.Duration // before the request

	// What the origin answers if it is asked.
	Status int // 200 when 0; instead of a 304 to a request without a condition too
	Answer Fields
	Text   string // its body; one that names the exchange when empty. "-" is none
	Chunks bool   // the body comes in pieces, without a length
	Break  bool   // the connection breaks: within the body, or before the answer if there is no body
	Raw    string // the whole answer instead, with its connection closed after it

	// What is expected.
	Asked       bool   // the origin is asked
	Sent        Fields // that the request to the origin has; a value "-" is absence
	Got         int    // status; 200 when 0
	Of          int    // the exchange, from 1, whose body comes; this one when the origin is asked and 0; -1 looks at none
	GotText     string // the body instead
	Has         Fields // that the answer has; a value "-" is absence, one that begins with ~ a part
	Behind      bool   // the origin is asked behind the answer
	Incomplete  bool   // the answer breaks off, or says so by a 502
	OriginFails bool   // the origin closes every connection without an answer
}

// body is what the origin sends in an exchange.
func (e *Exchange) body(i int) string {
	switch {
	case e.Text == "-":
		return ""
	case e.Text != "":
		return e.Text
	}
	return "answer " + strconv.Itoa(i)
}

// Cache starts a cache in front of an origin, for a test, and returns its URL.
type Cache func(t *testing.T, origin string) (url string)

// Run runs cases through a cache.
func Run(t *testing.T, start Cache, cases []Case) {
	o := newOrigin(t)
	base := start(t, o.server.URL)
	seen := map[string]bool{}
	for i, c := range cases {
		name := c.Clause + " " + c.Name
		if seen[name] {
			t.Errorf("two cases are called %s", name)
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run{t: t, origin: o, base: base, path: "/case-" + strconv.Itoa(i)}
			r.client = &http.Client{
				Transport:     &http.Transport{DisableCompression: true},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
				Timeout:       20 * time.Second,
			}
			defer r.client.CloseIdleConnections()
			for n := range c.Exchanges {
				r.exchange(c.Exchanges, n)
			}
		})
	}
}

// run is one case that runs.
type run struct {
	t      *testing.T
	origin *origin
	client *http.Client
	base   string
	path   string
}

// expand replaces what stands in braces.
func (r *run) expand(s string) string {
	s = strings.ReplaceAll(s, "{path}", r.path)
	s = strings.ReplaceAll(s, "{host}", strings.TrimPrefix(r.base, "http://"))
	for _, form := range []struct{ name, layout string }{
		{"{now", http.TimeFormat}, {"{rfc850", "Monday, 02-Jan-06 15:04:05 GMT"}, {"{asctime", time.ANSIC},
	} {
		for {
			before, rest, ok := strings.Cut(s, form.name)
			if !ok {
				break
			}
			offset, after, _ := strings.Cut(rest, "}")
			n, _ := strconv.Atoi(offset)
			s = before + time.Now().UTC().Add(time.Duration(n)*time.Second).Format(form.layout) + after
		}
	}
	return s
}

func (r *run) exchange(all []Exchange, n int) {
	t, e := r.t, &all[n]
	t.Helper()
	time.Sleep(e.Wait)
	asked := r.origin.script(r.path+e.Path, &scripted{Exchange: e, number: n + 1, run: r})
	got, err := r.send(e)
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("exchange %d: %s\n%s", n+1, fmt.Sprintf(format, args...), got)
	}
	if err != nil && !e.Incomplete {
		fail("%v", err)
	}
	if e.Incomplete && err == nil && got.status != http.StatusBadGateway {
		fail("the answer is whole, although the origin's was not")
	}
	if e.Behind {
		r.waitAsked(asked, fail)
	}
	r.checkOrigin(e, asked, fail)
	r.checkAnswer(all, n, got, fail)
}

func (r *run) checkOrigin(e *Exchange, asked *asked, fail func(string, ...any)) {
	r.t.Helper()
	requests := asked.requests()
	if want := e.Asked || e.Behind; (len(requests) > 0) != want {
		fail("the origin was asked %d times, want %v", len(requests), want)
	}
	if len(requests) == 0 {
		return
	}
	last := requests[len(requests)-1]
	for i := 0; i+1 < len(e.Sent); i += 2 {
		got, want := strings.Join(last.Header.Values(e.Sent[i]), ", "), r.expand(e.Sent[i+1])
		if want == "-" {
			want = ""
		}
		if got != want {
			fail("the origin got %s: %q, want %q", e.Sent[i], got, want)
		}
	}
}

func (r *run) checkAnswer(all []Exchange, n int, got *answer, fail func(string, ...any)) {
	r.t.Helper()
	e := &all[n]
	if e.Incomplete {
		return
	}
	if want := max(e.Got, 0); want == 0 && got.status != http.StatusOK || want != 0 && got.status != want {
		fail("status %d", got.status)
	}
	of := e.Of
	if of == 0 && e.Asked {
		of = n + 1
	}
	switch {
	case e.GotText != "":
		if want := strings.TrimPrefix(e.GotText, "-"); got.body != want {
			fail("body %q, want %q", got.body, want)
		}
	case e.Method == http.MethodHead, of <= 0, e.Incomplete:
	case got.status == http.StatusNotModified:
		if got.body != "" {
			fail("a 304 with a body")
		}
	default:
		if want := all[of-1].body(of); got.body != want {
			fail("body %q, want %q", got.body, want)
		}
	}
	for i := 0; i+1 < len(e.Has); i += 2 {
		value, want := strings.Join(got.header.Values(e.Has[i]), ", "), r.expand(e.Has[i+1])
		part, isPart := strings.CutPrefix(want, "~")
		switch {
		case want == "-" && len(got.header.Values(e.Has[i])) > 0,
			isPart && !strings.Contains(value, part),
			want != "-" && !isPart && !same(e.Has[i], value, want):
			fail("%s is %q, want %q", e.Has[i], value, want)
		}
	}
}

// numbers are what tells seconds in a field.
var numbers = regexp.MustCompile(`[0-9]+`)

// same compares a field with what is wanted. Of those that tell ages a busy machine may send one of some seconds later.
func same(name, value, want string) bool {
	if name != "Age" && name != "Cache-Status" {
		return value == want
	}
	got, wanted := numbers.FindAllString(value, -1), numbers.FindAllString(want, -1)
	if numbers.ReplaceAllString(value, "") != numbers.ReplaceAllString(want, "") || len(got) != len(wanted) {
		return false
	}
	for i := range got {
		a, _ := strconv.Atoi(got[i])
		b, _ := strconv.Atoi(wanted[i])
		if max(a-b, b-a) > 3 {
			return false
		}
	}
	return true
}

// waitAsked waits until the origin is asked.
func (r *run) waitAsked(a *asked, fail func(string, ...any)) {
	for deadline := time.Now().Add(10 * time.Second); len(a.requests()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			fail("the origin was not asked behind the answer")
		}
	}
	<-a.answered
}

// answer is what the client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a *answer) String() string {
	if a == nil {
		return "no answer"
	}
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	_ = a.header.Write(&b)
	return b.String() + "\n" + a.body
}

func (r *run) send(e *Exchange) (*answer, error) {
	method := e.Method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if e.Body != "" {
		body = strings.NewReader(e.Body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+r.path+e.Path, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(e.Fields); i += 2 {
		req.Header.Add(e.Fields[i], r.expand(e.Fields[i+1]))
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return &answer{res.StatusCode, res.Header, string(b)}, err
}

// origin is a server that answers by script.
type origin struct {
	server *httptest.Server
	mu     sync.Mutex
	paths  map[string]*asked
}

// scripted is an exchange that the origin may be asked in.
type scripted struct {
	*Exchange
	number int
	run    *run
}

// asked is what the origin was asked in an exchange.
type asked struct {
	script   *scripted
	mu       sync.Mutex
	got      []*http.Request
	answered chan struct{} // takes one for each answer
}

func (a *asked) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got)
}

func newOrigin(t *testing.T) *origin {
	o := &origin{paths: map[string]*asked{}}
	o.server = httptest.NewServer(o)
	t.Cleanup(o.server.Close)
	return o
}

// script says how requests for a path are answered from now on.
func (o *origin) script(path string, s *scripted) *asked {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := &asked{script: s, answered: make(chan struct{}, 16)}
	o.paths[path] = a
	return a
}

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	a := o.paths[r.URL.RequestURI()]
	o.mu.Unlock()
	if a == nil {
		http.Error(w, "no script for "+r.URL.RequestURI(), http.StatusTeapot)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	a.got = append(a.got, r.Clone(context.WithoutCancel(r.Context())))
	a.mu.Unlock()
	defer func() { a.answered <- struct{}{} }()
	if e := a.script; e.Raw != "" || e.OriginFails || e.Break && e.body(e.number) == "" {
		hijack(w, func(out *bufio.Writer) { _, _ = out.WriteString(e.run.expand(e.Raw)) })
		return
	}
	a.script.answer(w, r)
}

func (e *scripted) answer(w http.ResponseWriter, r *http.Request) {
	h, body := w.Header(), e.body(e.number)
	h["Date"] = []string{e.run.expand("{now}")}
	for i := 0; i+1 < len(e.Answer); i += 2 {
		name, value := http.CanonicalHeaderKey(e.Answer[i]), e.run.expand(e.Answer[i+1])
		switch {
		case name == "Date" && value == "-":
			h["Date"] = nil
		case name == "Date":
			h.Set(name, value)
		default:
			h.Add(name, value)
		}
	}
	status := e.Status
	if status == 0 {
		status = http.StatusOK
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain")
	}
	if status == http.StatusNotModified && r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since") == "" {
		status = http.StatusOK
	}
	bodiless := status == http.StatusNotModified || status == http.StatusNoContent
	if !bodiless && !e.Chunks && h.Get("Content-Length") == "" {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if bodiless || r.Method == http.MethodHead {
		return
	}
	if e.Chunks {
		for i := range len(body) {
			_, _ = io.WriteString(w, body[i:i+1])
			_ = http.NewResponseController(w).Flush()
		}
	} else if e.Break {
		_, _ = io.WriteString(w, body[:len(body)/2])
	} else {
		_, _ = io.WriteString(w, body)
	}
	if e.Break {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// hijack writes to a connection by hand and closes it.
func hijack(w http.ResponseWriter, write func(*bufio.Writer)) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	write(buf.Writer)
	if err := buf.Flush(); err != nil && !errors.Is(err, net.ErrClosed) {
		_ = conn.Close()
		return
	}
	_ = conn.Close()
}
