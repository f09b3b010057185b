package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/httpcache"
)

// C7: what is not a 200 is stored if the policy names its status, for the time that it says, unless it is for one client.
func TestStatusesAreStoredIfNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StatusTTL = map[int]time.Duration{404: 30 * time.Second, 503: time.Second}
		f.rule.StaleWhileRevalidate = time.Hour // of 200s alone
		status := func(resp *httpcache.Response) {
			f.fetch = func(context.Context) (*httpcache.Response, error) { return resp, nil }
		}
		status(answer(404))
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 1)
		res := f.get(httpcache.Request{AcceptEncoding: "gzip", IfNoneMatch: "*", Range: "bytes=0-1"})
		f.expect(res, httpcache.Hit, "hit; ttl=30", 1)
		if h := header(&res); res.Status != 404 || h.Get("ETag") != "" || h.Get("Content-Encoding") != "gzip" {
			t.Errorf("%d %v", res.Status, h)
		}
		time.Sleep(31 * time.Second)
		status(answer(503))
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 2)
		f.expect(f.get(httpcache.Request{}), httpcache.Hit, "hit; ttl=1", 2)
		time.Sleep(2 * time.Second)
		status(answer(500))
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; detail=status", 3)
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; detail=status", 4)
		for i, resp := range []*httpcache.Response{
			answer(404, "Set-Cookie", "a=1"), answer(404, "Cache-Control", "private"), answer(404, "Cache-Control", "no-store"),
		} {
			status(resp)
			if res := f.get(httpcache.Request{}); res.Outcome != httpcache.Bypass || f.calls.Load() != int32(5+i) {
				t.Errorf("%v: %s", resp.Header, res.Outcome)
			}
		}
	})
}

// An error of the handler is kept as what it is, not as a body: who gets it makes an own body of it.
func TestErrorsAreStoredIfNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		notFound, busy := errors.New("not found"), errors.New("busy")
		f.rule.StatusTTL = map[int]time.Duration{404: 30 * time.Second}
		f.rule.Tags = []string{"products"}
		f.rule.ErrorStatus = func(err error) int {
			if errors.Is(err, notFound) {
				return 404
			}
			return 503
		}
		fail := func(err error) { f.fetch = func(context.Context) (*httpcache.Response, error) { return nil, err } }
		ask := func(want error, outcome httpcache.Outcome, status string, calls int32) {
			t.Helper()
			res, err := f.do(t.Context(), "k", httpcache.Request{AcceptEncoding: "gzip"})
			if !errors.Is(err, want) || res.Status != 0 {
				t.Errorf("%d, %v; want %v", res.Status, err, want)
			}
			f.expect(res, outcome, status, calls)
		}
		fail(busy)
		ask(busy, httpcache.Miss, "fwd=uri-miss", 1)
		fail(notFound)
		ask(notFound, httpcache.Miss, "fwd=uri-miss; stored", 2)
		ask(notFound, httpcache.Hit, "hit; ttl=30", 2)
		req := httpcache.Request{Method: http.MethodGet}
		if _, ok := f.Hit("k", &f.rule, &req); ok {
			t.Error("an error is no hit without a body")
		}
		f.memory.PurgeTag("products")
		ask(notFound, httpcache.Miss, "fwd=uri-miss; stored", 3)
		time.Sleep(31 * time.Second)
		fail(busy)
		ask(busy, httpcache.Miss, "fwd=uri-miss", 4)
		fail(context.Canceled)
		f.rule.ErrorStatus = nil
		ask(context.Canceled, httpcache.Miss, "fwd=uri-miss", 5)
	})
}

// A stale answer that may be sent wins over an error that could be stored.
func TestErrorsLeaveStaleAnswersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StatusTTL = map[int]time.Duration{503: 10 * time.Minute}
		f.rule.ErrorStatus = func(error) int { return 503 }
		f.rule.StaleIfError = 5 * time.Minute
		f.get(httpcache.Request{})
		time.Sleep(2 * time.Minute)
		f.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("no") }
		f.expect(f.get(httpcache.Request{}), httpcache.Stale, "fwd=stale; ttl=-60; detail=stale-if-error", 2)
		time.Sleep(time.Minute)
		f.fetch = func(context.Context) (*httpcache.Response, error) { return answer(503), nil }
		f.expect(f.get(httpcache.Request{}), httpcache.Stale, "fwd=stale; fwd-status=503; ttl=-120; detail=stale-if-error", 3)
		time.Sleep(10 * time.Minute)
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 4)
	})
}

