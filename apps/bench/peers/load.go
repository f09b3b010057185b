//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/apps/bench/internal/process"
)

// load is an order to the load generator: every connection sends the request again as soon as it is answered.
type load struct {
	Address     string
	Request     []byte
	Status      int // that every answer must have
	Connections int
	Duration    time.Duration
}

// loaded is what came of it.
type loaded struct {
	Requests int64 // answered as they should
	Errors   int64 // answered otherwise, or not
	Elapsed  time.Duration
}

// answerTimeout bounds the wait for one answer.
const answerTimeout = 5 * time.Second

// run has another process load the address, so that the generator's work is not charged to anybody measured.
func (l load) run(ctx context.Context) (loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Duration+2*answerTimeout)
	defer cancel()
	order, err := json.Marshal(l)
	if err != nil {
		return loaded{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return loaded{}, fmt.Errorf("find own program: %w", err)
	}
	c := exec.CommandContext(ctx, self, roleLoad)
	c.Stdin = bytes.NewReader(order)
	c.Stderr = os.Stderr
	c.SysProcAttr = process.OwnGroup()
	out, err := c.Output()
	if err != nil {
		return loaded{}, fmt.Errorf("load %s: %w", l.Address, err)
	}
	var done loaded
	if err := json.Unmarshal(out, &done); err != nil {
		return loaded{}, fmt.Errorf("read what the load generator says: %w", err)
	}
	if done.Requests == 0 {
		return done, fmt.Errorf("load %s: no answer", l.Address)
	}
	return done, nil
}

// serveLoad is the load generator's process. It leaves a core to the server.
func serveLoad(in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(1)
	var l load
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	var done loaded
	var wait sync.WaitGroup
	start := time.Now()
	for range l.Connections {
		wait.Go(func() {
			if err := l.connection(start.Add(l.Duration), &done.Requests); err != nil {
				atomic.AddInt64(&done.Errors, 1)
			}
		})
	}
	wait.Wait()
	done.Elapsed = time.Since(start)
	return json.NewEncoder(out).Encode(done)
}

// connection asks until a time, and ends at the first error.
func (l load) connection(until time.Time, answered *int64) error {
	conn, err := net.DialTimeout("tcp", l.Address, answerTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(until.Add(answerTimeout)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	var res fasthttp.Response
	for time.Now().Before(until) {
		if _, err := conn.Write(l.Request); err != nil {
			return err
		}
		if err := res.Read(r); err != nil {
			return err
		}
		if res.StatusCode() != l.Status {
			return fmt.Errorf("answered %d", res.StatusCode())
		}
		if res.ConnectionClose() {
			return errors.New("closed")
		}
		atomic.AddInt64(answered, 1)
	}
	return nil
}
