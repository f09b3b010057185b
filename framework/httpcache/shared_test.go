package httpcache_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/httpcache"
)

// startShared returns a cache with a shared layer behind it.
func startShared(t testing.TB, server *redistest.Server) (*fixture, *cache.Redis) {
	t.Helper()
	f := start(t)
	shared := cache.NewRedis(f.memory, cache.RedisOptions{Addresses: []string{server.Address()}, Prefix: "test:", MaxValue: 1 << 20})
	f.memory.Share(shared)
	t.Cleanup(func() {
		if err := errors.Join(f.Close(context.Background()), shared.Close()); err != nil {
			t.Error(err)
		}
	})
	return f, shared
}

// written waits until the layer has written so many values.
func written(t testing.TB, shared *cache.Redis, n int64) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); shared.Stats().Written < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d values were not written: %+v", n, shared.Stats())
		}
	}
}

// An answer that another instance made is the same in every form.
func TestAnswersAreShared(t *testing.T) {
	server := redistest.Start(t)
	resp := answer(200, "Last-Modified", lastModified, "Cache-Control", "max-age=60", "X-Own", "1", "X-Own", "2", "Vary", "Origin")
	a, shared := startShared(t, server)
	a.fetch = func(context.Context) (*httpcache.Response, error) { return resp, nil }
	b, _ := startShared(t, server)
	b.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("must not be asked") }
	a.get(httpcache.Request{})
	written(t, shared, 1)
	first := b.get(httpcache.Request{})
	if status := header(&first).Get("Cache-Status"); first.Outcome != httpcache.Hit || !strings.HasSuffix(status, "; detail=shared") {
		t.Errorf("%s, Cache-Status %s", first.Outcome, status)
	}
	tag := header(new(a.get(httpcache.Request{}))).Get("ETag")
	for name, req := range map[string]httpcache.Request{
		"plain": {}, "gzip": {AcceptEncoding: "gzip"}, "br": {AcceptEncoding: "br"}, "HEAD": {Method: "HEAD"},
		"304": {IfNoneMatch: tag}, "304 by date": {IfModifiedSince: lastModified}, "part": {Range: "bytes=5-9"},
		"part by date": {Range: "bytes=5-9", IfRange: lastModified}, "none": {Range: "bytes=999999-"},
	} {
		from, there := a.get(req), b.get(req)
		if from.Outcome != httpcache.Hit || there.Outcome != httpcache.Hit {
			t.Errorf("%s: %s and %s", name, from.Outcome, there.Outcome)
		}
		ours, theirs := header(&from), header(&there)
		for _, name := range []string{"Age", "Cache-Status"} { // of the second in which they were asked for
			ours.Del(name)
			theirs.Del(name)
		}
		if !reflect.DeepEqual(ours, theirs) || from.Status != there.Status || string(from.Body) != string(there.Body) {
			t.Errorf("%s:\n%d %v\n%d %v", name, from.Status, header(&from), there.Status, header(&there))
		}
	}
}

func TestWhatIsNotStoredIsNotShared(t *testing.T) {
	server := redistest.Start(t)
	for name, resp := range map[string]*httpcache.Response{
		"Set-Cookie": answer(200, "Set-Cookie", "a=1"), "private": answer(200, "Cache-Control", "private"), "error": answer(500),
	} {
		a, _ := startShared(t, server)
		b, _ := startShared(t, server)
		for _, f := range []*fixture{a, b} {
			f.fetch = func(context.Context) (*httpcache.Response, error) { return resp, nil }
			if res, err := f.do(t.Context(), name, httpcache.Request{}); err != nil || res.Outcome == httpcache.Hit {
				t.Errorf("%s: %v %v", name, res.Outcome, err)
			}
		}
		if b.calls.Load() != 1 {
			t.Errorf("%s: the other instance did not ask", name)
		}
	}
}

