//go:build linux

// Command memory measures what a full memory layer occupies: it serves more answers than the policy gives memory for, each under
// a path of its own, and prints what the kernel counts as resident.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
)

func main() {
	entries := flag.Int("entries", 1_000_000, "answers that are served, one after another")
	size := flag.Int("size", 1000, "bytes of each")
	memory := flag.Int("memory", 1024, "`MiB` that the policy gives the memory layer")
	flag.Parse()
	r, err := fill(*entries, *size, *memory)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

// Result is what was measured, in bytes.
type Result struct {
	Allowed  int64         // by the policy
	Before   int64         // resident before the first answer
	Peak     int64         // most that was ever resident
	Resident int64         // in the end
	Kept     int64         // entries in the end
	CPU      time.Duration // of one answer, the garbage collector's work included
}

const policy = `
version = 1
[log.access]
enabled = false
[cache]
memory = "%d MiB"
[[routes]]
path = "/items/:id"
handler = "items"
cache = { ttl = "1h", tags = ["items"] }
cache_control = "short"
`

// fill serves so many answers through an app, in its own process as a server has it.
func fill(entries, size, memory int) (r Result, err error) {
	var layer *cache.Cache
	app, err := framework.New(framework.Config{
		Policy:  framework.PolicyText("memory.toml", fmt.Sprintf(policy, memory)),
		Plugins: []framework.Plugin{items(size, &layer)},
		Stdout:  io.Discard,
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, app.Close()) }()
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	wait.Go(func() { app.BoundMemory(ctx) })
	host := fiber.New(fiber.Config{DisableStartupMessage: true})
	host.Use(app.Handle)
	serve := host.Handler()

	r.Allowed = int64(memory) << 20
	if r.Before, err = resident("VmRSS"); err != nil {
		return r, err
	}
	began := cpu()
	var clients sync.WaitGroup
	const parallel = 4
	failed := make([]error, parallel)
	for client := range parallel {
		clients.Go(func() {
			for i := client; i < entries && failed[client] == nil; i += parallel {
				failed[client] = ask(serve, i)
			}
		})
	}
	clients.Wait()
	r.CPU = (cpu() - began) / time.Duration(entries)
	r.Kept = layer.Stats().Keys
	var peakErr, residentErr error
	r.Peak, peakErr = resident("VmHWM")
	r.Resident, residentErr = resident("VmRSS")
	return r, errors.Join(append(failed, peakErr, residentErr)...)
}

// ask asks for an item, as the server does it for a request that it has read.
func ask(serve fasthttp.RequestHandler, i int) error {
	var req fasthttp.Request
	req.SetRequestURI("/items/" + strconv.Itoa(i))
	req.Header.SetHost("shop.example")
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
	serve(ctx)
	if status := ctx.Response.StatusCode(); status != fasthttp.StatusOK {
		return fmt.Errorf("item %d: answered %d", i, status)
	}
	return nil
}

// items is a plugin that answers with so many bytes of JSON, and gives away its part of the layers.
func items(size int, layer **cache.Cache) framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "items", Handlers: []framework.HandlerInfo{{Name: "items"}},
	}, struct{}{}, func(h *framework.Host, _ struct{}) (framework.Handlers, error) {
		*layer = h.Cache
		return framework.Handlers{"items": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
			body := bytes.Repeat([]byte("x"), size)
			copy(body, `{"id":"`+r.Param("id")+`","text":"`)
			copy(body[max(0, size-2):], `"}`)
			return &framework.Response{Header: map[string][]string{"Content-Type": {"application/json"}}, Body: body}, nil
		}}, nil
	})
}

// resident returns a size in /proc/self/status.
func resident(name string) (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name+":" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("read memory: no %s", name)
}

// cpu returns the time that the process has had.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
