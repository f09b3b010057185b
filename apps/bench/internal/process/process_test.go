//go:build linux

package process_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/process"
)

// What does not start says why, and does not stay.
func TestStart(t *testing.T) {
	address, err := process.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := process.Start(t.Context(), nil, address, "sh", "-c", "echo no such luck; exit 3"); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v, and it said why", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := process.Start(ctx, nil, address, "sh", "-c", "sleep 60 & sleep 60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, and it did not listen in time", err)
	}
	if children := process.Family(os.Getpid())[1:]; len(children) > 0 {
		t.Errorf("%v are left", children)
	}
}

// The clock goes with the work of its process.
func TestClock(t *testing.T) {
	own := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := own()
	at, err := process.Clock(os.Getpid())
	if after := own(); err != nil || at < before-time.Millisecond || at > after+time.Millisecond {
		t.Errorf("%v at %v, and the kernel counts %v to %v", err, at, before, after)
	}
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := process.Clock(ended.Process.Pid); err == nil {
		t.Error("a process that has ended has a clock")
	}
}

func TestMachine(t *testing.T) {
	if m := process.ReadMachine(); m.Kernel == "unknown" || m.CPU == "" || !strings.Contains(m.String(), m.Kernel) {
		t.Errorf("%+v", m)
	}
}
