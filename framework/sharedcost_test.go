package framework_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// BenchmarkSharedHit is what a hit in Redis costs in CPU time of the server's process, over that of a handler of bare Fiber which
// gets the same 10 KB with go-redis and sends them, in interleaved rounds. The promise is at most 1.3.
func BenchmarkSharedHit(b *testing.B) {
	const items, rounds = 5000, 7
	server := redistest.Start(b)
	app, bare := startChild(b, "app", server, 0), startChild(b, "bare", server, 0)
	for i := range items {
		if err := server.Client.Set(b.Context(), fmt.Sprint("item:", i), childBody, 0).Err(); err != nil {
			b.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	ask := func(c *child) time.Duration {
		res, err := client.Get(c.url + "/forget")
		if err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
		before := c.cpu(b)
		var next atomic.Int64
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for {
					i := next.Add(1) - 1
					if i >= items {
						return
					}
					res, err := client.Get(fmt.Sprintf("%s/item/%d", c.url, i))
					if err != nil {
						b.Error(err)
						return
					}
					body, err := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if err != nil || len(body) != len(childBody) {
						b.Errorf("%d bytes, %v", len(body), err)
						return
					}
				}
			})
		}
		workers.Wait()
		return c.cpu(b) - before
	}
	ask(app) // makes them all
	waitFor(b, "the values in Redis", func() bool {
		return len(server.Client.Keys(b.Context(), "innatural:cache:*item*").Val()) == items
	})
	ask(app)
	ask(bare)
	gets := commands(b, server, "get")
	made := app.made.Load()
	var cost [2][]float64
	for range rounds {
		for i, c := range []*child{app, bare} {
			cost[i] = append(cost[i], float64(ask(c).Microseconds())/items)
		}
	}
	if n := app.made.Load() - made; n > 0 {
		b.Errorf("%d of them were made again", n)
	}
	all := rounds * items
	fromMemory := 2*all - (commands(b, server, "get") - gets)
	var ratios []float64
	for i := range rounds {
		ratios = append(ratios, cost[0][i]/cost[1][i])
	}
	for _, values := range [][]float64{cost[0], cost[1], ratios} {
		slices.Sort(values)
	}
	b.Logf("%.1f µs with the framework, %.1f µs with Fiber and go-redis: %.2f times (%.2f to %.2f); %.1f %% came from memory",
		cost[0][rounds/2], cost[1][rounds/2], ratios[rounds/2], ratios[0], ratios[rounds-1], 100*float64(fromMemory)/float64(all))
	b.ReportMetric(ratios[rounds/2], "ratio")
	b.ReportMetric(0, "ns/op")
}

// commands returns how often a server was given a command.
func commands(t testing.TB, server *redistest.Server, name string) int {
	t.Helper()
	info, err := server.Client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "cmdstat_"+name+":calls=")
	var n int
	_, _ = fmt.Sscanf(rest, "%d", &n) // 0 before the first
	return n
}

// A hit in Redis is one command and one round trip.
func TestASharedHitIsOneCommand(t *testing.T) {
	server := redistest.Start(t)
	nodes := instances(t, single(server.Port))
	const path = "/item/one"
	if _, _, err := get(nodes[0], path); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the value in Redis, and no lock", func() bool {
		keys := server.Client.Keys(t.Context(), "*item/one").Val()
		return len(keys) == 1 && !strings.Contains(keys[0], "lock")
	})
	all := []string{"get", "set", "mget", "exists", "pttl", "eval", "evalsha"}
	count := func() (n []int) {
		for _, name := range all {
			n = append(n, commands(t, server, name))
		}
		return n
	}
	before := count()
	res, err := nodes[1].Client.Get(nodes[1].URL + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if status := res.Header.Get("Cache-Status"); !strings.HasSuffix(status, "detail=shared") {
		t.Errorf("Cache-Status %s", status)
	}
	for i, n := range count() {
		want := before[i]
		if all[i] == "get" {
			want++
		}
		if n != want && all[i] != "evalsha" { // instances ask for purges meanwhile
			t.Errorf("%s was called %d times", all[i], n-before[i])
		}
	}
}
