package httpcache_test

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/framework/httpcache"
)

// record stores a stream of pieces, with a pause before each.
func (f *fixture) record(key string, pause time.Duration, pieces ...string) {
	f.t.Helper()
	r := f.Record(key, &f.rule)
	head := r.Begin(&httpcache.Response{Header: http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-cache"}}})
	if got := head.Get("Cache-Status"); got != "innatural; fwd=uri-miss; detail=stream" {
		f.t.Errorf("Cache-Status %s", got)
	}
	for _, p := range pieces {
		time.Sleep(pause)
		b := []byte(p)
		r.Add(b)
		b[0] = '!' // the handler may use it again
	}
	r.End(f.t.Context(), true)
	r.End(f.t.Context(), false)
}

func (f *fixture) replay(key string) (pieces []string, gaps []time.Duration, header http.Header) {
	stored, ok := f.Replay(f.t.Context(), key, &f.rule)
	if !ok {
		return nil, nil, nil
	}
	for gap, p := range stored.Pieces() {
		pieces, gaps = append(pieces, string(p)), append(gaps, gap)
	}
	header = http.Header{}
	for name, value := range stored.Header() {
		header.Add(name, value)
	}
	return pieces, gaps, header
}

// A replay has the pace of the stream, but no long silences, and ends with its time.
func TestReplaysArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.record("a", 20*time.Millisecond, "1", "2")
		f.record("b", time.Second, "1", "2")
		_, gaps, _ := f.replay("a")
		if !slices.Equal(gaps, []time.Duration{20 * time.Millisecond, 20 * time.Millisecond}) {
			t.Errorf("%v", gaps)
		}
		pieces, gaps, header := f.replay("b")
		if !slices.Equal(gaps, []time.Duration{50 * time.Millisecond, 50 * time.Millisecond}) || !slices.Equal(pieces, []string{"1", "2"}) {
			t.Errorf("%v, %v", pieces, gaps)
		}
		if header.Get("Age") != "2" || header.Get("Cache-Status") != "innatural; hit; ttl=58" || header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%v", header)
		}
		time.Sleep(time.Minute)
		if _, ok := f.Replay(t.Context(), "b", &f.rule); ok {
			t.Error("replayed when it was stale")
		}
		if s := f.Stats(); s.Hits != 2 || s.Misses != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStreamsAreShared(t *testing.T) {
	server := redistest.Start(t)
	a, shared := startShared(t, server)
	a.record("k", 0, "one", "two", "three")
	written(t, shared, 1)
	b, _ := startShared(t, server)
	pieces, _, header := b.replay("k")
	if !slices.Equal(pieces, []string{"one", "two", "three"}) || header.Get("Cache-Status") != "innatural; hit; ttl=60; detail=shared" &&
		header.Get("Cache-Status") != "innatural; hit; ttl=59; detail=shared" {
		t.Errorf("%v, %v", pieces, header)
	}
	if _, _, header = b.replay("k"); header.Get("Cache-Status")[:19] != "innatural; hit; ttl" {
		t.Errorf("%v", header)
	}
}
