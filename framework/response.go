package framework

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

// Response is a handler's answer. The framework owns it once the handler has returned it: the handler must neither
// change it nor its Body afterwards.
type Response struct {
	Status int         // 0 is 200
	Header http.Header // beyond those that the framework and the route set; nil is none
	Body   []byte
	Tags   []string // on a cached route: tags for invalidation, beyond the route's

	// Stream writes the answer piece by piece instead of Body. It runs on the handler's goroutine, under the route's
	// stream limits; the status is sent with its first piece, so that an error before it is still a real HTTP error.
	Stream func(ctx context.Context, w *Stream) error
	// StreamFailed returns the last piece of a stream that returned an error, panicked or was cut after its first piece, so
	// that the client is told; nil tells it by a broken connection. A Stream that wrote its own ending returns nil.
	StreamFailed func(err error) []byte

	// Upgrade takes the connection over once the answer, a 101, is on its way (RFC 9110, section 7.8). It runs on the
	// handler's goroutine, under the route's stream limits, of which idle is the longest time without a byte either way, and
	// leaves the connection closed. When the client does not get the answer it is not run, and ctx ends.
	Upgrade func(ctx context.Context, conn net.Conn) error
}

// JSON answers 200 with v as JSON.
func JSON(v any) (*Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return Bytes("application/json; charset=utf-8", body), nil
}

// Text answers 200 with plain text.
func Text(s string) *Response { return Bytes("text/plain; charset=utf-8", []byte(s)) }

// Bytes answers 200 with a body of a media type. It keeps body.
func Bytes(contentType string, body []byte) *Response {
	return &Response{Body: body, Header: http.Header{"Content-Type": {contentType}}}
}

// EventStream answers with server-sent events (HTML Standard, section 9.2) written by f.
func EventStream(f func(ctx context.Context, w *Stream) error) *Response {
	return &Response{
		Stream: f,
		Header: http.Header{
			"Content-Type":      {"text/event-stream; charset=utf-8"},
			"Cache-Control":     {"no-cache, no-transform"},
			"X-Accel-Buffering": {"no"},
		},
	}
}

// Set sets a header and returns the response.
func (r *Response) Set(name, value string) *Response {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set(name, value)
	return r
}
