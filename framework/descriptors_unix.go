//go:build unix

package framework

import (
	"math"
	"syscall"
)

// descriptors returns how many connections the process may open, and have some descriptors left for all else.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return max(1, int(limit.Cur)-int(limit.Cur)/10-32) //nolint:gosec // compared above
}
