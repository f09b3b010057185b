package framework

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"
)

// dates puts the Date of somebody else's answer into a header. fasthttp has a Date of its own on every answer and takes no other,
// unless a server is told to have none; and then it takes one only from a header that it reads.
type dates struct {
	none    fasthttp.ResponseHeader // of such a server
	readers sync.Pool
}

func newDates() *dates {
	d := &dates{readers: sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 256) }}}
	s := fasthttp.Server{
		NoDefaultDate: true, NoDefaultContentType: true, NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) { ctx.Response.Header.CopyTo(&d.none) },
	}
	client, server := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() {
		_, _ = io.WriteString(client, "GET / HTTP/1.0\r\n\r\n") // nothing fails in a pipe whose two ends are open
		_, _ = io.Copy(io.Discard, client)
	})
	_ = s.ServeConn(server)
	_ = server.Close()
	served.Wait()
	_ = client.Close()
	d.none.DisableNormalizing()
	return d
}

// set makes a header anew, with a Date and nothing else.
func (d *dates) set(h *fasthttp.ResponseHeader, date string) {
	d.none.CopyTo(h)
	r := d.readers.Get().(*bufio.Reader) //nolint:forcetypeassert // the pool holds nothing else
	defer d.readers.Put(r)
	r.Reset(strings.NewReader("HTTP/1.1 204\r\nDate: " + date + "\r\n\r\n"))
	if err := h.Read(r); err != nil { // not a value that a header can have: fasthttp's own stands
		h.Reset()
		h.DisableNormalizing()
		h.SetNoDefaultContentType(true)
	}
}
