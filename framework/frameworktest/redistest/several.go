package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// nodeTimeout is after how many milliseconds a silent server counts as dead.
const nodeTimeout = 500

// Cluster is a Redis Cluster of three masters, which have a third of the slots each, and a replica of each.
type Cluster struct {
	Nodes []*Server // the masters, then their replicas in the same order
}

// StartCluster starts a Cluster, which is killed at the end of the test.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range 6 {
		c.Nodes = append(c.Nodes, Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.Itoa(nodeTimeout),
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"))
	}
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, node := range c.Nodes {
		if i < 3 {
			must(node.Client.ClusterAddSlotsRange(ctx, i*16384/3, (i+1)*16384/3-1).Err())
		}
		must(node.Client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		must(node.Client.ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(c.Nodes[0].Port)).Err())
	}
	for i, node := range c.Nodes {
		node.await("it knows all nodes", func() bool { return strings.Contains(node.clusterInfo(), "cluster_known_nodes:6") })
		if i >= 3 {
			id, err := c.Nodes[i-3].Client.ClusterMyID(ctx).Result()
			must(err)
			node.await("it replicates", func() bool { return node.Client.ClusterReplicate(ctx, id).Err() == nil })
		}
	}
	c.Await(t)
	for i, node := range c.Nodes[3:] {
		node.await("it has its master's data", func() bool {
			info, _ := node.Client.Info(ctx, "replication").Result()
			return strings.Contains(info, "master_link_status:up") && strings.Contains(info, fmt.Sprint("master_port:", c.Nodes[i].Port))
		})
	}
	return c
}

// Await waits until all slots are served, in the eyes of every node that runs, but for one that is not asked, if given.
func (c *Cluster) Await(t testing.TB, without ...*Server) {
	t.Helper()
	for _, node := range c.Nodes {
		if node.command == nil || slices.Contains(without, node) {
			continue
		}
		node.await("the cluster serves", func() bool {
			info := node.clusterInfo()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
}

// Addresses returns host and port of every node.
func (c *Cluster) Addresses() []string { return addresses(c.Nodes) }

func (s *Server) clusterInfo() string { return s.Client.ClusterInfo(context.Background()).Val() }

func addresses(servers []*Server) (all []string) {
	for _, s := range servers {
		all = append(all, s.Address())
	}
	return all
}

// Sentinels are a master, two replicas, and three Sentinels who watch them.
type Sentinels struct {
	Master    *Server
	Replicas  []*Server
	Sentinels []*Server
}

// MasterName is the name by which Sentinels know the master.
const MasterName = "shop"

// StartSentinels starts them; they are killed at the end of the test.
func StartSentinels(t testing.TB) *Sentinels {
	t.Helper()
	replication := []string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}
	s := &Sentinels{Master: Start(t, replication...)}
	for range 2 {
		replica := Start(t, replication...)
		replica.ReplicateFrom(s.Master)
		s.Replicas = append(s.Replicas, replica)
	}
	for range 3 {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		config := fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2\nsentinel down-after-milliseconds %[1]s %[3]d\n"+
			"sentinel failover-timeout %[1]s 3000\n", MasterName, s.Master.Port, nodeTimeout)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Sentinels = append(s.Sentinels, Start(t, file, "--sentinel"))
	}
	for _, sentinel := range s.Sentinels {
		sentinel.await("it knows all", func() bool {
			master := sentinel.master()
			return master["num-slaves"] == "2" && master["num-other-sentinels"] == "2"
		})
	}
	return s
}

// Addresses returns host and port of every Sentinel.
func (s *Sentinels) Addresses() []string { return addresses(s.Sentinels) }

// Await waits until every Sentinel names another master than the one that began, and that one is writable.
func (s *Sentinels) Await(t testing.TB) {
	t.Helper()
	for _, sentinel := range s.Sentinels {
		sentinel.await("it names another master", func() bool {
			port := sentinel.master()["port"]
			return port != strconv.Itoa(s.Master.Port) && s.writable(port)
		})
	}
}

func (s *Sentinels) writable(port string) bool {
	for _, replica := range s.Replicas {
		if strconv.Itoa(replica.Port) == port {
			return replica.Client.Set(context.Background(), "redistest", "v", 0).Err() == nil
		}
	}
	return false
}

// master returns what a Sentinel knows of the master.
func (s *Server) master() map[string]string {
	about := redis.NewMapStringStringCmd(context.Background(), "SENTINEL", "MASTER", MasterName)
	_ = s.Client.Process(context.Background(), about) // no answer is an empty one
	return about.Val()
}
