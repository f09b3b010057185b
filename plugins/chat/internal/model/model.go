// Package model asks models of other servers for answers, over OpenAI's chat completions: several upstreams, each behind a gate that
// follows what it takes and a breaker that spares it, attempts until the first token, and limits for every wait. Nothing waits
// longer than the policy says, and what goes wrong is told by a reason.
package model

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/telemetry"
)

// Model is the upstreams of a policy. It may be used concurrently.
type Model struct {
	options   Options
	upstreams []*upstream // in the order of their priority
	transport *http.Transport
	direct    *direct
	retries   retryBudget
	metrics   metrics
	log       atomic.Pointer[slog.Logger] // of the latest generation
}

// New returns the upstreams that have a URL; nil when there is none. Close it in the end.
func New(o Options, registry *telemetry.Registry) (*Model, error) {
	names := o.Names()
	if len(names) == 0 {
		return nil, nil
	}
	m := &Model{options: o, metrics: newMetrics(registry)}
	m.retries.left.Store(firstRetries)
	m.log.Store(slog.New(slog.DiscardHandler))
	most := 0
	for _, name := range names {
		u := &upstream{Upstream: o.Upstreams[name], name: name}
		u.FirstToken, u.Stall = cmp.Or(u.FirstToken, o.FirstToken), cmp.Or(u.Stall, o.Stall)
		u.Concurrency = cmp.Or(u.Concurrency, defaultConcurrency)
		most = max(most, u.Concurrency)
		u.gate = newGate(u.Concurrency)
		var err error
		if u.endpoint, err = endpoint(u.URL); err != nil {
			return nil, err
		}
		m.upstreams = append(m.upstreams, u)
	}
	dialer := net.Dialer{Timeout: o.FirstToken.D()}
	m.transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: most, IdleConnTimeout: idleConnection, TLSHandshakeTimeout: o.FirstToken.D(),
		MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
		ReadBufferSize: buffer, WriteBufferSize: buffer,
	}
	m.direct = &direct{dial: dialer.DialContext, idle: map[string][]*directConn{}}
	for _, u := range m.upstreams {
		u.client = &http.Client{
			Transport: m.transport,
			// A redirect would take the key to another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		plain, err := reaches(u.endpoint)
		if err != nil {
			return nil, err
		}
		if plain {
			request, err := u.request(context.Background())
			if err != nil {
				return nil, err
			}
			if u.asked, err = askedAt(request); err != nil {
				return nil, err
			}
			u.direct = m.direct
		}
	}
	return m, nil
}

const (
	idleConnection = 30 * time.Second
	maxHeader      = 64 << 10
	buffer         = 1 << 10 // of a connection, and half of that for the events of an answer: they are short, and thousands wait at once
	eventBuffer    = buffer / 2
)

// Close drops idle connections; others end with their requests.
func (m *Model) Close() error {
	m.transport.CloseIdleConnections()
	m.direct.CloseIdleConnections()
	return nil
}

// UseLog sets where failures of upstreams are logged.
func (m *Model) UseLog(log *slog.Logger) { m.log.Store(log) }

// Result is what became of a request.
type Result struct {
	FinishReason string // stop or length
	Usage        Usage
	Begun        bool          // some text came
	Waited       time.Duration // for a turn at an upstream
	Upstream     time.Duration // spent at upstreams
}

// Complete asks for an answer, whose text goes to say as it comes. It tries upstreams until the first token of one, until the time for
// it, or for the whole answer, is over. The error is a *Failure, or that of say, or the cause for which ctx ended. The result
// tells what was used even then.
func (m *Model) Complete(ctx context.Context, r Request, end time.Time, say func(text string) error) (Result, error) {
	began := time.Now()
	ctx, cancel := context.WithDeadlineCause(ctx, end, errTimeout)
	defer cancel()
	c := &completion{Model: m, request: r, tokens: r.Tokens(), firstToken: began.Add(m.options.FirstToken.D())}
	c.say = func(text string) error {
		c.request.Messages = nil // there is no other attempt now, and the rest of the answer may take minutes
		return say(text)
	}
	if end.Before(c.firstToken) {
		c.firstToken = end
	}
	m.retries.earn()
	err := c.run(ctx)
	m.metrics.queue.With().Observe(c.result.Waited.Seconds())
	return c.result, err
}

// completion is a request on its way through the upstreams.
type completion struct {
	*Model
	request    Request
	tokens     int // of the request
	say        func(text string) error
	firstToken time.Time // when it is due
	result     Result
	tried      []*upstream
	excluded   []*upstream // would fail again
}

func (c *completion) run(ctx context.Context) error {
	failure := &Failure{Reason: CircuitOpen, Err: errors.New("every upstream failed too often lately")}
	for n := range c.options.Attempts {
		u, tries := c.pick()
		if u == nil {
			break
		}
		if n > 0 && !c.retries.spend() {
			u.breaker.done(unknown, tries)
			break
		}
		verdict, err := c.try(ctx, u, n)
		u.breaker.done(verdict, tries)
		if err == nil {
			return nil
		}
		if left := (*saidError)(nil); errors.As(err, &left) {
			return left.error
		}
		if !errors.As(err, &failure) {
			return err
		}
		if c.result.Begun || ctx.Err() != nil || !time.Now().Before(c.firstToken) {
			break
		}
	}
	return failure
}

// pick returns the upstream for the next attempt, which its breaker allows: one that was not tried before one that was, a lower
// priority before a higher, and the one with the fewest requests under way.
func (c *completion) pick() (u *upstream, tries bool) {
	list := slices.DeleteFunc(slices.Clone(c.upstreams), func(u *upstream) bool { return slices.Contains(c.excluded, u) })
	busy := func(u *upstream) int {
		_, inFlight, waiting := u.gate.state()
		return inFlight + waiting
	}
	tried := func(u *upstream) int {
		if slices.Contains(c.tried, u) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b *upstream) int {
		return cmp.Or(tried(a)-tried(b), a.Priority-b.Priority, busy(a)-busy(b))
	})
	for _, u := range list {
		if ok, tries := u.breaker.allow(); ok {
			return u, tries
		}
	}
	return nil, false
}

