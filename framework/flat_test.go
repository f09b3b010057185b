//go:build unix

package framework

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// BenchmarkFlat is what a hit costs, beside the system calls, with few and with many answers stored: of one that is asked for all the
// time, and of any of them in turn at random, which a large layer has to fetch from main memory. The promise: the same cost, whatever
// their number.
func BenchmarkFlat(b *testing.B) {
	first := map[string]float64{}
	for _, n := range []int{100, 10_000, 1_000_000} {
		app := filled(b, n)
		for _, asked := range []struct {
			name string
			any  uint64
		}{{"one", 1}, {"any", uint64(n)}} {
			b.Run(fmt.Sprintf("%d/%s", n, asked.name), func(b *testing.B) {
				var a answering
				request := itemRequest(0)
				random := rand.New(rand.NewPCG(1, 2))
				b.ReportAllocs()
				before := cpuTime(b)
				for b.Loop() {
					setItem(request, int(random.Uint64N(asked.any)))
					ask(b, app, &a, request)
				}
				cost := float64(cpuTime(b)-before) / float64(b.N)
				if first[asked.name] == 0 {
					first[asked.name] = cost
				}
				b.ReportMetric(cost, "CPU-ns/op")
				b.ReportMetric(cost/first[asked.name], "ratio")
			})
		}
	}
}

func itemRequest(i int) []byte {
	return fmt.Appendf(nil, "GET /items/%07d HTTP/1.1\r\nHost: shop.example\r\nAccept-Encoding: gzip\r\n\r\n", i)
}

// setItem changes which item a request asks for, without allocating.
func setItem(request []byte, i int) {
	number := request[len("GET /items/"):][:7]
	for d := len(number) - 1; d >= 0; d-- {
		number[d] = byte('0' + i%10)
		i /= 10
	}
}

// filled returns an app that holds so many answers of 1 KB, each of which was asked for once more.
func filled(b *testing.B, n int) *App {
	b.Helper()
	body := make([]byte, 1000)
	item := func(context.Context, *Request) (*Response, error) {
		return Bytes("application/octet-stream", body), nil
	}
	p := NewPlugin(Info{Name: "test", Handlers: []HandlerInfo{{Name: "test"}}}, NoOptions{},
		func(*Host, NoOptions) (Handlers, error) { return Handlers{"test": item}, nil })
	app, err := New(Config{Policy: PolicyText("flat.toml", `
version = 1
[log.access]
max_per_second = 0
[cache]
memory = "8GiB"
[[routes]]
path = "/items/:id"
handler = "test"
cache = { ttl = "1h" }
`), Plugins: []Plugin{p}, Stdout: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := app.Close(); err != nil {
			b.Error(err)
		}
	})
	f := fiber.New(fiber.Config{DisableStartupMessage: true})
	f.Use(app.Handle)
	serve := f.Handler()
	var a answering
	for i := range n {
		var ctx fasthttp.RequestCtx
		ctx.Request.SetRequestURI(fmt.Sprintf("/items/%07d", i))
		ctx.Request.Header.Set("Host", "shop.example")
		if serve(&ctx); ctx.Response.StatusCode() != fasthttp.StatusOK {
			b.Fatal(string(ctx.Response.Body()))
		}
		ask(b, app, &a, itemRequest(i))
	}
	if keys := app.memory.Stats().Keys; keys != int64(n) {
		b.Fatalf("%d of %d answers are stored", keys, n)
	}
	return app
}

// cpuTime returns the time that the process has had.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
