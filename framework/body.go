package framework

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/policy"
)

// wholeBody is the size up to which a request's body is read before its handler runs, also when that is a gateway's.
const wholeBody = 64 << 10

// receive reads the request's body. That of a gateway's request which may be large is left to arrive piece by piece.
func (x *exchange) receive() error {
	r := &x.http.Request
	switch {
	case len(x.target) > int(x.route.gen.policy.Server.URLLimit):
		return errLongURL
	case !x.route.info.Gateway && encoded(&r.Header):
		return errEncodedBody
	}
	if !r.IsBodyStream() { // there is none, or the server of a program that embeds the app has read it
		x.body = bytes.Clone(r.Body())
		return nil
	}
	limit, size := int64(x.route.gen.policy.Server.BodyLimit), int64(r.Header.ContentLength())
	switch {
	case size > limit:
		return fasthttp.ErrBodyTooLarge
	case x.route.info.Gateway && (size < 0 || size > wholeBody):
		x.upload = newUpload(x, size, limit)
		return nil
	}
	var body bytes.Buffer
	if size > 0 && size <= wholeBody { // of what is larger, no more is believed than arrives
		body.Grow(int(size) + bytes.MinRead)
	}
	n, err := body.ReadFrom(io.LimitReader(r.BodyStream(), limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return fasthttp.ErrBodyTooLarge
	case n < size:
		return io.ErrUnexpectedEOF
	}
	x.body = body.Bytes()
	return nil
}

// encoded says whether there is a body that is compressed. Nothing here unpacks bodies, so that a small one cannot become a large one.
func encoded(h *fasthttp.RequestHeader) bool {
	encoding := h.Peek(fasthttp.HeaderContentEncoding)
	const chunked = -1
	hasBody := h.ContentLength() > 0 || h.ContentLength() == chunked
	return hasBody && len(encoding) > 0 && !strings.EqualFold(string(encoding), "identity")
}

// refuse answers a request that could not be read, and gives up its connection.
func (x *exchange) refuse(err error) {
	if body := x.http.Request.BodyStream(); body != nil && errors.Is(err, fasthttp.ErrBodyTooLarge) {
		discard(x.http.Conn(), body)
	}
	x.http.SetConnectionClose()
	if errors.Is(err, errEncodedBody) {
		x.http.Response.Header.Set(fasthttp.HeaderAcceptEncoding, "identity") // RFC 9110, section 15.5.16
	}
	x.finish(nil, unreadable(err, &x.route.gen.policy.Server))
}

// unreadable says what is wrong with a request that could not be read.
func unreadable(err error, s *policy.Server) error {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.Is(err, ErrClientGone), err == errEncodedBody, err == errLongURL: //nolint:errorlint // answers as they are
		return err
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
			Message: fmt.Sprintf("the body is larger than %s", s.BodyLimit),
		}
	case errors.As(err, &small):
		return &Error{
			Status: http.StatusRequestHeaderFieldsTooLarge, Code: "headers_too_large",
			Message: fmt.Sprintf("the request line and headers are larger than %s", s.HeaderLimit),
		}
	case errors.As(err, &network) && network.Timeout():
		return &Error{Status: http.StatusRequestTimeout, Code: "slow_request", Message: "the request did not arrive in time"}
	}
	return &Error{Status: http.StatusBadRequest, Code: "malformed_request", Message: "the request is not valid HTTP", Err: err}
}

// Bounds of what is read of a body that nobody takes.
const (
	lingerBytes = 32 << 20
	lingerTime  = time.Second
)

// discard reads on for a moment: a connection that is closed with unread bytes is reset, and the client, which is still sending,
// would not get its answer. It says whether the body has ended.
func discard(conn net.Conn, body io.Reader) bool {
	if err := conn.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, body, lingerBytes)
	return err == io.EOF //nolint:errorlint // CopyN returns it as it is
}

