package deploy

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// rounds is how often a test of a rollout does what it does; make bench asks for more than one.
func rounds(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("ROLLOUTS"))
	if err != nil {
		return 1
	}
	return n
}

// stopping is what a deployment sets: a grace longer than nginx keeps idle connections, and a drain longer than streams.
var stopping = []string{"POLICY__SERVER__GRACE=4s", "POLICY__SERVER__DRAIN=20s"}

// startModel runs a model whose answers take a second, so that streams are open whenever something happens. It returns what an
// instance must know of it.
func startModel(t *testing.T) []string {
	t.Helper()
	address := frameworktest.FreeAddress(t)
	start(t, nil, filepath.Join(built, "v1", "chatbot"), "model-mock", "--listen", address, "--ttft", "100ms", "--per-token", "25ms",
		"--text", strings.Repeat("Of course. ", 20))
	eventually(t, "the model answers", func() bool { return status("http://"+address+"/v1/models") != 0 })
	return []string{"MODEL_URL=http://" + address + "/v1"}
}

// Two instances behind nginx get a new version one after the other, their policies are loaded again, and the master of their Redis
// dies: under load no request fails, every stream ends whole, and a new instance has what the others made.
func TestARolloutThatNoCustomerNotices(t *testing.T) {
	t.Parallel() // it waits more than it works
	servers := redistest.StartSentinels(t)
	env := append(startModel(t), stopping...)
	env = append(env, "POLICY__CACHE__REDIS__MASTER="+redistest.MasterName,
		"POLICY__CACHE__REDIS__ADDRESSES="+strings.Join(servers.Addresses(), ","))
	shops := []*instance{startShop(t, "v1", "", env...), startShop(t, "v1", "", env...)}
	l := startLoad(t, startNginx(t, shops[0].address, shops[1].address))
	l.await(t, "streams", 2*streamClients)
	for round := range rounds(t) {
		version := []string{"v2", "v1"}[round%2]
		for i, old := range shops {
			warm := "/api/products?language=ar" // which the load does not ask for
			ask(t, "GET", "http://"+shops[1-i].address+warm, "")
			old.stop(t)
			shops[i] = startShop(t, version, old.address, env...)
			if a := ask(t, "GET", "http://"+shops[i].address+warm, ""); !strings.Contains(a.header.Get("Cache-Status"), "hit") ||
				!strings.Contains(a.header.Get("Cache-Status"), "detail=shared") {
				t.Errorf("the first request of a new instance: %s", a.header.Get("Cache-Status"))
			}
			if a := ask(t, "GET", "http://"+shops[i].admin+"/metrics", ""); !strings.Contains(a.body, `version="`+version+`"`) {
				t.Errorf("the new instance is not of version %s", version)
			}
			l.await(t, "streams", streamClients)
		}
		for _, shop := range shops {
			shop.signal(t, syscall.SIGHUP)
		}
		l.await(t, "gets", 50)
		if round == 0 { // Sentinels have one other master to name
			servers.Master.Kill()
			servers.Await(t)
		}
		l.await(t, "streams", 2*streamClients)
	}
	l.stop()
	l.faultless(t)
	for i, shop := range shops {
		if a := ask(t, "GET", "http://"+shop.admin+"/metrics", ""); !strings.Contains(a.body, "policy_last_reload_success 1") {
			t.Errorf("instance %d has not loaded its policy again", i)
		}
	}
}

// Each process hands its sockets over to the next, whose binary is another one; nobody notices.
func TestProcessesHandOverTheirSockets(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	binary := filepath.Join(dir, "chatbot")
	install := func(version string) {
		t.Helper()
		if err := os.Symlink(filepath.Join(built, version, "chatbot"), binary+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(binary+".new", binary); err != nil {
			t.Fatal(err)
		}
	}
	install("v1")
	systemd := listenManager(t)
	address, admin := frameworktest.FreeAddress(t), frameworktest.FreeAddress(t)
	env := append(append(startModel(t), stopping...), "NOTIFY_SOCKET="+systemd.path, "WATCHDOG_USEC=3000000",
		"POLICY__SERVER__LISTEN="+address, "POLICY__SERVER__ADMIN__LISTEN="+admin, "POLICY__LOG__ACCESS__ENABLED=false")
	p := start(t, env, binary, "serve", "--policy", policy)
	systemd.await(t, "READY=1")
	pid := p.cmd.Process.Pid
	l := startLoad(t, "http://"+address)
	connecting := startConnecting(t, address)
	for round := range 2 + rounds(t) {
		l.await(t, "streams", streamClients)
		version := []string{"v2", "v1"}[round%2]
		install(version)
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		next, err := strconv.Atoi(systemd.await(t, "MAINPID=")) // from then on the old one takes nothing new
		if err != nil || next == pid {
			t.Fatalf("the new process is %d: %v", next, err)
		}
		t.Cleanup(func() { _ = syscall.Kill(next, syscall.SIGKILL) })
		old := pid
		eventually(t, "the old process ends", func() bool { return ended(old) })
		if a := ask(t, "GET", "http://"+admin+"/metrics", ""); !strings.Contains(a.body, `version="`+version+`"`) {
			t.Errorf("the new process is not of version %s", version)
		}
		pid = next
	}
	// Once the process that it came from is gone, the latest one serves alone: its watchdog and its reload are what systemd sees.
	systemd.await(t, "WATCHDOG=1")
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	systemd.await(t, "RELOADING=1\nMONOTONIC_USEC=")
	systemd.await(t, "READY=1")
	l.stop()
	connecting()
	l.faultless(t)

	// A binary that cannot serve changes nothing.
	if err := os.WriteFile(binary+".new", []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(binary+".new", binary); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that is logged", func() bool { return strings.Contains(p.said(), "Not handed over, this process goes on") })
	if got := status("http://" + address + "/api/health"); got != http.StatusOK {
		t.Errorf("after a hand-over that failed: %d", got)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	systemd.await(t, "STOPPING=1")
	eventually(t, "it ends", func() bool { return ended(pid) })
}

// ended says whether a process has, which nobody may have waited for.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat[strings.LastIndexByte(string(stat), ')'):]), ") Z")
}

// startConnecting asks on ever new connections, which SO_REUSEPORT would reset now and then, until the function it returns is called.
func startConnecting(t *testing.T, address string) (stop func()) {
	t.Helper()
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-end:
				t.Logf("%d connections", n)
				return
			case <-time.After(time.Millisecond):
			}
			if got := status("http://" + address + "/api/products?language=fr"); got != http.StatusOK {
				t.Errorf("a new connection: %d", got)
				return
			}
		}
	}()
	return func() {
		close(end)
		<-done
	}
}

// manager stands in systemd's place and hears what processes tell it.
type manager struct {
	path string
	conn *net.UnixConn
}

func listenManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{path: filepath.Join(dir, "notify")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// await waits for a message that begins so, and returns the rest of its line.
func (m *manager) await(t *testing.T, begin string) string {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); ; {
		n, err := m.conn.Read(b)
		if err != nil {
			t.Fatalf("no %s: %v", begin, err)
		}
		if rest, ok := strings.CutPrefix(string(b[:n]), begin); ok {
			line, _, _ := strings.Cut(rest, "\n")
			return line
		}
	}
}
