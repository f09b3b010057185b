package cacheadmin_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
)

// admin are the requests that a token protects.
var admin = [][3]string{
	{"GET", "/api/cache/stats", ""},
	{"GET", "/api/cache/inspect?url=/", ""},
	{"POST", "/api/cache/flush", ""},
	{"POST", "/api/cache/invalidate", `{"pattern":"products"}`},
}

func TestOnlyTheTokenOpens(t *testing.T) {
	s := start(t)
	fill(t, s)
	for _, ask := range admin {
		for _, c := range []struct {
			name, suffix, authorization string
			status                      int
		}{
			{"no token", "", "", 401},
			{"another one of its length", "", "Bearer T0ken", 403},
			{"its beginning", "", "Bearer t0ke", 403},
			{"more than it", "", "Bearer t0ken0", 403},
			{"a very long one", "", "Bearer " + strings.Repeat("t0ken", 1000), 403},
			{"an empty one", "", "Bearer ", 401},
			{"as a password", "", "Basic dDBrZW46", 401},
			{"in the query", "token=t0ken&access_token=t0ken&admin_token=t0ken", "", 401},
		} {
			path := ask[1]
			if c.suffix != "" {
				separator := "?"
				if strings.Contains(path, "?") {
					separator = "&"
				}
				path += separator + c.suffix
			}
			var header []string
			if c.authorization != "" {
				header = []string{"Authorization", c.authorization}
			}
			a := s.Do(t, ask[0], path, ask[2], header...)
			if a.Status != c.status || strings.Contains(a.Body, "t0ken") {
				t.Errorf("%s %s with %s: %d %s", ask[0], ask[1], c.name, a.Status, a.Body)
			}
			if c.status == 401 && a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", c.name)
			}
		}
	}
	if !cached(t, s, "/api/products/1") {
		t.Error("who has no token could purge")
	}
}

// Whoever tries to purge leaves a line: who, what, and what came of it, but not the token.
func TestEveryAttemptIsAudited(t *testing.T) {
	s := frameworktest.Start(t, strings.Replace(policy, `handler = "cacheadmin.flush"`, `handler = "cacheadmin.flush"
limits = { requests = 1 }`, 1), plugins()...)
	fill(t, s)
	for _, c := range []struct {
		path, body, token string
		want              []string
	}{
		{"/api/cache/flush", "", "", []string{"Admin request refused", "status=401", "code=unauthorized"}},
		{"/api/cache/flush", "", "wr0ng", []string{"Admin request refused", "status=403", "code=forbidden"}},
		{"/api/cache/flush", "", "t0ken", []string{"Cache purged", "everything=true", "matched=3", "redis=disabled"}},
		{"/api/cache/flush", "", "t0ken", []string{"Admin request refused", "status=429", "code=rate_limited"}},
		{"/api/cache/invalidate", `{"key":"GET@ /x"}`, "t0ken", []string{"Cache purged", `key="GET@ /x"`, "soft=false", "matched=0"}},
		{"/api/cache/invalidate", `{"pattern":"/a*","soft":true}`, "t0ken", []string{"Cache purged", `pattern=/a*`, "soft=true", `memory="made stale"`}},
		{"/api/cache/invalidate", `{"tags":["a","b"],"dryRun":true}`, "t0ken", []string{"Cache purge counted", `tags="[a b]"`, "tagCount=2"}},
		{"/api/cache/invalidate", `{`, "t0ken", []string{"Cache purge refused", "invalid_json"}},
	} {
		before := len(s.Logs())
		a := s.Do(t, "POST", c.path, c.body, "Authorization", "Bearer "+c.token)
		want := append([]string{"client=127.0.0.1", "path=" + c.path, "request_id=" + a.Header.Get("X-Request-Id")}, c.want...)
		if line := logged(s, before, want); line == "" {
			t.Errorf("%s %s: no line has all of %q in\n%s", c.path, c.body, want, s.Logs()[before:])
		}
	}
	s.Stop()
	for _, token := range []string{"t0ken", "wr0ng"} {
		if strings.Contains(s.Logs(), token) {
			t.Errorf("the log has the token %s", token)
		}
	}
}

// logged waits for a line that has all of some parts.
func logged(s *frameworktest.Server, from int, parts []string) string {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for line := range strings.Lines(s.Logs()[from:]) {
			has := true
			for _, part := range parts {
				has = has && strings.Contains(line, part)
			}
			if has {
				return line
			}
		}
	}
	return ""
}

