package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/encoding"
	"github.com/innatural/chatbot/framework/httpcache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// body is JSON that shrinks.
var body = []byte(`{"products":[` + strings.Repeat(`{"id":"inn-1","name":"Huile d'argan","price":89.5},`, 100) + `{}]}`)

type fixture struct {
	t      testing.TB
	memory *cache.Memory
	*httpcache.Cache
	rule  httpcache.Rule
	calls atomic.Int32
	fetch httpcache.Fetch
}

// start returns a cache whose fetch answers with body, until a test changes it.
func start(t testing.TB) *fixture {
	t.Helper()
	memory, err := cache.NewMemory(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, memory: memory, Cache: httpcache.New(memory, "innatural")}
	t.Cleanup(func() {
		if err := errors.Join(f.Close(context.Background()), memory.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	f.rule = httpcache.Rule{TTL: time.Minute, Timeout: 30 * time.Second, MaxEntry: 1 << 20, Encoder: encoder(t)}
	f.fetch = func(context.Context) (*httpcache.Response, error) { return answer(http.StatusOK), nil }
	return f
}

func encoder(t testing.TB) *encoding.Encoder {
	t.Helper()
	e, err := encoding.New(6, 1<<10, []string{"br", "zstd", "gzip"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// answer is a response of JSON, with fields as name and value pairs.
func answer(status int, fields ...string) *httpcache.Response {
	resp := &httpcache.Response{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
	for i := 0; i < len(fields); i += 2 {
		resp.Header.Add(fields[i], fields[i+1])
	}
	return resp
}

// do asks for a key and counts what it fetches.
func (f *fixture) do(ctx context.Context, key string, req httpcache.Request) (httpcache.Result, error) {
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	fetch := f.fetch
	return f.Do(ctx, key, &f.rule, &req, func(ctx context.Context) (*httpcache.Response, error) {
		f.calls.Add(1)
		return fetch(ctx)
	})
}

// get asks for the key "k", which must be answered.
func (f *fixture) get(req httpcache.Request) httpcache.Result {
	f.t.Helper()
	res, err := f.do(f.t.Context(), "k", req)
	if err != nil {
		f.t.Fatal(err)
	}
	return res
}

// expect checks an outcome, the Cache-Status after the cache's name, and how often the handler has run, unless calls is negative:
// a refresh behind the answer may or may not have begun.
func (f *fixture) expect(res httpcache.Result, outcome httpcache.Outcome, status string, calls int32) {
	f.t.Helper()
	h := header(&res)
	if res.Outcome != outcome || h.Get("X-Cache") != string(outcome) {
		f.t.Errorf("outcome %s, X-Cache %s; want %s", res.Outcome, h.Get("X-Cache"), outcome)
	}
	if got := h.Get("Cache-Status"); got != "innatural; "+status {
		f.t.Errorf("Cache-Status %q; want %q", got, status)
	}
	if got := f.calls.Load(); calls >= 0 && got != calls {
		f.t.Errorf("the handler ran %d times; want %d", got, calls)
	}
}

func header(res *httpcache.Result) http.Header {
	h := http.Header{}
	for name, value := range res.Header() {
		h.Add(name, value)
	}
	return h
}

// RFC 9111, sections 4 and 5.1; RFC 9211, section 2.
func TestHitMissAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		res := f.get(httpcache.Request{})
		f.expect(res, httpcache.Miss, "fwd=uri-miss; stored", 1)
		first := header(&res)
		if first.Get("Age") != "0" || first.Get("Date") != "Sat, 01 Jan 2000 00:00:00 GMT" || first.Get("ETag") == "" {
			t.Errorf("miss: %v", first)
		}
		time.Sleep(12*time.Second + 400*time.Millisecond)
		res = f.get(httpcache.Request{})
		f.expect(res, httpcache.Hit, "hit; ttl=48", 1)
		hit := header(&res)
		if hit.Get("Age") != "12" || string(res.Body) != string(body) || res.Status != 200 {
			t.Errorf("hit: %d %v", res.Status, hit)
		}
		for _, name := range []string{"ETag", "Date", "Content-Type", "Vary"} {
			if hit.Get(name) != first.Get(name) {
				t.Errorf("%s was %q, is %q", name, first.Get(name), hit.Get(name))
			}
		}
		time.Sleep(47 * time.Second)
		res = f.get(httpcache.Request{})
		f.expect(res, httpcache.Hit, "hit; ttl=1", 1)
		if age := header(&res).Get("Age"); age != "59" {
			t.Errorf("Age %s", age)
		}
		time.Sleep(600 * time.Millisecond)
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 2)
		if s := f.Stats(); s.Hits != 2 || s.Misses != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// RFC 9110, section 9.3.2: HEAD shares the answers of GET.
func TestHEADSharesGET(t *testing.T) {
	f := start(t)
	f.expect(f.get(httpcache.Request{Method: http.MethodHead}), httpcache.Miss, "fwd=uri-miss; stored", 1)
	res := f.get(httpcache.Request{Method: http.MethodGet})
	f.expect(res, httpcache.Hit, "hit; ttl=60", 1)
	f.expect(f.get(httpcache.Request{Method: http.MethodHead, IfNoneMatch: "*"}), httpcache.Hit, "hit; ttl=60", 1)
}

func TestOtherMethodsAndNoTTLBypass(t *testing.T) {
	f := start(t)
	for i, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		f.expect(f.get(httpcache.Request{Method: method}), httpcache.Bypass, "fwd=method", int32(i+1))
	}
	f.rule.TTL = 0
	f.expect(f.get(httpcache.Request{}), httpcache.Bypass, "fwd=bypass", 6)
	f.expect(f.get(httpcache.Request{}), httpcache.Bypass, "fwd=bypass", 7)
	if s := f.Stats(); s.Bypasses != 7 || f.memory.Stats().Keys != 0 {
		t.Errorf("%+v, %+v", s, f.memory.Stats())
	}
}

func TestWhatIsNotStored(t *testing.T) {
	for _, test := range []struct {
		clause  string
		resp    *httpcache.Response
		detail  string
		outcome httpcache.Outcome
	}{
		{"C7: Set-Cookie", answer(200, "Set-Cookie", "session=1"), "set-cookie", httpcache.Bypass},
		{"C7: Set-Cookie in odd case", &httpcache.Response{Header: http.Header{"SET-COOKIE": {"a=1"}}}, "set-cookie", httpcache.Bypass},
		{"9111 5.2.2.5: no-store", answer(200, "Cache-Control", "no-store"), "no-store", httpcache.Bypass},
		{"9111 5.2: directives in either case", answer(200, "Cache-Control", "max-age=5 ,\tNO-STORE"), "no-store", httpcache.Bypass},
		{"9111 5.2: several lines", answer(200, "Cache-Control", "max-age=5", "Cache-Control", "private"), "private", httpcache.Bypass},
		{"9111 5.2.2.7: private", answer(200, "Cache-Control", "private"), "private", httpcache.Bypass},
		{"9111 5.2.2.7: private fields", answer(200, "Cache-Control", `private="X-User"`), "private", httpcache.Bypass},
		{"9111 5.2.2.4: no-cache", answer(200, "Cache-Control", "no-cache"), "no-cache", httpcache.Bypass},
		{"9111 4.1: Vary *", answer(200, "Vary", "Accept, *"), "vary", httpcache.Bypass},
		{"C7: errors", answer(500), "status", httpcache.Miss},
		{"C7: errors", answer(503), "status", httpcache.Miss},
		{"not found", answer(404), "status", httpcache.Miss},
		{"9111 3.3: 206", answer(206), "status", httpcache.Miss},
		{"redirect", answer(301, "Location", "/"), "status", httpcache.Miss},
		{"too large", &httpcache.Response{Body: make([]byte, 1<<20+1)}, "too-large", httpcache.Miss},
	} {
		f := start(t)
		f.fetch = func(context.Context) (*httpcache.Response, error) { return test.resp, nil }
		for calls := int32(1); calls <= 2; calls++ {
			f.expect(f.get(httpcache.Request{}), test.outcome, "fwd=uri-miss; detail="+test.detail, calls)
		}
		if f.memory.Stats().Keys != 0 {
			t.Errorf("%s: stored", test.clause)
		}
	}
	f := start(t)
	f.fetch = func(context.Context) (*httpcache.Response, error) {
		return answer(200, "Cache-Control", `public, ext="a, no-store, private"`), nil
	}
	f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 1)
}

// RFC 9110, section 7.6.1, and RFC 9111, section 3.1: fields of the connection are neither stored nor passed on.
func TestFieldsOfTheConnection(t *testing.T) {
	f := start(t)
	f.fetch = func(context.Context) (*httpcache.Response, error) {
		return answer(200,
			"Connection", "close, x-hop", "Connection", "X-Other", "X-Hop", "1", "X-Other", "1", "Keep-Alive", "timeout=5",
			"Transfer-Encoding", "chunked", "Te", "trailers", "Trailer", "X-Sum", "Upgrade", "h2c", "Proxy-Connection", "close",
			"Proxy-Authenticate", "Basic", "Proxy-Authentication-Info", "a", "Proxy-Authorization", "b", "Age", "99", "X-Cache", "HIT",
			"Content-Length", "7", "Link", "</a>", "Link", "</b>", "x-kept", "1",
		), nil
	}
	for range 2 {
		res := f.get(httpcache.Request{})
		h := header(&res)
		for name := range h {
			switch name {
			case "Content-Type", "Link", "X-Kept", "Date", "Etag", "Vary", "Accept-Ranges", "Age", "X-Cache", "Cache-Status":
			default:
				t.Errorf("%s: %s", name, h.Get(name))
			}
		}
		links := strings.Join(h.Values("Link"), " ")
		if h.Get("Age") != "0" || links != "</a> </b>" || h.Get("X-Kept") != "1" || len(h["X-Cache"]) != 1 {
			t.Errorf("%v", h)
		}
	}
}

// C5: any number of concurrent misses makes one call.
func TestConcurrentMissesFetchOnce(t *testing.T) {
	f := start(t)
	var wait sync.WaitGroup
	begin := make(chan struct{})
	const keys = 500 // further keys, each asked for by few: more moments in which a fetch has just ended
	for i := range 20 * keys {
		wait.Go(func() {
			<-begin
			if _, err := f.do(t.Context(), fmt.Sprint("key ", i/20), httpcache.Request{}); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 1000 {
		wait.Go(func() {
			<-begin
			req := httpcache.Request{AcceptEncoding: []string{"", "gzip", "br", "zstd"}[i%4]}
			res, err := f.do(t.Context(), "k", req)
			if err != nil || res.Status != 200 {
				t.Errorf("%d, %v", res.Status, err)
			}
			if got := header(&res).Get("Content-Encoding"); got != req.AcceptEncoding {
				t.Errorf("encoded in %q, wanted %q", got, req.AcceptEncoding)
			}
		})
	}
	close(begin)
	wait.Wait()
	if n := f.calls.Load(); n != 1+keys {
		t.Errorf("the handler ran %d times for %d keys", n, 1+keys)
	}
	if s := f.Stats(); s.Hits+s.Misses != 1000+20*keys || s.Bypasses+s.Stale != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFollowersOutliveTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.fetch = func(ctx context.Context) (*httpcache.Response, error) {
			select {
			case <-time.After(time.Second):
				return answer(200), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		ctx, leave := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := f.do(ctx, "k", httpcache.Request{}); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader, who left, got %v", err)
			}
		})
		synctest.Wait()
		for range 9 {
			wait.Go(func() {
				f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored; collapsed", 1)
			})
		}
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			before := time.Now()
			_, err := f.do(ctx, "k", httpcache.Request{})
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != 50*time.Millisecond {
				t.Errorf("a follower with its own deadline got %v after %v", err, time.Since(before))
			}
		})
		synctest.Wait()
		leave()
		wait.Wait()
		if s := f.Stats(); s.Coalesced != 10 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAFetchEndsAtTheRulesTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.fetch = func(ctx context.Context) (*httpcache.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		for timeout, want := range map[time.Duration]time.Duration{5 * time.Second: 5 * time.Second, 0: time.Minute} {
			f.rule.Timeout = timeout
			before := time.Now()
			_, err := f.do(t.Context(), "k", httpcache.Request{})
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != want {
				t.Errorf("%v: %v after %v", timeout, err, time.Since(before))
			}
		}
	})
}

// What is meant for one client is not given to those who waited with it.
func TestPersonalAnswersAreNotShared(t *testing.T) {
	for _, field := range [][2]string{
		{"Set-Cookie", "id=%d"}, {"Cache-Control", "private, x=%d"}, {"Cache-Control", "no-store, x=%d"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t)
			var served atomic.Int32
			f.fetch = func(context.Context) (*httpcache.Response, error) {
				n := served.Add(1)
				time.Sleep(time.Second)
				return answer(200, field[0], fmt.Sprintf(field[1], n)), nil
			}
			var seen sync.Map
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() {
					res := f.get(httpcache.Request{})
					h := header(&res)
					if _, twice := seen.LoadOrStore(h.Get(field[0]), true); twice || res.Outcome != httpcache.Bypass {
						t.Errorf("%s %q came twice, or as %s", field[0], h.Get(field[0]), res.Outcome)
					}
				})
			}
			wait.Wait()
			if f.memory.Stats().Keys != 0 {
				t.Error("stored")
			}
		})
	}
}

