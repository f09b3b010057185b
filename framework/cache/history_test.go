package cache_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// Two instances load and read the same keys while purges of every kind run on the first and Redis fails and comes back. The
// source's version goes up before each purge, as data changes before it is purged. No read on the instance that purged gives a
// version older than that of the last purge that had returned when the read began, and whether or not Redis took it; the other
// instance is there, too, soon after Redis is.
func TestNoReadReturnsWhatWasPurgedOnSharedLayers(t *testing.T) {
	server := redistest.Start(t)
	a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
	const keys = 8
	key := func(i int) string { return fmt.Sprint("key ", i) }
	purges := []func(i int){
		func(i int) { _ = a.Cache.Delete(t.Context(), key(i)) },
		func(int) { _ = a.Cache.Flush(t.Context()) },
		func(i int) {
			_, _ = a.PurgeShared(t.Context(), cache.Purge{Selectors: []cache.Selector{{Key: stored(key(i))}}})
		},
		func(int) { _, _ = a.PurgeShared(t.Context(), cache.Purge{All: true}) },
	}
	type value struct{ Key, Version int64 }
	var source, purged [keys]atomic.Int64
	var stop atomic.Bool
	var others sync.WaitGroup
	load := func(in *instance, i int) value {
		v, err := cache.Load(context.Background(), in.Cache, key(i), time.Hour, func(context.Context) (value, error) {
			v := value{int64(i), source[i].Load()}
			time.Sleep(time.Millisecond) // making takes a while
			return v, nil
		})
		if err != nil || v.Key != int64(i) {
			t.Errorf("key %d: %+v, %v", i, v, err)
		}
		return v
	}
	for _, in := range []*instance{a, b} {
		for w := range 3 {
			others.Go(func() {
				for n := w; !stop.Load(); n++ {
					i := n % keys
					least := purged[i].Load()
					if v := load(in, i); in == a && v.Version < least {
						t.Errorf("read version %d of key %d after the purge for version %d", v.Version, i, least)
						return
					}
				}
			})
		}
	}
	others.Go(func() {
		for n := 0; !stop.Load(); n++ {
			i := n % keys
			version := source[i].Add(1)
			purges[n%len(purges)](i)
			purged[i].Store(version)
			time.Sleep(2 * time.Millisecond)
		}
	})
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		server.Hang()
		time.Sleep(500 * time.Millisecond)
		server.Resume()
		time.Sleep(700 * time.Millisecond)
		server.Kill()
		time.Sleep(100 * time.Millisecond)
		server.Restart()
	}
	stop.Store(true)
	others.Wait()
	for i := range keys { // the last word on each key
		source[i].Add(1)
	}
	eventually(t, "Redis is back on both", func() bool { return a.shared.Stats().Available && b.shared.Stats().Available })
	if _, err := a.PurgeShared(t.Context(), cache.Purge{All: true}); err != nil {
		t.Error(err)
	}
	for i := range keys {
		eventually(t, "the last version on the other instance", func() bool { return load(b, i).Version == source[i].Load() })
	}
}
