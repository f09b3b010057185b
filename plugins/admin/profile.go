package admin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"

	"github.com/innatural/chatbot/framework"
)

// The times that a profile takes in which something is watched, in seconds.
const (
	usualSeconds = 10
	mostSeconds  = 60
)

// profile answers with a profile of the process, as go tool pprof reads it: by the name of one of runtime/pprof, or "profile" for CPU
// time, or "trace" for what go tool trace reads. The last two take the time that the parameter seconds says, at most a minute, and the
// route's timeout must allow it.
func profile(ctx context.Context, req *framework.Request) (*framework.Response, error) {
	name := req.Param("*")
	var out bytes.Buffer
	switch name {
	case "profile":
		return watch(ctx, req, &out, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case "trace":
		return watch(ctx, req, &out, trace.Start, trace.Stop)
	}
	of := pprof.Lookup(name)
	if of == nil {
		return nil, framework.NotFound("there is no profile of this name; there are allocs, block, goroutine, heap, mutex, profile, " +
			"threadcreate and trace")
	}
	debug, _ := strconv.Atoi(req.Query("debug")) // what is no number is 0: the form for programs
	if err := of.WriteTo(&out, debug); err != nil {
		return nil, err
	}
	if debug > 0 {
		return framework.Bytes("text/plain; charset=utf-8", out.Bytes()), nil
	}
	return framework.Bytes("application/octet-stream", out.Bytes()), nil
}

// watch runs for some seconds what one at a time may run in a process.
func watch(
	ctx context.Context, req *framework.Request, out *bytes.Buffer, start func(io.Writer) error, stop func(),
) (*framework.Response, error) {
	seconds := usualSeconds
	if text := req.Query("seconds"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 1 || seconds > mostSeconds {
			return nil, framework.BadRequest("seconds is a whole number from 1 to " + strconv.Itoa(mostSeconds))
		}
	}
	if err := start(out); err != nil {
		return nil, &framework.Error{Status: http.StatusConflict, Code: "profile_runs", Message: "another profile is being taken", Err: err}
	}
	defer func() { stop() }()
	timer := time.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	stop()
	stop = func() {}
	return framework.Bytes("application/octet-stream", out.Bytes()), nil
}