func TestPurgesReachOtherInstances(t *testing.T) {
	server := redistest.Start(t)
	a, shared := startShared(t, server)
	b, _ := startShared(t, server)
	version := atomic.Int32{}
	for _, f := range []*fixture{a, b} {
		f.rule.Tags = []string{"products"}
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			r := answer(200)
			r.Body = []byte{byte('0' + version.Load())}
			return r, nil
		}
	}
	for i, purge := range []cache.Purge{
		{Tags: []string{"products"}}, {All: true}, {Selectors: []cache.Selector{{Key: "k"}}}, {Keys: []string{"k"}},
	} {
		a.get(httpcache.Request{})
		b.get(httpcache.Request{})
		version.Add(1)
		if _, err := a.memory.PurgeShared(t.Context(), purge); err != nil {
			t.Fatal(err)
		}
		want := string(byte('0' + version.Load()))
		if got := a.get(httpcache.Request{}); string(got.Body) != want {
			t.Errorf("purge %d: where it was asked for: %s", i, got.Body)
		}
		for end := time.Now().Add(10 * time.Second); string(b.get(httpcache.Request{}).Body) != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("purge %d did not reach the other instance", i)
			}
		}
		written(t, shared, 1)
	}
}

// RFC 5861: staleness is judged by when the answer was made, whoever made it.
func TestStaleAnswersAreShared(t *testing.T) {
	server := redistest.Start(t)
	a, shared := startShared(t, server)
	a.rule.TTL, a.rule.StaleWhileRevalidate, a.rule.StaleIfError = 20*time.Millisecond, time.Hour, time.Hour
	a.get(httpcache.Request{})
	written(t, shared, 1)
	time.Sleep(30 * time.Millisecond)

	b, theirs := startShared(t, server)
	b.rule = a.rule
	if res := b.get(httpcache.Request{}); res.Outcome != httpcache.Stale {
		t.Errorf("stale while revalidating: %s", res.Outcome)
	}
	written(t, theirs, 1) // made anew behind it
	if b.calls.Load() != 1 {
		t.Errorf("made %d times", b.calls.Load())
	}

	time.Sleep(30 * time.Millisecond)
	c, _ := startShared(t, server)
	c.rule = a.rule
	c.rule.StaleWhileRevalidate = 0
	c.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("closed") }
	if res := c.get(httpcache.Request{}); res.Outcome != httpcache.Stale || c.calls.Load() != 1 {
		t.Errorf("stale on error: %s", res.Outcome)
	}
}

// C5: any number of misses on any number of instances makes one call.
func TestOneFetchInTheCluster(t *testing.T) {
	server := redistest.Start(t)
	var calls atomic.Int32
	var wait sync.WaitGroup
	begin := make(chan struct{})
	for range 3 {
		f, _ := startShared(t, server)
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			calls.Add(1)
			time.Sleep(200 * time.Millisecond)
			return answer(http.StatusOK), nil
		}
		for range 500 {
			wait.Go(func() {
				<-begin
				if res, err := f.do(t.Context(), "k", httpcache.Request{}); err != nil || string(res.Body) != string(body) {
					t.Errorf("%v", err)
				}
			})
		}
	}
	close(begin)
	wait.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

// Errors and personal answers can't be shared: those who waited for them ask for themselves, and don't wait in a row.
func TestALeaderWithoutAnAnswerFreesTheOthers(t *testing.T) {
	server := redistest.Start(t)
	var wait sync.WaitGroup
	began := time.Now()
	for range 5 {
		f, _ := startShared(t, server)
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			time.Sleep(300 * time.Millisecond)
			return answer(http.StatusNotFound), nil
		}
		wait.Go(func() { f.get(httpcache.Request{}) })
	}
	wait.Wait()
	if took := time.Since(began); took > 1200*time.Millisecond {
		t.Errorf("one after the other: %v", took)
	}
}

func TestRedisAwayIsNotNoticed(t *testing.T) {
	server := redistest.Start(t)
	f, shared := startShared(t, server)
	f.get(httpcache.Request{})
	server.Hang()
	for n := range 300 {
		if res, err := f.do(t.Context(), string(rune('a'+n)), httpcache.Request{}); err != nil || res.Status != 200 {
			t.Fatal(res.Status, err)
		}
		if res := f.get(httpcache.Request{}); res.Outcome != httpcache.Hit {
			t.Errorf("a hit became %s", res.Outcome)
		}
	}
	if shared.Stats().Available {
		t.Error("available")
	}
	server.Resume()
}
