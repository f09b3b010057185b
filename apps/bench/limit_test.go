//go:build linux

package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/load"
	"github.com/innatural/chatbot/apps/bench/internal/measure"
	"github.com/innatural/chatbot/framework/policy"
)

// A search ends within 5 % below the limit, from wherever it starts, and is not misled by a single step that was disturbed.
func TestSearch(t *testing.T) {
	for _, c := range []struct{ first, limit, low, high float64 }{
		{100, 3000, 2850, 3000}, {100_000, 3000, 2850, 3000}, {1000, 1000, 1000, 1000}, {1, 0.5, 0, 0}, {1000, 1e9, 200_000, 200_000},
	} {
		a, b := &search{first: c.first}, &search{first: c.first}
		var order []int
		steps := 0
		err := inTurns([]*search{a, b}, func(i int, rate float64) (bool, error) {
			order = append(order, i)
			steps++
			return rate <= c.limit && steps%7 != 0, nil // one of seven is disturbed, none is twice in turn
		})
		if err != nil || a.kept < c.low || a.kept > c.high || b.kept < c.low || b.kept > c.high || steps > 80 {
			t.Errorf("%+v: found %v and %v in %d steps, %v", c, a.kept, b.kept, steps, err)
		}
		if len(order) < 2 || order[0] == order[1] {
			t.Errorf("%v: not in turns", order)
		}
	}
}

// Each step of a search has arrivals of its own, and of two servers both get the same: how many come says which.
func TestStepsHaveTheirOwnArrivals(t *testing.T) {
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var mu sync.Mutex
	var steps []int // how many came, in turns to either server
	last := -1      // who came last was for
	serve := func(i int) *side {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			if i != last {
				steps, last = append(steps, 0), i
			}
			if steps[len(steps)-1]++; len(steps) > 4 {
				enough()
			}
			mu.Unlock()
			time.Sleep(20 * time.Millisecond) // which is too late, so a rate is tried twice
		}))
		t.Cleanup(s.Close)
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		return &side{name: "a", server: u}
	}
	l := limits{
		settings: settings{rate: 200, connections: 200, timeout: 2 * time.Second, seed: 1},
		sides:    []*side{serve(0), serve(1)}, length: 500 * time.Millisecond, searches: 1,
		endpoints: []measure.Endpoint{{
			Name: "GET /", Request: load.Request{Method: "GET", Target: "/"},
			SLO: &policy.SLO{Latency: policy.Duration(time.Millisecond), Quantile: 0.9},
		}},
	}
	if _, err := l.find(ctx, newProgress(io.Discard)); err == nil {
		t.Fatalf("the search ended by itself: %v", steps)
	}
	if steps[0] == steps[2] || steps[0] != steps[1] || steps[2] != steps[3] {
		t.Errorf("two steps of two servers have %v arrivals", steps[:4])
	}
}

// A server that has two places, for 20 ms each, serves 100 requests a second; beyond them it refuses.
func TestLimit(t *testing.T) {
	places := make(chan struct{}, 2)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case places <- struct{}{}:
			time.Sleep(20 * time.Millisecond)
			<-places
		case <-time.After(40 * time.Millisecond):
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	const route = "version = 1\n[[routes]]\npath = \"/livez\"\nhandler = \"health.live\"\n"
	policy := write(t, "p.toml", route+"slo = { latency = \"1s\", quantile = 0.9, errors = 0.1 }\n")
	steps := []string{"--rate", "20", "--even", "--step", "500ms", "--settle", "100ms", "--searches", "1"}
	code, out, problems := bench(t, append([]string{"limit", "--base", s.URL, "--cand", s.URL, "--policy", policy}, steps...)...)
	const refused = `base http\S+: up to (\d+)\S* requests/s; beyond it GET /livez: \S+ % were not served of at most 10 %`
	found := regexp.MustCompile(refused).FindStringSubmatch(out)
	if code != 0 || found == nil || !regexp.MustCompile(`candidate over base: \S+ times`).MatchString(out) {
		t.Fatalf("exit %d\n%s%s", code, out, problems)
	}
	if rate, err := strconv.Atoi(found[1]); err != nil || rate < 30 || rate > 140 { // a busy machine is slower
		t.Errorf("found %s", out)
	}
	hopeless := write(t, "p.toml", route+"slo = { latency = \"1ms\", quantile = 0.9 }\n")
	late := slow(t, 20*time.Millisecond)
	code, out, problems = bench(t, append([]string{"limit", "--base", late, "--policy", hopeless}, steps...)...)
	if code != exitInvalid || !regexp.MustCompile(`no rate was found at which the promises hold: GET /livez: `).MatchString(out) {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}
