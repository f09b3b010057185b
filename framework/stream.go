package framework

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is how a handler writes a streamed answer. It is not for concurrent use.
type Stream struct {
	pieces chan []byte   // handler to connection, one at a time
	acks   chan error    // connection to handler, one for each piece
	gone   chan struct{} // closed when the connection takes no more
	ended  chan error    // the handler's end
	conn   chan net.Conn // to a handler that takes the connection over
	once   sync.Once
	alone  atomic.Pointer[delivery] // to the connection without a carrier, once the first piece is there
	sent   func([]byte)             // takes each piece that was written; nil takes none
	broken bool                     // a piece could not be written
}

func newStream() *Stream {
	return &Stream{
		pieces: make(chan []byte), acks: make(chan error), gone: make(chan struct{}), ended: make(chan error, 1),
		conn: make(chan net.Conn, 1),
	}
}

// Write sends p as one chunk, flushed, and returns once it is handed to the network. After the stream's context has ended,
// Write still works for the short time that a last piece takes; then it returns an error.
func (s *Stream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return s.send(p)
}

// Start sends the status and the header now. Without it they are sent with the first piece.
func (s *Stream) Start() error {
	_, err := s.send([]byte{})
	return err
}

func (s *Stream) send(p []byte) (int, error) {
	n, err := s.deliver(p)
	if s.broken = s.broken || err != nil; err == nil && s.sent != nil {
		s.sent(p)
	}
	return n, err
}

func (s *Stream) deliver(p []byte) (int, error) {
	if d := s.alone.Load(); d != nil {
		return d.write(p)
	}
	select {
	case s.pieces <- p:
	case <-s.gone:
		return 0, errStreamClosed
	}
	select {
	case err := <-s.acks:
		if err != nil {
			return 0, fmt.Errorf("write stream: %w", err)
		}
		return len(p), nil
	case <-s.gone:
		return 0, errStreamClosed
	}
}

var errStreamClosed = fmt.Errorf("write stream: %w", io.ErrClosedPipe)

// Event sends v as one server-sent event: a line of JSON and a blank line, in one chunk.
func (s *Stream) Event(v any) error {
	data, err := EncodeEvent(v)
	if err != nil {
		return err
	}
	_, err = s.Write(data)
	return err
}

// Comment sends a comment, which clients of server-sent events ignore.
func (s *Stream) Comment(text string) error {
	_, err := s.Write([]byte(": " + text + "\n\n"))
	return err
}

// EncodeEvent returns v as one server-sent event.
func EncodeEvent(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	event := make([]byte, 0, len("data: \n\n")+len(data))
	event = append(event, "data: "...)
	event = append(event, data...)
	return append(event, "\n\n"...), nil
}

// RecordStream runs a streamed response and returns what it wrote. Tests of streaming handlers use it.
func RecordStream(ctx context.Context, r *Response) ([]byte, error) {
	s := newStream()
	go func() { s.ended <- r.Stream(ctx, s) }()
	var all []byte
	for {
		select {
		case p := <-s.pieces:
			all = append(all, p...)
			s.acks <- nil
		case err := <-s.ended:
			return all, err
		}
	}
}

// end tells that the handler has ended.
func (s *Stream) end(err error) {
	s.ended <- err
	if d := s.alone.Load(); d != nil {
		d.handlerEnded()
	}
}

func (s *Stream) close() { s.once.Do(func() { close(s.gone) }) }

// lastWords is how long a stream may still write after its context has ended.
const lastWords = time.Second

// streamBody carries a stream to the connection. Each piece becomes one chunk.
type streamBody struct {
	*Stream
	ctx     context.Context
	cancel  context.CancelCauseFunc
	conn    net.Conn
	limits  streamLimits
	first   []byte // received, not yet acknowledged
	size    int64  // of the whole body; 0 is not known
	failed  func(error) []byte
	onEnd   func(written int64, err error)
	endOnce sync.Once
}