// Entries of the same time do not end together, but each always at its own.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.TTL, f.rule.Jitter = 1000*time.Second, 0.1
		const n = 200
		left := func() (list [n]string) {
			for i := range n {
				res, err := f.do(t.Context(), fmt.Sprint("key ", i), httpcache.Request{})
				if err != nil {
					t.Fatal(err)
				}
				list[i] = header(&res).Get("Cache-Status")
			}
			return list
		}
		left()
		first := left()
		if again := left(); again != first || f.calls.Load() != n {
			t.Error("not the same at every hit")
		}
		distinct := map[string]bool{}
		for _, status := range first {
			var ttl int
			if _, err := fmt.Sscanf(status, "innatural; hit; ttl=%d", &ttl); err != nil || ttl < 900 || ttl > 1000 {
				t.Errorf("%s: %v", status, err)
			}
			distinct[status] = true
		}
		if len(distinct) < n/3 {
			t.Errorf("%d times among %d entries", len(distinct), n)
		}
		time.Sleep(950 * time.Second)
		left()
		if made := f.calls.Load() - n; made < n/4 || made > 3*n/4 {
			t.Errorf("at half of the jitter %d of %d entries have ended", made, n)
		}
	})
}

// One hit of the last share of the TTL has a new answer made, which is there before the old one ends.
func TestEarlyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.EarlyRefresh = 0.2
		f.get(httpcache.Request{})
		time.Sleep(47 * time.Second)
		f.expect(f.get(httpcache.Request{}), httpcache.Hit, "hit; ttl=13", 1)
		req := httpcache.Request{Method: http.MethodGet}
		if _, ok := f.Hit("k", &f.rule, &req); !ok {
			t.Error("no hit")
		}
		time.Sleep(2 * time.Second)
		if _, ok := f.Hit("k", &f.rule, &req); ok {
			t.Error("the hit that is to make a new answer goes on to Do")
		}
		leave := make(chan struct{})
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			<-leave
			return answer(200, "X-Version", "2"), nil
		}
		f.expect(f.get(httpcache.Request{}), httpcache.Hit, "hit; ttl=11; detail=early-refresh", -1)
		for range 20 {
			f.expect(f.get(httpcache.Request{}), httpcache.Hit, "hit; ttl=11", -1)
			if _, ok := f.Hit("k", &f.rule, &req); !ok {
				t.Error("while a new answer is made, the old one is a hit like any other")
			}
		}
		close(leave)
		synctest.Wait()
		res := f.get(httpcache.Request{})
		f.expect(res, httpcache.Hit, "hit; ttl=60", 2)
		if header(&res).Get("X-Version") != "2" {
			t.Error("not made anew")
		}

		f.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("no") }
		time.Sleep(50 * time.Second)
		for second := range 10 { // with the pauses of a failing fetch: at 0, 1, 3 and 7 s
			f.expect(f.get(httpcache.Request{}), httpcache.Hit, fmt.Sprintf("hit; ttl=%d", 10-second)+
				map[bool]string{true: "; detail=early-refresh"}[second&(second+1) == 0], -1)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if n := f.calls.Load(); n != 6 {
			t.Errorf("the handler ran %d times", n)
		}
	})
}

// While the handler of a key fails, it is asked after growing pauses, and every client gets the stale answer at once.
func TestAFailingHandlerIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleIfError = 24 * time.Hour
		f.get(httpcache.Request{})
		time.Sleep(2 * time.Minute)
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return nil, errors.New("no")
		}
		began := time.Now()
		var asked []time.Duration
		for time.Since(began) < 10*time.Minute {
			before := f.calls.Load()
			at := time.Since(began).Truncate(time.Second)
			res := f.get(httpcache.Request{})
			if res.Outcome != httpcache.Stale || string(res.Body) != string(body) {
				t.Fatalf("%s", res.Outcome)
			}
			if f.calls.Load() > before {
				asked = append(asked, at)
			} else if status := header(&res).Get("Cache-Status"); status !=
				fmt.Sprintf("innatural; hit; ttl=%d; detail=back-off", -int((time.Since(began)+time.Minute)/time.Second)) {
				t.Fatal(status)
			}
			time.Sleep(100 * time.Millisecond)
		}
		for i, at := range asked[1:] {
			pause := min(time.Second<<i, time.Minute)
			if got := at - asked[i]; got < pause || got > pause+2*time.Second {
				t.Errorf("asked at %v", asked)
				break
			}
		}
		if len(asked) < 14 || len(asked) > 16 {
			t.Errorf("asked %d times in ten minutes: %v", len(asked), asked)
		}
		f.fetch = func(context.Context) (*httpcache.Response, error) { return answer(200), nil }
		time.Sleep(time.Minute)
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=stale; stored", -1)
		f.expect(f.get(httpcache.Request{}), httpcache.Hit, "hit; ttl=60", -1)
	})
}

