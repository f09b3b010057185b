//go:build !linux

package framework

import "net"

// watch does nothing on this system: a client that left is noticed by the next failed write, or by the route's deadline.
func watch(net.Conn, func()) (stop func()) { return func() {} }
