package framework_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// instances serves a policy with three apps that share a Redis, given as what [cache.redis] says.
func instances(t testing.TB, redis string) (nodes []*instance) {
	t.Helper()
	for range 3 {
		i := &instance{}
		item := framework.NewPlugin(framework.Info{Name: "item", Handlers: []framework.HandlerInfo{{Name: "item"}}}, framework.NoOptions{},
			func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
				i.layers = h.Layers
				return framework.Handlers{"item": func(_ context.Context, r *framework.Request) (*framework.Response, error) {
					return framework.Text("this is " + r.Path()), nil
				}}, nil
			})
		i.Server = frameworktest.Start(t, `version = 1
[log]
level = "error"
[log.access]
enabled = false
[[routes]]
path = "/item/:id"
handler = "item"
cache = { ttl = "1h" }
[cache.redis]
`+redis, item)
		nodes = append(nodes, i)
	}
	return nodes
}

type instance struct {
	*frameworktest.Server
	layers *cache.Memory
}

func (i *instance) redis() cache.RedisReport { return i.layers.Report().Redis }

// fault is a way in which Redis fails. What its functions do is over when they return.
type fault struct {
	redis      string // what [cache.redis] says
	begin, end func()
	serves     bool // reads go on
}

func single(port int) string { return fmt.Sprintf("host = \"127.0.0.1\"\nport = %d\n", port) }

func several(addresses []string) string {
	return fmt.Sprintf("addresses = [\"%s\"]\n", strings.Join(addresses, `", "`))
}

// faults are the ways; each starts servers of its own.
var faults = map[string]func(t testing.TB) fault{
	"killed and restarted empty": func(t testing.TB) fault {
		s := redistest.Start(t)
		return fault{redis: single(s.Port), begin: s.Kill, end: s.Restart}
	},
	"hung": func(t testing.TB) fault {
		s := redistest.Start(t)
		return fault{redis: single(s.Port), begin: s.Hang, end: s.Resume}
	},
	"slow": func(t testing.TB) fault {
		s := redistest.Start(t).StartSlow(t)
		return fault{
			redis: single(s.Port),
			begin: func() { s.SetDelay(200 * time.Millisecond) }, end: func() { s.SetDelay(0) },
		}
	},
	"out of memory": func(t testing.TB) fault {
		s := redistest.Start(t)
		limit := func(bytes string) func() {
			return func() {
				if err := s.Client.ConfigSet(context.Background(), "maxmemory", bytes).Err(); err != nil {
					t.Error(err)
				}
			}
		}
		return fault{redis: single(s.Port), begin: limit("1"), end: limit("0"), serves: true}
	},
	"read-only replica": func(t testing.TB) fault {
		s, master := redistest.Start(t, "--repl-diskless-sync-delay", "0"), redistest.Start(t, "--repl-diskless-sync-delay", "0")
		return fault{redis: single(s.Port), begin: func() { s.ReplicateFrom(master) }, end: s.Promote}
	},
	"master of a Cluster killed": func(t testing.TB) fault {
		c := redistest.StartCluster(t)
		return fault{redis: several(c.Addresses()), begin: c.Nodes[1].Kill, end: func() { c.Await(t) }}
	},
	"log's master of a Cluster hung": func(t testing.TB) fault {
		c := redistest.StartCluster(t)
		slot, err := c.Nodes[0].Client.ClusterKeySlot(context.Background(), "{log}").Result()
		if err != nil {
			t.Fatal(err)
		}
		node := c.Nodes[slot*3/16384]
		return fault{redis: several(c.Addresses()), begin: node.Hang, end: func() {
			c.Await(t, node)
			node.Resume()
		}}
	},
	"master of Sentinels killed": func(t testing.TB) fault {
		s := redistest.StartSentinels(t)
		return fault{
			redis: several(s.Addresses()) + "master = \"" + redistest.MasterName + "\"\n",
			begin: s.Master.Kill, end: func() { s.Await(t) },
		}
	},
}