func TestInvalidateRefuses(t *testing.T) {
	s := frameworktest.Start(t, strings.Replace(policy, "[server]", "[server]\nbody_limit = \"256KiB\"", 1), plugins()...)
	fill(t, s)
	tags := func(n, size int) string {
		return `{"tags":[` + strings.Repeat(`"`+strings.Repeat("t", size)+`",`, n-1) + `"` + strings.Repeat("t", size) + `"]}`
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"nothing": {``, 400}, "an empty object": {`{}`, 400}, "a list": {`[]`, 400}, "half": {`{"key":`, 400},
		"two values": {`{"key":"a"}{}`, 400}, "a number": {`{"key":1}`, 400}, "a text for tags": {`{"tags":"products"}`, 400},
		"two of them": {`{"key":"a","pattern":"b"}`, 400}, "null": {`null`, 400}, "no JSON": {strings.Repeat("\x00", 100), 400},
		"deep": {strings.Repeat("[", 20_000), 400}, "a long pattern": {`{"pattern":"` + strings.Repeat("*", 1001) + `"}`, 400},
		"a long key": {`{"key":"` + strings.Repeat("k", 100_000) + `"}`, 400}, "an empty tag": {`{"tags":[""]}`, 400},
		"a long tag": {tags(1, 1001), 400}, "too many tags": {tags(1001, 8), 400}, "a huge body": {tags(100_000, 8), 413},
		"a thousand tags": {tags(1000, 8), 200}, "the longest pattern": {`{"pattern":"` + strings.Repeat("x", 1000) + `"}`, 200},
	} {
		status, _, answer := call(t, s, "POST", "/api/cache/invalidate", c.body, "t0ken")
		if status != c.status || answer["success"] != (c.status == 200) {
			t.Errorf("%s: %d %v, want %d", name, status, answer, c.status)
		}
	}
	if !cached(t, s, "/api/products/1") {
		t.Error("a refused order purged")
	}
}

// Patterns that make simple matchers take exponential time are done within the route's seconds, over many long keys.
func TestPatternsTakeBoundedTime(t *testing.T) {
	s := frameworktest.Start(t, strings.Replace(policy, `handler = "cacheadmin.invalidate"`, `handler = "cacheadmin.invalidate"
timeout = "5s"`, 1), plugins()...)
	long := strings.Repeat("a", 3000)
	for i := range 30 {
		s.Get(t, "/api/pages/"+long+strconv.Itoa(i))
	}
	for _, pattern := range []string{
		strings.Repeat("*a", 499) + "*b", strings.Repeat("a*", 499) + "b", strings.Repeat("?*", 499) + "b",
		strings.Repeat("*", 999) + "#", strings.Repeat("a", 999) + "b", strings.Repeat("a?", 499) + "b",
	} {
		for _, dryRun := range []bool{true, false} {
			order := fmt.Sprintf(`{"pattern":%q,"dryRun":%v}`, pattern, dryRun)
			if status, _, answer := call(t, s, "POST", "/api/cache/invalidate", order, "t0ken"); status != 200 || answer["matched"] != 0.0 {
				t.Errorf("%.20s…: %d %v", pattern, status, answer)
			}
		}
	}
}

// A thousand flushes at once neither hang nor hurt those who ask for answers; beyond its limit a client is told when to come back.
func TestFlushStorms(t *testing.T) {
	for name, c := range map[string]struct {
		limit   string
		flushed int64
	}{
		"limited":   {"\nlimits = { requests = 60, window = \"1m\" }", 60},
		"unlimited": {"", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			const flush = `handler = "cacheadmin.flush"`
			// Flushes go first. How long others may wait for them is the gate's matter.
			const patient = "[server]\noverload = { wait = \"1m\" }"
			s := frameworktest.Start(t, strings.NewReplacer("[server]", patient, flush, flush+c.limit).Replace(policy), plugins()...)
			fill(t, s)
			var flushes, readers sync.WaitGroup
			var flushed, refused atomic.Int64
			over := make(chan struct{})
			for range 4 {
				readers.Go(func() {
					for {
						select {
						case <-over:
							return
						default:
						}
						if a := s.Get(t, "/api/products/1"); a.Status != 200 || a.Body != "/api/products/1" {
							t.Errorf("an answer during the storm: %d %s", a.Status, a.Body)
						}
					}
				})
			}
			for range 1000 {
				flushes.Go(func() {
					a := s.Do(t, "POST", "/api/cache/flush", "", "Authorization", "Bearer t0ken")
					switch a.Status {
					case http.StatusOK:
						flushed.Add(1)
					case http.StatusTooManyRequests:
						refused.Add(1)
						if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
							t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
						}
					default:
						t.Errorf("a flush: %d %s", a.Status, a.Body)
					}
				})
			}
			flushes.Wait()
			close(over)
			readers.Wait()
			// While the storm lasts, a request may come back every second.
			if n := flushed.Load(); n < c.flushed || n > c.flushed+30 || n+refused.Load() != 1000 {
				t.Errorf("%d flushed and %d refused", n, refused.Load())
			}
			if fill(t, s); !cached(t, s, "/api/products/1") {
				t.Error("nothing is cached after the storm")
			}
		})
	}
}