// upload hands the body of a request to a handler as it arrives. Only its own goroutine reads from the connection, and the
// exchange does not go on before that has ended: a handler that was abandoned finds a closed pipe.
type upload struct {
	reader *io.PipeReader
	writer *io.PipeWriter
	body   io.Reader // the server's
	conn   net.Conn
	size   int64 // -1 is not known
	limit  int64
	pause  time.Duration // the longest time without a byte
	rate   int64         // least bytes a second, on average; 0 is any
	begun  bool
	latest atomic.Int64  // when the handler took the latest piece, in Unix nanoseconds
	closed atomic.Bool   // the handler takes no more
	done   chan struct{} // closed at the end
	whole  bool          // nothing of it is left on the connection, once done
}

func newUpload(x *exchange, size, limit int64) *upload {
	r, w := io.Pipe()
	return &upload{
		reader: r, writer: w, body: x.http.Request.BodyStream(), conn: x.http.Conn(), size: size, limit: limit,
		pause: x.route.gen.policy.Server.ReadTimeout.D(), rate: int64(x.route.gen.policy.Server.MinRate), done: make(chan struct{}),
	}
}

// begin starts reading. failed is told why the body does not arrive whole.
func (u *upload) begin(failed func(error)) {
	u.begun = true
	u.latest.Store(time.Now().UnixNano())
	go func() {
		defer close(u.done)
		err := u.copy()
		if err != nil {
			failed(err)
		}
		_ = u.writer.CloseWithError(err) // nil is the end of the body
		if !u.whole && !errors.Is(err, ErrClientGone) {
			u.whole = discard(u.conn, u.body) && err == nil
		}
	}()
}

// copy hands on what arrives until the body ends, which makes it whole, or nobody takes more of it.
func (u *upload) copy() error {
	buffer := make([]byte, 32<<10)
	waited := time.Duration(0) // for the client, who does not pay for a handler that takes its time
	for all := int64(0); ; {
		began := time.Now()
		longest := u.pause
		if u.rate > 0 {
			longest = min(longest, u.pause+time.Duration(float64(all)/float64(u.rate)*float64(time.Second))-waited)
		}
		if err := u.conn.SetReadDeadline(began.Add(longest)); err != nil {
			return fmt.Errorf("%w: %w", ErrClientGone, err)
		}
		if u.closed.Load() {
			return nil
		}
		n, err := u.body.Read(buffer)
		waited += time.Since(began)
		if all += int64(n); all > u.limit {
			return fasthttp.ErrBodyTooLarge
		}
		if n > 0 {
			if _, err := u.writer.Write(buffer[:n]); err != nil {
				return nil //nolint:nilerr // the handler takes no more, which is no mistake
			}
			u.latest.Store(time.Now().UnixNano())
		}
		switch {
		case err == nil:
		case u.closed.Load():
			return nil
		case err != io.EOF:
			return err
		case u.size >= 0 && all < u.size:
			return fmt.Errorf("%w: %w", ErrClientGone, io.ErrUnexpectedEOF)
		default:
			u.whole = true
			return nil
		}
	}
}

// active says whether the body still arrives.
func (u *upload) active() bool {
	if u == nil || !u.begun {
		return false
	}
	select {
	case <-u.done:
		return false
	default:
		return true
	}
}

// due returns when an answer is late, given when it would be without an upload: its time begins when its request is there.
func (u *upload) due(deadline time.Time, timeout time.Duration) time.Time {
	if u == nil {
		return deadline
	}
	if late := time.Unix(0, u.latest.Load()).Add(timeout); late.After(deadline) {
		return late
	}
	return deadline
}

// finish waits for the rest of the body, at most for a time: the answer has begun, and nothing may read from the connection while
// the server writes it.
func (u *upload) finish(limit time.Duration) {
	if u.active() {
		select {
		case <-u.done:
		case <-time.After(limit):
			u.close()
		}
	}
}

// close ends the upload and waits for that. It says whether the connection can be used on.
func (u *upload) close() (reusable bool) {
	if u == nil || !u.begun {
		return true
	}
	u.closed.Store(true)
	_ = u.reader.CloseWithError(errStreamClosed)
	_ = u.conn.SetReadDeadline(time.Now().Add(lingerTime)) // copy sets its own before it looks whether it is closed
	<-u.done
	return u.whole
}
