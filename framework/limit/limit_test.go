package limit_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/innatural/chatbot/framework/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice, bob = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

func TestQuotaIsSpentAndComesBackEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(4, time.Minute)
		for i := range 4 {
			if d := l.Allow(alice); !d.OK || d.Limit != 4 || d.Remaining != 3-i || d.RetryAfter != 0 || d.Next != 15*time.Second {
				t.Errorf("request %d: %+v", i+1, d)
			}
		}
		d := l.Allow(alice)
		if d.OK || d.Remaining != 0 || d.RetryAfter != 15*time.Second || d.Reset != time.Minute {
			t.Errorf("past the quota: %+v", d)
		}
		if d := l.Allow(bob); !d.OK || d.Remaining != 3 {
			t.Errorf("another client pays: %+v", d)
		}
		time.Sleep(d.RetryAfter - time.Nanosecond)
		if d := l.Allow(alice); d.OK || d.RetryAfter != 1 {
			t.Errorf("a nanosecond too early: %+v", d)
		}
		time.Sleep(time.Nanosecond)
		if d := l.Allow(alice); !d.OK || d.Remaining != 0 || d.Reset != time.Minute {
			t.Errorf("when told: %+v", d)
		}
		time.Sleep(time.Minute)
		if d := l.Allow(alice); !d.OK || d.Remaining != 3 || d.Reset != 15*time.Second {
			t.Errorf("after a whole window: %+v", d)
		}
	})
}

func TestClientsByName(t *testing.T) {
	l := limit.New(1, time.Minute)
	if !l.AllowName("a").OK || l.AllowName("a").OK || !l.AllowName("b").OK {
		t.Error("each name has its own quota")
	}
}

func TestFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(100, 90*time.Second)
		l.Allow(alice)
		time.Sleep(100 * time.Millisecond)
		d := l.Allow(alice)
		var got []string
		for i := range limit.Fields {
			name, value := d.AppendField(nil, i)
			got = append(got, name+": "+string(value))
		}
		want := []string{
			`RateLimit: "default";r=98;t=1`, `RateLimit-Policy: "default";q=100;w=90`, "RateLimit-Limit: 100",
			"RateLimit-Remaining: 98", "RateLimit-Reset: 2",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// One subscriber holds a whole /64 network, and an address is the same however it is written.
func TestClients(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
	} {
		l := limit.New(1, time.Hour)
		l.Allow(netip.MustParseAddr(c.a))
		if same := !l.Allow(netip.MustParseAddr(c.b)).OK; same != c.same {
			t.Errorf("%s and %s: same %v, want %v", c.a, c.b, same, c.same)
		}
	}
	l := limit.New(1, time.Hour)
	if !l.Allow(netip.Addr{}).OK || l.Allow(netip.Addr{}).OK {
		t.Error("clients without an address, as on a Unix socket, share a quota")
	}
}

