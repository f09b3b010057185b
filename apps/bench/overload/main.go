//go:build linux

// Command overload asks a server for ten times what it can do and prints what becomes of it: a process of its own, with handlers whose
// capacity is known, before, during and after the load that this process makes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	if os.Getenv(roleVariable) != "" {
		if err := serve(os.Getenv(roleVariable)); err != nil {
			fmt.Fprintln(os.Stderr, "overload:", err)
			os.Exit(1)
		}
		return
	}
	seconds := flag.Int("seconds", 60, "how long the overload lasts")
	times := flag.Float64("times", 10, "the load, as a multiple of the capacity")
	kind := flag.String("work", "cpu", "what limits the server: cpu, 5 ms of processor for each request, or pool, a pool of 8 that takes 20 ms")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
	report, err := measure(ctx, program, *kind, *times, time.Duration(*seconds)*time.Second)
	if err == nil {
		report.print(os.Stdout)
		err = report.broken()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

// Promised of an overloaded server.
const (
	promisedP95     = 500 * time.Millisecond // also in the server's policy, which is where it belongs
	promisedGoodput = 0.90
	recoversWithin  = 5 * time.Second
)

// report is what was measured.
type report struct {
	kind     string
	capacity float64  // requests a second, the mean of before and after
	phases   []*phase // before, during, after
	metrics  string   // of the server in the end that tell of overload
}

// phase is the outcome of a span of time.
type phase struct {
	name         string
	asked        float64 // a second
	work, first  outcome // of normal and of high priority
	probe, hit   outcome // health, and a stored answer
	peakMemory   int64   // bytes resident
	limit, queue int     // at most
}

// measure starts a program as the server, finds its capacity, asks for half of it, for a multiple of it, and
// after a pause for half of it again, and finds its capacity again.
func measure(ctx context.Context, program, kind string, times float64, long time.Duration) (*report, error) {
	s, err := start(ctx, program, kind)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	l := newLoad(s.address)
	short := min(long, 5*time.Second)
	if _, err := l.closed(ctx, 4, short/2); err != nil { // what takes time only once
		return nil, err
	}
	r := &report{kind: kind}
	if r.capacity, err = l.closed(ctx, 8, long/3); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		name  string
		share float64
		lasts time.Duration
	}{{"before", 0.5, short}, {"during", times, long}, {"after", 0.5, short}} {
		if p.name == "after" {
			if err := sleep(ctx, recoversWithin); err != nil {
				return nil, err
			}
		}
		watched := s.watch()
		got := l.open(ctx, p.share*r.capacity, p.lasts)
		got.name = p.name
		got.peakMemory, got.limit, got.queue = watched()
		r.phases = append(r.phases, got)
	}
	again, err := l.closed(ctx, 8, long/3)
	if err != nil {
		return nil, err
	}
	r.capacity = (r.capacity + again) / 2 // a machine that is shared is not as fast at all times
	r.metrics, err = s.metrics(ctx, "http_server_rejected", "http_server_concurrency", "http_server_queue_wait_seconds_sum", "http_server_queue_wait_seconds_count")
	return r, errors.Join(err, ctx.Err())
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goodput returns what was answered during the overload, over the capacity.
func (r *report) goodput() float64 {
	during := r.phases[1]
	return (during.work.rate() + during.first.rate()) / r.capacity
}

// broken says which promises were.
func (r *report) broken() error {
	var broken []error
	promise := func(held bool, format string, values ...any) {
		if !held {
			broken = append(broken, fmt.Errorf(format, values...))
		}
	}
	before, during, after := r.phases[0], r.phases[1], r.phases[2]
	promise(r.goodput() >= promisedGoodput, "goodput is %.0f %% of capacity", 100*r.goodput())
	promise(during.work.quantile(0.95) <= promisedP95, "P95 is %v", during.work.quantile(0.95))
	promise(during.first.quantile(0.95) <= promisedP95, "P95 of high priority is %v", during.first.quantile(0.95))
	for _, p := range r.phases {
		promise(p.work.failed+p.first.failed+p.probe.failed+p.hit.failed == 0, "%s: requests failed", p.name)
		promise(p.probe.refused+p.hit.refused == 0, "%s: health or a stored answer was refused", p.name)
	}
	promise(before.work.refused+after.work.refused == 0, "requests were refused at half the capacity")
	promise(after.work.quantile(0.95) <= 2*before.work.quantile(0.95)+20*time.Millisecond, "P95 afterwards is %v, before it was %v",
		after.work.quantile(0.95), before.work.quantile(0.95))
	return errors.Join(broken...)
}

// print writes the tables.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nwork: %s, capacity: %.0f requests a second, promised P95: %v\n\n", r.kind, r.capacity, promisedP95)
	fmt.Fprintf(w, "%-8s %8s %-8s %8s %8s %7s %9s %9s %9s %9s\n", "phase", "asked/s", "of", "200/s", "503/s", "failed", "P50", "P95", "P99", "worst")
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000) }
	for _, p := range r.phases {
		for _, row := range []struct {
			name string
			o    *outcome
		}{{"normal", &p.work}, {"high", &p.first}, {"health", &p.probe}, {"stored", &p.hit}} {
			o := row.o
			fmt.Fprintf(w, "%-8s %8.0f %-8s %8.1f %8.1f %7d %9s %9s %9s %9s\n", p.name, p.asked, row.name, o.rate(),
				float64(o.refused)/o.lasted.Seconds(), o.failed, ms(o.quantile(0.5)), ms(o.quantile(0.95)), ms(o.quantile(0.99)), ms(o.quantile(1)))
		}
	}
	fmt.Fprintf(w, "\ngoodput during overload: %.1f %% of capacity\n", 100*r.goodput())
	for _, p := range r.phases {
		fmt.Fprintf(w, "%-8s resident at most %.1f MiB, limit at most %d, queue at most %d\n", p.name, float64(p.peakMemory)/(1<<20), p.limit, p.queue)
	}
	fmt.Fprintf(w, "\n%s", r.metrics)
}
