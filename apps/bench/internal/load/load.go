//go:build linux

// Package load sends requests to a server and times them.
//
// In an open loop requests are due at times that do not depend on the server, and latency counts from the time at which a
// request was due: a server that stands still for two seconds is charged with all that should have been asked meanwhile, where
// a client that waits for each answer would have asked once (coordinated omission: Tene, How NOT to Measure Latency). The time from
// when the request was really sent, its service time, is kept beside it. In a closed loop every connection sends its next
// request when it has the answer to its last one, which measures capacity.
//
// Requests are sent as bytes that are made once, and answers are read with fasthttp's parser. A thread of its own waits for
// the time at which the next request is due, since Go's timers are precise to a millisecond only.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/process"
)

// Request is one kind of request.
type Request struct {
	Method string
	Target string // path and query
	Header [][2]string
	Body   []byte
}

// Plan is what is sent, and how.
type Plan struct {
	URL         *url.URL // of the server: http or https, a host, no path
	Requests    []Request
	Rate        float64 // requests per second of all kinds together, in an open loop; 0 is a closed loop
	Even        bool    // whether requests are due at even intervals; otherwise they are a Poisson process
	Connections int     // in a closed loop all of them are used; in an open loop as many as are needed, at most these
	Timeout     time.Duration
	Seed        uint64
	PID         int // of the server's process, whose CPU time is read; 0 reads none
}

// Bounds of a plan.
const (
	MaxRate        = 200_000
	MaxConnections = 20_000
	MaxCells       = 1000 // requests times blocks: each has a histogram of 170 KB
)

// Generator sends requests. Its connections stay open from run to run.
type Generator struct {
	plan Plan
	wire [][]byte // the requests as they are sent
	deck []int    // their order, which repeats

	arrivals *rand.Rand // goes on from run to run: each has arrivals of its own

	dial func(deadline time.Time) (net.Conn, error)
	wait func(ctx context.Context, due time.Time) bool

	mu   sync.Mutex
	idle []*conn
}

// New checks a plan.
func New(p Plan) (*Generator, error) {
	switch {
	case p.URL.Scheme != "http" && p.URL.Scheme != "https" || p.URL.Host == "":
		return nil, fmt.Errorf("%q is not the address of a server: write one such as http://127.0.0.1:5000", p.URL)
	case len(p.Requests) == 0:
		return nil, errors.New("there is nothing to ask for")
	case !(p.Rate >= 0 && p.Rate <= MaxRate):
		return nil, fmt.Errorf("a rate of %v requests per second: it must be more than 0 and at most %d", p.Rate, MaxRate)
	case p.Connections < 1 || p.Connections > MaxConnections:
		return nil, fmt.Errorf("%d connections: there must be 1 to %d", p.Connections, MaxConnections)
	case p.Timeout <= 0:
		return nil, fmt.Errorf("a timeout of %v: it must be more than none", p.Timeout)
	}
	g := &Generator{plan: p, arrivals: rand.New(rand.NewPCG(p.Seed, 2)), dial: p.dial, wait: waitUntil}
	for _, r := range p.Requests {
		g.wire = append(g.wire, r.bytes(p.URL))
	}
	random := rand.New(rand.NewPCG(p.Seed, 1))
	for range 64 {
		g.deck = append(g.deck, random.Perm(len(p.Requests))...)
	}
	return g, nil
}

// Close closes the connections. No run is under way.
func (g *Generator) Close() {
	for _, c := range g.idle {
		c.close()
	}
	g.idle = nil
}

// Progress is what is known while a run is under way.
type Progress struct {
	Elapsed, Of   time.Duration // the warm-up is not counted, and negative
	Count, Errors int64
	Rate          float64 // of the last moment, per second
	P95           time.Duration
}

// observeEvery is the time from one progress to the next.
const observeEvery = 200 * time.Millisecond

// minBlock is the least length of a block: in less, hardly a request fits.
const minBlock = time.Millisecond

