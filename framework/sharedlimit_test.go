package framework_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// Instances count together while Redis answers, and each by its own rule, without waiting, once it hangs.
func TestASharedLimitOutlivesRedis(t *testing.T) {
	const quota, instances = 30, 3
	redis := redistest.Start(t)
	var nodes []*frameworktest.Server
	for range instances {
		nodes = append(nodes, frameworktest.Start(t, fmt.Sprintf(`
version = 1
[cache.redis]
host = "127.0.0.1"
port = %d
[[routes]]
path = "/"
handler = "test"
limits = { requests = %d, window = "24h", shared = true }
`, redis.Port, quota), plugin("test", framework.Handlers{"test": text("served")})))
	}
	admitted := 0
	ask := func(n int) (slowest time.Duration) {
		for i := range n {
			began := time.Now()
			switch a := nodes[i%instances].Get(t, "/"); a.Status {
			case 200:
				admitted++
			case 429:
			default:
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			slowest = max(slowest, time.Since(began))
		}
		return slowest
	}
	ask(instances * quota / 3)
	if admitted != quota {
		t.Errorf("%d were admitted by all together, want %d", admitted, quota)
	}
	redis.Restart() // empty, so that there is a quota again
	eventually(t, "the quota is there again", func() bool { return metric(t, nodes[0], `cache_up{layer="redis"}`) == "1" })
	redis.Hang()
	if slowest := ask(3 * instances * quota); slowest > time.Second*raceFactor {
		t.Errorf("a request waited %v for Redis", slowest)
	}
	if most := quota + instances*quota; admitted > most {
		t.Errorf("%d were admitted, at most %d by the rules of all instances", admitted, most)
	}
	redis.Resume()
}
