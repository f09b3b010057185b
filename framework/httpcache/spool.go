package httpcache

import (
	"errors"
	"io"
	"sync"
)

var errLength = errors.New("the body is not as long as its Content-Length says")

// spool is a body on its way: fill reads it from its source, for the cache, and the client whose request caused that reads it here,
// each at its own pace. A client that is slow, or has left, keeps nobody waiting.
//
// The client gets to see the body's end only after finish: by then it is stored.
type spool struct {
	mu     sync.Mutex
	change sync.Cond
	body   []byte
	read   int   // of body, by the client
	length int64 // that was announced; -1 is unknown
	rest   io.ReadCloser
	closed bool // by the client
	ended  bool
	err    error
}

func newSpool(length int64) *spool {
	s := &spool{length: length}
	s.change.L = &s.mu
	return s
}

// fill reads a source until its end, or until it brings more than limit bytes: then it leaves the rest to the client, and reports
// that the body is not complete. An error is that of the source.
func (s *spool) fill(source io.ReadCloser, limit int) (complete bool, err error) {
	piece := make([]byte, 32<<10)
	total := 0
	for {
		n, err := source.Read(piece)
		if total += n; total > limit {
			s.handOver(source, piece[:n])
			return false, nil
		}
		s.mu.Lock()
		s.body = append(s.body, piece[:n]...)
		s.change.Broadcast()
		s.mu.Unlock()
		switch {
		case err == nil:
			continue
		case !errors.Is(err, io.EOF):
		case s.length >= 0 && s.length != int64(total):
			err = errLength
		default:
			err = nil
		}
		_ = source.Close()
		return err == nil, err
	}
}

// handOver leaves a source to the client.
func (s *spool) handOver(source io.ReadCloser, piece []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = append(s.body, piece...)
	if s.rest = source; s.closed {
		_ = source.Close()
	}
	s.change.Broadcast()
}

// finish ends the body, with what went wrong if something did.
func (s *spool) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, err
	s.change.Broadcast()
}

// Read implements io.Reader, for the client alone.
func (s *spool) Read(p []byte) (int, error) {
	s.mu.Lock()
	for {
		ready := len(s.body)
		if s.length >= 0 && !s.ended && s.rest == nil { // the last byte would be the end
			ready = int(max(0, min(int64(ready), s.length-1)))
		}
		switch {
		case s.closed:
			s.mu.Unlock()
			return 0, io.ErrClosedPipe
		case ready > s.read:
			n := copy(p, s.body[s.read:ready])
			s.read += n
			s.mu.Unlock()
			return n, nil
		case s.ended:
			s.mu.Unlock()
			if s.err != nil {
				return 0, s.err
			}
			return 0, io.EOF
		case s.rest != nil:
			s.body, s.read = nil, 0
			s.mu.Unlock()
			return s.rest.Read(p)
		}
		s.change.Wait()
	}
}

// Close implements io.Closer: the client takes no more.
func (s *spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.change.Broadcast()
	if s.rest != nil {
		return s.rest.Close()
	}
	return nil
}