// Run sends requests for a time that is not recorded and a time that is, in blocks. What was sent is waited for, as long as the
// plan's timeout. It tells an observer, when there is one, how it goes. A run that ends early, as when ctx does, is cut short; an error
// means that nothing was measured.
func (g *Generator) Run(ctx context.Context, warmup, duration time.Duration, blocks int, observe func(Progress)) (*Recording, error) {
	if blocks < 1 || len(g.plan.Requests)*blocks > MaxCells {
		return nil, fmt.Errorf("%d endpoints in %d blocks: there must be some, and not more than %d histograms",
			len(g.plan.Requests), blocks, MaxCells)
	}
	if duration/time.Duration(blocks) < minBlock {
		return nil, fmt.Errorf("%d blocks in %v: each must be %v or longer", blocks, duration, minBlock)
	}
	start := time.Now().Add(5 * time.Millisecond) // when all is ready
	rec := newRecording(g.plan.Rate > 0, start.Add(warmup), duration, len(g.plan.Requests), blocks)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var senders sync.WaitGroup
	if g.plan.Rate > 0 {
		senders.Go(func() { g.open(ctx, start, rec) })
	} else {
		g.closed(ctx, start, rec, &senders)
	}
	marks, err := g.attend(ctx, rec, observe)
	if err == nil {
		senders.Wait()
		return rec, nil
	}
	cancel()
	last, _ := g.mark() // the server's clock may be what can't be read
	senders.Wait()
	if marks == 0 {
		return nil, err
	}
	rec.cut(marks, last, err)
	return rec, nil
}

// attend reads the clocks at the ends of the blocks, and tells the observer, until the measured part is over. It returns how often it
// has read them.
func (g *Generator) attend(ctx context.Context, rec *Recording, observe func(Progress)) (marks int, err error) {
	var before Progress
	next := time.Now()
	if observe == nil {
		next = rec.Started.Add(rec.Duration + time.Hour) // never
	}
	for marks < len(rec.marks) {
		due := rec.Started.Add(time.Duration(marks) * rec.BlockLength)
		wait := min(time.Until(due), time.Until(next))
		select {
		case <-ctx.Done():
			return marks, ctx.Err()
		case <-time.After(wait):
		}
		if !time.Now().Before(due) {
			m, err := g.mark()
			if err != nil {
				return marks, err
			}
			rec.marks[marks] = m
			marks++
		}
		if now := time.Now(); !now.Before(next) {
			next = now.Add(observeEvery)
			p := rec.progress(now)
			p.Rate = float64(p.Count-before.Count) / max((p.Elapsed-before.Elapsed).Seconds(), 1e-3)
			observe(p)
			before = p
		}
	}
	return marks, nil
}

// mark reads the clocks.
func (g *Generator) mark() (m mark, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return m, fmt.Errorf("read own CPU time: %w", err)
	}
	m.at, m.client = time.Now(), time.Duration(u.Utime.Nano()+u.Stime.Nano())
	if g.plan.PID > 0 {
		m.server, err = process.Clock(g.plan.PID)
	}
	return m, err
}

// refused is the pause of a connection in a closed loop after it failed.
const refused = 10 * time.Millisecond

// closed keeps every connection busy.
func (g *Generator) closed(ctx context.Context, start time.Time, rec *Recording, senders *sync.WaitGroup) {
	end := rec.Started.Add(rec.Duration)
	for i := range g.plan.Connections {
		senders.Go(func() {
			c := g.take()
			defer g.give(c)
			time.Sleep(time.Until(start))
			for turn := i; ctx.Err() == nil; turn += g.plan.Connections {
				kind := g.deck[turn%len(g.deck)]
				sent := time.Now()
				if !sent.Before(end) {
					return
				}
				o := c.ask(kind, sent)
				rec.add(kind, sent, sent, o)
				if o.failed == failedNetwork {
					time.Sleep(refused) // or a server that is down would be asked as fast as it refuses
				}
			}
		})
	}
}

// take returns an open connection, or one that will be.
func (g *Generator) take() *conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.idle); n > 0 {
		c := g.idle[n-1]
		g.idle = g.idle[:n-1]
		return c
	}
	return &conn{g: g}
}

func (g *Generator) give(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle = append(g.idle, c)
}
