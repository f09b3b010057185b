package framework

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
)

func TestMemoryLimit(t *testing.T) {
	const m = 1 << 20
	full := cache.Stats{MaxBytes: 1200 * m, Bytes: 1200 * m} // of which 1000 are live
	for _, test := range []struct {
		name           string
		layer          cache.Stats
		others, stacks int64
		want           int64
	}{
		{"an empty layer", cache.Stats{MaxBytes: 1200 * m}, 10 * m, 0, 1316 * m},
		{"a full layer", full, 10 * m, m, 1317 * m},
		{"the rest of the process holds as much again", full, 1000 * m, m, (1 + 1000 + 1500 + 32) * m},
	} {
		if got := memoryLimit(test.layer, test.others, test.stacks); got != test.want {
			t.Errorf("%s: %d MiB, want %d", test.name, got/m, test.want/m)
		}
	}
}

func TestGCPercent(t *testing.T) {
	const m = 1 << 20
	for _, test := range []struct {
		name              string
		max, live, stacks int64
		want              int64
	}{
		{"little is in use", 1000 * m, 10 * m, m, 400},
		{"a quarter is in use, with stacks", 1000 * m, 200 * m, 50 * m, 320},
		{"half is in use", 1000 * m, 500 * m, 0, 100},
		{"the layer is full", 1000 * m, 990 * m, m, 100},
		{"the layer is small beside the rest", 8 * m, 20 * m, m, 100},
		{"nothing was collected yet", 1000 * m, 0, 0, 400},
	} {
		if got := gcPercent(cache.Stats{MaxBytes: test.max}, test.live, test.stacks); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// Not parallel: a process has one limit.
func TestBoundMemory(t *testing.T) {
	app, err := New(Config{Policy: PolicyText("memory.toml", "version = 1\n[cache]\nmemory = \"1GiB\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	limit := func() int64 { return debug.SetMemoryLimit(-1) }
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	bound := func(wanted uint64) (end func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { app.BoundMemory(ctx); close(done) }()
		for end := time.Now().Add(10 * time.Second); limit() == math.MaxInt64 || percent() != wanted; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("after a while the limit is %d, the percentage %d, want %d", limit(), percent(), wanted)
			}
		}
		return func() { cancel(); <-done }
	}
	end := bound(mostPercent) // nearly all of the GiB is free
	if got := limit(); got < 1<<30 || got > 1<<30*115/100 {
		t.Errorf("the limit is %d", got)
	}
	end()
	if got := limit(); got != math.MaxInt64 {
		t.Errorf("left behind a limit of %d", got)
	}
	if got := percent(); got != usualPercent {
		t.Errorf("left behind a percentage of %d", got)
	}

	defer debug.SetGCPercent(debug.SetGCPercent(50))
	bound(50)()
	if got := percent(); got != 50 {
		t.Errorf("the operator's percentage became %d", got)
	}

	defer debug.SetMemoryLimit(debug.SetMemoryLimit(7 << 30))
	app.BoundMemory(t.Context()) // returns at once
	if got := limit(); got != 7<<30 {
		t.Errorf("the operator's limit became %d", got)
	}
}
