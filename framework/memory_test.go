package framework

import (
	"context"
	"math"
	"runtime/debug"
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

// Not parallel: a process has one limit.
func TestBoundMemory(t *testing.T) {
	app, err := New(Config{Policy: PolicyText("memory.toml", "version = 1\n[cache]\nmemory = \"1GiB\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	limit := func() int64 { return debug.SetMemoryLimit(-1) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { app.BoundMemory(ctx); close(done) }()
	for end := time.Now().Add(10 * time.Second); limit() == math.MaxInt64; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no limit was set")
		}
	}
	if got := limit(); got < 1<<30 || got > 1<<30*115/100 {
		t.Errorf("the limit is %d", got)
	}
	cancel()
	<-done
	if got := limit(); got != math.MaxInt64 {
		t.Errorf("left behind a limit of %d", got)
	}

	defer debug.SetMemoryLimit(debug.SetMemoryLimit(7 << 30))
	app.BoundMemory(t.Context()) // returns at once
	if got := limit(); got != 7<<30 {
		t.Errorf("the operator's limit became %d", got)
	}
}
