package framework

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// Loader returns the policy to serve. It is called at the start and at every reload, with what the program's plugins know.
type Loader func(policy.Vocabulary) (*policy.Policy, error)

// PolicyFile loads a policy from a file, with the environment and flags (by dotted path) over it.
func PolicyFile(path string, flags map[string]string) Loader {
	return func(v policy.Vocabulary) (*policy.Policy, error) {
		return PolicyFileWith(path, policy.Layers{Env: os.Environ(), Flags: flags})(v)
	}
}

// PolicyFileWith loads a policy from a file, with layers over it.
func PolicyFileWith(path string, layers policy.Layers) Loader {
	return func(v policy.Vocabulary) (*policy.Policy, error) {
		text, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		return load(policy.Source{Name: path, Text: text}, v, layers)
	}
}

// PolicyText loads a policy from text, under a name for its problems; neither environment nor flags change it.
func PolicyText(name, text string) Loader {
	return func(v policy.Vocabulary) (*policy.Policy, error) {
		return load(policy.Source{Name: name, Text: []byte(text)}, v, policy.Layers{})
	}
}

func load(src policy.Source, v policy.Vocabulary, layers policy.Layers) (*policy.Policy, error) {
	p, problems := policy.Load(src, v, layers)
	if len(problems) > 0 {
		return nil, problems
	}
	return p, nil
}

// Config is what an app is made of.
type Config struct {
	Policy  Loader
	Plugins []Plugin
	Version string    // of the program, for health and metrics
	Stdout  io.Writer // where stdout sinks write; nil is os.Stdout
}

// App is a policy and plugins, serving. It holds one current generation; a reload builds a whole new one and swaps it in.
// All methods may be called concurrently.
type App struct {
	config           Config
	metrics          *telemetry.Registry
	memory           *cache.Memory
	responses        *httpcache.Cache
	dates            *dates
	standard         *httpcache.Standard
	shared           shared
	started          time.Time
	current          atomic.Pointer[generation]
	reloading        sync.Mutex
	retired          []*generation // those that drain; guarded by reloading
	closers          sync.WaitGroup
	closing          chan struct{} // closed by Close
	closeOnce        sync.Once
	leaving          atomic.Bool // stopping: not ready, and connections are not kept
	refusing         atomic.Bool // of new work
	rejected         *telemetry.Counter
	delayed          *telemetry.Counter
	limited          *telemetry.Counter // by shared limits
	closed           *telemetry.Counter
	waited           *telemetry.Histogram
	gate             *limit.Gate
	active           atomic.Int64 // requests under way
	streams          atomic.Int64 // streamed answers under way
	abandoned        atomic.Int64 // handlers that outlive their requests
	shed             atomic.Int64 // requests refused for too much to do, that no line of the log has told of
	shedSaid         atomic.Int64 // when one did, in Unix nanoseconds
	server           *fasthttp.Server
	admin            *fasthttp.Server // of the admins' own listener; nil without
	certificate      *certificate     // of the listener; nil without TLS
	adminCertificate *certificate     // of the admins'
	carried          atomic.Int64     // connections that have left the server with a stream, until they end
	connections      limit.Connections
	descriptors      int        // most connections that the process may open
	returned         returned   // connections that are back from streams
	watchers         watchers   // of clients that may hang up
	lines            lineBudget // of the access log
}

// cacheName is the name of the response cache in Cache-Status (RFC 9211).
const cacheName = "innatural"

