package framework

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// Listeners are what an app serves.
type Listeners struct {
	Public net.Listener
	Admin  net.Listener // of those who run the server; when nil, the routes for them answer on the public one
}

// ErrHandedOver is the cause with which the context of Serve ends where another process serves the same sockets already: this one takes no
// new connections from then on.
var ErrHandedOver = errors.New("another process serves")

// Listen opens the policy's addresses, with TLS where the policy says so. The sockets come from open, which is told which one of public
// and admin it is for; when nil, they are opened here.
func (a *App) Listen(open func(name, address string) (net.Listener, error)) (on Listeners, err error) {
	server := a.Policy().Server
	if open == nil {
		open = func(_, address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, on.close())
		}
	}()
	for _, side := range []struct {
		name, whom, address string
		listener            *net.Listener
		certificate         **certificate
		files               policy.AdminTLS
	}{
		{"public", "", server.Listen, &on.Public, &a.certificate, policy.AdminTLS{Cert: server.TLS.Cert, Key: server.TLS.Key}},
		{"admin", " for admins", server.Admin.Listen, &on.Admin, &a.adminCertificate, server.Admin.TLS},
	} {
		if side.address == "" {
			continue
		}
		l, err := open(side.name, side.address)
		if err != nil {
			return on, fmt.Errorf("listen%s on %s: %w", side.whom, side.address, err)
		}
		*side.listener = l
		if *side.certificate, err = newCertificate(side.files); err != nil {
			return on, err
		}
		*side.listener = (*side.certificate).listener(l)
		if c := *side.certificate; c != nil {
			a.metrics.GaugeFunc(telemetry.TLSCertificateExpiry, telemetry.TLSCertificateExpiryHelp,
				func() float64 { return float64(c.read.Load().ends.Unix()) }, telemetry.LabelListener, side.name)
		}
	}
	return on, nil
}

// Run listens on the policy's addresses and serves until ctx ends, then drains: see Serve.
func (a *App) Run(ctx context.Context) error {
	on, err := a.Listen(nil)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	return a.Serve(ctx, on)
}

// adminConnections is how many connections the admins' listener has at most at a time: of few clients, and never those of the public.
const adminConnections = 256

// Serve serves listeners until ctx ends. Then readiness turns 503, and in the policy's grace all is served on, each answer with
// Connection: close; unless the cause of ctx's end is ErrHandedOver, new connections too. After that new work is refused, and what is
// under way has the policy's drain time to end; streams that are still open near its end are told. It closes the app and returns nil
// after an orderly stop, even when something had to be cut.
func (a *App) Serve(ctx context.Context, on Listeners) error {
	watch, err := a.watchCertificates()
	if err != nil {
		return errors.Join(err, on.close(), a.Close())
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watched, stop := context.WithCancel(context.Background())
	defer stop()
	watching.Go(func() { watch(watched) })

	sides, served := []*fasthttp.Server{a.server}, make(chan error, 2)
	on.Public = closedOnce(on.Public)
	if on.Admin != nil {
		on.Admin = closedOnce(on.Admin)
		a.admin = a.newServer(a.Policy(), func(ctx *fasthttp.RequestCtx) { a.serve(ctx, true) })
		a.admin.Concurrency = adminConnections
		sides = append(sides, a.admin)
		go func() { served <- a.admin.Serve(on.Admin) }()
	}
	go func() { served <- a.server.Serve(frontListener{on.Public, a}) }()
	running := len(sides)
	select {
	case err = <-served:
		running--
	case <-ctx.Done():
		a.leave(ctx, on)
		a.drain()
	}
	err = errors.Join(err, a.stopServers(sides), on.close()) // a server that is stopped at once does not know its listener yet
	for range running {
		if failed := <-served; failed != nil {
			err = errors.Join(err, fmt.Errorf("serve: %w", failed))
		}
	}
	return errors.Join(err, a.Close())
}

func (l Listeners) close() (err error) {
	for _, l := range []net.Listener{l.Public, l.Admin} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// onceListener can be closed more than once.
type onceListener struct {
	net.Listener
	close func() error
}

func closedOnce(l net.Listener) net.Listener { return onceListener{l, sync.OnceValue(l.Close)} }

// Close closes the listener, the first time.
func (l onceListener) Close() error { return l.close() }

// leave is the time in which the app, which is not ready any more, still takes what comes: load balancers notice, and clients that keep
// connections open are told with each answer to close them. A process that has handed over takes only what comes on open connections,
// and is done when there are none.
func (a *App) leave(ctx context.Context, on Listeners) {
	a.leaving.Store(true)
	g := a.current.Load()
	grace := g.policy.Server.Grace.D()
	handedOver := errors.Is(context.Cause(ctx), ErrHandedOver)
	g.log.Info("Leaving", "grace", grace.String(), "handed_over", handedOver)
	if handedOver {
		_ = on.close() // the sockets are the other process's now
	}
	if grace == 0 {
		return
	}
	for end := time.Now().Add(grace); time.Now().Before(end); time.Sleep(idleCheck) {
		open := a.server.GetOpenConnectionsCount() + 1 // it leaves out one, which the listener was while it was open
		if handedOver && open == 0 && a.streams.Load() == 0 && a.carried.Load() == 0 {
			break
		}
	}
	_ = on.Public.Close() // what is refused here can be tried elsewhere, which an answer 503 cannot always
}

// idleCheck is how often it is looked for the end of what is under way.
const idleCheck = 5 * time.Millisecond

// drain waits for what is under way, at most for the drain time.
func (a *App) drain() {
	a.reloading.Lock() // no generation comes after this one
	defer a.reloading.Unlock()
	g := a.current.Load()
	a.refusing.Store(g.policy.Server.Grace == 0) // after a grace there are only connections that each get one more answer
	limit := g.policy.Server.Drain.D()
	g.log.Info("Stopping", "drain", limit.String(), "requests", g.inflight.Load())
	end := time.Now().Add(limit)
	all := append(slices.Clone(a.retired), g)
	if idleUntil(end.Add(-lastWords-drainMargin), all) {
		return
	}
	for _, g := range all {
		g.cancel(ErrStopping)
	}
	if !idleUntil(end, all) {
		g.log.Warn("Stopped with requests under way", "requests", g.inflight.Load())
	}
}

// drainMargin is what is left, after the last words of streams, to close down.
const drainMargin = 200 * time.Millisecond

// idleUntil waits until no generation serves a request or runs a handler, and says whether that came before the deadline.
func idleUntil(deadline time.Time, generations []*generation) bool {
	busy := func(g *generation) bool { return g.inflight.Load() > 0 }
	for slices.ContainsFunc(generations, busy) {
		if !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(idleCheck)
	}
	return true
}

// stopServers closes the listeners, idle connections at once and busy ones, which hold answers that are just being written,
// after a moment.
func (a *App) stopServers(sides []*fasthttp.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainMargin)
	defer cancel()
	a.returned.stop()
	defer a.returned.close()
	var errs []error
	for _, server := range sides {
		if err := server.ShutdownWithContext(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, fmt.Errorf("stop server: %w", err))
		}
	}
	return errors.Join(errs...)
}
