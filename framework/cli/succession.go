package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/cloudflare/tableflip"
	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// succession is how processes of one service follow each other. The sockets stay open all along: a new process inherits them from the
// one before it, or from systemd, and a connection that waits to be accepted waits for whoever accepts it. With SO_REUSEPORT each
// process would have sockets of its own, and those that wait in the old one's would be reset.
type succession struct {
	upgrader  *tableflip.Upgrader // nil where a process cannot inherit sockets
	asked     chan os.Signal      // for a hand-over
	activated map[string]net.Listener
	endOnce   sync.Once
}

// becomesReady is how long a new process may take until it serves.
const becomesReady = time.Minute

func newSuccession() (*succession, error) {
	s := &succession{asked: make(chan os.Signal, 1), activated: map[string]net.Listener{}}
	var err error
	s.upgrader, err = tableflip.New(tableflip.Options{UpgradeTimeout: becomesReady})
	if err != nil && !errors.Is(err, tableflip.ErrNotSupported) {
		return nil, fmt.Errorf("prepare hand-over: %w", err)
	}
	given, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take systemd's sockets: %w", err)
	}
	for name, sockets := range given {
		role := "public" // whatever its unit is called
		if name == "admin" {
			role = name
		}
		if s.activated[role] != nil || len(sockets) > 1 {
			return nil, fmt.Errorf("systemd gives more than one %s socket; the policy has one, and one for admins (FileDescriptorName=admin)", role)
		}
		s.activated[role] = sockets[0]
	}
	notifyHandOver(s.asked)
	return s, nil
}

// listen returns a socket: that of the process before this one, or systemd's, or else a new one.
func (s *succession) listen(name, address string) (net.Listener, error) {
	if s.upgrader == nil {
		return net.Listen("tcp", address)
	}
	var failed error
	l, err := s.upgrader.ListenWithCallback("tcp", name+" "+address, func(string, string) (l net.Listener, err error) {
		if l = s.activated[name]; l == nil {
			l, err = net.Listen("tcp", address)
		}
		failed = err
		return l, err
	})
	if failed != nil {
		return nil, failed // which tableflip only words
	}
	return l, err
}

// ready tells the process before this one, and systemd, that this one serves.
func (s *succession) ready() error {
	state := daemon.SdNotifyReady
	if s.upgrader != nil {
		if s.upgrader.HasParent() {
			state = fmt.Sprintf("MAINPID=%d\n%s", os.Getpid(), state)
		}
		if err := s.upgrader.Ready(); err != nil {
			return err
		}
	}
	_, err := daemon.SdNotify(false, state)
	return err
}

// handOver starts the program anew and returns once the new process serves. On an error this one serves on.
func (s *succession) handOver() error {
	if s.upgrader == nil {
		return tableflip.ErrNotSupported
	}
	return s.upgrader.Upgrade()
}

// end ends a hand-over that is under way. Unless there was one, systemd is told that the service stops.
func (s *succession) end() {
	s.endOnce.Do(func() {
		if s.upgrader == nil {
			return
		}
		select {
		case <-s.upgrader.Exit():
		default:
			tellManager(daemon.SdNotifyStopping)
		}
		s.upgrader.Stop()
	})
}

// watchdog tells systemd regularly that this process lives, when it wants to know, until ctx ends.
func (s *succession) watchdog(ctx context.Context) {
	if s.upgrader != nil && s.upgrader.HasParent() {
		_ = os.Unsetenv("WATCHDOG_PID") // that of the process before this one, whose place it has
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 3)
	defer ticker.Stop()
	for {
		tellManager(daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tellManager tells systemd, where it started this process, something. When that fails, nobody is left to tell.
func tellManager(state string) { _, _ = daemon.SdNotify(false, state) }
