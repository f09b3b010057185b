package model

import (
	"errors"
	"net"
	"syscall"
)

// quiet reports whether a free connection is still open, and nothing has come that nobody asked for.
func quiet(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	good := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT) //nolint:gosec // a descriptor fits
		good = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && good
}
