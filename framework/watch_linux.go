package framework

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watch calls gone when the peer of conn hangs up, and returns a function that ends the watch and waits for it.
//
// fasthttp reads nothing while a handler runs, so it cannot notice. The watcher waits in the runtime's poller and asks the
// kernel for POLLRDHUP, which is set also while pipelined or TLS bytes wait to be read. A client that closes only its
// sending side counts as gone.
func watch(conn net.Conn, gone func()) (stop func()) {
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		hung := false
		err := raw.Read(func(fd uintptr) bool {
			p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a descriptor fits
			n, err := unix.Poll(p[:], 0)
			hung = err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
			return hung
		})
		if err == nil && hung {
			gone()
		}
	}()
	return func() {
		// A deadline in the past wakes the watcher. The server sets its own deadline before it reads again.
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = conn.SetReadDeadline(time.Time{})
	}
}
