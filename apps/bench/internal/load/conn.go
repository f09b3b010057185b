//go:build linux

package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Kinds of errors, as the schema of results names them.
const (
	failedNetwork = "network"
	failedTimeout = "timeout"
	failedDecode  = "decode"
	failed4xx     = "http_4xx"
	failed5xx     = "http_5xx"
)

// maxBody bounds an answer.
const maxBody = 64 << 20

// outcome is what came of a request.
type outcome struct {
	ended  time.Time
	failed string // kind of error; empty when answered 2xx or 3xx, or shed
	shed   bool
	status int
	size   int
	cache  cacheState
}

type cacheState int

const (
	cacheUnknown cacheState = iota
	cacheHit
	cacheMiss
)

// bytes returns the request as it is sent.
func (r Request) bytes(to *url.URL) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	if !slices.ContainsFunc(r.Header, func(h [2]string) bool { return strings.EqualFold(h[0], "Host") }) {
		fmt.Fprintf(&b, "Host: %s\r\n", to.Host)
	}
	for _, h := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if len(r.Body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.Bytes()
}

// conn is a connection, opened when it is needed. One goroutine has it.
type conn struct {
	g      *Generator
	net    net.Conn
	reader *bufio.Reader
	answer fasthttp.Response
	used   bool // since it was opened
}

// ask sends a request and reads its answer.
func (c *conn) ask(kind int, sent time.Time) outcome {
	method := c.g.plan.Requests[kind].Method
	reused := c.net != nil && c.used
	err := c.exchange(c.g.wire[kind], method, sent)
	if reused && errors.Is(err, errIdle) && (method == "GET" || method == "HEAD") {
		// The server had closed the connection before it saw the request, as it may do between two.
		err = c.exchange(c.g.wire[kind], method, sent)
	}
	o := outcome{ended: time.Now()}
	if err != nil {
		c.close()
		o.failed = classify(err)
		return o
	}
	h := &c.answer.Header
	o.status, o.size, o.cache = h.StatusCode(), len(c.answer.Body()), cacheOf(h)
	switch {
	case (o.status == 429 || o.status == 503) && retryAfter(h.Peek("Retry-After"), o.ended):
		o.shed = true
	case o.status >= 500:
		o.failed = failed5xx
	case o.status >= 400:
		o.failed = failed4xx
	}
	if c.answer.ConnectionClose() {
		c.close()
	}
	return o
}

// Probe sends a request once, and returns the status of its answer.
func (g *Generator) Probe(kind int) (status int, err error) {
	c := g.take()
	defer g.give(c)
	if err := c.exchange(g.wire[kind], g.plan.Requests[kind].Method, time.Now()); err != nil {
		c.close()
		return 0, err
	}
	status = c.answer.StatusCode()
	if c.answer.ConnectionClose() {
		c.close()
	}
	return status, nil
}

// errIdle marks the end of a connection before the first byte of an answer.
var errIdle = errors.New("closed before the answer")

func (c *conn) exchange(request []byte, method string, sent time.Time) error {
	deadline := sent.Add(c.g.plan.Timeout)
	if c.net == nil {
		if err := c.open(deadline); err != nil {
			return err
		}
	}
	c.used = true
	if err := c.net.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := c.net.Write(request); err != nil {
		return c.ended(err)
	}
	if _, err := c.reader.Peek(1); err != nil {
		return c.ended(err)
	}
	c.answer.Reset()
	c.answer.SkipBody = method == "HEAD"
	if err := c.answer.ReadLimitBody(c.reader, maxBody); err != nil {
		return err
	}
	return nil
}

// ended closes the connection, and tells its end from a deadline.
func (c *conn) ended(err error) error {
	c.close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", errIdle, err)
}

func (c *conn) open(deadline time.Time) error {
	opened, err := c.g.dial(deadline)
	if err != nil {
		return err
	}
	c.net, c.used = opened, false
	if c.reader == nil {
		c.reader = bufio.NewReaderSize(opened, 16<<10)
	} else {
		c.reader.Reset(opened)
	}
	return nil
}

// dial connects with the server.
func (p Plan) dial(deadline time.Time) (net.Conn, error) {
	address := p.URL.Host
	if p.URL.Port() == "" {
		address = net.JoinHostPort(p.URL.Hostname(), p.URL.Scheme) // the port's name
	}
	dialer := &net.Dialer{Deadline: deadline}
	if p.URL.Scheme == "https" {
		return tls.DialWithDialer(dialer, "tcp", address, &tls.Config{ServerName: p.URL.Hostname(), NextProtos: []string{"http/1.1"}})
	}
	return dialer.Dial("tcp", address)
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
		c.net = nil
	}
}

func classify(err error) string {
	var network *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, fasthttp.ErrTimeout):
		return failedTimeout
	case errors.Is(err, errIdle), errors.As(err, &network):
		if network != nil && network.Timeout() {
			return failedTimeout
		}
		return failedNetwork
	}
	return failedDecode
}

// cacheOf reads what an answer says of the cache: X-Cache, or the last member of Cache-Status (RFC 9211), the cache nearest to us.
func cacheOf(h *fasthttp.ResponseHeader) cacheState {
	switch x := strings.ToUpper(string(h.Peek("X-Cache"))); {
	case strings.HasPrefix(x, "HIT"), strings.HasPrefix(x, "STALE"):
		return cacheHit
	case strings.HasPrefix(x, "MISS"):
		return cacheMiss
	case x != "":
		return cacheUnknown
	}
	status := string(h.Peek("Cache-Status"))
	status = status[strings.LastIndexByte(status, ',')+1:]
	for parameter := range strings.SplitSeq(status, ";") {
		switch parameter = strings.TrimSpace(parameter); {
		case parameter == "hit":
			return cacheHit
		case strings.HasPrefix(parameter, "fwd=") && parameter != "fwd=bypass":
			return cacheMiss
		}
	}
	return cacheUnknown
}

// retryAfter reports whether a Retry-After is seconds or a date to come (RFC 9110, 10.2.3).
func retryAfter(field []byte, now time.Time) bool {
	if seconds, err := strconv.Atoi(string(field)); err == nil {
		return seconds >= 0
	}
	at, err := fasthttp.ParseHTTPDate(field)
	return err == nil && at.After(now.Add(-time.Second))
}
