package cacheadmin_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// instances starts servers that share a Redis.
func instances(t *testing.T, redis *redistest.Server, n int) (all []*frameworktest.Server) {
	t.Helper()
	for range n {
		all = append(all, frameworktest.Start(t, policy+"[cache.redis]\nhost = \"127.0.0.1\"\nport = "+strconv.Itoa(redis.Port), plugins()...))
	}
	return all
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain until " + what)
		}
	}
}

// A purge says what it did in each layer and on the other instances, and that it has yet to be done where it could not be.
func TestPurgesAnswerForEachLayer(t *testing.T) {
	redis := redistest.Start(t)
	servers := instances(t, redis, 2)
	a, b := servers[0], servers[1]
	stored := func(s *frameworktest.Server, layer string) bool {
		_, _, found := call(t, s, "GET", "/api/cache/inspect?url=/api/products/1", "", "t0ken")
		for _, one := range found["stored"].([]any) {
			if one.(map[string]any)["layer"] == layer {
				return true
			}
		}
		return false
	}
	fill(t, a)
	eventually(t, "the answer is in Redis", func() bool { return stored(b, "redis") })
	if _, header, _ := call(t, b, "GET", "/api/products/1", "", ""); !strings.Contains(header.Get("Cache-Status"), "hit") {
		t.Errorf("the other instance does not share the answer: %s", header.Get("Cache-Status"))
	}
	var memory, there map[string]any
	eventually(t, "the other instance listens", func() bool {
		_, _, answer := call(t, a, "POST", "/api/cache/invalidate", `{"tags":["products"]}`, "t0ken")
		did := answer["layers"].(map[string]any)
		memory, there = did["memory"].(map[string]any), did["redis"].(map[string]any)
		return there["instancesTold"] == 1.0
	})
	if memory["outcome"] != "purged" || there["outcome"] != "purged" {
		t.Errorf("memory %v, redis %v", memory, there)
	}
	eventually(t, "the other instance has purged", func() bool { return !stored(b, "memory") && !stored(b, "redis") })

	fill(t, a)
	redis.Kill()
	eventually(t, "a purge is told to wait", func() bool {
		status, _, answer := call(t, a, "POST", "/api/cache/flush", "", "t0ken")
		details, _ := answer["details"].([]any)
		return status == 502 && answer["code"] == "redis_unavailable" && len(details) == 2 &&
			details[0].(map[string]any)["field"] == "memory" && details[0].(map[string]any)["message"] == "purged" &&
			details[1].(map[string]any)["field"] == "redis" && strings.HasPrefix(details[1].(map[string]any)["message"].(string), "waiting")
	})
	if stored(a, "memory") {
		t.Error("what was flushed is still in memory")
	}
	if a.Stop(); !strings.Contains(a.Logs(), "Cache purged in part") {
		t.Error("the log does not say that a purge was done in part")
	}
}

// A storm of flushes meets a Redis that hangs: each is answered, and hits go on.
func TestFlushStormsWithAHungRedis(t *testing.T) {
	redis := redistest.Start(t)
	s := instances(t, redis, 1)[0]
	fill(t, s)
	redis.Hang()
	defer redis.Resume()
	var flushes sync.WaitGroup
	for range 200 {
		flushes.Go(func() {
			a := s.Do(t, "POST", "/api/cache/flush", "", "Authorization", "Bearer t0ken")
			if a.Status != 502 || !strings.Contains(a.Body, `"code":"redis_unavailable"`) {
				t.Errorf("a flush: %d %s", a.Status, a.Body)
			}
			if a = s.Get(t, "/api/products/1"); a.Status != 200 {
				t.Errorf("an answer after it: %d %s", a.Status, a.Body)
			}
		})
	}
	flushes.Wait()
	fill(t, s)
	if !cached(t, s, "/api/products/1") {
		t.Error("memory does not serve")
	}
}

func TestSoftPurgesLeaveAnswersStale(t *testing.T) {
	s := frameworktest.Start(t, strings.Replace(policy, `ttl = "1h"`, `ttl = "1h", stale_while_revalidate = "1h"`, 1), plugins()...)
	fill(t, s)
	_, _, answer := call(t, s, "POST", "/api/cache/invalidate", `{"pattern":"products","soft":true}`, "t0ken")
	memory := answer["layers"].(map[string]any)["memory"].(map[string]any)
	if answer["matched"] != 2.0 || memory["outcome"] != "made stale" {
		t.Errorf("a soft purge: %v", answer)
	}
	if _, header, _ := call(t, s, "GET", "/api/products/1", "", ""); header.Get("X-Cache") != "STALE" {
		t.Errorf("what was purged softly: %v", header)
	}
	if !cached(t, s, "/api/pages/1") {
		t.Error("what was not purged is gone")
	}
	eventually(t, "there is a new answer", func() bool { return cached(t, s, "/api/products/1") })
}
