//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/health"
	"github.com/innatural/chatbot/plugins/metrics"
)

// roleVariable makes a process the server, of that kind of work.
const roleVariable = "OVERLOAD_SERVER"

const policy = `
version = 1
[server]
listen = "127.0.0.1:0"
[[routes]]
path = "/work"
handler = "work"
slo = { latency = "500ms", quantile = 0.95 }
[[routes]]
path = "/first"
handler = "work"
priority = "high"
slo = { latency = "500ms", quantile = 0.95 }
[[routes]]
path = "/stored"
handler = "work"
cache = { ttl = "1h" }
[[routes]]
path = "/livez"
handler = "health.live"
[[routes]]
path = "/metrics"
handler = "metrics"
`

// serve is the server's process. It prints its address, and ends when its standard input does.
func serve(kind string) error {
	run, err := worker(kind)
	if err != nil {
		return err
	}
	work := framework.NewPlugin(framework.Info{Name: "work", Handlers: []framework.HandlerInfo{{Name: "work"}}}, framework.NoOptions{},
		func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
			return framework.Handlers{"work": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
				return run(ctx)
			}}, nil
		})
	logs, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer logs.Close()
	app, err := framework.New(framework.Config{
		Policy: framework.PolicyText("overload.toml", policy), Plugins: []framework.Plugin{work, health.Plugin(), metrics.Plugin()}, Stdout: logs,
	})
	if err != nil {
		return err
	}
	on, err := app.Listen(nil)
	if err != nil {
		return errors.Join(err, app.Close())
	}
	fmt.Println(on.Public.Addr())
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return app.Serve(ctx, on)
}

// worker returns what each request has done.
func worker(kind string) (func(context.Context) (*framework.Response, error), error) {
	done := framework.Text("done")
	switch kind {
	case "cpu":
		rounds := calibrate(5 * time.Millisecond)
		return func(context.Context) (*framework.Response, error) {
			burn(rounds)
			return done, nil
		}, nil
	case "pool":
		pool := make(chan struct{}, 8)
		return func(ctx context.Context) (*framework.Response, error) {
			select {
			case pool <- struct{}{}:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			defer func() { <-pool }()
			time.Sleep(20 * time.Millisecond) // what is behind the pool
			return done, nil
		}, nil
	}
	return nil, fmt.Errorf("there is no work %q", kind)
}

// burn takes processor time.
func burn(rounds int) {
	var sum [sha256.Size]byte
	for range rounds {
		sum = sha256.Sum256(sum[:])
	}
}

// calibrate returns the rounds that take a time.
func calibrate(d time.Duration) int {
	best := time.Hour
	const rounds = 20_000
	for range 5 {
		began := time.Now()
		burn(rounds)
		best = min(best, time.Since(began))
	}
	return int(rounds * d / best)
}

// process is the server, as this process sees it.
type process struct {
	address string
	command *exec.Cmd
	input   io.Closer
}

// pin keeps a process, its own for 0, to one processor.
func pin(pid, processor int) error {
	var set unix.CPUSet
	set.Set(processor)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", cmp.Or(pid, os.Getpid())))
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		err = errors.Join(err, unix.SchedSetaffinity(id, &set))
	}
	return err
}

// start starts this program again, as the server. Server and load have a processor each.
func start(ctx context.Context, program, kind string) (p *process, err error) {
	p = &process{command: exec.CommandContext(ctx, program)}
	p.command.Env = append(os.Environ(), roleVariable+"="+kind, "GOMAXPROCS=1")
	p.command.Stderr = os.Stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.input, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	if p.address, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		p.stop()
		return nil, fmt.Errorf("the server does not start: %w", err)
	}
	p.address = strings.TrimSpace(p.address)
	if runtime.NumCPU() > 1 {
		err = errors.Join(pin(p.command.Process.Pid, 0), pin(0, 1))
	}
	return p, err
}

func (p *process) stop() {
	_ = p.input.Close()
	_ = p.command.Wait()
}

// watch looks at the server until the returned function is called, which returns what was the most.
func (p *process) watch() func() (memory int64, limit, queue int) {
	var memory int64
	var limit, queue int
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		for n := 0; sleep(ctx, 200*time.Millisecond) == nil; n++ {
			memory = max(memory, p.resident())
			if n%5 > 0 { // to be asked more often would take the server a hundredth of its time
				continue
			}
			text, _ := p.metrics(ctx, "http_server_concurrency_limit", "http_server_queued_requests")
			for line := range strings.Lines(text) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				n, _ := strconv.ParseFloat(value, 64)
				if name == "http_server_concurrency_limit" {
					limit = max(limit, int(n))
				} else {
					queue = max(queue, int(n))
				}
			}
		}
	})
	return func() (int64, int, int) {
		stop()
		watching.Wait()
		return memory, limit, queue
	}
}

// resident returns what the kernel counts as the server's memory.
func (p *process) resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// metrics returns the lines of metrics whose names begin with one of those.
func (p *process) metrics(ctx context.Context, names ...string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var found strings.Builder
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		for _, name := range names {
			if strings.HasPrefix(lines.Text(), name) {
				found.WriteString(lines.Text() + "\n")
			}
		}
	}
	return found.String(), nil
}
