package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/httpcache"
)

// What clients make up, and nobody asks for again, does not push out what is asked for: not even
// enough values of a declared parameter to fill the memory many times.
func TestJunkDoesNotPushOutWhatIsUsed(t *testing.T) {
	memory, err := cache.NewMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	c := httpcache.New(memory, "innatural")
	defer func() {
		if err := errors.Join(c.Close(context.Background()), memory.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}()
	rule := httpcache.Rule{TTL: 1 << 40, MaxEntry: 1 << 20, Encoder: encoder(t)}
	ask := func(value string) httpcache.Outcome {
		key := httpcache.Key{Method: http.MethodGet, Path: "/api/products", Query: []httpcache.Input{{Name: "q", Value: value}}}
		res, err := c.Do(t.Context(), key.String(), &rule, &httpcache.Request{Method: http.MethodGet},
			func(context.Context) (*httpcache.Response, error) {
				return answer(http.StatusOK), nil
			})
		if err != nil {
			t.Fatal(err)
		}
		return res.Outcome
	}
	const useful = 40
	use := func() (hits int) {
		for i := range useful {
			if ask(fmt.Sprint("useful ", i)) == httpcache.Hit {
				hits++
			}
		}
		return hits
	}
	for range 5 {
		use()
	}
	hits, asked := 0, 0
	for i := range 3000 {
		ask(fmt.Sprint("junk ", i))
		if i%200 == 199 { // more than the memory holds: of the least recently used, nothing would be left
			hits, asked = hits+use(), asked+useful
		}
	}
	if hits*4 < asked*3 {
		t.Errorf("among 3000 junk values %d of %d useful requests were hits", hits, asked)
	}
}

// A key that is longer than anything worth storing goes past the cache.
func TestLongKeysAreNotStored(t *testing.T) {
	f := start(t)
	for calls := int32(1); calls <= 2; calls++ {
		res, err := f.do(t.Context(), strings.Repeat("k", 1025), httpcache.Request{})
		if err != nil {
			t.Fatal(err)
		}
		f.expect(res, httpcache.Bypass, "fwd=bypass; detail=key-too-long", calls)
	}
	if _, err := f.do(t.Context(), strings.Repeat("k", 1024), httpcache.Request{}); err != nil || f.memory.Stats().Keys != 1 {
		t.Errorf("%d keys, %v", f.memory.Stats().Keys, err)
	}
}
