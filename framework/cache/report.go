package cache

import "fmt"

// Report is the state of both layers, in the form of the HTTP contract's statistics.
type Report struct {
	Memory MemoryReport `json:"memory"`
	Redis  RedisReport  `json:"redis"`
}

// MemoryReport is the state of the layer in process.
type MemoryReport struct {
	Keys      int64  `json:"keys"`
	Bytes     int64  `json:"bytes"`
	MaxBytes  int64  `json:"maxBytes"`
	Hits      int64  `json:"hits"`
	Misses    int64  `json:"misses"`
	HitRate   string `json:"hitRate"` // "87.41%"
	Evictions int64  `json:"evictions"`
}

// RedisReport is the state of the shared layer.
type RedisReport struct {
	Available bool    `json:"available"`
	Keys      int64   `json:"keys"`
	Hits      int64   `json:"hits"`
	Misses    int64   `json:"misses"`
	LatencyMS float64 `json:"latencyMs"`
	Circuit   string  `json:"circuit"` // as in RedisStats
}

// Report returns the state of the layer and of the shared one behind it. It may be called concurrently.
func (m *Memory) Report() Report {
	s, shared := m.Stats(), m.Shared().Stats()
	return Report{
		Memory: MemoryReport{
			Keys: s.Keys, Bytes: s.Bytes, MaxBytes: s.MaxBytes, Hits: s.Hits, Misses: s.Misses,
			HitRate: fmt.Sprintf("%.2f%%", 100*s.HitRate()), Evictions: s.Evictions,
		},
		Redis: RedisReport{
			Available: shared.Available, Keys: shared.Keys, Hits: shared.Hits, Misses: shared.Misses,
			LatencyMS: float64(shared.Latency.Microseconds()) / 1000, Circuit: shared.Circuit,
		},
	}
}