// New builds an app and its first generation. It does not listen yet.
func New(config Config) (*App, error) {
	if config.Stdout == nil {
		config.Stdout = os.Stdout
	}
	a := &App{config: config, started: time.Now(), closing: make(chan struct{}), descriptors: descriptors(), shared: shared{values: map[string]*sharedValue{}}}
	p, err := config.Policy(Vocabulary(config.Plugins...))
	if err != nil {
		return nil, err
	}
	a.metrics, a.dates = telemetry.NewRegistry(), newDates()
	if a.memory, err = cache.NewMemory(int64(p.Cache.Memory)); err != nil {
		return nil, err
	}
	a.responses, a.standard = httpcache.New(a.memory, cacheName), httpcache.NewStandard(a.memory, cacheName)
	a.gate = limit.NewGate(gateOptions(p.Server.Overload))
	a.exportOverload()
	gauge := func(name, help string, n *atomic.Int64) {
		a.metrics.GaugeFunc(name, help, func() float64 { return float64(n.Load()) })
	}
	gauge(telemetry.HTTPAbandonedHandlers, telemetry.HTTPAbandonedHandlersHelp, &a.abandoned)
	gauge(telemetry.HTTPActiveRequests, telemetry.HTTPActiveRequestsHelp, &a.active)
	gauge(telemetry.HTTPOpenStreams, telemetry.HTTPOpenStreamsHelp, &a.streams)
	a.exportCache()
	g, err := a.build(p)
	if err != nil {
		return nil, errors.Join(err, a.closeMemory())
	}
	a.use(g)
	a.metrics.Loaded(a.started)
	a.server = a.newServer(p, a.front())
	a.closers.Go(a.keepPromises)
	return a, nil
}

// exportCache exports the state of the memory layer.
func (a *App) exportCache() {
	layer := []string{telemetry.LabelLayer, "memory"}
	gauge := func(name, help string, value func(cache.Stats) int64) {
		a.metrics.GaugeFunc(name, help, func() float64 { return float64(value(a.memory.Stats())) }, layer...)
	}
	count := func(name, help string, value func(cache.Stats) int64, labels ...string) {
		a.metrics.CounterFunc(name, help, func() float64 { return float64(value(a.memory.Stats())) }, append(labels, layer...)...)
	}
	gauge(telemetry.CacheKeys, telemetry.CacheKeysHelp, func(s cache.Stats) int64 { return s.Keys })
	gauge(telemetry.CacheBytes, telemetry.CacheBytesHelp, func(s cache.Stats) int64 { return s.Bytes })
	gauge(telemetry.CacheMaxBytes, telemetry.CacheMaxBytesHelp, func(s cache.Stats) int64 { return s.MaxBytes })
	count(telemetry.CacheEvictions, telemetry.CacheEvictionsHelp, func(s cache.Stats) int64 { return s.Evictions })
	count(telemetry.CachePurges, telemetry.CachePurgesHelp, func(s cache.Stats) int64 { return s.Purges })
	a.metrics.CounterFunc(telemetry.CacheCoalesced, telemetry.CacheCoalescedHelp, func() float64 {
		return float64(a.responses.Stats().Coalesced)
	})
	count(telemetry.CacheRequests, telemetry.CacheRequestsHelp, func(s cache.Stats) int64 { return s.Hits }, telemetry.LabelResult, "hit")
	count(telemetry.CacheRequests, telemetry.CacheRequestsHelp, func(s cache.Stats) int64 { return s.Misses }, telemetry.LabelResult, "miss")
}

// Policy returns the policy that is served now.
func (a *App) Policy() *policy.Policy { return a.current.Load().policy }

// Metrics returns the app's metrics.
func (a *App) Metrics() *telemetry.Registry { return a.metrics }

// Log returns the app's logger.
func (a *App) Log() *slog.Logger { return a.current.Load().log }

// Status is the state of an app.
type Status struct {
	Started  time.Time
	Version  string
	Draining bool // stopping: ready no more
}

// Status returns the state of the app.
func (a *App) Status() Status {
	return Status{Started: a.started, Version: a.config.Version, Draining: a.leaving.Load()}
}

// Reload loads the policy and the certificates again, builds a whole new generation and swaps it in; the old one drains behind. On
// an error, which says why, nothing changes.
func (a *App) Reload(ctx context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	old := a.current.Load()
	g, err := a.rebuild(ctx)
	a.metrics.Reloaded(err == nil, time.Now())
	if err != nil {
		old.log.ErrorContext(ctx, "Policy not reloaded, the old one goes on", "error", err)
		return err
	}
	a.use(g)
	a.retire(old)
	g.log.InfoContext(ctx, "Policy reloaded", "policy", g.policy.File(), "hash", g.policy.Hash(), "routes", len(g.policy.Routes))
	for _, key := range restartNeeded(old.policy, g.policy) {
		g.log.WarnContext(ctx, "Changed setting needs a restart", "key", key)
	}
	return nil
}

