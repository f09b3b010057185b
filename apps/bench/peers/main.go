//go:build linux

// Command peers measures what one cached answer costs this server and its peers, in CPU time: bare Fiber, nginx, Varnish and
// Express. make bench-peers installs what is missing and runs it.
//
// Throughput on a machine that the load generator shares says little. So the measure is the time that the kernel charges to the
// server's processes, user and system, over the requests that they answered meanwhile. The peers are loaded one after another in
// each of several rounds, so that a drift of the machine falls on all of them alike, and compared within a round: the table shows
// the median of the rounds' ratios, and their range. Before, every answer is compared: all must send the same content.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Roles in which the program starts itself, as another process.
const (
	roleFiber = "serve-fiber"
	roleLoad  = "load"
)

func run(args []string, in io.Reader, out, problems io.Writer) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == roleFiber:
		err = serveFiber(args[1:])
	case len(args) > 0 && args[0] == roleLoad:
		err = serveLoad(in, out)
	default:
		var o options
		if o, err = parse(args, problems); errors.Is(err, flag.ErrHelp) {
			return 0
		} else if err != nil {
			return 2 // said by parse
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = compare(ctx, o, out)
	}
	if err != nil {
		fmt.Fprintln(problems, "peers:", err)
		return 1
	}
	return 0
}

// options are the flags.
type options struct {
	server      string // the built program
	express     string // the folder of the Express peer, with its modules
	rounds      int
	duration    time.Duration
	connections int
}

func parse(args []string, problems io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&o.server, "server", "bin/chatbot", "`program` to measure, built")
	f.StringVar(&o.express, "express", "bin/peers/express", "`folder` of the Express peer, with its modules installed")
	f.IntVar(&o.rounds, "rounds", 5, "rounds, of every peer once each")
	f.DurationVar(&o.duration, "duration", 2*time.Second, "of the load on a peer in a round")
	f.IntVar(&o.connections, "connections", 32, "kept open under load")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.rounds < 1 || o.duration <= 0 || o.connections < 1 {
		err := errors.New("rounds, duration and connections must be more than none, and there are no arguments beside flags")
		fmt.Fprintln(problems, "peers:", err)
		return o, err
	}
	return o, nil
}
