package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/innatural/chatbot/framework/telemetry"
)

// proxy is the state of the plugin, for as long as its options do not change.
type proxy struct {
	options   Options
	upstreams []*upstream // the longest prefix first
	transport *http.Transport
	log       atomic.Pointer[slog.Logger] // of the latest generation
	unexport  []func()
	cancel    context.CancelFunc
	checks    sync.WaitGroup
}

// upstream is one service with its targets.
type upstream struct {
	Upstream
	name    string
	prefix  string // without a slash at the end
	targets []*target
	turn    atomic.Uint64
}

// target is one server.
type target struct {
	address  *url.URL
	upstream *upstream
	proxy    *proxy

	underWay    atomic.Int64
	connections atomic.Int64
	results     *telemetry.Counter
	duration    prometheus.Observer

	mu       sync.Mutex
	failures int // in a row
	passed   int // checks in a row
	out      bool
	until    time.Time // when it is out and nobody checks it
}

func newProxy(o Options, m *telemetry.Registry) (*proxy, error) {
	p := &proxy{options: o}
	dialer := net.Dialer{Timeout: o.ConnectTimeout.D()}
	p.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			t, _ := ctx.Value(targetKey{}).(*target)
			return newConn(c, t), nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.ConnectTimeout.D(),
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        o.IdleTimeout.D(),
		MaxResponseHeaderBytes: int64(o.HeaderLimit),
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for _, name := range sortedNames(o.Upstreams) {
		if err := p.add(ctx, name, o.Upstreams[name], m); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	slices.SortStableFunc(p.upstreams, func(a, b *upstream) int { return len(b.prefix) - len(a.prefix) })
	return p, nil
}

const (
	maxIdle    = 256 // idle connections to one target
	bufferSize = 16 << 10
)

// targetKey is where the context of a request holds its target, for the dialer.
type targetKey struct{}

func (p *proxy) add(ctx context.Context, name string, o Upstream, m *telemetry.Registry) error {
	u := &upstream{Upstream: o, name: name, prefix: strings.TrimRight(o.Prefix, "/")}
	results := m.Counter(telemetry.ProxyRequests, telemetry.ProxyRequestsHelp,
		telemetry.LabelUpstream, telemetry.LabelTarget, telemetry.LabelResult)
	durations := m.Histogram(telemetry.ProxyRequestDuration, telemetry.ProxyRequestDurationHelp, telemetry.HTTPBuckets(),
		telemetry.LabelUpstream, telemetry.LabelTarget)
	for _, text := range o.Targets {
		address, err := parseTarget(text)
		if err != nil {
			return err
		}
		t := &target{
			address: address, upstream: u, proxy: p, results: results, duration: durations.With(name, address.String()),
		}
		labels := []string{telemetry.LabelUpstream, name, telemetry.LabelTarget, address.String()}
		p.unexport = append(p.unexport,
			m.GaugeFunc(telemetry.ProxyOpenConnections, telemetry.ProxyOpenConnectionsHelp,
				func() float64 { return float64(t.connections.Load()) }, labels...),
			m.GaugeFunc(telemetry.ProxyTargetUp, telemetry.ProxyTargetUpHelp, func() float64 {
				if t.isUp() {
					return 1
				}
				return 0
			}, labels...))
		u.targets = append(u.targets, t)
		if p.options.Health.Path != "" {
			p.checks.Go(func() { t.watch(ctx) })
		}
	}
	p.upstreams = append(p.upstreams, u)
	return nil
}

// Close ends the checks and drops idle connections; others end with their requests.
func (p *proxy) Close() error {
	p.cancel()
	p.checks.Wait()
	p.transport.CloseIdleConnections()
	for _, remove := range p.unexport {
		remove()
	}
	return nil
}

// serving returns the upstream that serves a path, or nil.
func (p *proxy) serving(path string) *upstream {
	for _, u := range p.upstreams {
		if rest, ok := strings.CutPrefix(path, u.prefix); ok && (rest == "" || rest[0] == '/') {
			return u
		}
	}
	return nil
}

// pick returns the target for the next request: of those that are up, and were not tried, the one with the fewest requests under
// way, in turn where several have as few. With none up it takes one that is not; nil when all were tried.
func (u *upstream) pick(tried []*target) *target {
	var best *target
	bestUp, first := false, int(u.turn.Add(1)%uint64(len(u.targets))) //nolint:gosec // less than the number of targets
	for i := range u.targets {
		t := u.targets[(first+i)%len(u.targets)]
		if slices.Contains(tried, t) {
			continue
		}
		up := t.isUp()
		if best == nil || up && !bestUp || up == bestUp && t.underWay.Load() < best.underWay.Load() {
			best, bestUp = t, up
		}
	}
	return best
}

func sortedNames(upstreams map[string]Upstream) []string { return slices.Sorted(maps.Keys(upstreams)) }
