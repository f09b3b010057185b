//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/cli"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins"
)

// The test program is started again: for the load, as a peer, and as the server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case roleFiber, roleLoad:
			os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		case "serve", "version":
			os.Exit(cli.Main(cli.Program{Name: "chatbot", Version: "1.2.3", Plugins: plugins.Standard()}))
		}
	}
	frameworktest.VerifyNoLeaks(m)
}

// server is this program, which serves when told to.
func server(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// childless checks that nothing that was started is left.
func childless(t *testing.T) {
	t.Helper()
	if left := family(os.Getpid())[1:]; len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

func TestCompare(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	var out, problems bytes.Buffer
	code := run([]string{
		"-server", server(t), "-express", t.TempDir(), "-rounds", "1", "-duration", "50ms", "-connections", "4",
	}, nil, &out, &problems)
	if code != 0 || problems.Len() > 0 {
		t.Errorf("exit %d: %s", code, &problems)
	}
	table := out.String()
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := columns.Split(strings.TrimSpace(line), -1)
		rows[cells[0]] = cells
	}
	for name, want := range map[string]struct{ answer, promise string }{
		"innatural, hit":                   {"200 gzip", "< 1.00: "},
		"innatural, traces, none sampled":  {"200 gzip", ""},
		"innatural, traces of 1 %":         {"200 gzip", ""},
		"bare fiber, the same bytes":       {"200 gzip", "<= 1.00: "},
		"innatural, hit, identity":         {"200 identity", ""},
		"bare fiber, identity":             {"200 identity", "<= 1.00: "},
		"innatural, 304":                   {"304 identity 0", ""},
		"express, compression, node-cache": {"not measured: its modules are not installed", ""},
	} {
		row := rows[name]
		if len(row) < 2 || !strings.HasPrefix(row[1], want.answer) || !strings.Contains(strings.Join(row, " "), want.promise) {
			t.Errorf("%s: %q, want %v", name, row, want)
		} else if strings.HasPrefix(row[1], "not ") {
			continue
		} else if len(row) < 7 || !strings.HasSuffix(row[2], " µs") || row[6] != "0" {
			t.Errorf("%s: %q", name, row)
		}
	}
	for _, name := range []string{"nginx, gzip_static, 1 worker", "nginx, gzip_static, auto workers", "nginx, proxy_cache", "varnish, malloc"} {
		if len(rows[name]) < 2 {
			t.Errorf("%s: %q", name, rows[name])
		}
	}
	if t.Failed() {
		t.Log(table)
	}
	childless(t)
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}

var columns = regexp.MustCompile(` {2,}`)

// Ctrl-C in the middle leaves nothing behind.
func TestCompareIsStopped(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	var out bytes.Buffer
	err := compare(ctx, options{server: server(t), express: t.TempDir(), rounds: 100, duration: time.Second, connections: 4}, &out)
	if err == nil || ctx.Err() == nil {
		t.Errorf("%v\n%s", err, &out)
	}
	childless(t)
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}

func TestLoadCountsWhatIsWrong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = conn.Write([]byte("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno"))
			_ = conn.Close()
		}
	}()
	done, err := load{
		Address: l.Addr().String(), Request: request(l.Addr().String()), Status: 200, Connections: 3, Duration: time.Minute,
	}.run(t.Context())
	if err != nil || done.Requests != 3 || done.Errors != 3 {
		t.Errorf("%+v %v", done, err)
	}
}

func TestAnswersThatCannotBeCompared(t *testing.T) {
	a := answer{Status: 200, Encoding: "gzip", Body: []byte("packed"), Plain: []byte("plain")}
	for _, test := range []struct {
		name  string
		other answer
		exact bool
		same  bool
	}{
		{"the same", a, true, true},
		{"packed otherwise", answer{Status: 200, Encoding: "gzip", Body: []byte("else"), Plain: []byte("plain")}, false, true},
		{"packed otherwise, exact", answer{Status: 200, Encoding: "gzip", Body: []byte("else"), Plain: []byte("plain")}, true, false},
		{"other content", answer{Status: 200, Encoding: "gzip", Body: []byte("packed"), Plain: []byte("other")}, false, false},
		{"not packed", answer{Status: 200, Body: []byte("plain"), Plain: []byte("plain")}, false, false},
		{"an error", answer{Status: 503, Encoding: "gzip", Body: []byte("packed"), Plain: []byte("plain")}, false, false},
	} {
		if err := a.same(test.other, test.exact); (err == nil) != test.same {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestRatio(t *testing.T) {
	us := &row{measured: []measurement{{user: 10}, {user: 12}, {user: 30}}}
	them := &row{against: us, promise: asNginx, measured: []measurement{{system: 10}, {user: 5, system: 5}, {user: 10}}}
	if got, want := ratio(them), "1.20 (1.00 to 3.00)\t<= 1.15: not met\t"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, test := range []struct {
		p     *promise
		ratio float64
		met   bool
	}{{asBareFiber, 1, true}, {asBareFiber, 1.01, false}, {cheaper, 1, false}, {cheaper, 0.99, true}} {
		if test.p.met(test.ratio) != test.met {
			t.Errorf("%v: %v", test.p, test.ratio)
		}
	}
	if median([]float64{4, 1, 3, 2}) != 2.5 {
		t.Error("median")
	}
}

func TestAServerThatDoesNotStart(t *testing.T) {
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(t.Context(), "", address, "sh", "-c", "echo no such luck; exit 3"); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := start(ctx, "", address, "sh", "-c", "sleep 60 & sleep 60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	childless(t)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"x"}, {"-duration", "soon"}} {
		var problems bytes.Buffer
		if code := run(args, nil, &problems, &problems); code != 2 || problems.Len() == 0 {
			t.Errorf("%v: exit %d, %s", args, code, &problems)
		}
	}
}
