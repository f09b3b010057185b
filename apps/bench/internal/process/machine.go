//go:build linux

package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is what figures depend on.
type Machine struct {
	Kernel string  // its release
	CPU    string  // model
	Load1  float64 // load average over a minute
}

// ReadMachine reads what it is measured on.
func ReadMachine() Machine {
	m := Machine{Kernel: "unknown", CPU: "unknown CPU"}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	average, _ := os.ReadFile("/proc/loadavg")
	busy, _, _ := strings.Cut(string(average), " ")
	m.Load1, _ = strconv.ParseFloat(busy, 64)
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("Linux %s, %s, load average %.2f before", m.Kernel, m.CPU, m.Load1)
}

// Clock returns the CPU time that a process has used, user and system, without its children: to the nanosecond, where CPU counts in
// hundredths of a second.
func Clock(pid int) (time.Duration, error) {
	// The clock of a process, as clock_getcpuclockid(3) makes its id.
	const clockSchedule = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|clockSchedule), &t); err != nil {
		if errors.Is(err, unix.EINVAL) { // no process has this clock
			err = errors.New("it has ended")
		}
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
