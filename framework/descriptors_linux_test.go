package framework_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// TestDescriptorsRunOut takes all the open files that a process may have, by connections that ask nothing: who is connected is
// served on, and once they are gone so is everybody.
func TestDescriptorsRunOut(t *testing.T) {
	const most, connections = 120, 400
	redis := redistest.Start(t)
	for name, c := range map[string]struct {
		env  string
		late bool
	}{
		"known at the start":     {fmt.Sprint(childFiles, "=", most), false}, // so that the server keeps some for itself
		"lowered under the load": {childFiles + "=", true},                   // so that accepting fails
	} {
		t.Run(name, func(t *testing.T) {
			s := startChild(t, "app", redis, 0, c.env)
			files := func() int {
				open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
				if err != nil {
					t.Fatal(err)
				}
				return len(open)
			}
			address := strings.TrimPrefix(s.url, "http://")
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			ask := func(item string) {
				t.Helper()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := fmt.Fprintf(conn, "GET /item/%s HTTP/1.1\r\nHost: h\r\n\r\n", item); err != nil {
					t.Fatal(err)
				}
				line, err := answers.ReadString('\n')
				if err != nil || !strings.Contains(line, " 200 ") {
					t.Fatalf("who is connected gets %q (%v)", line, err)
				}
				for line != "\r\n" {
					if line, err = answers.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := answers.Discard(len(childBody)); err != nil {
					t.Fatal(err)
				}
			}
			ask("before")
			before := files()
			if c.late {
				limit := unix.Rlimit{Cur: most, Max: most}
				if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
					t.Fatal(err)
				}
			}
			var idle []net.Conn
			for range connections {
				if conn, err := net.Dial("tcp", address); err == nil {
					idle = append(idle, conn)
				}
			}
			defer func() {
				for _, conn := range idle {
					conn.Close()
				}
			}()
			enough := most
			if !c.late {
				enough = most - most/10 - 32
			}
			eventually(t, "the connections are taken", func() bool { return files() >= enough })
			if !c.late && files() >= most {
				t.Error("the server has kept none for itself")
			}
			for i := range 20 {
				ask(fmt.Sprint(name[:1], i)) // each made anew, and kept in Redis
			}
			for _, conn := range idle {
				conn.Close()
			}
			eventually(t, "the files are given back", func() bool { return files() <= before+5 })
			eventually(t, "others are served", func() bool {
				res, err := http.Get(s.url + "/item/after")
				if err != nil {
					return false
				}
				res.Body.Close()
				return res.StatusCode == http.StatusOK
			})
			http.DefaultClient.CloseIdleConnections()
		})
	}
}
