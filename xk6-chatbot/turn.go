package chatbot

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext/httpext"

	"github.com/innatural/chatbot/xk6-chatbot/internal/wire"
)

// exchange is one request and its answer, as seen from between k6's HTTP client and its transport: k6's client does all it does
// for k6/http (rate limit, redirects, cookies, debug output, http_req_* metrics), and the bytes are read as they pass.
type exchange struct {
	expect wire.Expect
	stream bool // a stream is asked for
	either bool // but any kind of answer will do

	start, end time.Time // the request went out; the last byte came
	status     int
	header     http.Header
	bytes      int64
	whole      bool // the answer's end was reached
	began      bool // the answer is a stream, and its header came
	reader     *wire.Reader
	answer     wire.Answer
}

var readers = sync.Pool{New: func() any { return new(wire.Reader) }}

type exchangeKey struct{}

// tap is a transport that shows an exchange what passes.
type tap struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper. It is called again for a redirect.
func (t tap) RoundTrip(req *http.Request) (*http.Response, error) {
	e, _ := req.Context().Value(exchangeKey{}).(*exchange)
	if e == nil {
		return t.RoundTripper.RoundTrip(req)
	}
	if e.start.IsZero() {
		e.start = time.Now()
	}
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	e.status, e.header, e.bytes, e.whole = resp.StatusCode, resp.Header, 0, false
	e.began = strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	e.reader.Reset(e.expect, e.began)
	resp.Body = &tappedBody{ReadCloser: resp.Body, e: e}
	return resp, nil
}

// tappedBody is the body of an answer: the bytes as they come, and what they say when they are compressed.
type tappedBody struct {
	io.ReadCloser
	e       *exchange
	decoded io.ReadCloser // nil before the first byte was asked for
}

// Read implements io.Reader.
func (b *tappedBody) Read(p []byte) (int, error) {
	var err error
	if b.decoded == nil {
		if b.decoded, err = decoder(b.e.header.Get("Content-Encoding"), counted{b.ReadCloser, &b.e.bytes}); err != nil {
			b.decoded = nil
			return 0, fmt.Errorf("decompress: %w", err)
		}
	}
	n, err := b.decoded.Read(p)
	now := time.Now()
	if n > 0 {
		b.e.reader.Feed(p[:n], now)
	}
	if errors.Is(err, io.EOF) {
		_, _ = io.Copy(io.Discard, b.ReadCloser) // all that counts is there; the connection wants its end too
	}
	if err != nil {
		b.e.end, b.e.whole = now, errors.Is(err, io.EOF)
	}
	return n, err
}

// Close implements io.Closer.
func (b *tappedBody) Close() error {
	if b.decoded != nil {
		_ = b.decoded.Close() // of what was read, all is known
	}
	return b.ReadCloser.Close()
}

// counted counts the bytes that are read.
type counted struct {
	io.Reader
	n *int64
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// decoder returns a reader of what a body says. An encoding that it does not know it leaves alone.
func decoder(encoding string, r io.Reader) (io.ReadCloser, error) {
	switch encoding {
	case "gzip":
		return gzip.NewReader(r)
	case "deflate":
		return zlib.NewReader(r)
	case "br":
		return io.NopCloser(brotli.NewReader(r)), nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)) // in this goroutine
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// tapped returns a state whose transport shows exchanges what passes. It is good for one iteration.
func tapped(state *lib.State) *lib.State {
	s := *state
	s.Transport = tap{state.Transport}
	return &s
}

// do makes the request. The error is one that k6's option throw asks to throw; what went wrong is in the result either way.
func (e *exchange) do(ctx context.Context, state *lib.State, preq *httpext.ParsedHTTPRequest, body []byte) (result, error) {
	if body != nil {
		preq.Body = bytes.NewBuffer(body)
	}
	e.reader = readers.Get().(*wire.Reader)
	e.reader.Reset(e.expect, false) // it says nothing as long as there is no answer
	defer func() { readers.Put(e.reader); e.reader = nil }()
	called := time.Now()
	resp, err := httpext.MakeRequest(context.WithValue(ctx, exchangeKey{}, e), state, preq)
	if e.start.IsZero() {
		e.start = called
	}
	if e.end.Before(e.start) {
		e.end = time.Now()
	}
	e.answer = e.reader.Close(e.whole)
	return e.judge(resp, err), err
}

// result is what an exchange came to.
type result struct {
	ok, shed  bool
	errorType string
	rule      string
	detail    string
	after     time.Duration // of Retry-After
}

// k6's codes of errors that are a timeout: of a request, and of dialing.
const (
	codeTimeout     = 1050
	codeDialTimeout = 1211
)

func (e *exchange) judge(resp *httpext.Response, err error) result {
	failed := func(kind, detail string) result { return result{errorType: kind, detail: detail} }
	detail := ""
	code := 0
	if resp != nil {
		code, detail = resp.ErrorCode, resp.Error
	}
	if err != nil {
		detail = err.Error()
	}
	var timeout net.Error
	switch {
	case code == codeTimeout, code == codeDialTimeout, errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return failed("timeout", detail)
	case e.status == 0:
		return failed("network", detail)
	case e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable:
		if after, ok := retryAfter(e.header.Get("Retry-After"), e.end); ok {
			return result{shed: true, after: after, detail: "status " + strconv.Itoa(e.status)}
		}
	}
	switch {
	case e.status >= 500:
		return failed("http_5xx", "status "+strconv.Itoa(e.status))
	case e.status >= 400:
		return failed("http_4xx", "status "+strconv.Itoa(e.status))
	case e.status < 200 || e.status > 299:
		return failed(wire.ErrDecode, "status "+strconv.Itoa(e.status))
	case e.answer.Error != "":
		return result{errorType: e.answer.Error, rule: e.answer.Rule, detail: e.answer.Detail}
	case !e.whole && e.began:
		return result{errorType: wire.ErrStream, rule: wire.RuleTerminator, detail: "the stream broke off: " + detail}
	case !e.whole:
		return failed("network", detail)
	case e.began != e.stream && !e.either:
		return result{errorType: wire.ErrContract, rule: wire.RuleStream, detail: "the answer is " + e.header.Get("Content-Type")}
	case e.expect.Protocol == wire.Innatural && foreign(e.header.Get("X-Request-Id"), e.expect.Request):
		return result{
			errorType: wire.ErrContract, rule: wire.RuleForeign,
			detail: "X-Request-Id is " + e.header.Get("X-Request-Id") + ", and " + e.expect.Request + " was sent",
		}
	}
	return result{ok: true}
}

func foreign(got, sent string) bool { return got != "" && got != sent }

// retryAfter reads the header: seconds, or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// cacheStatus says what an answer tells of a cache: hit, miss, bypass or unknown.
func cacheStatus(h http.Header) string {
	switch strings.ToUpper(h.Get("X-Cache")) {
	case "HIT", "STALE":
		return "hit"
	case "MISS":
		return "miss"
	case "BYPASS":
		return "bypass"
	}
	// The last cache on the way is the nearest to us.
	status := h.Get("Cache-Status")
	status = status[strings.LastIndexByte(status, ',')+1:]
	for parameter := range strings.SplitSeq(status, ";") {
		switch parameter = strings.TrimSpace(parameter); {
		case parameter == "hit":
			return "hit"
		case parameter == "fwd=bypass":
			return "bypass"
		case strings.HasPrefix(parameter, "fwd="):
			return "miss"
		}
	}
	return "unknown"
}
