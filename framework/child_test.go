package framework_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/redis/go-redis/v9"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// A child is this test program run once more as a server: a process of its own that can be killed, and whose CPU time is its own.
const (
	childRole  = "FRAMEWORK_TEST_CHILD" // app, or bare: Fiber and go-redis without anything else
	childRedis = "FRAMEWORK_TEST_REDIS" // port
	childDelay = "FRAMEWORK_TEST_DELAY" // of the handler
	childFiles = "FRAMEWORK_TEST_FILES" // that it may have open; empty is as many as this process
)

// childBody is what a child answers to /item/ID: JSON of 10 KB.
var childBody = []byte(`{"items":["` + strings.Repeat("0123456789", 1000) + `"]}`)

type child struct {
	url   string
	made  atomic.Int32 // calls of the handler
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when it has no more to say
}

// startChild starts a child that shares a Redis, with more in its environment. It is stopped at the end of the test.
func startChild(t testing.TB, role string, server *redistest.Server, delay time.Duration, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childRole+"="+role, childRedis+"="+strconv.Itoa(server.Port), childDelay+"="+delay.String())
	c.cmd.Env = append(c.cmd.Env, env...)
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "http://") {
		t.Fatalf("the child says %q", lines.Text())
	}
	c.url = lines.Text()
	go func() {
		defer close(c.ended)
		for lines.Scan() {
			if lines.Text() == "made" {
				c.made.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.stdin.Close()
		<-c.ended
		_ = c.cmd.Wait() // it may have been killed
	})
	return c
}

func (c *child) kill() { _ = c.cmd.Process.Kill() }

// cpu returns the CPU time that the child has used, to a hundredth of a second.
func (c *child) cpu(t testing.TB) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// runChild serves until its standard input ends.
func runChild(role string) int {
	if most, err := strconv.ParseUint(os.Getenv(childFiles), 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		serve := map[string]func(context.Context, net.Listener) error{"app": serveApp, "bare": serveBare}[role]
		err = serve(ctx, l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveApp(ctx context.Context, l net.Listener) error {
	delay, err := time.ParseDuration(os.Getenv(childDelay))
	if err != nil {
		return err
	}
	var layers *cache.Memory
	item := framework.NewPlugin(
		framework.Info{Name: "item", Handlers: []framework.HandlerInfo{{Name: "item"}, {Name: "item.forget"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			layers = h.Layers
			return framework.Handlers{
				"item": func(context.Context, *framework.Request) (*framework.Response, error) {
					fmt.Println("made")
					time.Sleep(delay)
					return framework.Bytes("application/json", childBody), nil
				},
				"item.forget": func(context.Context, *framework.Request) (*framework.Response, error) {
					layers.Flush() // this memory alone
					return framework.Text("forgotten"), nil
				},
			}, nil
		})
	app, err := framework.New(framework.Config{Plugins: []framework.Plugin{item}, Policy: framework.PolicyText("child.toml", `
version = 1
[log]
level = "error"
[log.access]
enabled = false
[cache.redis]
host = "127.0.0.1"
port = `+os.Getenv(childRedis)+`
[[routes]]
path = "/item/:id"
handler = "item"
timeout = "10s"
cache = { ttl = "1h" }
[[routes]]
path = "/forget"
handler = "item.forget"
`)})
	if err != nil {
		return err
	}
	for !layers.Report().Redis.Available { // on a busy machine the first try may have taken too long
		time.Sleep(time.Millisecond)
	}
	fmt.Println("http://" + l.Addr().String())
	return app.Serve(ctx, framework.Listeners{Public: l})
}

// serveBare is what one would write by hand.
func serveBare(ctx context.Context, l net.Listener) error {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Getenv(childRedis)})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/item/:id", func(c *fiber.Ctx) error {
		b, err := client.Get(c.Context(), "item:"+c.Params("id")).Bytes()
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderContentType, "application/json")
		return c.Send(b)
	})
	app.Get("/forget", func(c *fiber.Ctx) error { return c.SendString("forgotten") })
	context.AfterFunc(ctx, func() { _ = app.Shutdown() })
	fmt.Println("http://" + l.Addr().String())
	return app.Listener(l)
}
