package httpcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/encoding"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/httpcache"
)

// startBest returns a cache that compresses what is asked for again at the best level.
func startBest(t *testing.T) *fixture {
	t.Helper()
	f := start(t)
	best, err := encoding.New(encoding.Best, 1<<10, []string{"br", "zstd", "gzip"})
	if err != nil {
		t.Fatal(err)
	}
	f.rule.Best = best
	f.fetch = func(context.Context) (*httpcache.Response, error) { return varied(), nil }
	return f
}

// varied is an answer whose body leaves something to the better levels.
func varied() *httpcache.Response {
	resp := answer(http.StatusOK)
	var b bytes.Buffer
	for i := range 400 {
		fmt.Fprintf(&b, `{"id":"inn-%d","name":"Huile %d","price":%d.%02d,"stock":%t},`, i*7919%1000, i*31%97, i*13%200, i*i%100, i%3 == 0)
	}
	resp.Body = b.Bytes()
	return resp
}

// untilBest asks until the variant of a coding is that of the best level.
func (f *fixture) untilBest(coding string) httpcache.Result {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		res := f.get(httpcache.Request{AcceptEncoding: coding})
		if strings.HasSuffix(header(&res).Get("ETag"), `-best"`) {
			return res
		}
		if time.Now().After(end) {
			f.t.Fatalf("%s is still %s", coding, header(&res).Get("ETag"))
		}
	}
}

// R1: quickly at first, and once more when it is asked for again. RFC 9110, section 8.8.3: other bytes, another tag.
func TestBestCompression(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		f := startBest(t)
		first := f.get(httpcache.Request{AcceptEncoding: coding})
		quick := header(&first).Get("ETag")
		before := f.memory.Stats().Bytes
		after := f.untilBest(coding)
		best := header(&after).Get("ETag")
		if len(after.Body) >= len(first.Body) || decode(t, coding, after.Body) != string(varied().Body) || best == quick {
			t.Errorf("%s: %d bytes and %s became %d and %s", coding, len(first.Body), quick, len(after.Body), best)
		}
		if h := header(&after); h.Get("Content-Encoding") != coding || h.Get("Vary") != "Accept-Encoding" || after.Outcome != httpcache.Hit {
			t.Errorf("%s: %s %v", coding, after.Outcome, h)
		}
		saved := int64(len(first.Body) - len(after.Body))
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			got := before - f.memory.Stats().Bytes
			if off := got - saved; -512 < off && off < 512 { // allocations come in sizes
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d bytes less, accounted as %d", coding, saved, got)
			}
		}
		for name, test := range map[string]struct {
			tag    string
			status int
		}{
			"8.8.3: the tag of the bytes":                      {best, 304},
			"12.1: the tag of the variant that the client has": {quick, 304},
			"the tag of another coding":                        {strings.Replace(best, "-best", "x-best", 1), 200},
		} {
			res := f.get(httpcache.Request{AcceptEncoding: coding, IfNoneMatch: test.tag})
			if res.Status != test.status || res.Status == 304 && header(&res).Get("ETag") != test.tag {
				t.Errorf("%s: %s: %d %v", coding, name, res.Status, header(&res))
			}
		}
		// A client may have the best variant of an answer that was made anew since.
		f.memory.Flush()
		f.get(httpcache.Request{AcceptEncoding: coding})
		if res := f.get(httpcache.Request{AcceptEncoding: coding, IfNoneMatch: best}); res.Status != 304 || header(&res).Get("ETag") != best {
			t.Errorf("%s: made anew: %d %v", coding, res.Status, header(&res))
		}
		if res := f.get(httpcache.Request{Range: "bytes=0-9"}); string(res.Body) != string(varied().Body[:10]) {
			t.Errorf("parts are those of the plain body: %s", res.Body)
		}
	}
}

