//go:build !unix

package cli

import (
	"os"

	"github.com/coreos/go-systemd/v22/daemon"
)

func notifyHandOver(chan<- os.Signal) {}

func reloading() string { return daemon.SdNotifyReloading }
