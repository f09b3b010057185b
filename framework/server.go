package framework

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/policy"
)

// front is the Fiber app that takes the server's requests.
//
// Fiber does not choose the route: the policy's own tree does, which explains and checks a policy too, and whose cost does not
// grow with the number of routes (BenchmarkRoutes; Fiber's router takes 0.3 ms to find the last of 10,000). Methods that
// Fiber does not know, and would refuse, go past it.
func (a *App) front() fasthttp.RequestHandler {
	f := fiber.New(fiber.Config{DisableStartupMessage: true})
	f.Use(a.Handle)
	handler := f.Handler()
	return func(ctx *fasthttp.RequestCtx) {
		if slices.Contains(fiber.DefaultMethods, methodOf(ctx.Method())) {
			handler(ctx)
		} else {
			a.serve(ctx)
		}
	}
}

// newServer is the listener's side: what bounds a connection before a request has a route.
func (a *App) newServer(p *policy.Policy) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      a.front(),
		ErrorHandler:                 a.malformed,
		ExpectHandler:                a.expected,
		ReadBufferSize:               int(p.Server.HeaderLimit),
		MaxRequestBodySize:           int(p.Server.BodyLimit),
		ReadTimeout:                  p.Server.ReadTimeout.D(),
		WriteTimeout:                 p.Server.WriteTimeout.D(), // a stream moves it with every piece
		IdleTimeout:                  p.Server.IdleTimeout.D(),
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       serverLog{a},
	}
}

// serverLog passes on what fasthttp has to say, which is about single connections and of no use to an operator at a higher
// level.
type serverLog struct{ app *App }

func (l serverLog) Printf(format string, args ...any) {
	l.app.Log().Debug("Connection", "event", fmt.Sprintf(format, args...))
}

// malformed answers what fasthttp could not read as a request.
func (a *App) malformed(ctx *fasthttp.RequestCtx, err error) {
	g := a.current.Load()
	x := newExchange(ctx, g)
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	answer := &Error{Status: http.StatusBadRequest, Code: "malformed_request", Message: "the request is not valid HTTP", Err: err}
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		linger(ctx, int64(g.policy.Server.HeaderLimit))
		answer = &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
			Message: fmt.Sprintf("the body is larger than %s", g.policy.Server.BodyLimit),
		}
	case errors.As(err, &small):
		answer = &Error{
			Status: http.StatusRequestHeaderFieldsTooLarge, Code: "headers_too_large",
			Message: fmt.Sprintf("the request line and headers are larger than %s", g.policy.Server.HeaderLimit),
		}
	case errors.As(err, &network) && network.Timeout():
		answer = &Error{Status: http.StatusRequestTimeout, Code: "slow_request", Message: "the request did not arrive in time"}
	}
	ctx.SetConnectionClose()
	x.finish(nil, answer)
}

// expected answers a client that asks before it sends its body (RFC 9110, section 10.1.1).
func (a *App) expected(ctx *fasthttp.RequestCtx) int {
	if int64(ctx.Request.Header.ContentLength()) <= int64(a.Policy().Server.BodyLimit) {
		return http.StatusContinue
	}
	a.malformed(ctx, fasthttp.ErrBodyTooLarge)
	return http.StatusRequestEntityTooLarge
}

// Bounds of what is read of a body that is too large.
const (
	lingerBytes = 32 << 20
	lingerTime  = time.Second
)

// linger reads on for a moment: a connection that is closed with unread bytes is reset, and the client, which is still sending,
// would not get its answer.
func linger(ctx *fasthttp.RequestCtx, readBuffer int64) {
	if ctx.Request.MayContinue() { // the client waits for a word before it sends
		return
	}
	unread := int64(ctx.Request.Header.ContentLength())
	if unread < 0 || unread > lingerBytes {
		unread = lingerBytes
	}
	// As much as a read buffer of it has been taken already, nobody knows how much: the end gets a moment of its own.
	end := min(unread, readBuffer)
	for _, part := range []struct {
		bytes int64
		time  time.Duration
	}{{unread - end, lingerTime}, {end, lingerTime / 20}} {
		if err := ctx.Conn().SetReadDeadline(time.Now().Add(part.time)); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, ctx.Conn(), part.bytes); err != nil {
			return
		}
	}
}

// withTLS wraps a listener in the policy's certificate.
func withTLS(l net.Listener, t policy.TLS) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), nil
}

// isLoopback says whether the client is on this machine.
func isLoopback(ctx *fasthttp.RequestCtx) bool {
	ip := ctx.RemoteIP()
	return ip.IsLoopback()
}

// errorForm is how an error is written: by the path, as contract and clients want it.
type errorForm int

const (
	formAPI     errorForm = iota // /api: the shop's envelope
	formOpenAI                   // /v1: the OpenAI clients' envelope
	formProblem                  // elsewhere, or when asked for: RFC 9457
)

func errorFormOf(path, accept string) errorForm {
	switch {
	case strings.Contains(accept, "application/problem+json"):
		return formProblem
	case path == "/api" || strings.HasPrefix(path, "/api/"):
		return formAPI
	case path == "/v1" || strings.HasPrefix(path, "/v1/"):
		return formOpenAI
	}
	return formProblem
}