// What is not stored and not personal is the same for all who asked at once.
func TestErrorsAreSharedByThoseWhoWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		wrong := errors.New("no")
		for name, fetch := range map[string]httpcache.Fetch{
			"error":     func(context.Context) (*httpcache.Response, error) { time.Sleep(time.Second); return nil, wrong },
			"not found": func(context.Context) (*httpcache.Response, error) { time.Sleep(time.Second); return answer(404), nil },
			"panic":     func(context.Context) (*httpcache.Response, error) { time.Sleep(time.Second); panic(wrong) },
		} {
			f.fetch = fetch
			f.calls.Store(0)
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() {
					res, err := f.do(t.Context(), "k", httpcache.Request{})
					var panicked *cache.PanicError
					if res.Status != 404 && !errors.Is(err, wrong) && !errors.As(err, &panicked) {
						t.Errorf("%d, %v", res.Status, err)
					}
				})
			}
			wait.Wait()
			if n := f.calls.Load(); n != 1 {
				t.Errorf("%s: the handler ran %d times", name, n)
			}
		}
	})
}

// RFC 5861, section 3.
func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleWhileRevalidate = 30 * time.Second
		f.get(httpcache.Request{})
		time.Sleep(70 * time.Second)

		leave := make(chan struct{})
		f.fetch = func(ctx context.Context) (*httpcache.Response, error) {
			<-leave
			return answer(200, "X-Version", "2"), ctx.Err()
		}
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel() // the refresh goes on without the client
				res, err := f.do(ctx, "k", httpcache.Request{})
				if h := header(&res); err != nil || h.Get("Age") != "70" || h.Get("X-Version") != "" {
					t.Errorf("%v, %v", err, h)
				}
			})
		}
		wait.Wait()
		synctest.Wait()
		f.expect(f.get(httpcache.Request{}), httpcache.Stale, "hit; ttl=-10; detail=stale-while-revalidate", 2)
		close(leave)
		synctest.Wait()
		res := f.get(httpcache.Request{})
		f.expect(res, httpcache.Hit, "hit; ttl=60", 2)
		if header(&res).Get("X-Version") != "2" {
			t.Error("not refreshed")
		}
		time.Sleep(91 * time.Second)
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 3)
	})
}