// faultLasts is how long a fault lasts at least: FAULT_SECONDS, or one second.
func faultLasts() time.Duration {
	if n, err := strconv.Atoi(os.Getenv("FAULT_SECONDS")); err == nil {
		return time.Duration(n) * time.Second
	}
	return time.Second
}

// Redis fails in every way under a load of hits and misses on three instances. Every request is answered, with what it asked for; none
// waits for long; and the layer is back soon after the fault. How much slower a request is meanwhile is printed: FAULT_SECONDS=30
// makes it comparable with what is promised.
func TestFaultsUnderLoad(t *testing.T) {
	for name, start := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			nodes := instances(t, f.redis)
			everywhere := func(what string, condition func(cache.RedisReport) bool) {
				t.Helper()
				for _, node := range nodes {
					for end := time.Now().Add(30 * time.Second); !condition(node.redis()); time.Sleep(2 * time.Millisecond) {
						if time.Now().After(end) {
							t.Fatalf("did not come about: %s: %+v", what, node.redis())
						}
					}
				}
			}
			everywhere("Redis answers", func(r cache.RedisReport) bool { return r.Available })
			l := startLoad(t, nodes)
			time.Sleep(time.Second)

			l.phase.Store(1)
			f.begin()
			if !f.serves {
				everywhere("the circuit opens", func(r cache.RedisReport) bool { return !r.Available })
			}
			time.Sleep(faultLasts())
			f.end()
			began := time.Now()
			everywhere("Redis is back", func(r cache.RedisReport) bool { return r.Available })
			back := time.Since(began)
			l.phase.Store(2)
			for _, node := range nodes {
				hits := node.redis().Hits
				everywhere("values are shared again", func(cache.RedisReport) bool { return node.redis().Hits > hits })
			}
			l.stop()
			if back > 2*time.Second*raceFactor {
				t.Errorf("back after %v", back)
			}
			t.Logf("back after %v; %s", back.Round(time.Millisecond), l)
			if slowest := l.slowest(); slowest > time.Second*raceFactor {
				t.Errorf("a request took %v", slowest)
			}
		})
	}
}

// load asks all the time, hot keys and such that nobody has asked for, and checks every answer.
type load struct {
	phase atomic.Int32 // before, during, after
	stop  func()

	mu   sync.Mutex
	took [3][]time.Duration
}

func startLoad(t *testing.T, nodes []*instance) *load {
	l := &load{}
	var workers sync.WaitGroup
	var stopped atomic.Bool
	var next atomic.Int64
	for i := range 6 {
		node := nodes[i%len(nodes)]
		workers.Go(func() {
			for !stopped.Load() && !t.Failed() {
				path := fmt.Sprintf("/item/hot%d", rand.IntN(20))
				switch rand.IntN(5) {
				case 0:
					path = fmt.Sprintf("/item/cold%d", next.Add(1))
				case 1: // one that another instance has just been asked for
					path = fmt.Sprintf("/item/cold%d", max(next.Load()-int64(rand.IntN(10)), 0))
				}
				phase, began := l.phase.Load(), time.Now()
				status, body, err := get(node, path)
				took := time.Since(began)
				if err != nil || status != http.StatusOK || body != "this is "+path {
					t.Errorf("%s: %d %q, %v", path, status, body, err)
				}
				l.mu.Lock()
				l.took[phase] = append(l.took[phase], took)
				l.mu.Unlock()
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	l.stop = sync.OnceFunc(func() {
		stopped.Store(true)
		workers.Wait()
	})
	t.Cleanup(l.stop)
	return l
}

func get(node *instance, path string) (status int, body string, err error) {
	res, err := node.Client.Get(node.URL + path)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func (l *load) slowest() time.Duration {
	return max(slices.Max(l.took[0]), slices.Max(l.took[1]), slices.Max(l.took[2]))
}

func (l *load) String() (s string) {
	for i, phase := range []string{"before", "during", "after"} {
		took := l.took[i]
		slices.Sort(took)
		s += fmt.Sprintf("%s: %d requests, P50 %v, P99 %v, slowest %v; ", phase, len(took), took[len(took)/2].Round(10*time.Microsecond),
			took[len(took)*99/100].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
	}
	return s
}
