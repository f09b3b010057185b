package cache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// The values of a Cluster lie on all its nodes; everything else is as with one server.
func TestACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	options := cache.RedisOptions{Addresses: cluster.Addresses()[:2], Cluster: true}
	a, b := newInstanceOn(t, options), newInstanceOn(t, options)
	const n = 300
	for i := range n {
		a.shared.Set(t.Context(), fmt.Sprint("{same}", i), []byte("v"), time.Hour, []string{fmt.Sprint("tag", i%2)}, a.shared.Now())
	}
	eventually(t, "the writes", func() bool { return a.shared.Stats().Written == n })
	for _, node := range cluster.Nodes[:3] {
		values, err := node.Client.Keys(t.Context(), prefix+"*same*").Result()
		if err != nil || len(values) < n/6 {
			t.Errorf("%d of %d values on a node, %v", len(values), n, err)
		}
	}
	there := func(i *instance) (found int) {
		for k := range n {
			if _, ok := i.shared.Get(t.Context(), fmt.Sprint("{same}", k)); ok {
				found++
			}
		}
		return found
	}
	if got := there(b); got != n {
		t.Errorf("the other instance reads %d", got)
	}
	if s := b.shared.Stats(); !s.Available || s.Errors != 0 {
		t.Errorf("%+v", s)
	}
	eventually(t, "the keys of all nodes", func() bool { return b.shared.Stats().Keys > n })
	eventually(t, "the message about a purge", func() bool {
		done, err := a.PurgeShared(t.Context(), cache.Purge{Tags: []string{"tag0"}})
		return err == nil && done.Told == 1
	})
	eventually(t, "the purge", func() bool { return there(b) == n/2 })
	if err := a.Cache.Delete(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	if _, err := a.PurgeShared(t.Context(), cache.Purge{All: true}); err != nil || there(a) != 0 {
		t.Errorf("after a flush: %d, %v", there(a), err)
	}
	eventually(t, "the flush", func() bool { return there(b) == 0 })

	// A slot moves: the next read finds the value where it is now.
	a.set(t, "k", "v")
	moveSlot(t, cluster, prefix)
	if got := newInstanceOn(t, options).get("k"); got != "v" {
		t.Errorf("after its slot moved: %s", got)
	}
	b.get("k") // learns of the move
	if s := b.shared.Stats(); !s.Available {
		t.Errorf("a slot that moves is taken for an outage: %+v", s)
	}
}

// moveSlot moves the slot of the only value to another master.
func moveSlot(t *testing.T, cluster *redistest.Cluster, prefix string) {
	t.Helper()
	ctx := t.Context()
	for i, from := range cluster.Nodes[:3] {
		keys, err := from.Client.Keys(ctx, prefix+"*plugin*").Result()
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 0 {
			continue
		}
		to := cluster.Nodes[(i+1)%3]
		slot := from.Client.ClusterKeySlot(ctx, keys[0]).Val()
		source, target := from.Client.ClusterMyID(ctx).Val(), to.Client.ClusterMyID(ctx).Val()
		for _, err := range []error{
			to.Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", source).Err(),
			from.Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", target).Err(),
			from.Client.Do(ctx, "MIGRATE", "127.0.0.1", to.Port, keys[0], 0, 5000).Err(),
			to.Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", target).Err(),
			from.Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", target).Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	t.Fatal("no value")
}

func TestSentinels(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	options := cache.RedisOptions{Addresses: sentinels.Addresses(), Master: redistest.MasterName}
	a, b := newInstanceOn(t, options), newInstanceOn(t, options)
	// So many servers may take long to answer at first.
	eventually(t, "the other instance reads it", func() bool {
		a.set(t, "k", "v")
		return b.get("k") == "v"
	})
	eventually(t, "the other instance deletes it", func() bool { return b.Cache.Delete(t.Context(), "k") == nil })
	eventually(t, "the purge", func() bool { return a.get("k") == "absent" })
}

// A user of an access list, over TLS.
func TestUserAndPassword(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client.ACLSetUser(t.Context(), "shop", "on", ">secret", "~"+prefix+"*", "&"+prefix+"*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	options := cache.RedisOptions{Addresses: []string{server.Address()}, Username: "shop", Password: "secret"}
	a := newInstanceOn(t, options)
	a.set(t, "k", "v") // which needs only the names that begin with the prefix
	options.Password = "wrong"
	if s := newInstanceOn(t, options).shared.Stats(); s.Available {
		t.Error("a wrong password will do")
	}
	members := server.Client.ZRange(t.Context(), prefix+"{log}", 0, -1).Val()
	if !strings.Contains(fmt.Sprint(members), "born") {
		t.Errorf("the log: %v", members)
	}
}
