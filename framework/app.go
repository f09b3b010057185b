package framework

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	config    Config
	metrics   *telemetry.Registry
	memory    *cache.Memory
	responses *httpcache.Cache
	dates     *dates
	standard  *httpcache.Standard
	shared    shared
	started   time.Time
	current   atomic.Pointer[generation]
	reloading sync.Mutex
	retired   []*generation // those that drain; guarded by reloading
	closers   sync.WaitGroup
	closing   chan struct{} // closed by Close
	closeOnce sync.Once
	draining  atomic.Bool
	rejected  *telemetry.Counter
	active    atomic.Int64 // requests under way
	streams   atomic.Int64 // streamed answers under way
	abandoned atomic.Int64 // handlers that outlive their requests
	server    *fasthttp.Server
	returned  returned   // connections that are back from streams
	lines     lineBudget // of the access log
}

// cacheName is the name of the response cache in Cache-Status (RFC 9211).
const cacheName = "innatural"

// New builds an app and its first generation. It does not listen yet.
func New(config Config) (*App, error) {
	if config.Stdout == nil {
		config.Stdout = os.Stdout
	}
	a := &App{config: config, started: time.Now(), closing: make(chan struct{}), shared: shared{values: map[string]*sharedValue{}}}
	p, err := config.Policy(Vocabulary(config.Plugins...))
	if err != nil {
		return nil, err
	}
	a.metrics, a.dates = telemetry.NewRegistry(), newDates()
	if a.memory, err = cache.NewMemory(int64(p.Cache.Memory)); err != nil {
		return nil, err
	}
	a.responses, a.standard = httpcache.New(a.memory, cacheName), httpcache.NewStandard(a.memory, cacheName)
	a.rejected = a.metrics.Counter(telemetry.HTTPRejectedRequests, telemetry.HTTPRejectedRequestsHelp, telemetry.LabelReason)
	for _, reason := range []string{rejectedStopping, rejectedRate, rejectedInFlight, rejectedAbandoned} {
		a.rejected.With(reason) // exported as 0 before the first
	}
	gauge := func(name, help string, n *atomic.Int64) {
		a.metrics.GaugeFunc(name, help, func() float64 { return float64(n.Load()) })
	}
	gauge(telemetry.HTTPAbandonedHandlers, telemetry.HTTPAbandonedHandlersHelp, &a.abandoned)
	gauge(telemetry.HTTPActiveRequests, telemetry.HTTPActiveRequestsHelp, &a.active)
	gauge(telemetry.HTTPOpenStreams, telemetry.HTTPOpenStreamsHelp, &a.streams)
	a.metrics.GaugeFunc(telemetry.HTTPOpenConnections, telemetry.HTTPOpenConnectionsHelp, func() float64 {
		return float64(a.server.GetOpenConnectionsCount())
	})
	a.exportCache()
	g, err := a.build(p)
	if err != nil {
		return nil, errors.Join(err, a.closeMemory())
	}
	a.use(g)
	a.metrics.Loaded(a.started)
	a.server = a.newServer(p)
	a.closers.Go(a.keepPromises)
	return a, nil
}

// Why requests are refused before their handler runs.
const (
	rejectedStopping  = "stopping"
	rejectedRate      = "rate"
	rejectedInFlight  = "in_flight"
	rejectedAbandoned = "abandoned"
)

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
	return Status{Started: a.started, Version: a.config.Version, Draining: a.draining.Load()}
}

// Reload loads the policy again, builds a whole new generation and swaps it in; the old one drains behind. On an error,
// which says why, nothing changes.
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
	a.metrics.SetPolicy(g.policy, g.policy.Hash(), a.config.Version, g.policy.File())
}

func (a *App) rebuild(ctx context.Context) (*generation, error) {
	if a.draining.Load() {
		return nil, ErrStopping
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := a.config.Policy(Vocabulary(a.config.Plugins...))
	if err != nil {
		return nil, err
	}
	return a.build(p)
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
	a.serve(c.Context())
	return nil
}

// serve hands a request to the current generation.
func (a *App) serve(ctx *fasthttp.RequestCtx) {
	g := a.current.Load()
	for !g.acquire() { // a reload came between
		g = a.current.Load()
	}
	defer g.release()
	g.serve(ctx)
}

// Run listens on the policy's address and serves until ctx ends, then drains: see Serve.
func (a *App) Run(ctx context.Context) error {
	l, err := a.Listen()
	if err != nil {
		return errors.Join(err, a.Close())
	}
	return a.Serve(ctx, l)
}

// Listen opens the policy's address, with TLS when the policy says so.
func (a *App) Listen() (net.Listener, error) {
	s := a.Policy().Server
	l, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.Listen, err)
	}
	if s.TLS.Cert == "" {
		return l, nil
	}
	t, err := withTLS(l, s.TLS)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return t, nil
}

// Serve serves a listener until ctx ends. Then readiness turns 503, new work is refused, and what is under way has the
// policy's drain time to end; streams that are still open near its end are told. It closes the app and returns nil after
// an orderly stop, even when something had to be cut.
func (a *App) Serve(ctx context.Context, l net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(frontListener{l, a}) }()
	select {
	case err := <-served:
		return errors.Join(err, a.Close())
	case <-ctx.Done():
	}
	a.drain()
	err := a.stopServer()
	_ = l.Close() // the server does not know its listener yet when it is stopped at once; closed twice otherwise
	if serveErr := <-served; serveErr != nil {
		err = errors.Join(err, fmt.Errorf("serve: %w", serveErr))
	}
	return errors.Join(err, a.Close())
}

// drain refuses new work and waits for what is under way, at most for the drain time.
func (a *App) drain() {
	a.reloading.Lock() // no generation comes after this one
	defer a.reloading.Unlock()
	a.draining.Store(true)
	g := a.current.Load()
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
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// stopServer closes the listener, idle connections at once and busy ones, which hold answers that are just being written,
// after a moment.
func (a *App) stopServer() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainMargin)
	defer cancel()
	a.returned.stop()
	defer a.returned.close()
	if err := a.server.ShutdownWithContext(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop server: %w", err)
	}
	return nil
}

// Close closes the app's generations and what they share. Serve and Run call it; an app that only lends its Handle, or that
// was never served, is closed by its owner, after its last request.
func (a *App) Close() (err error) {
	a.closeOnce.Do(func() {
		a.reloading.Lock()
		defer a.reloading.Unlock()
		a.draining.Store(true)
		close(a.closing)
		a.closers.Wait()
		g := a.current.Load()
		g.retire()
		g.close()
		err = a.closeMemory()
	})
	return err
}

func (a *App) closeMemory() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(a.responses.Close(ctx), a.standard.Close(ctx), a.memory.Close(ctx))
}
