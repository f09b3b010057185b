//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// build builds the program as it is served, without what tests add to it.
func build(t testing.TB) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "overload")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// A few seconds of overload: whoever is not refused is served, health and stored answers always, and afterwards all is as before. How
// well is measured by the benchmark: a test's machine has other things to do.
func TestOverload(t *testing.T) {
	r, err := measure(t.Context(), build(t), "pool", 5, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	r.print(&table)
	t.Log(table.String())
	for _, p := range r.phases {
		for name, o := range map[string]*outcome{"normal": &p.work, "high": &p.first, "health": &p.probe, "stored": &p.hit} {
			if o.failed > 0 {
				t.Errorf("%s, %s: %d requests had neither an answer nor a 503 with Retry-After", p.name, name, o.failed)
			}
		}
		if p.probe.refused+p.hit.refused > 0 {
			t.Errorf("%s: health or a stored answer was refused", p.name)
		}
		if p.peakMemory > 512<<20 {
			t.Errorf("%s: %d bytes are resident", p.name, p.peakMemory)
		}
	}
	during, after := r.phases[1], r.phases[2]
	if during.work.refused == 0 {
		t.Error("nobody was refused at five times the capacity")
	}
	if r.goodput() < 0.5 {
		t.Errorf("goodput is %.0f %% of capacity", 100*r.goodput())
	}
	if after.work.refused+after.first.refused > 0 {
		t.Error("requests are refused after the overload")
	}
}

// BenchmarkOverload is a minute at ten times the capacity, for each kind of work. What is promised of it: see broken.
func BenchmarkOverload(b *testing.B) {
	program := build(b)
	for _, kind := range []string{"cpu", "pool"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				r, err := measure(b.Context(), program, kind, 10, time.Minute)
				if err != nil {
					b.Fatal(err)
				}
				r.print(os.Stdout)
				if err := r.broken(); err != nil {
					b.Log("not kept: ", err)
				}
				b.ReportMetric(r.goodput(), "goodput/capacity")
				b.ReportMetric(float64(r.phases[1].first.quantile(0.95).Milliseconds()), "P95-ms")
				b.ReportMetric(float64(r.phases[1].peakMemory)/(1<<20), "peak-MiB")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}