// A refresh that finds the answer gone ends the stale one.
func TestARefreshThatIsNotStoredEndsTheStaleAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleWhileRevalidate = time.Hour
		f.get(httpcache.Request{})
		time.Sleep(2 * time.Minute)
		f.fetch = func(context.Context) (*httpcache.Response, error) { return answer(503), nil }
		f.expect(f.get(httpcache.Request{}), httpcache.Stale, "hit; ttl=-60; detail=stale-while-revalidate", -1)
		synctest.Wait()
		time.Sleep(time.Second)
		f.fetch = func(context.Context) (*httpcache.Response, error) { return answer(404), nil }
		f.expect(f.get(httpcache.Request{}), httpcache.Stale, "hit; ttl=-61; detail=stale-while-revalidate", -1)
		synctest.Wait()
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; detail=status", 4)
	})
}

func TestRefreshesAreBoundedAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleWhileRevalidate = time.Hour
		ask := func() {
			for i := range 200 {
				if _, err := f.do(t.Context(), fmt.Sprint("key ", i), httpcache.Request{}); err != nil {
					t.Error(err)
				}
			}
		}
		ask()
		time.Sleep(2 * time.Minute)
		var ended atomic.Int32
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			time.Sleep(time.Second)
			ended.Add(1)
			return answer(200), nil
		}
		ask()
		synctest.Wait()
		if n := f.calls.Load() - 200; n != 64 {
			t.Errorf("%d refreshes under way", n)
		}
		if err := f.Close(t.Context()); err != nil || ended.Load() != 64 {
			t.Errorf("closed after %d refreshes ended: %v", ended.Load(), err)
		}
	})
}

