package framework

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/limit"
)

// stage is one step of a request's way. It answers, refuses with an error, or passes (nil, nil) to the next.
type stage struct {
	name string
	run  func(x *exchange) (*Response, error)
}

// pipeline is the way of a request whose route is known, in this order. Whatever answers, finish writes it.
var pipeline = []stage{
	{"admit", (*exchange).admit},
	{"audience", (*exchange).audience},
	{"limits", (*exchange).limits},
	{"cache", (*exchange).cached},
	{"handler", (*exchange).handle},
}

// Stages names the steps of a request's way, in order.
func Stages() []string {
	names := []string{"front", "route", "identify"}
	for _, s := range pipeline {
		names = append(names, s.name)
	}
	return append(names, "headers", "log", "metrics")
}

// run takes a request its way.
func (x *exchange) run() {
	var response *Response
	var err error
	for _, s := range pipeline {
		if response, err = s.run(x); response != nil || err != nil {
			break
		}
	}
	x.finish(response, err)
}

// admit refuses new work while the app stops. Health checks go on.
func (x *exchange) admit() (*Response, error) {
	if x.route.info.Always || !x.app().refusing.Load() {
		return nil, nil
	}
	x.http.SetConnectionClose()
	x.route.refused(rejectedStopping)
	return x.deny(errStopping)
}

// audience lets only who has the admin token to an admin route; without a configured token, only this machine, or who showed a
// certificate to the admins' listener.
func (x *exchange) audience() (*Response, error) {
	if x.route.policy.Audience != "admin" {
		return nil, nil
	}
	token := x.route.gen.policy.Server.AdminToken.Reveal()
	scheme, given, found := strings.Cut(string(x.http.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	isBearer := found && strings.EqualFold(scheme, "Bearer") // RFC 9110, section 11.1
	switch {
	case token == "" && (x.isLocal() || x.admin && x.app().adminCertificate.asksClients()):
		return nil, nil
	case token == "":
		return x.deny(&Error{
			Status: http.StatusForbidden, Code: "forbidden",
			Message: "without a configured admin token this answers only on loopback",
		})
	case !isBearer:
		x.http.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="admin"`)
		return x.deny(&Error{
			Status: http.StatusUnauthorized, Code: "unauthorized", Message: "send the admin token as a bearer token",
		})
	case !sameSecret(given, token):
		return x.deny(&Error{Status: http.StatusForbidden, Code: "forbidden", Message: "the admin token is wrong"})
	}
	return nil, nil
}

// sameSecret compares in a time that tells neither where two texts differ nor how long the right one is.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// deny answers what must not pass. Of an admin route it leaves a line, whatever the access log has: who tried what, and never
// with which token.
func (x *exchange) deny(e *Error) (*Response, error) {
	if x.route.policy.Audience == "admin" {
		x.route.gen.log.WarnContext(x.context(), "Admin request refused", "client", x.client().String(),
			"method", x.method, "path", x.path, "status", e.Status, "code", e.Code)
	}
	return nil, e
}

// limits refuses what one client asks for beyond the route's limit.
func (x *exchange) limits() (*Response, error) {
	rt := x.route
	if rt.limiter == nil {
		return nil, nil
	}
	if x.limit.Limit == 0 { // else the front has asked
		x.limit = rt.allow(x.context(), x.client())
	}
	if x.limit.OK {
		return nil, nil
	}
	rt.refused(rejectedRate)
	return x.deny(&Error{
		Status: http.StatusTooManyRequests, Code: "rate_limited", Message: "too many requests, try again later",
		RetryAfter: x.limit.RetryAfter,
	})
}

// handle runs the handler with the whole request, and waits for it.
func (x *exchange) handle() (*Response, error) {
	if err := x.work(); err != nil {
		return nil, err
	}
	c, err := x.app().start(x.context(), x.route, x.snapshot)
	if err != nil {
		return nil, err
	}
	run := (*call).apart
	if x.route.info.Heeds && c.upload == nil {
		run = (*call).here
	}
	r, first, stop, err := run(c, x.http.Conn(), x.start.Add(x.route.policy.Timeout.D()))
	if err != nil || r.stream == nil {
		stop()
		if !x.upload.close() {
			x.unread = true
		}
		return r.response, err
	}
	x.stream = &streamBody{
		Stream: r.stream, ctx: c, cancel: c.cancel, conn: x.http.Conn(), first: first, failed: r.response.StreamFailed,
		limits: streamLimits{
			idle: x.route.policy.Stream.Idle.D(), max: x.route.policy.Stream.Max.D(),
			write: x.route.gen.policy.Server.WriteTimeout.D(),
		},
	}
	x.stopWatch = stop
	if r.response.Upgrade != nil { // its handler reads from the connection itself
		stop()
		x.stopWatch = func() {}
	}
	return r.response, nil
}

// limitHeaders tells the client where it stands.
func limitHeaders(h *fasthttp.ResponseHeader, d limit.Decision) {
	var space [64]byte
	for i := range limit.Fields {
		h.SetBytesV(d.AppendField(space[:0], i))
	}
}
