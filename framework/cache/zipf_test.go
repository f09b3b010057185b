package cache_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/innatural/chatbot/framework/cache"
)

// The promise: on a Zipf trace the layer hits at least as often as otter alone that holds the same bytes. What the layer does around
// otter, its expiry, stamps and accounting, must not cost it a hit.
func TestHitRateIsThatOfOtterAlone(t *testing.T) {
	const (
		maxBytes  = 8 << 20
		keys      = 50_000
		reads     = 400_000
		tolerance = 0.003 // otter decides some evictions by chance
	)
	size := func(key string) int { return 200 + int(key[len(key)-1]-'0')*200 }
	m := newMemory(t, maxBytes)
	// What the layer charges for an entry is learned from it, so that both have the same bytes.
	charged := func(key string) uint32 {
		one := newMemory(t, maxBytes)
		one.Set(key, 0, cache.Entry{TTL: time.Hour, Cost: size(key), Made: one.Now()})
		return uint32(one.Stats().Bytes)
	}
	var weights [10]uint32 // by the last digit, of keys of six
	for digit := range weights {
		weights[digit] = charged("10000" + strconv.Itoa(digit))
	}
	alone := otter.Must(&otter.Options[string, int]{
		MaximumWeight: maxBytes,
		Weigher:       func(key string, _ int) uint32 { return weights[key[len(key)-1]-'0'] },
	})
	defer alone.StopAllGoroutines()

	trace := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, keys-1)
	aloneHits := 0
	for i := range reads {
		key := strconv.FormatUint(100_000+trace.Uint64(), 10)
		if _, ok := m.Get(key); !ok {
			m.Set(key, i, cache.Entry{TTL: time.Hour, Cost: size(key), Made: m.Now()})
		}
		if _, ok := alone.GetIfPresent(key); ok {
			aloneHits++
		} else {
			alone.Set(key, i)
		}
	}
	rate, aloneRate := m.Stats().HitRate(), float64(aloneHits)/reads
	t.Logf("hit rate %.4f, otter alone %.4f", rate, aloneRate)
	if rate < aloneRate-tolerance || rate < 0.5 {
		t.Errorf("hit rate %.4f, otter alone %.4f", rate, aloneRate)
	}
}
