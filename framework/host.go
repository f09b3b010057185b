package framework

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// Host is what the framework lends a plugin for one generation. It may be used concurrently.
type Host struct {
	Log     *slog.Logger        // carries the plugin's name; the Context methods add request and trace id
	Metrics *telemetry.Registry // its metrics outlive reloads: asking again returns the same one
	Cache   *cache.Cache        // the plugin's own part of the cache layers
	Layers  *cache.Memory       // the layers as a whole, for administration

	plugin string
	gen    *generation
}

// Policy returns the policy of this generation.
func (h *Host) Policy() *policy.Policy { return h.gen.policy }

// Redis returns the layer that instances share, for what a plugin keeps there itself, or nil when the policy names no server. It
// serves as long as the generation.
func (h *Host) Redis() *cache.Redis { return h.gen.redis }

// Status returns the state of the app, for health checks.
func (h *Host) Status() Status { return h.gen.app.Status() }

// Objective returns what counts how a route, given by its place in the policy, keeps its promise; nil when it promises nothing. It is
// for handlers, once every route is built.
func (h *Host) Objective(route int) *telemetry.Objective {
	if p := h.gen.routes[route].promise; p != nil {
		return p.Objective
	}
	return nil
}

// Reload loads the policy again, as App.Reload does.
func (h *Host) Reload(ctx context.Context) error { return h.gen.app.Reload(ctx) }

// AnswersFrom tells which data, beyond the policy, the plugin's answers are made from. Stored answers serve the generations
// whose policy and data are the same, and no others; so a plugin tells the files that it reads, and those that it
// embeds, which change with the program.
func (h *Host) AnswersFrom(data []byte) {
	h.gen.mu.Lock()
	defer h.gen.mu.Unlock()
	h.gen.sources = append(h.gen.sources, h.plugin+" "+strconv.FormatUint(xxhash.Sum64(data), 36))
}

// Go runs f on a goroutine of the generation: its context ends when the generation is closed, which waits for f.
func (h *Host) Go(f func(ctx context.Context)) {
	h.gen.background.Go(func() { f(h.gen.ctx) })
}

// OnStop registers what to do once the generation has drained. Functions run in the reverse order of registration.
func (h *Host) OnStop(f func(ctx context.Context) error) {
	h.gen.mu.Lock()
	defer h.gen.mu.Unlock()
	h.gen.onStop = append(h.gen.onStop, f)
}

// Check is the state of a dependency, as health reports it.
type Check struct {
	Status string         // "healthy", "degraded" or "unhealthy"
	Fields map[string]any // more to say, such as latencyMs
}

// AddCheck registers a check of a dependency under a name. It must answer within a second.
func (h *Host) AddCheck(name string, check func(ctx context.Context) Check) {
	h.gen.mu.Lock()
	defer h.gen.mu.Unlock()
	h.gen.checks[name] = check
}

// Checks runs every registered check at once and returns their results by name.
func (h *Host) Checks(ctx context.Context) map[string]Check {
	h.gen.mu.Lock()
	defer h.gen.mu.Unlock()
	results := make(map[string]Check, len(h.gen.checks))
	var wait sync.WaitGroup
	var mu sync.Mutex
	for name, check := range h.gen.checks {
		wait.Go(func() {
			result := check(ctx)
			mu.Lock()
			results[name] = result
			mu.Unlock()
		})
	}
	wait.Wait()
	return results
}

// Provide hands a value to the plugins that Use its type in this generation. The plugin's Info must declare it.
func Provide[T any](h *Host, value T) {
	h.gen.mu.Lock()
	defer h.gen.mu.Unlock()
	h.gen.services[reflect.TypeFor[T]()] = value
}

// Use returns what another plugin provides, building that plugin first when it is not built yet. It may be called only
// while the plugin itself is being built.
func Use[T any](h *Host) (T, error) {
	var zero T
	service := ServiceOf[T]()
	if err := h.gen.buildProvider(service, h.plugin); err != nil {
		return zero, err
	}
	h.gen.mu.Lock()
	defer h.gen.mu.Unlock()
	value, ok := h.gen.services[service.t].(T)
	if !ok {
		return zero, fmt.Errorf("use %s: its plugin declares it and does not provide it", service)
	}
	return value, nil
}

// Shared returns a value that outlives reloads: the first generation that asks for a key opens it, later ones get the same,
// and it is closed, when it has a Close method, once no generation holds it. The key belongs to the plugin; name in it the
// options that the value depends on, so that a changed option opens a new one.
func Shared[T any](h *Host, key string, open func() (T, error)) (T, error) {
	value, err := h.gen.app.shared.acquire(h.plugin+"\x00"+key, h.gen, func() (any, error) { return open() })
	if err != nil {
		var zero T
		return zero, err
	}
	typed, ok := value.(T)
	if !ok {
		return typed, fmt.Errorf("shared %s of plugin %s is a %T", key, h.plugin, value)
	}
	return typed, nil
}

// shared holds the values that outlive generations.
type shared struct {
	mu     sync.Mutex
	values map[string]*sharedValue
}

type sharedValue struct {
	value   any
	holders []*generation
}

func (s *shared) acquire(key string, g *generation, open func() (any, error)) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.values[key]
	if v == nil {
		value, err := open()
		if err != nil {
			return nil, err
		}
		v = &sharedValue{value: value}
		s.values[key] = v
	}
	if !slices.Contains(v.holders, g) {
		v.holders = append(v.holders, g)
	}
	return v.value, nil
}

// each visits every value.
func (s *shared) each(visit func(value any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.values {
		visit(v.value)
	}
}

// release drops what only g held.
func (s *shared) release(g *generation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for key, v := range s.values {
		v.holders = slices.DeleteFunc(v.holders, func(h *generation) bool { return h == g })
		if len(v.holders) > 0 {
			continue
		}
		delete(s.values, key)
		if c, ok := v.value.(interface{ Close() error }); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
