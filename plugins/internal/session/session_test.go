package session

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newTestStore(maxBytes int64) *Store[string] {
	return NewStore(maxBytes, time.Hour, func(s string) int { return len(s) })
}

func put(s *Store[string], id, value string) {
	s.Update(id, func(string, bool) string { return value })
}

func TestStoreKeepsAndDeletes(t *testing.T) {
	s := newTestStore(1 << 20)
	if _, ok := s.Get("a"); ok {
		t.Error("an empty store has a value")
	}
	put(s, "a", "one")
	s.Update("a", func(v string, ok bool) string {
		if !ok || v != "one" {
			t.Errorf("Update got %q, %v", v, ok)
		}
		return v + " two"
	})
	if v, ok := s.Get("a"); !ok || v != "one two" {
		t.Errorf("Get = %q, %v", v, ok)
	}
	if !s.Delete("a") || s.Delete("a") {
		t.Error("Delete did not say whether there was a session")
	}
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("after Delete: %d sessions, %d bytes", s.Len(), s.Bytes())
	}
}

func TestStoreDropsTheLeastRecentlyUsed(t *testing.T) {
	s := newTestStore(3 * (overhead + 2 + 100))
	for _, id := range []string{"a", "b", "c"} {
		put(s, id, strings.Repeat("x", 100))
	}
	s.Get("a")
	put(s, "d", strings.Repeat("x", 100))
	for id, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, ok := s.Get(id); ok != want {
			t.Errorf("session %s is held: %v, want %v", id, ok, want)
		}
	}
	put(s, "e", strings.Repeat("x", 10_000))
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("a value larger than the store: %d sessions, %d bytes are left", s.Len(), s.Bytes())
	}
}

func TestStoreForgetsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore(1 << 20)
		put(s, "a", "one")
		put(s, "b", "two")
		time.Sleep(45 * time.Minute)
		s.Get("a")
		time.Sleep(45 * time.Minute)
		if got := s.Values(); !slices.Equal(got, []string{"one"}) {
			t.Errorf("values = %q, want only the one that was used", got)
		}
		time.Sleep(20 * time.Minute)
		if s.Len() != 0 {
			t.Error("Values counted as a use")
		}
	})
}

func TestStoreIsBoundedUnderConcurrency(t *testing.T) {
	const bound = 64 << 10
	s := newTestStore(bound)
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for i := range 500 {
				s.Update(fmt.Sprintf("s%d", (g*31+i)%300), func(v string, _ bool) string { return v + "0123456789" })
				if n := s.Bytes(); n > bound {
					t.Errorf("%d bytes held, more than %d", n, bound)
					return
				}
			}
		})
	}
	wait.Wait()
	total := int64(0)
	for _, v := range s.Values() {
		total += int64(len(v))
	}
	if total == 0 || total > s.Bytes() {
		t.Errorf("values hold %d bytes, the store counts %d", total, s.Bytes())
	}
}

func TestStoreUpdatesOneSessionInTurn(t *testing.T) {
	s := newTestStore(1 << 20)
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() { s.Update("a", func(v string, _ bool) string { return v + "x" }) })
	}
	wait.Wait()
	if v, _ := s.Get("a"); len(v) != 100 {
		t.Errorf("%d of 100 updates are left", len(v))
	}
}