// RFC 5861, section 4.
func TestStaleIfError(t *testing.T) {
	slow := func(ctx context.Context) (*httpcache.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	status := func(code int) httpcache.Fetch {
		return func(context.Context) (*httpcache.Response, error) { return answer(code), nil }
	}
	for name, test := range map[string]struct {
		fetch httpcache.Fetch
		stale bool
		extra string
	}{
		"error":   {func(context.Context) (*httpcache.Response, error) { return nil, errors.New("no") }, true, ""},
		"panic":   {func(context.Context) (*httpcache.Response, error) { panic("no") }, true, ""},
		"timeout": {slow, true, ""},
		"500":     {status(500), true, "; fwd-status=500"},
		"502":     {status(502), true, "; fwd-status=502"},
		"503":     {status(503), true, "; fwd-status=503"},
		"504":     {status(504), true, "; fwd-status=504"},
		"501":     {status(501), false, ""},
		"404":     {status(404), false, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t)
			f.rule.StaleIfError, f.rule.Timeout = time.Hour, 10*time.Second
			f.get(httpcache.Request{})
			time.Sleep(2 * time.Minute)
			good := f.fetch
			f.fetch = test.fetch
			res := f.get(httpcache.Request{})
			if !test.stale {
				f.expect(res, httpcache.Miss, "fwd=stale; detail=status", 2)
				return
			}
			ttl := -60
			if name == "timeout" {
				ttl -= 10
			}
			f.expect(res, httpcache.Stale, fmt.Sprintf("fwd=stale%s; ttl=%d; detail=stale-if-error", test.extra, ttl), 2)
			if res.Status != 200 || string(res.Body) != string(body) {
				t.Errorf("%s: %d", name, res.Status)
			}
			f.fetch = good
			time.Sleep(time.Second)
			f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=stale; stored", 3)
			f.fetch = test.fetch
			time.Sleep(2 * time.Hour)
			if res, err := f.do(t.Context(), "k", httpcache.Request{}); err == nil && res.Status == 200 {
				t.Errorf("%s: stale beyond its time", name)
			}
		})
	}
}

func TestAClientThatLeftGetsNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleIfError = time.Hour
		f.get(httpcache.Request{})
		time.Sleep(2 * time.Minute)
		f.fetch = func(ctx context.Context) (*httpcache.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		left := errors.New("the client left")
		ctx, leave := context.WithCancelCause(t.Context())
		leave(left)
		if res, err := f.do(ctx, "k", httpcache.Request{}); !errors.Is(err, left) || res.Status != 0 {
			t.Errorf("%d, %v", res.Status, err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("too slow"))
		defer cancel()
		if res, err := f.do(ctx, "k", httpcache.Request{}); err != nil || res.Outcome != httpcache.Stale {
			t.Errorf("at its deadline: %s, %v", res.Outcome, err)
		}
	})
}

// A purge during a fetch is not undone by it, and who asks after the purge does not get what was fetched before.
func TestPurgeDuringFetch(t *testing.T) {
	for name, purge := range map[string]func(f *fixture){
		"key":        func(f *fixture) { f.Delete("k") },
		"rule's tag": func(f *fixture) { f.memory.PurgeTag("products") },
		"own tag":    func(f *fixture) { f.memory.PurgeTag("product-7") },
		"pattern":    func(f *fixture) { f.memory.Purge(func(key string) bool { return key == "k" }) },
		"all":        func(f *fixture) { f.memory.Flush() },
	} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t)
			f.rule.Tags = []string{"products"}
			version := "old"
			f.fetch = func(context.Context) (*httpcache.Response, error) {
				resp := answer(200, "X-Version", version)
				resp.Tags = []string{"product-7"}
				time.Sleep(time.Second)
				return resp, nil
			}
			var wait sync.WaitGroup
			wait.Go(func() { f.get(httpcache.Request{}) })
			synctest.Wait()
			version = "new"
			purge(f)
			asked := time.Now()
			if res := f.get(httpcache.Request{}); header(&res).Get("X-Version") != "new" {
				t.Errorf("%s: after the purge, during the fetch: %v", name, header(&res))
			}
			if waited := time.Since(asked); waited != time.Second && name != "own tag" {
				t.Errorf("%s: waited %v: for the fetch from before the purge too", name, waited)
			}
			wait.Wait()
			res := f.get(httpcache.Request{})
			if h := header(&res); h.Get("X-Version") != "new" || res.Outcome != httpcache.Hit {
				t.Errorf("%s: stored: %v", name, h)
			}
			purge(f)
			f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 3)
		})
	}
}

