package framework

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/telemetry"
)

const (
	// sharedPrefix begins the names of all that the layer keeps in Redis.
	sharedPrefix = "innatural:cache:"
	// sharedHeader is what an answer may take in Redis beside its body.
	sharedHeader = 64 << 10
)

// sharedLayer is the Redis of a policy, exported. Generations with the same settings have the same one, which is closed with the
// last of them.
type sharedLayer struct {
	*cache.Redis
	unexport []func()
}

// openShared returns the layer that a generation's policy asks for, or nil.
func (a *App) openShared(g *generation) (*cache.Redis, error) {
	c := g.policy.Cache
	if !c.Redis.Configured() {
		return nil, nil
	}
	addresses := c.Redis.Addresses
	if c.Redis.Host != "" {
		addresses = []string{net.JoinHostPort(c.Redis.Host, strconv.Itoa(c.Redis.Port))}
	}
	key := fmt.Sprintf("\x00redis %q %q %q %q %t %d", addresses, c.Redis.Master, c.Redis.Username, c.Redis.Password.Reveal(),
		c.Redis.TLS, c.MaxEntry)
	layer, err := a.shared.acquire(key, g, func() (any, error) {
		var secure *tls.Config
		if c.Redis.TLS {
			secure = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		s := &sharedLayer{Redis: cache.NewRedis(a.memory, cache.RedisOptions{
			Addresses: addresses, Master: c.Redis.Master, Cluster: c.Redis.Host == "" && c.Redis.Master == "",
			Username: c.Redis.Username, Password: c.Redis.Password.Reveal(), TLS: secure,
			Prefix: sharedPrefix, MaxValue: int(c.MaxEntry) + sharedHeader,
			Changed: func(err error) {
				log := g.log
				if current := a.current.Load(); current != nil {
					log = current.log
				}
				if err != nil {
					log.Warn("Redis does not answer, memory serves alone", "addresses", addresses, "error", err)
				} else {
					log.Info("Redis answers", "addresses", addresses)
				}
			},
		})}
		s.export(a.metrics)
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return layer.(*sharedLayer).Redis, nil
}

func (s *sharedLayer) export(m *telemetry.Registry) {
	layer := []string{telemetry.LabelLayer, "redis"}
	gauge := func(name, help string, value func(cache.RedisStats) float64, labels ...string) {
		s.unexport = append(s.unexport, m.GaugeFunc(name, help, func() float64 { return value(s.Stats()) }, append(labels, layer...)...))
	}
	count := func(name, help string, value func(cache.RedisStats) int64, labels ...string) {
		s.unexport = append(s.unexport,
			m.CounterFunc(name, help, func() float64 { return float64(value(s.Stats())) }, append(labels, layer...)...))
	}
	gauge(telemetry.CacheUp, telemetry.CacheUpHelp, func(s cache.RedisStats) float64 {
		if s.Available {
			return 1
		}
		return 0
	})
	gauge(telemetry.CacheKeys, telemetry.CacheKeysHelp, func(s cache.RedisStats) float64 { return float64(s.Keys) })
	gauge(telemetry.CacheLatency, telemetry.CacheLatencyHelp, func(s cache.RedisStats) float64 { return s.Latency.Seconds() })
	connections, connectionsHelp := telemetry.CacheConnections, telemetry.CacheConnectionsHelp
	gauge(connections, connectionsHelp, func(s cache.RedisStats) float64 { return float64(s.Used) }, telemetry.LabelState, "used")
	gauge(connections, connectionsHelp, func(s cache.RedisStats) float64 { return float64(s.Idle) }, telemetry.LabelState, "idle")
	waits, waitsHelp := telemetry.CacheConnectionWaits, telemetry.CacheConnectionWaitsHelp
	count(waits, waitsHelp, func(s cache.RedisStats) int64 { return int64(s.Waited) }, telemetry.LabelResult, "waited")
	count(waits, waitsHelp, func(s cache.RedisStats) int64 { return int64(s.Unserved) }, telemetry.LabelResult, "timeout")
	count(telemetry.CacheErrors, telemetry.CacheErrorsHelp, func(s cache.RedisStats) int64 { return s.Errors })
	requests, requestsHelp := telemetry.CacheRequests, telemetry.CacheRequestsHelp
	count(requests, requestsHelp, func(s cache.RedisStats) int64 { return s.Hits }, telemetry.LabelResult, "hit")
	count(requests, requestsHelp, func(s cache.RedisStats) int64 { return s.Misses }, telemetry.LabelResult, "miss")
	writes, writesHelp := telemetry.CacheWrites, telemetry.CacheWritesHelp
	count(writes, writesHelp, func(s cache.RedisStats) int64 { return s.Written }, telemetry.LabelResult, "stored")
	count(writes, writesHelp, func(s cache.RedisStats) int64 { return s.Dropped }, telemetry.LabelResult, "dropped")
}

// Close ends the layer and takes its metrics away.
func (s *sharedLayer) Close() error {
	for _, remove := range s.unexport {
		remove()
	}
	return s.Redis.Close()
}
