package framework

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

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
			a.serve(ctx, false)
		}
	}
}

// newServer is the listener's side: what bounds a connection before a request has a route.
func (a *App) newServer(p *policy.Policy, handler fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      handler,
		ErrorHandler:                 a.malformed,
		ExpectHandler:                a.expected,
		ConnState:                    turned,
		ReadBufferSize:               int(p.Server.HeaderLimit),
		WriteBufferSize:              writeBuffer,
		MaxRequestBodySize:           1, // what fasthttp waits for itself; receive has the limit
		ReadTimeout:                  p.Server.ReadTimeout.D(),
		WriteTimeout:                 p.Server.WriteTimeout.D(), // a stream moves it with every piece
		IdleTimeout:                  p.Server.IdleTimeout.D(),
		StreamRequestBody:            true, // the exchange reads it, once it knows for whom
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
	var small *fasthttp.ErrSmallBuffer
	if f := frontOf(ctx.Conn()); f != nil && f.line > 0 && errors.As(err, &small) {
		err = errLongURL // not even its line fits
	}
	newExchange(ctx, a.current.Load()).refuse(err)
}

// expected answers a client that asks before it sends its body (RFC 9110, section 10.1.1).
func (a *App) expected(ctx *fasthttp.RequestCtx) int {
	if int64(ctx.Request.Header.ContentLength()) <= int64(a.Policy().Server.BodyLimit) {
		return http.StatusContinue
	}
	a.malformed(ctx, fasthttp.ErrBodyTooLarge)
	return http.StatusRequestEntityTooLarge
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