// Those who ask while the one attempt after a pause is under way do not wait for it.
func TestNobodyWaitsForTheAttemptAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.rule.StaleIfError = time.Hour
		f.get(httpcache.Request{})
		time.Sleep(2 * time.Minute)
		f.fetch = func(ctx context.Context) (*httpcache.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		f.get(httpcache.Request{})
		time.Sleep(2 * time.Second)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.get(httpcache.Request{})
		}()
		synctest.Wait()
		asked := time.Now()
		if res := f.get(httpcache.Request{}); res.Outcome != httpcache.Stale || time.Since(asked) > 0 || f.calls.Load() != 3 {
			t.Errorf("%s after %v, %d calls", res.Outcome, time.Since(asked), f.calls.Load())
		}
		<-ended
	})
}

// Requests for a key whose answers are for one client each do not wait for each other.
func TestUnsharedKeysAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		var under, most atomic.Int32
		personal := func(context.Context) (*httpcache.Response, error) {
			n := under.Add(1)
			defer under.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Second)
			return answer(200, "Set-Cookie", "a=1"), nil
		}
		f.fetch = personal
		burst := func() time.Duration {
			began := time.Now()
			done := make(chan struct{})
			for range 20 {
				go func() {
					f.get(httpcache.Request{})
					done <- struct{}{}
				}()
			}
			for range 20 {
				<-done
			}
			return time.Since(began)
		}
		if took := burst(); took != 2*time.Second {
			t.Errorf("the first burst took %v: the first answer, then all others at once", took)
		}
		if took := burst(); took != time.Second || most.Load() != 20 || f.calls.Load() != 40 {
			t.Errorf("the second burst took %v, with %d at once", took, most.Load())
		}
		f.expect(f.get(httpcache.Request{}), httpcache.Bypass, "fwd=uri-miss; detail=set-cookie", 41)

		f.fetch = func(context.Context) (*httpcache.Response, error) { return answer(200), nil }
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; stored", 42)
		f.expect(f.get(httpcache.Request{}), httpcache.Hit, "hit; ttl=60", 42)

		f.memory.Flush()
		f.fetch = personal
		f.get(httpcache.Request{})
		time.Sleep(3 * time.Minute)
		if took := burst(); took != 2*time.Second {
			t.Errorf("forgotten after a while: the burst took %v", took)
		}
	})
}

// Instances do not wait for each other's answers that are too large to share.
func TestTooLargeAnswersAreNotWaitedFor(t *testing.T) {
	server := redistest.Start(t)
	a, _ := startShared(t, server)
	b, _ := startShared(t, server)
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	for _, f := range []*fixture{a, b} {
		f.fetch = func(context.Context) (*httpcache.Response, error) {
			return &httpcache.Response{Body: make([]byte, 1<<20+1)}, nil
		}
		f.expect(f.get(httpcache.Request{}), httpcache.Miss, "fwd=uri-miss; detail=too-large", 1)
		fetch := f.fetch
		f.fetch = func(ctx context.Context) (*httpcache.Response, error) {
			entered <- struct{}{}
			<-leave
			return fetch(ctx)
		}
	}
	ended := make(chan struct{})
	for _, f := range []*fixture{a, b} {
		go func() {
			f.get(httpcache.Request{})
			ended <- struct{}{}
		}()
	}
	<-entered
	<-entered // both at once
	close(leave)
	<-ended
	<-ended
}

// A time after which an answer is made anew holds for what another instance made, too.
func TestLifetimesAreShared(t *testing.T) {
	server := redistest.Start(t)
	a, shared := startShared(t, server)
	a.rule.StatusTTL, a.rule.Jitter = map[int]time.Duration{404: time.Hour}, 0.5
	a.fetch = func(context.Context) (*httpcache.Response, error) { return answer(404), nil }
	a.get(httpcache.Request{})
	written(t, shared, 1)
	ours := a.get(httpcache.Request{})
	b, _ := startShared(t, server)
	b.rule = a.rule
	b.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("must not be asked") }
	b.get(httpcache.Request{})
	theirs := b.get(httpcache.Request{})
	left := func(res *httpcache.Result) (ttl int) {
		if _, err := fmt.Sscanf(header(res).Get("Cache-Status"), "innatural; hit; ttl=%d", &ttl); err != nil {
			t.Error(err)
		}
		return ttl
	}
	if d := left(&ours) - left(&theirs); d < -1 || d > 1 || ours.Status != 404 || theirs.Status != 404 || left(&ours) == 3600 {
		t.Errorf("%v and %v", header(&ours), header(&theirs))
	}
}