func TestFewHitsAreNotWorthTheBestLevel(t *testing.T) {
	f := startBest(t)
	plain := startBest(t)
	plain.rule.Best = nil
	for f, hits := range map[*fixture]int{f: 4, plain: 100} {
		for range hits {
			f.get(httpcache.Request{AcceptEncoding: "br"})
		}
		if err := f.Close(t.Context()); err != nil { // waits for what is under way
			t.Fatal(err)
		}
		if res := f.get(httpcache.Request{AcceptEncoding: "br"}); strings.Contains(header(&res).Get("ETag"), "best") {
			t.Error("compressed once more")
		}
	}
}

// What one instance has compressed the others need not, and a new answer is compressed as the one before it was asked for.
func TestVariantsAreSharedAndKept(t *testing.T) {
	server := redistest.Start(t)
	variants := func(f *fixture, layer string) string {
		t.Helper()
		req := httpcache.Request{Method: http.MethodGet}
		var names []string
		for _, stored := range f.Inspect(t.Context(), "k", &f.rule, &req).Stored {
			if stored.Layer == layer {
				for _, v := range stored.Variants {
					names = append(names, v.Encoding+strings.TrimPrefix(v.ETag[strings.LastIndex(v.ETag, "-"):], "-"))
				}
			}
		}
		return strings.Join(names, " ")
	}
	a, shared := startShared(t, server)
	a.rule = startBest(t).rule
	a.rule.StaleWhileRevalidate = time.Hour
	a.fetch = func(context.Context) (*httpcache.Response, error) { return varied(), nil }
	a.get(httpcache.Request{AcceptEncoding: "br"})
	written(t, shared, 1)
	b, _ := startShared(t, server)
	b.rule = a.rule
	b.fetch = func(context.Context) (*httpcache.Response, error) { return nil, errors.New("must not be asked") }
	if got := variants(b, "redis"); !strings.HasSuffix(got, `brbr"`) {
		t.Errorf("Redis holds %s", got)
	}
	ours, there := a.get(httpcache.Request{AcceptEncoding: "br"}), b.get(httpcache.Request{AcceptEncoding: "br"})
	if !bytes.Equal(ours.Body, there.Body) || header(&ours).Get("ETag") != header(&there).Get("ETag") {
		t.Error("not the same variant")
	}
	best := a.untilBest("br")
	written(t, shared, 2)
	if got := variants(b, "redis"); !strings.HasSuffix(got, `brbest"`) {
		t.Errorf("Redis holds %s", got)
	}
	c, _ := startShared(t, server)
	c.rule = a.rule
	if res := c.get(httpcache.Request{AcceptEncoding: "br"}); !bytes.Equal(res.Body, best.Body) || res.Outcome != httpcache.Hit {
		t.Errorf("%s of %d bytes, not the %d of the best level", res.Outcome, len(res.Body), len(best.Body))
	}

	d := startBest(t)
	d.rule.TTL, d.rule.StaleWhileRevalidate = 50*time.Millisecond, time.Hour
	d.get(httpcache.Request{AcceptEncoding: "gzip"})
	time.Sleep(60 * time.Millisecond)
	d.rule.TTL = time.Hour
	d.get(httpcache.Request{}) // stale, made anew behind it
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := variants(d, "memory"); !strings.Contains(got, "gzip") || d.calls.Load() != 2 {
		t.Errorf("after %d calls memory holds %s", d.calls.Load(), got)
	}
}

// A body that fills what an answer may have is shared without its variants.
func TestVariantsLeaveRoom(t *testing.T) {
	server := redistest.Start(t)
	a, shared := startShared(t, server)
	a.rule.MaxEntry = len(varied().Body) + 10
	a.fetch = func(context.Context) (*httpcache.Response, error) { return varied(), nil }
	a.get(httpcache.Request{AcceptEncoding: "br"})
	written(t, shared, 1)
	req := httpcache.Request{Method: http.MethodGet}
	for _, stored := range a.Inspect(t.Context(), "k", &a.rule, &req).Stored {
		if want := map[string]int{"memory": 2, "redis": 1}[stored.Layer]; len(stored.Variants) != want {
			t.Errorf("%s: %+v", stored.Layer, stored.Variants)
		}
	}
}
