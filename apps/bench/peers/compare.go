//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is a peer with a request that it is loaded with.
type row struct {
	name     string
	peer     *peer
	fields   []field  // of the request
	answer   answer   // to it
	against  *row     // ours, whose cost is divided by this one's; nil where nothing is compared
	promise  *promise // of that ratio
	missing  error    // why there is nothing to measure
	measured []measurement
}

// measurement is one round of one row, for one request.
type measurement struct {
	user, system time.Duration
	rate         float64 // requests in a second
	errors       int64
}

func (m measurement) cpu() time.Duration { return m.user + m.system }

// promise is the largest ratio that is promised.
type promise struct {
	most   float64
	strict bool // the ratio must be below it
}

func (p *promise) String() string {
	if p.strict {
		return fmt.Sprintf("< %.2f", p.most)
	}
	return fmt.Sprintf("<= %.2f", p.most)
}

func (p *promise) met(ratio float64) bool { return ratio < p.most || !p.strict && ratio == p.most }

// The promises, as the project's design states them.
var (
	asBareFiber = &promise{most: 1}
	asNginx     = &promise{most: 1.15}
	cheaper     = &promise{most: 1, strict: true}
)

// setupTimeout bounds what comes before the first round.
const setupTimeout = 2 * time.Minute

// compare measures and prints the table.
func compare(ctx context.Context, o options, out io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "peers")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s := &shop{ctx: ctx, options: o, folder: folder}
	defer s.close()
	describe(out, o)
	rows, err := s.rows()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, versions(rows)+"\n")
	ctx, cancel := context.WithTimeout(ctx, setupTimeout+time.Duration(o.rounds*len(rows))*(o.duration+time.Second))
	defer cancel()
	if err := measure(ctx, o, rows); err != nil {
		return err
	}
	return report(out, rows)
}

// measure loads the rows one after another: once for a start, and in every round.
func measure(ctx context.Context, o options, rows []*row) error {
	for round := range 1 + o.rounds {
		for _, r := range rows {
			if r.missing != nil {
				continue
			}
			m, err := r.load(ctx, o)
			if err != nil {
				return err
			}
			if round > 0 {
				r.measured = append(r.measured, m)
			}
		}
	}
	return nil
}

// describe says what is measured where.
func describe(out io.Writer, o options) {
	versions := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			versions[m.Path] = m.Version
		}
	}
	fmt.Fprintf(out, "CPU time of one request, GET %s, %d connections, %d rounds of %v\n", target, o.connections, o.rounds, o.duration)
	fmt.Fprintf(out, "%d cores, %s\n%s, fiber %s, fasthttp %s", runtime.NumCPU(), machine(), runtime.Version(),
		versions["github.com/gofiber/fiber/v2"], versions["github.com/valyala/fasthttp"])
}

// versions names the peers that run, after those of describe.
func versions(rows []*row) string {
	var b strings.Builder
	for _, r := range rows {
		if r.peer != nil && r.peer.version != "" && !strings.Contains(b.String(), r.peer.version) {
			b.WriteString(", " + r.peer.version)
		}
	}
	return b.String()
}

