//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// measure runs the program, built as it is served, without what tests add to it.
func measure(t testing.TB, entries, size, memory int) Result {
	t.Helper()
	program := filepath.Join(t.TempDir(), "memory")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	fill := exec.CommandContext(t.Context(), program, "-entries", fmt.Sprint(entries), "-size", fmt.Sprint(size), "-memory", fmt.Sprint(memory))
	fill.Stderr = os.Stderr
	out, err := fill.Output()
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The promise, for a layer so small that what the process needs besides counts: it is set apart.
func TestMemoryIsWhatThePolicyAllows(t *testing.T) {
	const besides = 40 << 20
	r := measure(t, 60_000, 1000, 64)
	if r.Kept >= 60_000 || r.Kept < 15_000 {
		t.Errorf("%d entries were kept", r.Kept)
	}
	if least, most := r.Allowed*85/100, r.Allowed*115/100+besides; r.Peak < least || r.Peak > most {
		t.Errorf("%d bytes were resident of %d that are allowed: %+v", r.Peak, r.Allowed, r)
	}
}

// BenchmarkMemory is what 1,000,000 answers of 1 KB occupy. The promise: the most that is ever resident is within 15 % of what the
// policy allows.
func BenchmarkMemory(b *testing.B) {
	for _, memory := range []int{1024, 2048} {
		b.Run(fmt.Sprintf("%dMiB", memory), func(b *testing.B) {
			for b.Loop() {
				r := measure(b, 1_000_000, 1000, memory)
				b.ReportMetric(float64(r.Peak)/float64(r.Allowed), "peak/allowed")
				b.ReportMetric(float64(r.Resident)/float64(r.Allowed), "RSS/allowed")
				b.ReportMetric(float64(r.Kept), "entries")
				b.ReportMetric(float64(r.CPU.Nanoseconds()), "CPU-ns/miss")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}