// Two generations of an app have a response cache each and share what is stored.
func TestStoredAnswersSurviveAReload(t *testing.T) {
	f := start(t)
	f.get(httpcache.Request{})
	next := httpcache.New(f.memory, "innatural")
	defer func() {
		if err := next.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	res, err := next.Do(t.Context(), "k", &f.rule, &httpcache.Request{Method: "GET"}, f.fetch)
	if err != nil || res.Outcome != httpcache.Hit {
		t.Errorf("%s, %v", res.Outcome, err)
	}
}

// What a 304 consists of is made for the first one, and weighed.
func TestTheFormOfA304IsMadeOnce(t *testing.T) {
	f := start(t)
	ask := func(condition string) int64 {
		if _, err := f.do(t.Context(), "k", httpcache.Request{IfNoneMatch: condition}); err != nil {
			t.Fatal(err)
		}
		return f.memory.Stats().Bytes
	}
	whole, first, second := ask(""), ask("*"), ask("*")
	if first <= whole || second != first {
		t.Errorf("%d bytes, %d after a 304, %d after another", whole, first, second)
	}
}

// What an answer is said to cost must be within 15 % of what the heap holds for it, with and without its variants.
func TestCostIsWhatTheHeapHolds(t *testing.T) {
	const n = 4000
	for _, test := range []struct {
		coding string
		size   int
	}{{"", 10}, {"", len(body)}, {"gzip", len(body)}} {
		f := start(t)
		before := heap()
		for i := range n {
			f.fetch = func(context.Context) (*httpcache.Response, error) {
				resp := answer(200, "Content-Language", strings.Clone("fr"), "X-Number", fmt.Sprint("the number ", i))
				resp.Body = append([]byte(fmt.Sprint(i)), body[:test.size]...)
				return resp, nil
			}
			key := httpcache.Key{Method: "GET", Path: fmt.Sprintf("/api/products/inn-%07d", i)}
			for range 2 {
				if _, err := f.do(t.Context(), key.String(), httpcache.Request{AcceptEncoding: test.coding}); err != nil {
					t.Fatal(err)
				}
			}
		}
		claimed, held := f.memory.Stats().Live(), heap()-before
		if ratio := float64(claimed) / float64(held); ratio < 0.85 || ratio > 1.15 || f.calls.Load() != n {
			t.Errorf("%d answers of %d bytes in %q claim %d bytes, the heap holds %d (%.2f)",
				n, test.size, test.coding, claimed, held, ratio)
		}
		runtime.KeepAlive(f)
	}
}

func TestSpareCapacityIsNotStored(t *testing.T) {
	f := start(t)
	f.fetch = func(context.Context) (*httpcache.Response, error) {
		return &httpcache.Response{Body: append(make([]byte, 0, 1<<20), body...)}, nil
	}
	f.get(httpcache.Request{})
	if bytes := f.memory.Stats().Bytes; bytes > int64(len(body))+4096 {
		t.Errorf("a body of %d bytes occupies %d", len(body), bytes)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func BenchmarkHit(b *testing.B) {
	for name, req := range map[string]httpcache.Request{
		"gzip":     {Method: "GET", AcceptEncoding: "gzip"},
		"browser":  {Method: "GET", AcceptEncoding: "gzip, deflate, br, zstd"},
		"identity": {Method: "GET"},
	} {
		b.Run(name, func(b *testing.B) {
			f := start(b)
			f.rule.TTL = time.Hour
			f.get(req)
			b.ReportAllocs()
			for b.Loop() {
				res, err := f.Do(b.Context(), "k", &f.rule, &req, f.fetch)
				if err != nil || res.Outcome != httpcache.Hit {
					b.Fatal(res.Outcome, err)
				}
			}
		})
	}
	b.Run("304", func(b *testing.B) {
		f := start(b)
		f.rule.TTL = time.Hour
		res := f.get(httpcache.Request{AcceptEncoding: "gzip"})
		req := httpcache.Request{Method: "GET", AcceptEncoding: "gzip", IfNoneMatch: header(&res).Get("ETag")}
		b.ReportAllocs()
		for b.Loop() {
			if res, err := f.Do(b.Context(), "k", &f.rule, &req, f.fetch); err != nil || res.Status != 304 {
				b.Fatal(res.Status, err)
			}
		}
	})
}
