//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// mortal serves at an address, and dies of its hundredth request.
func mortal(address string) {
	var n atomic.Int64
	err := http.ListenAndServe(address, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 100 {
			fmt.Fprintln(os.Stderr, "out of memory")
			os.Exit(7)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// after returns a context that ends when a server has been asked so many times, and the server's address.
func after(t *testing.T, requests int64) (context.Context, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if time.Sleep(5 * time.Millisecond); n.Add(1) == requests {
			cancel()
		}
	}))
	t.Cleanup(s.Close)
	return ctx, s.URL
}

// What an interrupted run has measured is written all the same, and is not taken for a whole run.
func TestAnInterruptedRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	ctx, url := after(t, 100)
	code, out, problems := benchUntil(
		ctx, "run", "--url", url, "--endpoint", "/", "-c", "2", "--duration", "1m", "--warmup", "0s", "--json", file,
	)
	if code != exitInvalid || !strings.Contains(out, "invalid: it was interrupted, after") || !strings.Contains(out, " of 1m0s") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
	d := read(t, file)
	s := d.Series[0]
	if s.Count < 90 || len(s.Blocks) != 1 || s.Blocks[0].Count != s.Count || d.Validity.Valid || s.DurationSeconds > 30 ||
		d.Run.DurationSeconds != s.DurationSeconds || s.Rate < 90/s.DurationSeconds {
		t.Errorf("%+v, validity %+v", s, d.Validity)
	}
	ctx, url = after(t, 20)
	code, out, problems = benchUntil(ctx, "run", "--url", url, "--endpoint", "/", "-c", "2", "--warmup", "1m")
	if code != exitInvalid || out != "" || problems != "bench: interrupted before enough was measured: there is nothing to keep\n" {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// So is what was measured in pairs, as far as they are whole, and enough.
func TestInterruptedTurns(t *testing.T) {
	args := []string{"--endpoint", "/", "-c", "1", "--rounds", "1000", "--block", "20ms", "--settle", "0s"}
	ctx, url := after(t, 100)
	code, out, problems := benchUntil(ctx, append([]string{"ab", "--base", slow(t, time.Millisecond), "--cand", url}, args...)...)
	if code != exitNotComparable || !strings.Contains(out, "overall: regressed") ||
		!strings.Contains(out, "of 1000 rounds: it was interrupted") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
	ctx, url = after(t, 2)
	code, out, problems = benchUntil(ctx, append([]string{"ab", "--base", slow(t, time.Millisecond), "--cand", url}, args...)...)
	if code != exitNotComparable || out != "" || !strings.Contains(problems, "interrupted before enough was measured") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// Turns in which the generator was the limit are shown too, and have no verdict that counts.
func TestInvalidTurns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ab.json")
	code, out, problems := bench(
		t, "ab", "--base", slow(t, 20*time.Millisecond), "--cand", slow(t, 20*time.Millisecond), "--endpoint", "/", "--rate", "200",
		"--connections", "1", "--timeout", "100ms", "--rounds", "6", "--block", "100ms", "--settle", "0s", "--json", file,
	)
	if code != exitNotComparable || !strings.Contains(out, "warning: the base is invalid: ") || !strings.Contains(out, "overall: ") ||
		read(t, file).Comparison == nil {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// A server that was started here and dies says its last words.
func TestAServerThatDies(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	policy := write(t, "p.toml", "version = 1\n[[routes]]\npath = \"/livez\"\nhandler = \"health.live\"\n")
	t.Setenv("MORTAL", "yes")
	code, out, problems := bench(
		t, "ab", "--server", self, "--base-policy", policy, "--cand-policy", policy, "--rate", "100", "--settle", "0s",
	)
	if code != exitFailed || !strings.Contains(problems, "the server ended: exit status 7\nout of memory") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// One that runs elsewhere is a run with errors, which says of which kind; and invalid when it has no figures at all.
func TestAServerThatGoesAway(t *testing.T) {
	for after, want := range map[int64]string{
		50: "failed: GET /: ", // so many were answered
		1:  "invalid: GET /: none of its ",
	} {
		var n atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) > after {
				panic(http.ErrAbortHandler)
			}
		}))
		t.Cleanup(s.Close)
		code, out, problems := bench(t, "run", "--url", s.URL, "--endpoint", "/", "-c", "1", "--duration", "1s", "--warmup", "0s")
		wanted := map[int64]int{50: 0, 1: exitInvalid}[after]
		if code != wanted || !strings.Contains(out, want) || !strings.Contains(out, " network") {
			t.Errorf("after %d requests: exit %d\n%s%s", after, code, out, problems)
		}
	}
}

// Nobody can send two hundred thousand requests a second and take their answers in a test; bench says that it could not.
func TestTooMuch(t *testing.T) {
	code, out, problems := bench(
		t, "run", "--url", slow(t, 0), "--endpoint", "/", "--rate", "200000", "--timeout", "1s", "--duration", "500ms", "--warmup", "0s",
	)
	if code != exitInvalid || !strings.Contains(out, "invalid: ") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}

// What can't be written keeps nothing else from being written, and what was there before stays.
func TestAFullDisk(t *testing.T) {
	page := filepath.Join(t.TempDir(), "a.html")
	code, out, problems := bench(
		t, "run", "--url", slow(t, time.Millisecond), "--endpoint", "/", "-c", "1", "--duration", "200ms", "--warmup", "0s",
		"--json", "/dev/full", "--html", page,
	)
	if code != exitFailed || !strings.Contains(problems, "write /dev/full: ") || !strings.Contains(out, "GET /") ||
		!strings.Contains(contents(t, page), "<svg") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
	old := write(t, "old.json", "old")
	err := writeFile(old, nil, func(w io.Writer, _ *result.Document) error {
		_, err := io.WriteString(w, "half of the n")
		return errors.Join(err, errors.New("disk full"))
	})
	files, _ := os.ReadDir(filepath.Dir(old))
	if err == nil || !strings.Contains(err.Error(), old+": disk full") || contents(t, old) != "old" || len(files) != 1 {
		t.Errorf("%v; the file has %q, beside %v", err, contents(t, old), files)
	}
}

// The name of the host that a server is asked for may be another than that of its address.
func TestHost(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example" {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	}))
	t.Cleanup(s.Close)
	args := []string{"run", "--url", s.URL, "--endpoint", "/", "-c", "1", "--duration", "100ms", "--warmup", "0s"}
	if code, _, problems := bench(t, args...); code != exitFailed || !strings.Contains(problems, "is answered 421") {
		t.Errorf("exit %d\n%s", code, problems)
	}
	if code, out, problems := bench(t, append(args, "-H", "Host: shop.example")...); code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
}
