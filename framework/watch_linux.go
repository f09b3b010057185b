package framework

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchers notice the clients that hang up. fasthttp reads nothing while a handler runs, so it cannot. The kernel tells of all that are
// watched by one epoll set, which has one reader: a goroutine for each would be a stack for each open stream.
//
// What is asked for is EPOLLRDHUP, which comes also while pipelined or TLS bytes wait to be read. A client that closes only its sending
// side counts as gone.
type watchers struct {
	mu     sync.Mutex
	file   *os.File // nil before the first is watched
	set    syscall.RawConn
	gone   map[uint64]func() // by the number of the watch: descriptors are used again
	last   uint64
	closed bool
	reader sync.WaitGroup
}

// watch calls gone when the peer of conn hangs up, unless stop was called before. They do not overlap: gone must not call stop.
func (w *watchers) watch(conn net.Conn, gone func()) (stop func()) {
	for { // through the front and TLS
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = outer.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return func() {}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return func() {}
	}
	number, err := w.add(gone)
	if err != nil {
		return func() {}
	}
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLONESHOT}
	event.Fd, event.Pad = halves(number)
	if err := w.change(unix.EPOLL_CTL_ADD, raw, &event); err != nil {
		w.remove(number)
		return func() {}
	}
	return func() {
		w.remove(number)
		_ = w.change(unix.EPOLL_CTL_DEL, raw, nil) // what is closed is in the set no more
	}
}

// change adds a connection to the set or removes it, while neither is closed.
func (w *watchers) change(how int, conn syscall.RawConn, event *unix.EpollEvent) (err error) {
	failed := w.set.Control(func(set uintptr) {
		failed := conn.Control(func(fd uintptr) { err = unix.EpollCtl(int(set), how, int(fd), event) }) //nolint:gosec // descriptors fit
		err = cmp.Or(failed, err)
	})
	return cmp.Or(failed, err)
}

// add numbers a watch.
func (w *watchers) add(gone func()) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, os.ErrClosed
	}
	if w.file == nil {
		if err := w.open(); err != nil {
			return 0, err
		}
	}
	w.last++
	w.gone[w.last] = gone
	return w.last, nil
}

func (w *watchers) remove(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.gone, number)
}

// open begins to read the set. It waits in the runtime's poller, as for a connection.
func (w *watchers) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("watch clients: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // which tells os that it can be waited for
		return fmt.Errorf("watch clients: %w", err)
	}
	w.file, w.gone = os.NewFile(uintptr(fd), "watched clients"), map[uint64]func(){}
	if w.set, err = w.file.SyscallConn(); err != nil {
		return fmt.Errorf("watch clients: %w", err)
	}
	w.reader.Go(func() {
		var events [64]unix.EpollEvent
		_ = w.set.Read(func(uintptr) bool { // until the set is closed
			for {
				n, err := unix.EpollWait(fd, events[:], 0)
				if err != nil && err != unix.EINTR || n == 0 {
					return false
				}
				for i := range max(n, 0) {
					w.tell(whole(events[i].Fd, events[i].Pad))
				}
			}
		})
	})
	return nil
}

// tell tells that a client has hung up.
func (w *watchers) tell(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if gone := w.gone[number]; gone != nil {
		delete(w.gone, number)
		gone()
	}
}

// The kernel keeps 64 bits with each watch, which the package syscall has as two numbers.
func halves(n uint64) (low, high int32) { return int32(n), int32(n >> 32) } //nolint:gosec // bits

func whole(low, high int32) uint64 { return uint64(uint32(low)) | uint64(uint32(high))<<32 } //nolint:gosec // bits

// close ends all watches.
func (w *watchers) close() {
	w.mu.Lock()
	w.closed = true
	file := w.file
	w.mu.Unlock()
	if file != nil {
		_ = file.Close() // it was only read
		w.reader.Wait()
	}
}
