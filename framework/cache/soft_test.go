package cache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// softPurges are all the ways to purge the key "scope k", which has the tag "t", softly.
var softPurges = map[string]cache.Purge{
	"key":      {Soft: true, Keys: []string{"scope k"}},
	"tag":      {Soft: true, Tags: []string{"other", "t"}},
	"selector": {Soft: true, Selectors: []cache.Selector{{Key: "k"}}},
	"pattern":  {Soft: true, Selectors: []cache.Selector{{Pattern: "*k"}}},
	"prefix":   {Soft: true, Selectors: []cache.Selector{{Prefix: "scope"}}},
	"all":      {Soft: true, All: true},
}

func TestSoftPurgesLeaveValuesStale(t *testing.T) {
	for name, purge := range softPurges {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t, 1<<20)
			began := m.Now()
			put(m, "scope k", "old", "t")
			put(m, "beside", "v")
			done, err := m.PurgeShared(t.Context(), purge)
			if want := map[bool]int{true: 2, false: 1}[purge.All]; err != nil || done.Matched != want {
				t.Errorf("purged %d, %v; want %d", done.Matched, err, want)
			}
			if value, stale, ok := m.Peek("scope k"); !ok || value != "old" || time.Since(stale) > time.Minute || stale.IsZero() {
				t.Errorf("%v, stale since %v, %v", value, stale, ok)
			}
			if _, ok := m.Find("scope k"); ok {
				t.Error("found as if it were fresh")
			}
			if _, stale, ok := m.Peek("beside"); !ok || stale.IsZero() == purge.All {
				t.Errorf("beside it: stale since %v, %v", stale, ok)
			}
			if m.Set("scope k", "late", cache.Entry{TTL: time.Hour, Tags: []string{"t"}, Made: began}) {
				t.Error("stored what was begun before")
			}
			_, first, _ := m.Peek("scope k")
			if done, _ := m.PurgeShared(t.Context(), purge); done.Matched != 0 {
				t.Errorf("purged %d that were stale before", done.Matched)
			}
			if _, again, _ := m.Peek("scope k"); !again.Equal(first) {
				t.Errorf("stale since %v, and not since %v", again, first)
			}
			if !put(m, "scope k", "new", "t") {
				t.Error("not stored after it")
			}
			if value, ok := m.Find("scope k"); !ok || value != "new" {
				t.Errorf("made again: %v", value)
			}
			if _, err := m.PurgeShared(t.Context(), cache.Purge{Tags: []string{"t"}}); err != nil {
				t.Error(err)
			}
			if _, _, ok := m.Peek("scope k"); ok {
				t.Error("a hard purge leaves it")
			}
		})
	}
}

func TestSoftPurgesReachEveryInstance(t *testing.T) {
	server := redistest.Start(t)
	for name, purge := range softPurges {
		t.Run(name, func(t *testing.T) {
			a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
			began := b.shared.Now()
			set := func(i *instance, value string, at cache.Moment) {
				before := i.shared.Stats()
				i.shared.Set(t.Context(), "scope k", []byte(value), time.Hour, []string{"t"}, at)
				eventually(t, "the write", func() bool { return i.shared.Stats().Written > before.Written })
			}
			state := func(i *instance) string {
				found, ok := i.shared.Get(t.Context(), "scope k")
				switch {
				case !ok:
					return "absent"
				case found.Stale.IsZero():
					return "fresh " + string(found.Value)
				case time.Since(found.Stale).Abs() > time.Minute:
					return "stale since " + found.Stale.String()
				}
				return "stale " + string(found.Value)
			}
			set(a, "old", a.shared.Now())
			put(b.Memory, "scope k", "old", "t")
			done, err := a.PurgeShared(t.Context(), purge)
			if err != nil {
				t.Fatal(err)
			}
			if done.Told > 1 {
				t.Errorf("told %d instances of one", done.Told)
			}
			for _, i := range []*instance{a, newInstance(t, server.Address())} {
				if got := state(i); got != "stale old" {
					t.Error(got)
				}
			}
			eventually(t, "the purge on the other instance", func() bool {
				_, stale, ok := b.Peek("scope k")
				return ok && !stale.IsZero() && state(b) == "stale old"
			})
			set(b, "late", began)
			if got := state(a); got != "stale late" {
				t.Errorf("made before the purge, written after it: %s", got)
			}
			set(b, "new", b.shared.Now())
			eventually(t, "the new value", func() bool { return state(a) == "fresh new" && state(b) == "fresh new" })
			if _, err := b.PurgeShared(t.Context(), cache.Purge{Keys: []string{"scope k"}}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a hard purge", func() bool { return state(a) == "absent" && state(b) == "absent" })
		})
	}
}

// The other instance is told when it listens, and it is not counted when it doesn't.
func TestAPurgeTellsHowManyListen(t *testing.T) {
	server := redistest.Start(t)
	a := newInstance(t, server.Address())
	told := func() int {
		done, err := a.PurgeShared(t.Context(), cache.Purge{Tags: []string{"t"}})
		if err != nil {
			t.Fatal(err)
		}
		return done.Told
	}
	eventually(t, "nobody to tell", func() bool { return told() == 0 })
	b, c := newInstance(t, server.Address()), newInstance(t, server.Address())
	eventually(t, "two to tell", func() bool { return told() == 2 })
	b.stop(t)
	eventually(t, "one to tell", func() bool { return told() == 1 })
	c.stop(t)
	eventually(t, "nobody to tell again", func() bool { return told() == 0 })
}

// Keys that are too long for the log are purged like others.
func TestLongKeysArePurged(t *testing.T) {
	server := redistest.Start(t)
	a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
	long, other := strings.Repeat("long ", 1000), strings.Repeat("other ", 1000)
	for _, key := range []string{long, other} {
		a.set(t, key, "v")
		if b.get(key) != "v" {
			t.Fatal("not shared")
		}
	}
	if err := a.Cache.Delete(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the purge", func() bool { return b.get(long) == "absent" })
	if a.get(long) != "absent" || b.get(other) != "v" || newInstance(t, server.Address()).get(long) != "absent" {
		t.Error("purged wrongly")
	}
	members, err := server.Client.ZRange(t.Context(), prefix+"{log}", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range members {
		if len(member) > 300 {
			t.Errorf("a member of %d bytes", len(member))
		}
	}
}

// The log forgets its oldest purges, and what was made before those is void.
func TestTheLogIsBounded(t *testing.T) {
	server := redistest.Start(t)
	a, b := newInstance(t, server.Address()), newInstance(t, server.Address())
	a.set(t, "purged", "old")
	a.set(t, "kept", "v")
	if err := a.Cache.Delete(t.Context(), "purged"); err != nil {
		t.Fatal(err)
	}
	for n := range 21 {
		purge := cache.Purge{}
		for i := range 1000 {
			purge.Tags = append(purge.Tags, fmt.Sprint(n, " ", i))
		}
		if _, err := a.PurgeShared(t.Context(), purge); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := server.Client.ZCard(t.Context(), prefix+"{log}").Result(); err != nil || n > 20_000 || n < 15_000 {
		t.Errorf("a log of %d, %v", n, err)
	}
	for _, key := range []string{"purged", "kept"} {
		eventually(t, "what was made before the floor", func() bool {
			_, here := a.shared.Get(t.Context(), stored(key))
			_, there := b.shared.Get(t.Context(), stored(key))
			_, fresh := newInstance(t, server.Address()).shared.Get(t.Context(), stored(key))
			return !here && !there && !fresh
		})
	}
	a.set(t, "kept", "new")
	eventually(t, "a value after it", func() bool { return b.get("kept") == "new" })
}
