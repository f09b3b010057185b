package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/innatural/chatbot/framework/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMemory(t testing.TB, maxBytes int64) *cache.Memory {
	t.Helper()
	m, err := cache.NewMemory(maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// put stores a value as it is now.
func put(m *cache.Memory, key string, value any, tags ...string) bool {
	return m.Set(key, value, cache.Entry{TTL: time.Hour, Cost: 100, Tags: tags, Made: m.Now()})
}

func TestEntriesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, 1<<20)
		m.Set("a", 1, cache.Entry{TTL: 400 * time.Millisecond, Made: m.Now()})
		m.Set("never", 1, cache.Entry{TTL: 0, Made: m.Now()})
		m.Set("past", 1, cache.Entry{TTL: -time.Second, Made: m.Now()})
		if _, ok := m.Get("a"); !ok {
			t.Error("gone at once")
		}
		for _, key := range []string{"never", "past"} {
			if _, ok := m.Get(key); ok {
				t.Errorf("%s was stored", key)
			}
		}
		time.Sleep(399 * time.Millisecond)
		if _, ok := m.Get("a"); !ok {
			t.Error("gone before its time")
		}
		time.Sleep(time.Millisecond)
		if _, ok := m.Get("a"); ok {
			t.Error("there after its time: a TTL below a second was rounded")
		}
	})
}

func TestStats(t *testing.T) {
	m := newMemory(t, 1<<20)
	put(m, "a", 1)
	m.Get("a")
	m.Get("a")
	m.Get("a")
	m.Get("b")
	m.Peek("a")
	s := m.Stats()
	if s.Keys != 1 || s.Hits != 3 || s.Misses != 1 || s.MaxBytes != 1<<20 || s.HitRate() != 0.75 || s.Bytes < 101 {
		t.Errorf("%+v, hit rate %v", s, s.HitRate())
	}
	if (cache.Stats{}).HitRate() != 0 {
		t.Error("a hit rate before the first read")
	}
}

func TestBytesAreBounded(t *testing.T) {
	const maxBytes = 1 << 20
	m := newMemory(t, maxBytes)
	for i := range 20_000 {
		m.Set(fmt.Sprint("key ", i), i, cache.Entry{TTL: time.Hour, Cost: 1000, Made: m.Now()})
	}
	s := m.Stats()
	if s.Bytes > maxBytes || s.Bytes < maxBytes*8/10 {
		t.Errorf("holds %d of %d bytes", s.Bytes, maxBytes)
	}
	if s.Evictions < 19_000 {
		t.Errorf("%d evictions", s.Evictions)
	}
	m.Set("giant", 1, cache.Entry{TTL: time.Hour, Cost: 2 * maxBytes, Made: m.Now()})
	if s := m.Stats(); s.Bytes > maxBytes {
		t.Errorf("an entry above the maximum: holds %d of %d bytes", s.Bytes, maxBytes)
	}
	m.SetMaximum(maxBytes / 4)
	if s := m.Stats(); s.Bytes > maxBytes/4 || s.MaxBytes != maxBytes/4 || s.Bytes == 0 {
		t.Errorf("after the maximum was lowered: %+v", s)
	}
}

// The cost of an entry is what the heap holds for it. The bytes that are claimed must be within 15 % of it.
func TestCostIsWhatTheHeapHolds(t *testing.T) {
	for _, size := range []int{0, 100, 1000, 10_000} {
		n := min(50_000, 50<<20/(size+300))
		before := heap()
		m := newMemory(t, 1<<40)
		for i := range n {
			key := fmt.Sprintf("GET@ /api/products/inn-%07d?language=fr", i)
			value := make([]byte, size)
			m.Set(key, value, cache.Entry{TTL: time.Hour, Cost: cap(value), Made: m.Now()})
		}
		claimed := m.Stats().Live()
		held := heap() - before
		if ratio := float64(claimed) / float64(held); ratio < 0.85 || ratio > 1.15 {
			t.Errorf("%d entries of %d bytes: claims %d bytes, the heap holds %d (%.2f); %d beside key and value", n, size,
				claimed, held, ratio, held/int64(n)-int64(size)-43)
		}
		runtime.KeepAlive(m)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func TestGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, 1<<20)
		a, b := new(int), new(int)
		m.Set("k", a, cache.Entry{TTL: time.Minute, Made: m.Now()})
		before := m.Stats().Bytes
		time.Sleep(30 * time.Second)
		m.Grow("k", a, 1000)
		m.Grow("k", b, 5000)
		m.Grow("absent", a, 5000)
		if got := m.Stats().Bytes - before; got != 1000*6/5 {
			t.Errorf("grew by %d bytes", got)
		}
		time.Sleep(30 * time.Second)
		if _, ok := m.Get("k"); ok {
			t.Error("growing prolonged the entry")
		}
	})
}