// rows starts every peer and compares its answer with ours.
func (s *shop) rows() ([]*row, error) {
	us, err := s.ours()
	if err != nil {
		return nil, err
	}
	fields := []field{acceptGzip}
	fresh := []field{acceptGzip, {"If-None-Match", s.gzip.get("ETag")}}
	hit := &row{name: "innatural, hit", peer: us, fields: fields, answer: s.gzip}
	plain := &row{name: "innatural, hit, identity", peer: us, answer: s.plain}
	conditional := &row{name: "innatural, 304", peer: us, fields: fresh}
	if conditional.answer, err = ask(s.ctx, us.address, request(us.address, fresh...)); err != nil {
		return nil, err
	}
	if conditional.answer.Status != 304 {
		return nil, fmt.Errorf("%s answers %v to its own ETag", s.options.server, conditional.answer)
	}
	rows := []*row{hit}
	add := func(name string, against *row, p *promise, exact bool, start func() (*peer, error)) *peer {
		r := &row{name: name, fields: against.fields, against: against, promise: p}
		rows = append(rows, r)
		if r.peer, r.missing = start(); r.missing != nil {
			return nil
		}
		for range 2 { // the second time it is a hit
			if r.answer, r.missing = ask(s.ctx, r.peer.address, request(r.peer.address, r.fields...)); r.missing != nil {
				return nil
			}
		}
		r.missing = against.answer.same(r.answer, exact)
		return r.peer
	}
	bare := add("bare fiber, the same bytes", hit, asBareFiber, true, func() (*peer, error) { return s.fiber("gzip", s.gzip) })
	if bare == nil {
		return nil, fmt.Errorf("bare fiber: %w", rows[1].missing)
	}
	add("innatural, traces, none sampled", hit, nil, false, func() (*peer, error) { return s.traced("0.0") })
	add("innatural, traces of 1 %", hit, nil, false, func() (*peer, error) { return s.traced("0.01") })
	add("nginx, gzip_static, 1 worker", hit, asNginx, true, func() (*peer, error) { return s.nginx("1", "") })
	add("nginx, gzip_static, auto workers", hit, asNginx, true, func() (*peer, error) { return s.nginx("auto", "") })
	add("nginx, proxy_cache", hit, nil, true, func() (*peer, error) { return s.nginx("auto", bare.address) })
	add("varnish, malloc", hit, nil, true, func() (*peer, error) { return s.varnish(bare.address) })
	add("express, compression, node-cache", hit, nil, false, s.express)
	rows = append(rows, plain)
	add("bare fiber, identity", plain, asBareFiber, true, func() (*peer, error) { return s.fiber("plain", s.plain) })
	// A 304 is compared with the 200 of the same server.
	rows = append(rows, conditional)
	hit.against, hit.promise = conditional, cheaper
	return rows, nil
}

// load loads a row's peer once and measures what it took.
func (r *row) load(ctx context.Context, o options) (measurement, error) {
	order := load{
		Address: r.peer.address, Request: request(r.peer.address, r.fields...), Status: r.answer.Status,
		Connections: o.connections, Duration: o.duration,
	}
	userBefore, systemBefore, err := r.peer.process.cpu()
	if err != nil {
		return measurement{}, fmt.Errorf("%s: %w", r.name, err)
	}
	done, err := order.run(ctx)
	if err != nil {
		return measurement{}, fmt.Errorf("%s: %w", r.name, err)
	}
	user, system, err := r.peer.process.cpu()
	if err != nil {
		return measurement{}, fmt.Errorf("%s: %w", r.name, err)
	}
	n := time.Duration(done.Requests)
	return measurement{
		user: (user - userBefore) / n, system: (system - systemBefore) / n,
		rate: float64(done.Requests) / done.Elapsed.Seconds(), errors: done.Errors,
	}, nil
}

// report writes the table, and returns an error when there were errors.
func report(out io.Writer, rows []*row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tanswer\tCPU\tuser\tsystem\trequests/s\terrors\tinnatural, over this\tpromised\t")
	var failed int64
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t", r.name)
		if r.missing != nil {
			fmt.Fprintf(w, "not measured: %s\n", strings.ReplaceAll(r.missing.Error(), "\n", "; "))
			continue
		}
		var errs int64
		for _, m := range r.measured {
			errs += m.errors
		}
		failed += errs
		fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%.0f\t%d\t", r.answer, micro(r, measurement.cpu),
			micro(r, func(m measurement) time.Duration { return m.user }),
			micro(r, func(m measurement) time.Duration { return m.system }),
			median(each(r, func(m measurement) float64 { return m.rate })), errs)
		fmt.Fprintln(w, ratio(r))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d requests were not answered as they should", failed)
	}
	return nil
}

// ratio returns the columns that compare a row with ours.
func ratio(r *row) string {
	if r.against == nil {
		return "\t\t"
	}
	ratios := make([]float64, len(r.measured))
	for i, m := range r.measured {
		ratios[i] = float64(r.against.measured[i].cpu()) / float64(max(m.cpu(), 1))
	}
	text := fmt.Sprintf("%.2f (%.2f to %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
	if r.against.answer.Status != r.answer.Status {
		text += ", its 304"
	}
	if r.promise == nil {
		return text + "\t\t"
	}
	verdict := "not met"
	if r.promise.met(median(ratios)) {
		verdict = "met"
	}
	return fmt.Sprintf("%s\t%v: %s\t", text, r.promise, verdict)
}

func micro(r *row, of func(measurement) time.Duration) string {
	return fmt.Sprintf("%.2f µs", median(each(r, func(m measurement) float64 { return float64(of(m)) / 1000 })))
}

func each(r *row, of func(measurement) float64) []float64 {
	values := make([]float64, len(r.measured))
	for i, m := range r.measured {
		values[i] = of(m)
	}
	return values
}

// median returns the middle of values, which are not none.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}
