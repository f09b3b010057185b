package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	maxWaiting  = 1 << 20         // bytes of lines that wait for a sink
	closeWithin = 2 * time.Second // how long Close waits for a sink that hangs
)

// sink writes lines to one destination from a goroutine of its own. Lines that come while it writes go together in the
// next write.
type sink struct {
	name string
	out  io.Writer
	wake chan struct{} // holds one: there is something to do
	done chan struct{} // closed when the goroutine has ended
	log  *slog.Logger  // the log that this sink is part of, to tell what happens to it
	lost prometheus.Counter

	mu      sync.Mutex
	waiting []byte
	dropped int  // lines, since the sink last worked
	failing bool // the log was told
	closed  bool
	telling sync.WaitGroup
}

func newSink(name string, out io.Writer, lost prometheus.Counter) *sink {
	return &sink{name: name, out: out, lost: lost, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (s *sink) start(log *slog.Logger) {
	s.log = log
	go s.run()
}

// Write hands over a line, which is copied. It never waits for the destination.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, os.ErrClosed
	}
	if len(s.waiting)+len(line) > maxWaiting {
		s.mu.Unlock()
		s.drop(1, errSlow)
		return 0, errSlow
	}
	s.waiting = append(s.waiting, line...)
	s.mu.Unlock()
	s.signal()
	return len(line), nil
}

var errSlow = errors.New("the sink is too slow")

func (s *sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sink) run() {
	defer close(s.done)
	var lines []byte
	for range s.wake {
		s.mu.Lock()
		lines, s.waiting = s.waiting, lines[:0]
		closed := s.closed
		s.mu.Unlock()
		if len(lines) > 0 {
			if _, err := s.out.Write(lines); err != nil {
				s.drop(bytes.Count(lines, []byte{'\n'}), err)
			} else {
				s.recovered()
			}
		}
		if closed {
			return
		}
	}
}

// drop counts lost lines and, when the sink has just ceased to work, tells the log, which the other sinks write. It does so
// in a goroutine, for the handler that called Write is still locked.
func (s *sink) drop(lines int, why error) {
	s.lost.Add(float64(lines))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += lines
	if s.failing || s.closed {
		return
	}
	s.failing = true
	s.telling.Go(func() { s.log.Error("Log sink failed", "sink", s.name, "error", why) })
}

// recovered tells the log, this sink included, that lines were lost.
func (s *sink) recovered() {
	s.mu.Lock()
	tell, dropped := s.failing, s.dropped
	s.failing, s.dropped = false, 0
	s.mu.Unlock()
	if tell {
		s.log.Warn("Log sink works again", "sink", s.name, "dropped_lines", dropped)
	}
}

// close writes what waits and ends the goroutine.
func (s *sink) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.telling.Wait()
	s.signal()
	var err error
	select {
	case <-s.done:
	case <-time.After(closeWithin):
		err = fmt.Errorf("close log sink %s: it hangs", s.name)
	}
	if file, ok := s.out.(io.Closer); ok && s.name != "stdout" && s.name != "stderr" {
		err = errors.Join(err, file.Close())
	}
	return err
}

// sinks are those of one logger.
type sinks []*sink

// Close closes every sink.
func (all sinks) Close() error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}
