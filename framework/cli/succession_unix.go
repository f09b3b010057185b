//go:build unix

package cli

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notifyHandOver makes the signal for a hand-over come through a channel.
func notifyHandOver(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR2) }

// reloading is what systemd wants to hear at the beginning of a reload: in one datagram with its time (sd_notify(3)).
func reloading() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // which every system has
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}