// use makes a generation the current one.
func (a *App) use(g *generation) {
	a.current.Store(g)
	a.memory.SetMaximum(int64(g.policy.Cache.Memory))
	a.memory.Share(g.redis)
	a.gate.Configure(gateOptions(g.policy.Server.Overload))
	a.metrics.SetPolicy(g.policy, g.policy.Hash(), a.config.Version, g.policy.File())
}

func (a *App) rebuild(ctx context.Context) (*generation, error) {
	if a.leaving.Load() {
		return nil, ErrStopping
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := a.config.Policy(Vocabulary(a.config.Plugins...))
	if err != nil {
		return nil, err
	}
	g, err := a.build(p)
	if err != nil {
		return nil, err
	}
	if err := a.renewCertificates(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// restartNeeded names what changed that a running server can't take over.
func restartNeeded(old, now *policy.Policy) []string {
	var keys []string
	for _, k := range []struct {
		key     string
		changed bool
	}{
		{"server.listen", old.Server.Listen != now.Server.Listen},
		{"server.tls", old.Server.TLS != now.Server.TLS},
		{"server.admin.listen", old.Server.Admin.Listen != now.Server.Admin.Listen},
		{"server.admin.tls", old.Server.Admin.TLS != now.Server.Admin.TLS},
		{"server.body_limit", old.Server.BodyLimit != now.Server.BodyLimit},
		{"server.header_limit", old.Server.HeaderLimit != now.Server.HeaderLimit},
		{"server.read_timeout", old.Server.ReadTimeout != now.Server.ReadTimeout},
		{"server.write_timeout", old.Server.WriteTimeout != now.Server.WriteTimeout},
		{"server.idle_timeout", old.Server.IdleTimeout != now.Server.IdleTimeout},
	} {
		if k.changed {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// maxRetired is how many old generations may still drain. Beyond it the oldest one's streams are told to end.
const maxRetired = 32

// retire lets a generation that is no longer current drain behind, then closes it. A stream may take as long as its route
// allows.
func (a *App) retire(g *generation) {
	g.retire()
	a.retired = slices.DeleteFunc(a.retired, func(g *generation) bool { return g.closed() })
	if a.retired = append(a.retired, g); len(a.retired) > maxRetired {
		a.retired[0].cancel(ErrStopping)
	}
	a.closers.Go(func() {
		select {
		case <-g.drained:
		case <-a.closing:
		}
		g.close()
	})
}

// Handle serves a request of a Fiber app: host.Use(app.Handle) embeds the app in a Fiber program, whose own routes and
// middleware come before it as they are written.
func (a *App) Handle(c *fiber.Ctx) error {
	a.serve(c.Context(), false)
	return nil
}

// serve hands a request, which came to the admins' listener or not, to the current generation.
func (a *App) serve(ctx *fasthttp.RequestCtx, admin bool) {
	g := a.current.Load()
	for !g.acquire() { // a reload came between
		g = a.current.Load()
	}
	defer g.release()
	g.serve(ctx, admin)
}

// Close closes the app's generations and what they share. Serve and Run call it; an app that only lends its Handle, or that
// was never served, is closed by its owner, after its last request.
func (a *App) Close() (err error) {
	a.closeOnce.Do(func() {
		a.reloading.Lock()
		defer a.reloading.Unlock()
		a.leaving.Store(true)
		a.refusing.Store(true)
		close(a.closing)
		a.closers.Wait()
		g := a.current.Load()
		g.retire()
		g.close()
		a.watchers.close()
		err = a.closeMemory()
	})
	return err
}

func (a *App) closeMemory() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(a.responses.Close(ctx), a.standard.Close(ctx), a.memory.Close(ctx))
}