func TestDrop(t *testing.T) {
	m := newMemory(t, 1<<20)
	a, b := new(int), new(int)
	made := m.Now()
	put(m, "k", a)
	m.Drop("k", b)
	if v, _ := m.Get("k"); v != a {
		t.Error("dropped another value")
	}
	m.Drop("k", a)
	if _, ok := m.Get("k"); ok {
		t.Error("not dropped")
	}
	if !m.Set("k", b, cache.Entry{TTL: time.Hour, Made: made}) {
		t.Error("a drop refuses like a purge")
	}
}

func TestPurges(t *testing.T) {
	for name, test := range map[string]struct {
		purge func(m *cache.Memory)
		gone  string // of the keys a to d, which have the tags 1; 1 and 2; 2; none
	}{
		"key":    {func(m *cache.Memory) { m.Delete("b") }, "b"},
		"tag":    {func(m *cache.Memory) { m.PurgeTag("1") }, "ab"},
		"no tag": {func(m *cache.Memory) { m.PurgeTag("3") }, ""},
		"match":  {func(m *cache.Memory) { m.Purge(func(key string) bool { return key > "b" }) }, "cd"},
		"all":    {(*cache.Memory).Flush, "abcd"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t, 1<<20)
			began := m.Now()
			fill := func(made cache.Stamp) {
				for key, tags := range map[string][]string{"a": {"1"}, "b": {"1", "2"}, "c": {"2"}, "d": nil} {
					m.Set(key, key, cache.Entry{TTL: time.Hour, Tags: tags, Made: made})
				}
			}
			check := func(when, gone string) {
				t.Helper()
				for _, key := range []string{"a", "b", "c", "d"} {
					if _, ok := m.Get(key); ok == strings.Contains(gone, key) {
						t.Errorf("%s: %s there: %v", when, key, ok)
					}
					if _, _, ok := m.Peek(key); ok == strings.Contains(gone, key) {
						t.Errorf("%s: peek: %s there: %v", when, key, ok)
					}
				}
			}
			fill(began)
			test.purge(m)
			check("after the purge", test.gone)

			// What began before the purge is refused after it.
			for _, key := range test.gone {
				if put := m.Set(string(key), 0, cache.Entry{TTL: time.Hour, Tags: []string{"1", "2"}, Made: began}); put {
					t.Errorf("%c, made before the purge, was stored after it", key)
				}
			}
			check("after a late store", test.gone)
			fill(m.Now())
			check("made again", "")
		})
	}
}

func TestPurgeAndDeleteCount(t *testing.T) {
	m := newMemory(t, 1<<20)
	put(m, "a", 1)
	put(m, "b", 1)
	put(m, "c", 1, "tag")
	if n := m.Purge(func(key string) bool { return key == "a" || key == "x" }); n != 1 {
		t.Errorf("matched %d", n)
	}
	if m.Delete("a") || !m.Delete("b") {
		t.Error("Delete does not say whether there was a value")
	}
	if m.PurgeTag("tag"); m.Delete("c") {
		t.Error("Delete of what a tag purged")
	}
}

// Readers and writers run against purges of every kind. The source's version goes up before each purge, as data changes before
// it is purged; a read must never give a version older than that of the last purge that had returned when the read began.
func TestNoReadReturnsWhatWasPurgedBefore(t *testing.T) {
	m := newMemory(t, 1<<24)
	const keys = 8
	key := func(i int) string { return fmt.Sprint("key ", i) }
	purges := []func(i int){
		func(i int) { m.Delete(key(i)) },
		func(i int) { m.PurgeTag(fmt.Sprint("tag ", i)) },
		func(i int) { m.Purge(func(k string) bool { return k == key(i) }) },
		func(int) { m.Flush() },
	}
	var source, purged [keys]atomic.Int64
	var stop atomic.Bool
	var others sync.WaitGroup
	for w := range 4 {
		others.Go(func() {
			for n := w; !stop.Load(); n++ {
				i := n % keys
				made, version := m.Now(), source[i].Load()
				if n%3 == 0 {
					runtime.Gosched() // making takes a while
				}
				m.Set(key(i), version, cache.Entry{TTL: time.Hour, Tags: []string{fmt.Sprint("tag ", i)}, Made: made})
			}
		})
		others.Go(func() {
			for n := w; !stop.Load(); n++ {
				i := n % keys
				least := purged[i].Load()
				if v, ok := m.Get(key(i)); ok && v.(int64) < least {
					t.Errorf("%s: read version %d after the purge for version %d", key(i), v, least)
					return
				}
			}
		})
	}
	for n := range 20_000 {
		i := n % keys
		version := source[i].Add(1)
		purges[n/keys%len(purges)](i)
		purged[i].Store(version)
	}
	stop.Store(true)
	others.Wait()
}

func TestNewMemoryChecksItsSize(t *testing.T) {
	for _, size := range []int64{0, -1} {
		if _, err := cache.NewMemory(size); err == nil {
			t.Errorf("%d bytes were taken", size)
		}
	}
}

func BenchmarkMemoryGet(b *testing.B) {
	m := newMemory(b, 64<<20)
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("GET@ /api/products/inn-%07d?language=fr", i)
		put(m, keys[i], i, "products", "language-fr")
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, ok := m.Get(keys[i%len(keys)]); !ok {
				b.Error("miss")
				return
			}
		}
	})
}
