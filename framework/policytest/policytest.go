// Package policytest runs the tests that lie beside a policy: each request is sent, over a real socket, to an app that serves
// the policy in this process.
package policytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

// Result is what came of one test.
type Result struct {
	Test        policy.Test
	Differences []string // between what was expected and what came; none is a pass
}

// maxBody bounds what is read of an answer.
const maxBody = 16 << 20

// Run serves the policy that config loads, on a free port of the loopback interface, sends the requests of tests in their
// order, and reports each result as it comes. The tests of one file share one app, and so its cache. The error is of an app
// that could not be built or stopped, or that of ctx.
func Run(ctx context.Context, config framework.Config, tests []policy.Test, report func(Result)) (err error) {
	app, err := framework.New(config)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(fmt.Errorf("listen on loopback: %w", err), app.Close())
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- app.Serve(serving, framework.Listeners{Public: l}) }()
	transport := &http.Transport{DisableCompression: true}
	defer func() {
		transport.CloseIdleConnections()
		stop()
		err = errors.Join(err, <-served)
	}()
	r := runner{
		base:   "http://" + l.Addr().String(),
		policy: app.Policy(),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, test := range tests {
		if err := ctx.Err(); err != nil {
			return err
		}
		report(Result{test, r.differences(ctx, test)})
	}
	return nil
}

// runner sends the requests of tests to one app.
type runner struct {
	base   string
	policy *policy.Policy
	client *http.Client
}

func (r *runner) differences(ctx context.Context, test policy.Test) []string {
	ctx, cancel := context.WithTimeout(ctx, test.Expect.Timeout.D())
	defer cancel()
	start := time.Now()
	got, err := r.send(ctx, test.Request)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return []string{fmt.Sprintf("timeout: want the whole answer within %s, got none after %s",
			test.Expect.Timeout, time.Since(start).Round(time.Millisecond))}
	case err != nil:
		return []string{"answer: want one, got " + err.Error()}
	}
	var d differences
	d.compare(test.Expect, got)
	if want := test.Expect.Route; want != "" {
		path, _, _ := strings.Cut(test.Request.Path, "?")
		route := "none"
		if match := r.policy.Match(test.Request.Method, path); match.Route != nil {
			route = match.Route.Path
		}
		if route != want {
			d.add("route: want %s, got %s", want, route)
		}
	}
	if len(d) > 0 && len(got.body) > 0 {
		d.add("body: %s", abridged(got.body))
	}
	return d
}

// answer is what came for a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (r *runner) send(ctx context.Context, request policy.TestRequest) (answer, error) {
	body := []byte(request.Body)
	if request.JSON != nil {
		var err error
		if body, err = json.Marshal(request.JSON); err != nil {
			return answer{}, fmt.Errorf("encode body: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, request.Method, r.base+request.Path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if request.JSON != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range request.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	response, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	read, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return answer{response.StatusCode, response.Header, read}, err
}

// abridged is the beginning of a body on one line.
func abridged(body []byte) string {
	const most = 600
	text := strings.ToValidUTF8(strings.Join(strings.Fields(string(body[:min(len(body), most)])), " "), "")
	if len(body) > most {
		text += "…"
	}
	return text
}
