package framework_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// stampede is how many ask at once. The race detector makes each cost some ten times as much; who makes the answer has to renew its
// lock twice a second among them.
func stampede() int {
	if raceFactor > 1 {
		return 1500
	}
	return 10_000
}

// Ten thousand ask three instances for what nobody has asked for before: the handler runs once.
func TestStampede(t *testing.T) {
	server := redistest.Start(t)
	nodes := []*child{
		startChild(t, "app", server, time.Second), startChild(t, "app", server, time.Second), startChild(t, "app", server, time.Second),
	}
	var answered sync.WaitGroup
	for i := range stampede() {
		node := nodes[i%len(nodes)]
		answered.Go(func() {
			if err := askOnce(node.url, "/item/one"); err != nil {
				t.Error(err)
			}
		})
	}
	answered.Wait()
	if n := calls(nodes); n != 1 {
		t.Errorf("the handler ran %d times", n)
	}
}

// The same, and the instance that makes the answer is killed while all wait. The others answer all who asked them, each within its
// timeout, and one of them makes it.
func TestStampedeWhoseLeaderIsKilled(t *testing.T) {
	server := redistest.Start(t)
	leader := startChild(t, "app", server, time.Minute)
	others := []*child{startChild(t, "app", server, time.Second), startChild(t, "app", server, time.Second)}
	nodes := append(others, leader)
	var answered sync.WaitGroup
	answered.Go(func() { _ = askOnce(leader.url, "/item/one") })
	waitFor(t, "the leader's handler", func() bool { return leader.made.Load() == 1 })
	began := time.Now()
	killed := time.AfterFunc(500*time.Millisecond, leader.kill) // however long it takes to connect all
	defer killed.Stop()
	for i := range stampede() {
		node := nodes[i%len(nodes)]
		answered.Go(func() {
			if err := askOnce(node.url, "/item/one"); err != nil && node != leader {
				t.Error(err)
			}
		})
	}
	answered.Wait()
	took := time.Since(began)
	t.Logf("all were answered after %v: half a second, 2 s of a dead one's lock, 1 s of the handler", took)
	if took > 10*time.Second*raceFactor {
		t.Errorf("all were answered after %v", took)
	}
	if n := calls(others); n != 1 {
		t.Errorf("the handler ran %d times on those who live", n)
	}
}

func calls(nodes []*child) (n int32) {
	for _, node := range nodes {
		n += node.made.Load()
	}
	return n
}

func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not come about: %s", what)
		}
	}
}

// askOnce asks on a connection of its own and checks the answer.
func askOnce(url, path string) error {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != string(childBody)) {
		err = fmt.Errorf("%d with %d bytes", res.StatusCode, len(body))
	}
	return err
}
