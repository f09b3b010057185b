//go:build unix

package report

import (
	"runtime"
	"syscall"
	"time"
)

// cpuShare is how much of its processors this process has used, over the length of the test: 1 is all.
func cpuShare(milliseconds float64) float64 {
	var u syscall.Rusage
	if milliseconds <= 0 || syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	used := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return used.Seconds() * 1000 / milliseconds / float64(runtime.GOMAXPROCS(0))
}
