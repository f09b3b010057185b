//go:build !linux

package framework

import "net"

// watchers do nothing on this system: a client that left is noticed by the next failed write, or by the route's deadline.
type watchers struct{}

func (*watchers) watch(net.Conn, func()) (stop func()) { return func() {} }

func (*watchers) close() {}
