package framework_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework"
)

// request prepares a request context as the server would, for calling a handler without a socket.
func request(path string) *fasthttp.RequestCtx {
	var req fasthttp.Request
	req.SetRequestURI(path)
	req.Header.Set("Host", "shop.example")
	req.Header.Set("User-Agent", "bench")
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Language", "fr")
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
	return ctx
}

func newApp(tb testing.TB, policy string, plugins ...framework.Plugin) *framework.App {
	tb.Helper()
	app, err := framework.New(framework.Config{Policy: framework.PolicyText("bench.toml", policy), Plugins: plugins, Stdout: io.Discard})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := app.Close(); err != nil {
			tb.Error(err)
		}
	})
	return app
}

// handler is the app as its own server calls it.
func handler(app *framework.App) fasthttp.RequestHandler {
	f := fiber.New(fiber.Config{DisableStartupMessage: true})
	f.Use(app.Handle)
	return f.Handler()
}

func drive(b *testing.B, handler fasthttp.RequestHandler, path string, status int) {
	ctx := request(path)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		ctx.Response.Reset()
		handler(ctx)
	}
	if ctx.Response.StatusCode() != status {
		b.Fatalf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
}

const benchPolicy = `
version = 1
[log.access]
enabled = false
[[routes]]
path = "/hello/:name"
handler = "test"
[[routes]]
path = "/cached"
handler = "test"
cache = { ttl = "1h" }
`

func benchPlugin() framework.Plugin {
	hello := framework.Text("hello")
	return plugin("test", framework.Handlers{"test": func(context.Context, *framework.Request) (*framework.Response, error) {
		return hello, nil
	}})
}

// BenchmarkAroundAHandler is what a request costs whose handler answers at once: with the framework, and with bare Fiber.
// The promise is on the difference: at most 15 µs of CPU and 12 allocations.
func BenchmarkAroundAHandler(b *testing.B) {
	b.Run("framework", func(b *testing.B) { drive(b, handler(newApp(b, benchPolicy, benchPlugin())), "/hello/ada", 200) })
	b.Run("fiber", func(b *testing.B) {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Get("/hello/:name", func(c *fiber.Ctx) error { return c.SendString("hello") })
		drive(b, app.Handler(), "/hello/ada", 200)
	})
	b.Run("cached", func(b *testing.B) { drive(b, handler(newApp(b, benchPolicy, benchPlugin())), "/cached", 200) })
}

// BenchmarkRefused is what a request costs that an overloaded server refuses: ten times as many as it can do take their part of it.
func BenchmarkRefused(b *testing.B) {
	running, end := make(chan struct{}), make(chan struct{})
	app := newApp(b, `
version = 1
[server.overload]
in_flight = 1
queue = 0
[[routes]]
path = "/"
handler = "test"
timeout = "1m"
`, plugin("test", framework.Handlers{"test": func(context.Context, *framework.Request) (*framework.Response, error) {
		close(running)
		<-end
		return framework.Text("done"), nil
	}}))
	var first sync.WaitGroup
	first.Go(func() { handler(app)(request("/")) })
	<-running
	drive(b, handler(app), "/", 503)
	close(end)
	first.Wait()
}

// The promise: 12 allocations.
func TestAroundAHandlerAllocatesLittle(t *testing.T) {
	if raceFactor > 1 {
		t.Skip("the race detector allocates too")
	}
	ctx, h := request("/hello/ada"), handler(newApp(t, benchPolicy, benchPlugin()))
	const most = 12
	if n := testing.AllocsPerRun(1000, func() { ctx.Response.Reset(); h(ctx) }); n > most {
		t.Errorf("%v allocations, want at most %d", n, most)
	}
}

func manyRoutes(n int) string {
	var b strings.Builder
	b.WriteString("version = 1\n[log.access]\nenabled = false\n")
	for i := range n {
		fmt.Fprintf(&b, "[[routes]]\npath = \"/r/%d/items/:id\"\nhandler = \"test\"\n", i)
	}
	b.WriteString("[[routes]]\npath = \"/cached\"\nhandler = \"test\"\ncache = { ttl = \"1h\" }\n")
	return b.String()
}

// BenchmarkRoutes is what many routes cost: to load, check and build them, and to answer from the first and the last of them.
// The promise: 10,000 in under a second.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		text := manyRoutes(n)
		b.Run(fmt.Sprintf("build/%d", n), func(b *testing.B) {
			for b.Loop() {
				app, err := framework.New(framework.Config{Policy: framework.PolicyText("many.toml", text), Plugins: []framework.Plugin{benchPlugin()}, Stdout: io.Discard})
				if err != nil {
					b.Fatal(err)
				}
				if err := app.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
		app := newApp(b, text, benchPlugin())
		b.Run(fmt.Sprintf("last/%d", n), func(b *testing.B) { drive(b, handler(app), fmt.Sprintf("/r/%d/items/7", n-1), 200) })
		b.Run(fmt.Sprintf("cached/%d", n), func(b *testing.B) { drive(b, handler(app), "/cached", 200) })
	}
}

// BenchmarkStart is the time from nothing to the first answer over a socket.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		app, err := framework.New(framework.Config{Policy: framework.PolicyText("bench.toml", benchPolicy), Plugins: []framework.Plugin{benchPlugin()}, Stdout: io.Discard})
		if err != nil {
			b.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- app.Serve(ctx, framework.Listeners{Public: l}) }()
		res, err := http.Get("http://" + l.Addr().String() + "/hello/ada")
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		b.StopTimer()
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkReload is the time of one reload.
func BenchmarkReload(b *testing.B) {
	app := newApp(b, benchPolicy, benchPlugin())
	for b.Loop() {
		if err := app.Reload(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
