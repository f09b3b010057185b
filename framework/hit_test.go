package framework

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// hitApp is an app that holds a fresh answer of about 10 KB at /cached/a.
func hitApp(tb testing.TB, more ...string) *App {
	tb.Helper()
	a := hitAppWithout(tb, more...)
	var ctx fasthttp.RequestCtx
	ctx.Request.SetRequestURI("/cached/a?language=fr")
	ctx.Request.Header.Set("Host", "shop")
	f := fiber.New(fiber.Config{DisableStartupMessage: true})
	f.Use(a.Handle)
	f.Handler()(&ctx)
	if ctx.Response.StatusCode() != 200 {
		tb.Fatal(string(ctx.Response.Body()))
	}
	return a
}

// hitAppWithout is the same app before it holds anything, with more of a policy.
func hitAppWithout(tb testing.TB, more ...string) *App {
	tb.Helper()
	body := []byte(`{"products":[` + strings.Repeat(`{"id":"inn-1","name":"Huile d'argan","price":129.5},`, 200) + `null]}`)
	hello := func(context.Context, *Request) (*Response, error) { return Bytes("application/json", body), nil }
	p := NewPlugin(Info{Name: "test", Handlers: []HandlerInfo{{Name: "test.hello"}}}, NoOptions{},
		func(*Host, NoOptions) (Handlers, error) { return Handlers{"test.hello": hello}, nil })
	a, err := New(Config{Policy: PolicyText("hit.toml", `
version = 1
[log.access]
max_per_second = 0
[[routes]]
path = "/cached/:name"
handler = "test.hello"
limits = { requests = 1000000000, window = "1s" }
cache_control = "short"
[routes.cache]
ttl = "1h"
query = ["language"]
`+strings.Join(more, "")), Plugins: []Plugin{p}, Stdout: io.Discard})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := a.Close(); err != nil {
			tb.Error(err)
		}
	})
	return a
}

// ask answers a raw request, and fails when the front does not.
func ask(tb testing.TB, app *App, a *answering, request []byte) []byte {
	a.out = a.out[:0]
	if _, ok := a.request.parse(request); !ok {
		tb.Fatalf("not read: %q", request)
	}
	body, ok := app.current.Load().hit(a, netip.AddrFrom4([4]byte{127, 0, 0, 1}), time.Now())
	if !ok {
		tb.Fatalf("no hit: %q", request)
	}
	return body
}

func rawGet(field string) []byte {
	return fmt.Appendf(nil, "GET /cached/a?language=fr HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nUser-Agent: test\r\nAccept: */*\r\n%s\r\n\r\n", field)
}

// The promise: at most one allocation on the hit path.
func TestAHitAllocatesNothing(t *testing.T) {
	app := hitApp(t)
	for _, field := range []string{"Accept-Encoding: gzip", "Accept: */*", `If-None-Match: *`} {
		var a answering
		request := rawGet(field)
		ask(t, app, &a, request) // prepares
		if n := testing.AllocsPerRun(200, func() { ask(t, app, &a, request) }); n > 0 {
			t.Errorf("%s: %v allocations", field, n)
		}
	}
}

// A hit in the shared layer needs no more than the front, and what it leaves in memory neither.
func TestAHitInTheSharedLayerIsTheFronts(t *testing.T) {
	server := redistest.Start(t)
	redis := fmt.Sprintf("[cache.redis]\nhost = \"127.0.0.1\"\nport = %d\n", server.Port)
	maker, app := hitApp(t, redis), hitAppWithout(t, redis)
	for maker.memory.Shared().Stats().Written == 0 {
		time.Sleep(time.Millisecond)
	}
	var a answering
	request, client := rawGet("Accept-Encoding: gzip"), netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if _, ok := a.request.parse(request); !ok {
		t.Fatal("not read")
	}
	g := app.current.Load()
	if _, ok := g.hit(&a, client, time.Now()); ok || a.missed == nil {
		t.Fatalf("memory holds it: %t", ok)
	}
	if body, left, ok := g.hitShared(&a, client, time.Now()); !ok || len(body) == 0 || left != (handed{}) ||
		!bytes.Contains(a.out, []byte("; detail=shared\r\n")) {
		t.Errorf("%t, %d bytes, %+v\n%s", ok, len(body), left, a.out)
	}
	ask(t, app, &a, request)
	if bytes.Contains(a.out, []byte("shared")) {
		t.Errorf("of memory:\n%s", a.out)
	}
	if _, ok := a.request.parse(bytes.Replace(request, []byte("language=fr"), []byte("language=ar"), 1)); !ok {
		t.Fatal("not read")
	}
	_, _ = g.hit(&a, client, time.Now())
	if _, left, ok := g.hitShared(&a, client, time.Now()); ok || !left.looked || !left.limit.OK {
		t.Errorf("of what nobody has: %t, %+v", ok, left)
	}
}

// BenchmarkHit is what a hit costs beside the system calls, for a 200 and for a 304, and where others are traced.
func BenchmarkHit(b *testing.B) {
	plain := hitApp(b)
	traced := hitApp(b, "[telemetry.traces]\nendpoint = \"http://127.0.0.1:1\"\nsample = 0.0\n")
	for _, bench := range []struct {
		name, field string
		app         *App
	}{
		{"200", "Accept-Encoding: gzip", plain},
		{"304", "If-None-Match: *", plain},
		{"200 with traces, not sampled", "Accept-Encoding: gzip", traced},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var a answering
			request := rawGet(bench.field)
			b.ReportAllocs()
			for b.Loop() {
				ask(b, bench.app, &a, request)
			}
		})
	}
}