type streamLimits struct{ idle, max, write time.Duration }

// SupportsBodyWriteTo lets fasthttp frame the pieces as they are written.
func (b *streamBody) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo.
func (b *streamBody) WriteTo(w io.Writer) (written int64, err error) {
	written, err = b.deliver(w)
	b.end(written, err)
	return written, err
}

// deliver writes the pieces until the handler ends, a limit is passed or the client leaves.
func (b *streamBody) deliver(w io.Writer) (written int64, err error) {
	if b.size > 0 {
		w = b.conn // the head is sent already, and fasthttp would wait for its buffer to fill
	}
	send := func(p []byte) error {
		if b.size > 0 && written+int64(len(p)) > b.size {
			return fmt.Errorf("the stream is longer than the %d bytes that its header says", b.size)
		}
		return b.send(w, p, &written)
	}
	if b.first != nil {
		err = send(b.first)
		b.acks <- err
		if err != nil {
			return written, err
		}
	}
	idle := time.NewTimer(b.limits.idle)
	defer idle.Stop()
	whole := time.NewTimer(b.limits.max)
	defer whole.Stop()
	var last <-chan time.Time // fires when the time for last words is over
	done := b.ctx.Done()
	for {
		select {
		case p := <-b.pieces:
			err = send(p)
			b.acks <- err
			if err != nil {
				return written, err
			}
			idle.Reset(b.limits.idle)
		case err = <-b.ended:
			switch {
			case context.Cause(b.ctx) == ErrClientGone: //nolint:errorlint // set by this package, never wrapped
				return written, ErrClientGone
			case err == nil:
				return written, b.complete(written)
			}
			return written, b.tell(send, err)
		case <-idle.C:
			b.cancel(ErrStreamIdle)
		case <-whole.C:
			b.cancel(ErrStreamMax)
		case <-done:
			cause := context.Cause(b.ctx)
			if cause == ErrClientGone { //nolint:errorlint // set by this package, never wrapped
				return written, cause
			}
			last, done = time.After(lastWords), nil
		case <-last:
			return written, b.tell(send, context.Cause(b.ctx))
		}
	}
}

// send writes a piece, and counts what was written of it.
func (b *streamBody) send(w io.Writer, p []byte, written *int64) error {
	if err := b.conn.SetWriteDeadline(time.Now().Add(b.limits.write)); err != nil {
		return err
	}
	n, err := w.Write(p)
	*written += int64(n)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClientGone, err)
	}
	return nil
}

// complete says what is wrong with a stream whose handler says that it has ended.
func (b *streamBody) complete(written int64) error {
	if written < b.size {
		return fmt.Errorf("the stream ended after %d of the %d bytes that its header says", written, b.size)
	}
	return nil
}

// sizeOf returns the size that the header of a streamed answer says, or 0.
func sizeOf(r *Response) int64 {
	if size, err := strconv.ParseInt(r.Header.Get("Content-Length"), 10, 64); err == nil && size > 0 {
		return size
	}
	return 0
}

// tell sends the stream's last piece after a failure; without one it returns the error, which breaks the connection so that
// the client does not take a truncated answer for a whole one.
func (b *streamBody) tell(send func([]byte) error, err error) error {
	if b.failed == nil {
		return err
	}
	if p := b.failed(err); len(p) > 0 {
		return send(p)
	}
	return err
}

// Read implements io.Reader, which fasthttp asks of a body. It uses WriteTo instead.
func (b *streamBody) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Close implements io.Closer: fasthttp calls it once the answer is written or has failed.
func (b *streamBody) Close() error {
	b.end(0, nil)
	return nil
}

// end lets the handler go and reports the end once.
func (b *streamBody) end(written int64, err error) {
	b.endOnce.Do(func() {
		b.cancel(ErrClientGone)
		b.close()
		b.onEnd(written, err)
	})
}