func TestExactUnderConcurrency(t *testing.T) {
	const quota, goroutines, each, clients = 500, 16, 1000, 4
	l := limit.New(quota, 24*time.Hour) // nothing comes back during the test
	var admitted [clients]atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range each {
				who := i % clients
				if l.Allow(netip.AddrFrom4([4]byte{192, 0, 2, byte(who)})).OK {
					admitted[who].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for who := range admitted {
		if n := admitted[who].Load(); n != quota {
			t.Errorf("client %d: %d admitted, want %d", who, n, quota)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	l := limit.New(10, time.Hour)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range uint32(1_000_000) {
		l.Allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if grown := heap() - before; grown > 3<<20 {
		t.Errorf("%d bytes for a million clients", grown)
	}
	if !l.Allow(alice).OK {
		t.Error("a new client is refused because of others")
	}
	runtime.KeepAlive(l)
}

// A quarter as many clients as there is room for are remembered, but for the few whose slots are taken, and someone who has
// spent much is not the first forgotten.
func TestClientsAreRemembered(t *testing.T) {
	l := limit.New(2, time.Hour)
	for range 2 {
		l.Allow(alice)
	}
	const many = limit.MaxClients / 4
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range many {
		l.Allow(address(i))
	}
	forgotten := 0
	for i := range many {
		if l.Allow(address(i)).Remaining != 0 {
			forgotten++
		}
	}
	if forgotten > many/100 {
		t.Errorf("%d of %d clients forgotten", forgotten, many)
	}
	if l.Allow(alice).OK {
		t.Error("the client nearest to its limit was forgotten")
	}
}

// The limiter agrees with a bucket that fills by the nanosecond, and never admits more than it says in any span of time.
func TestAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		requests := rapid.IntRange(1, 20).Draw(r, "requests")
		interval := time.Duration(rapid.IntRange(1, 1000).Draw(r, "interval"))
		steps := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 200).Draw(r, "steps")
		var problem string
		synctest.Test(t, func(*testing.T) { problem = disagreement(requests, interval, steps) })
		if problem != "" {
			r.Fatal(problem)
		}
	})
}

func disagreement(requests int, interval time.Duration, steps []int) string {
	window := interval * time.Duration(requests)
	l := limit.New(requests, window)
	bucket, last := window, time.Now()
	var admitted []time.Time
	for i, step := range steps {
		time.Sleep(time.Duration(step))
		now := time.Now()
		bucket, last = min(window, bucket+now.Sub(last)), now
		want := bucket >= interval
		if want {
			bucket -= interval
			admitted = append(admitted, now)
		}
		d := l.Allow(alice)
		if d.OK != want || d.Remaining != int(bucket/interval) || d.Reset != window-bucket {
			return fmt.Sprintf("request %d: %+v, want admitted %v with %v left of %v", i, d, want, bucket, window)
		}
	}
	for i := range admitted {
		for j := i; j < len(admitted); j++ {
			span := admitted[j].Sub(admitted[i])
			if most := requests + int(span/interval); j-i+1 > most {
				return fmt.Sprintf("%d admitted in %v, at most %d", j-i+1, span, most)
			}
		}
	}
	return ""
}

func TestInFlight(t *testing.T) {
	f := limit.NewInFlight(3)
	for range 3 {
		if !f.Acquire() {
			t.Fatal("refused below the bound")
		}
	}
	if f.Acquire() || f.Count() != 3 {
		t.Errorf("admitted past the bound: %d", f.Count())
	}
	f.Release()
	if !f.Acquire() {
		t.Error("refused after a release")
	}
}

func TestInFlightUnderConcurrency(t *testing.T) {
	const most = 5
	f := limit.NewInFlight(most)
	var now, worst, admitted atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 2000 {
				if !f.Acquire() {
					continue
				}
				admitted.Add(1)
				n := now.Add(1)
				for seen := worst.Load(); n > seen && !worst.CompareAndSwap(seen, n); seen = worst.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
				f.Release()
			}
		})
	}
	wg.Wait()
	if worst.Load() > most || admitted.Load() == 0 || f.Count() != 0 {
		t.Errorf("%d at once, %d admitted, %d left", worst.Load(), admitted.Load(), f.Count())
	}
}

func TestChecksDoNotAllocate(t *testing.T) {
	l, f := limit.New(1000, time.Second), limit.NewInFlight(1)
	network := netip.MustParseAddr("2001:db8::1")
	l.Allow(alice)
	l.Allow(network)
	if n := testing.AllocsPerRun(1000, func() {
		l.Allow(alice)
		l.Allow(network)
		f.Acquire()
		f.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := limit.New(100, time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(alice)
	}
}

func BenchmarkAllowManyClients(b *testing.B) {
	l := limit.New(100, time.Minute)
	var i uint32
	b.ReportAllocs()
	for b.Loop() {
		i++
		l.Allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
}

func BenchmarkAllowParallel(b *testing.B) {
	l := limit.New(100, time.Minute)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow(alice)
		}
	})
}

func BenchmarkFields(b *testing.B) {
	d := limit.New(100, time.Minute).Allow(alice)
	var space [64]byte
	b.ReportAllocs()
	for b.Loop() {
		for i := range limit.Fields {
			d.AppendField(space[:0], i)
		}
	}
}
