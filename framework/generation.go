package framework

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/encoding"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// generation is one policy with its plugins built, its router and its logger. It never changes once built: a reload builds
// another one.
type generation struct {
	app      *App
	policy   *policy.Policy
	log      *slog.Logger
	logSinks io.Closer
	routes   []*route          // as the policy has them
	encoder  *encoding.Encoder // of routes that compress; nil when nothing is compressed
	best     *encoding.Encoder // of their stored answers that are asked for again; nil when they stay as they are
	metrics  []*telemetry.RouteMetrics
	fallback *route // for requests that no route matches
	proxies  []netip.Prefix
	redis    *cache.Redis      // behind the memory layer; nil without
	tracer   *telemetry.Tracer // nil without

	ctx    context.Context // of its requests and background work
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	built    map[string]Handlers // by plugin; nil while being built
	failed   map[string]error    // by plugin
	services map[reflect.Type]any
	checks   map[string]func(context.Context) Check
	onStop   []func(context.Context) error
	sources  []string // of the data that answers are made from

	background sync.WaitGroup
	inflight   atomic.Int64 // requests, and handlers that outlive theirs
	isRetired  atomic.Bool
	drainOnce  sync.Once
	drained    chan struct{} // closed when retired and nothing is in flight
	closeOnce  sync.Once
	isClosed   atomic.Bool
}

// build makes a generation from a policy. On an error everything that was built is closed again.
func (a *App) build(p *policy.Policy) (*generation, error) {
	if problems := p.Unmet(); len(problems) > 0 {
		return nil, problems
	}
	log, sinks, err := telemetry.NewLogger(p.Log, a.config.Stdout, a.metrics)
	if err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	g := &generation{
		app: a, policy: p, log: log, logSinks: sinks,
		proxies:  trusted(&p.Server),
		built:    map[string]Handlers{},
		failed:   map[string]error{},
		services: map[reflect.Type]any{},
		checks:   map[string]func(context.Context) Check{},
		drained:  make(chan struct{}),
	}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	if g.encoder, g.best, err = newEncoders(p.Compression, a.metrics); err != nil {
		g.close()
		return nil, err
	}
	if g.redis, err = a.openShared(g); err != nil {
		g.close()
		return nil, err
	}
	if g.tracer, err = a.openTracer(g); err != nil {
		g.close()
		return nil, err
	}
	if err := g.buildRoutes(); err != nil {
		g.close()
		return nil, err
	}
	if err := a.metrics.Err(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// plugin returns a plugin's handlers, built now if they are not yet.
func (g *generation) plugin(name string) (Handlers, error) {
	g.mu.Lock()
	handlers, known := g.built[name]
	if !known {
		g.built[name] = nil
	}
	g.mu.Unlock()
	if known {
		if handlers == nil && g.failed[name] == nil {
			return nil, fmt.Errorf("plugins need each other in a circle through %s", name)
		}
		return handlers, g.failed[name]
	}
	i := slices.IndexFunc(g.app.config.Plugins, func(p Plugin) bool { return p.info.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no plugin named %q in this program", name)
	}
	p := g.app.config.Plugins[i]
	h := &Host{
		Log: g.log.With("plugin", name), Metrics: g.app.metrics, Cache: g.app.memory.Cache(name),
		Layers: g.app.memory,
		plugin: name, gen: g,
	}
	handlers, err := p.build(h, g.policy.Plugins[name])
	if err != nil {
		if _, needed := errors.AsType[*pluginError](err); !needed {
			err = &pluginError{name, err}
		}
		g.failed[name] = err
		return nil, err
	}
	for _, info := range p.info.Handlers {
		if handlers[info.Name] == nil {
			return nil, fmt.Errorf("plugin %s declares the handler %s and does not build it", name, info.Name)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.built[name] = handlers
	return handlers, nil
}

// pluginError says that a plugin was not built. It is the error of every route and of every other plugin that needs it.
type pluginError struct {
	plugin string
	err    error
}

func (e *pluginError) Error() string { return "build plugin " + e.plugin + ": " + e.err.Error() }

// Unwrap returns what the plugin said.
func (e *pluginError) Unwrap() error { return e.err }

// buildProvider builds the plugin that provides a service.
func (g *generation) buildProvider(s Service, user string) error {
	for _, p := range g.app.config.Plugins {
		if slices.Contains(p.info.Provides, s) {
			_, err := g.plugin(p.info.Name)
			return err
		}
	}
	return fmt.Errorf("plugin %s needs a plugin that provides %s, and this program has none", user, s)
}

// handler returns the handler that a route names, with its description.
func (g *generation) handler(name string) (Handler, HandlerInfo, error) {
	plugin, _, _ := strings.Cut(name, ".")
	handlers, err := g.plugin(plugin)
	if err != nil {
		return nil, HandlerInfo{}, err
	}
	for _, p := range g.app.config.Plugins {
		for _, info := range p.info.Handlers {
			if info.Name == name && handlers[name] != nil {
				return handlers[name], info, nil
			}
		}
	}
	return nil, HandlerInfo{}, fmt.Errorf("no handler named %q in this program", name)
}

// acquire counts a request into the generation. It says false when the generation is no longer current.
func (g *generation) acquire() bool {
	g.hold()
	if g.isRetired.Load() {
		g.release()
		return false
	}
	return true
}

// hold counts one more who needs the generation, for somebody who already holds it.
func (g *generation) hold() { g.inflight.Add(1) }

func (g *generation) release() {
	if g.inflight.Add(-1) == 0 && g.isRetired.Load() {
		g.drainOnce.Do(func() { close(g.drained) })
	}
}

// retire makes the generation refuse new requests.
func (g *generation) retire() {
	g.hold()
	g.isRetired.Store(true)
	g.release()
}

func (g *generation) closed() bool { return g.isClosed.Load() }

// close ends the generation's background work and gives back what it holds. Mistakes are logged: nobody could act on them.
func (g *generation) close() {
	g.closeOnce.Do(func() {
		g.cancel(ErrStopping)
		g.background.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		var errs []error
		for _, stop := range slices.Backward(g.onStop) {
			errs = append(errs, stop(ctx))
		}
		errs = append(errs, g.app.shared.release(g))
		g.app.metrics.Release(g.metrics...)
		if err := errors.Join(errs...); err != nil {
			g.log.Error("Closing a generation failed", "error", err)
		}
		if err := g.logSinks.Close(); err != nil {
			fmt.Fprintln(g.app.config.Stdout, "close logs:", err)
		}
		g.isClosed.Store(true)
	})
}

// stopTimeout bounds what plugins do when their generation is closed.
const stopTimeout = 5 * time.Second