// others reports whether another upstream was not tried yet.
func (c *completion) others(u *upstream) bool {
	return slices.ContainsFunc(c.upstreams, func(other *upstream) bool {
		return other != u && !slices.Contains(c.tried, other) && other.breaker.state() == "closed"
	})
}

// try makes one attempt at an upstream that its breaker allowed.
func (c *completion) try(ctx context.Context, u *upstream, n int) (outcome, error) {
	again := slices.Contains(c.tried, u)
	if !again {
		c.tried = append(c.tried, u)
	} else if err := c.backOff(ctx, n); err != nil {
		return unknown, err
	}
	asked := time.Now()
	due := asked.Add(c.options.Queue.D())
	if c.firstToken.Before(due) {
		due = c.firstToken
	}
	leave, err := u.gate.pass(ctx, due)
	c.result.Waited += time.Since(asked)
	if errors.Is(err, errQueueFull) {
		return unknown, &Failure{Reason: QueueFull, Err: err}
	} else if err != nil {
		return unknown, ended(err)
	}
	limit := time.Until(c.firstToken)
	if c.others(u) {
		limit /= 2 // another may still answer in time
	}
	a := &attempt{upstream: u, firstToken: min(limit, u.FirstToken.D()), stall: u.Stall.D(), say: c.say}
	began := time.Now()
	err = a.traced(ctx, n, func(ctx context.Context) error { return a.run(ctx, c.request, c.options.Temperature) })
	took := time.Since(began)
	var f *Failure
	errors.As(err, &f)
	leave(f != nil && f.overloaded, err == nil)
	verdict := unknown
	switch {
	case err == nil:
		verdict = worked
	case f != nil && !f.innocent:
		verdict = failed
	}
	c.settle(ctx, a, took, err)
	if f != nil {
		if f.permanent {
			c.excluded = append(c.excluded, u)
		}
		if f.RetryAfter > 0 {
			u.breaker.hold(f.RetryAfter)
		}
		c.log.Load().WarnContext(ctx, "Model attempt failed", "upstream", u.name, "reason", string(f.Reason), "error", f.Err, "attempt", n+1)
	}
	return verdict, err
}

// ended says why a context ended.
func ended(cause error) error {
	if errors.Is(cause, errTimeout) {
		return &Failure{Reason: Timeout, Err: cause, innocent: true}
	}
	return &saidError{cause}
}

// backOff waits a random while before the same upstream is tried again, the longer the more often it was.
func (c *completion) backOff(ctx context.Context, n int) error {
	timer := time.NewTimer(rand.N(min(firstBackOff<<n, longestBackOff))) //nolint:gosec // spreads attempts
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ended(context.Cause(ctx))
	}
}

const (
	firstBackOff   = 50 * time.Millisecond
	longestBackOff = time.Second
)

// settle counts what an attempt used. One that the customer ended by leaving used the prompt, and what came.
func (c *completion) settle(ctx context.Context, a *attempt, took time.Duration, err error) {
	c.result.Upstream += took
	c.result.Begun = a.begun.Load()
	var left *saidError
	switch {
	case err == nil && a.usage != nil:
		c.result.Usage = *a.usage
	case c.result.Begun || errors.As(err, &left):
		c.result.Usage = Usage{Input: c.tokens, Output: (a.said + BytesPerToken - 1) / BytesPerToken, Estimated: true}
	}
	c.result.FinishReason = a.finish
	c.metrics.attempt(ctx, a, took, err)
}

// Check tells how the upstreams do, for health.
func (m *Model) Check(context.Context) framework.Check {
	states, closed := map[string]any{}, 0
	for _, u := range m.upstreams {
		limit, inFlight, waiting := u.gate.state()
		state := u.breaker.state()
		if state == "closed" {
			closed++
		}
		states[u.name] = map[string]any{"circuit": state, "limit": limit, "inFlight": inFlight, "waiting": waiting, "model": u.Model}
	}
	status := "healthy"
	switch {
	case closed == 0 && !m.options.Degraded:
		status = "unhealthy"
	case closed < len(m.upstreams):
		status = "degraded"
	}
	return framework.Check{Status: status, Fields: map[string]any{"latencyMs": 0, "upstreams": states}}
}

// Of the retry budget, in tenths of a retry.
const (
	retryCost    = 10
	firstRetries = 3 * retryCost
	mostRetries  = 10 * retryCost
)

// retryBudget allows one retry for every ten requests, and a few in reserve, so that retries cannot multiply an overload.
type retryBudget struct{ left atomic.Int64 }

func (b *retryBudget) earn() {
	if b.left.Add(1) > mostRetries {
		b.left.Add(-1)
	}
}

func (b *retryBudget) spend() bool {
	if b.left.Add(-retryCost) < 0 {
		b.left.Add(retryCost)
		return false
	}
	return true
}

// BytesPerToken estimates tokens: Latin letters are one byte each and about four of them a token, Arabic ones are two bytes each
// and about two of them a token.
const BytesPerToken = 4

// Tokens estimates how many tokens a text is to a model.
func Tokens(s string) int { return (len(s) + BytesPerToken - 1) / BytesPerToken }

// Tokens estimates the tokens of a prompt.
func (r *Request) Tokens() int {
	const perMessage = 4 // role and delimiters
	n := 0
	for _, m := range r.Messages {
		n += perMessage + Tokens(m.Content)
	}
	return n
}
