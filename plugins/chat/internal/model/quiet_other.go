//go:build !linux

package model

import "net"

// quiet cannot tell here whether a free connection is still open: a request that meets the end of one is tried again.
func quiet(net.Conn) bool { return true }
