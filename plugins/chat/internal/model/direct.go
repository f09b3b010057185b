package model

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/innatural/chatbot/framework/telemetry"
)

// direct asks upstreams of plain HTTP/1.1 that are reached without a proxy, as those of one's own are. It writes a request and reads its
// answer on the goroutine that asks. net/http keeps two goroutines and two buffers for each connection, and passes each request through
// both: with thousands of answers that wait for their next word that is most of what they take. Answers are read by net/http, and the
// head of a request, which is the same for all of an upstream, is written by it once.
type direct struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	idle   map[string][]*directConn // by address, the one used last at the end
	prune  *time.Timer              // nil while nothing is idle
	closed bool
}

// directConn is a connection. It is read through its buffer.
type directConn struct {
	net.Conn
	address string
	lines   *bufio.Reader
	left    int       // bytes that may be read of a header
	rest    io.Reader // of the last answer, where its end was not waited for
	since   time.Time
}

// Read implements io.Reader, for the buffer.
func (c *directConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errHeader
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err //nolint:wrapcheck // net/http looks at what it is
}

var errHeader = errors.New("the header of the answer is too long")

// reaches reports whether direct is for a URL.
func reaches(u *url.URL) (bool, error) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return u.Scheme == "http" && proxy == nil, err //nolint:wrapcheck // it says what is wrong with the environment
}

// asked is where a server is asked, and how its requests begin.
type asked struct {
	address string
	head    []byte // but for the length of the body, the trace and the end
}

// askedAt takes the address and the head of a request that has no body.
func askedAt(request *http.Request) (asked, error) {
	a := asked{address: request.URL.Host}
	if request.URL.Port() == "" {
		a.address = net.JoinHostPort(request.URL.Hostname(), "80")
	}
	var head bytes.Buffer
	if err := request.Write(&head); err != nil {
		return a, fmt.Errorf("write the head of a request: %w", err)
	}
	before, after, found := bytes.Cut(head.Bytes(), []byte("Content-Length: 0\r\n"))
	after, whole := bytes.CutSuffix(after, []byte("\r\n"))
	if !found || !whole {
		return a, errors.New("write the head of a request: it has no length, or no end")
	}
	a.head = slices.Concat(before, after)
	return a, nil
}

// do sends a request and returns its answer, once its head has come. When the context ends, so does reading the answer.
func (d *direct) do(ctx context.Context, to asked, body []byte) (*http.Response, error) {
	c, err := d.connect(ctx, to.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	response, err := c.exchange(ctx, to.head, body)
	if err != nil {
		stop()
		_ = c.Close()
		return nil, err
	}
	response.Body = &directBody{ReadCloser: response.Body, conn: c, pool: d, stop: stop, keep: !response.Close}
	return response, nil
}

// connect returns a connection that is free and still good, or a new one.
func (d *direct) connect(ctx context.Context, address string) (*directConn, error) {
	for {
		d.mu.Lock()
		list := d.idle[address]
		if len(list) == 0 {
			d.mu.Unlock()
			break
		}
		c := list[len(list)-1]
		list[len(list)-1] = nil
		d.idle[address] = list[:len(list)-1]
		d.mu.Unlock()
		if c.atEnd() && c.lines.Buffered() == 0 && quiet(c.Conn) {
			return c, nil
		}
		_ = c.Close()
	}
	conn, err := d.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &directConn{Conn: conn, address: address}
	c.lines = bufio.NewReaderSize(c, buffer)
	return c, nil
}

// atEnd reads the end of the last answer, which has come meanwhile, unless the upstream keeps it.
func (c *directConn) atEnd() bool {
	if c.rest == nil {
		return true
	}
	rest := c.rest
	c.rest = nil
	if c.SetReadDeadline(time.Now().Add(patience)) != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, rest, maxLine)
	return errors.Is(err, io.EOF) && c.SetReadDeadline(time.Time{}) == nil
}

// writers are few: each serves one request while it is written.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writeBuffer) }}

const (
	writeBuffer = 16 << 10 // a prompt goes out in one piece
	maxInterim  = 5        // answers that come before the answer
)

// fields writes fields of a head.
type fields struct{ *bufio.Writer }

// Set writes a field.
func (f fields) Set(name, value string) {
	_, _ = f.WriteString(name + ": " + value + "\r\n") // what fails of it, flushing tells
}

// exchange writes a request and reads the head of its answer.
func (c *directConn) exchange(ctx context.Context, head, body []byte) (*http.Response, error) {
	w := writers.Get().(*bufio.Writer) //nolint:forcetypeassert // the pool holds nothing else
	w.Reset(c.Conn)
	_, _ = w.Write(head)
	fields{w}.Set("Content-Length", strconv.Itoa(len(body)))
	telemetry.Propagate(ctx, fields{w})
	_, _ = w.WriteString("\r\n")
	_, _ = w.Write(body)
	err := w.Flush() // which fails as well where one of these did
	w.Reset(nil)
	writers.Put(w)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	c.left = maxHeader
	for range maxInterim {
		response, err := http.ReadResponse(c.lines, nil)
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if response.StatusCode >= http.StatusOK {
			c.left = math.MaxInt // eventReader has limits of its own
			return response, nil
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	return nil, errors.New("read answer: the upstream sends interim answers only")
}

// directBody is the body of an answer, with whose end the connection is free again.
type directBody struct {
	io.ReadCloser
	conn *directConn
	pool *direct
	stop func() bool
	keep bool
	done bool
}

func (b *directBody) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.release(b.keep)
	}
	return n, err //nolint:wrapcheck // as above
}

// Close implements io.Closer. What was not read to its end ends with its connection.
func (b *directBody) Close() error {
	b.release(false)
	return nil
}

// endLater frees the connection before the end of an answer whose last event was read: nobody needs to wait for it.
func (b *directBody) endLater() {
	if b.done { // it is another one's already
		return
	}
	if here, _ := b.conn.lines.Peek(b.conn.lines.Buffered()); string(bytes.TrimPrefix(here, []byte("\r\n"))) == "0\r\n\r\n" {
		_, _ = io.Copy(io.Discard, b) // it is the end of the chunks
	}
	if !b.done {
		b.conn.rest = b.ReadCloser
		b.release(b.keep)
	}
}

func (b *directBody) release(keep bool) {
	if b.done {
		return
	}
	b.done = true
	if !b.stop() || !keep || !b.pool.put(b.conn) { // a context that has ended may be about to set a deadline
		_ = b.conn.Close()
	}
}

// put keeps a connection for the next request, unless the pool is closed.
func (d *direct) put(c *directConn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	c.since = time.Now()
	d.idle[c.address] = append(d.idle[c.address], c)
	if d.prune == nil {
		d.prune = time.AfterFunc(idleConnection, d.drop)
	}
	return true
}

// drop closes the connections that were idle for long.
func (d *direct) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prune = nil
	for address, list := range d.idle {
		old := 0
		for old < len(list) && time.Since(list[old].since) >= idleConnection {
			_ = list[old].Close()
			old++
		}
		if d.idle[address] = append([]*directConn(nil), list[old:]...); len(list) == old {
			delete(d.idle, address)
		}
	}
	if len(d.idle) > 0 && !d.closed {
		d.prune = time.AfterFunc(idleConnection, d.drop)
	}
}

// CloseIdleConnections closes what is idle, and what becomes so.
func (d *direct) CloseIdleConnections() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.prune != nil {
		d.prune.Stop()
	}
	for _, list := range d.idle {
		for _, c := range list {
			_ = c.Close()
		}
	}
	d.idle = nil
}
