//go:build linux

// Package process runs servers that are measured, and reads what the kernel knows of them and of the machine.
package process

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute
	stopTimeout  = 3 * time.Second
)

// Process is a server under measure, with the processes that it starts.
type Process struct {
	command *exec.Cmd
	said    *tail
	exited  chan struct{}
	err     error // once exited
}

// Start starts a server, with variables added to the environment, and waits until it listens at an address. It ends by Stop.
func Start(ctx context.Context, env []string, address, program string, args ...string) (*Process, error) {
	p := &Process{command: exec.Command(program, args...), said: &tail{}, exited: make(chan struct{})}
	p.command.Env = append(os.Environ(), env...)
	p.command.Stdout, p.command.Stderr = p.said, p.said
	p.command.SysProcAttr = OwnGroup()
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	go func() {
		p.err = cmp.Or(p.command.Wait(), errors.New("exit status 0"))
		close(p.exited)
	}()
	deadline := time.After(startTimeout)
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
			continue
		case <-p.exited:
			err = fmt.Errorf("ended at once: %w", errors.Join(p.err, p.said.err()))
		case <-deadline:
			err = errors.Join(errors.New("does not listen"), p.said.err())
		case <-ctx.Done():
			err = ctx.Err()
		}
		p.Stop()
		return nil, err
	}
}

// OwnGroup puts a process in a group of its own, so that Ctrl-C does not reach it before its measurement is over, and ends it with
// this program, however that ends.
func OwnGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// PID returns the process's id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Stop ends the server and all that it started.
func (p *Process) Stop() {
	group := -p.command.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.exited
}

// Ended says why the server has ended by itself; nil while it runs.
func (p *Process) Ended() error {
	select {
	case <-p.exited:
		return fmt.Errorf("the server ended: %w", errors.Join(p.err, p.said.err()))
	default:
		return nil
	}
}

// CPU returns the user and system time that the kernel has charged so far to the process and its children.
func (p *Process) CPU() (user, system time.Duration, err error) {
	for _, pid := range Family(p.command.Process.Pid) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			return 0, 0, fmt.Errorf("read CPU time: %w", err)
		}
		// After the name, in parentheses, come the fields from the third on: see proc_pid_stat(5).
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 13 {
			return 0, 0, fmt.Errorf("read CPU time: %q", stat)
		}
		u, uErr := strconv.ParseInt(fields[11], 10, 64)
		s, sErr := strconv.ParseInt(fields[12], 10, 64)
		if err := errors.Join(uErr, sErr); err != nil {
			return 0, 0, fmt.Errorf("read CPU time: %w", err)
		}
		user += time.Duration(u) * tick
		system += time.Duration(s) * tick
	}
	return user, system, nil
}

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every architecture that Go knows.
const tick = 10 * time.Millisecond

// Family returns a process and its descendants.
func Family(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(all[i]) + "/task") // a process that has ended has none
		for _, task := range tasks {
			children, _ := os.ReadFile("/proc/" + strconv.Itoa(all[i]) + "/task/" + task.Name() + "/children")
			for child := range strings.FieldsSeq(string(children)) {
				if n, err := strconv.Atoi(child); err == nil {
					all = append(all, n)
				}
			}
		}
	}
	return all
}

// FreeAddress returns a loopback address that nobody listens on.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-500):]
	return len(b), nil
}

func (t *tail) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if said := strings.TrimSpace(string(t.last)); said != "" {
		return errors.New(said)
	}
	return nil
}
