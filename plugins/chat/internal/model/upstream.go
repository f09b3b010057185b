package model

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework/telemetry"
)

// upstream is one server of models.
type upstream struct {
	Upstream
	name     string
	endpoint *url.URL
	client   *http.Client
	direct   *direct // nil where net/http asks
	asked    asked   // there
	gate     *gate
	breaker  breaker
}

// attempt is one request to an upstream.
type attempt struct {
	*upstream
	firstToken time.Duration // longest time to it
	stall      time.Duration
	say        func(text string) error
	begun      atomic.Bool // the first token has come
	silence    *time.Timer // ends the attempt

	said       int // bytes of text
	chunks     int
	firstAfter time.Duration
	usage      *Usage // as the upstream counted
	finish     string
}

// run sends a request and passes the text of the answer on as it comes.
func (a *attempt) run(ctx context.Context, r Request, temperature float64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	a.silence = time.AfterFunc(a.firstToken, func() {
		if a.begun.Load() {
			cancel(errStalled)
		} else {
			cancel(errFirstToken)
		}
	})
	defer a.silence.Stop()
	response, err := a.send(ctx, r, temperature)
	if err != nil {
		return a.explain(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	if f := refusal(response); f != nil {
		return f
	}
	response.Header = nil // it has been read, and the answer may take minutes
	if err := a.read(newEventReader(response.Body), began); err != nil {
		return a.explain(ctx, err)
	}
	if own, ok := response.Body.(*directBody); ok {
		own.endLater()
		return nil
	}
	// What follows the end of the answer is the end of the connection's use, unless the upstream keeps it.
	a.silence.Reset(patience)
	_, _ = io.CopyN(io.Discard, response.Body, maxLine)
	return nil
}

// patience is how long an upstream may take to end its answer after the last event.
const patience = 20 * time.Millisecond

func (a *attempt) send(ctx context.Context, r Request, temperature float64) (*http.Response, error) {
	b := &body{
		Model: a.Model, Messages: r.Messages, MaxTokens: r.MaxTokens, Temperature: temperature, Stop: r.Stop, Stream: true,
	}
	if !a.NoUsage {
		b.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	buf := bodies.Get().(*bytes.Buffer) //nolint:forcetypeassert // the pool holds nothing else
	defer bodies.Put(buf)
	buf.Reset()
	if err := json.NewEncoder(buf).Encode(b); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	buf.Truncate(buf.Len() - 1) // the line feed
	if a.direct != nil {
		return a.direct.do(ctx, a.asked, buf.Bytes())
	}
	request, err := a.request(ctx)
	if err != nil {
		return nil, err
	}
	request.Body = &sent{bytes.NewReader(bytes.Clone(buf.Bytes()))}
	request.ContentLength = int64(buf.Len())
	request.GetBody = func() (io.ReadCloser, error) { // for a connection that was closed just then
		data, err := json.Marshal(b)
		return &sent{bytes.NewReader(data)}, err
	}
	telemetry.Propagate(ctx, request.Header)
	response, err := a.client.Do(request)
	b.Messages = nil // which the request still holds; its answer may take minutes
	return response, err
}

// request returns a request without its body.
func (u *upstream) request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.endpoint.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("User-Agent", "innatural-chatbot")
	if key := u.Key.Reveal(); key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	return request, nil
}

// bodies are of requests that are being sent.
var bodies = sync.Pool{New: func() any { return &bytes.Buffer{} }}

// sent is a body that is let go once it is sent, while its answer may take minutes.
type sent struct{ *bytes.Reader }

// Close implements io.Closer.
func (s *sent) Close() error {
	s.Reset(nil)
	return nil
}

// read reads the events of an answer.
func (a *attempt) read(events *eventReader, began time.Time) error {
	var decoder decoder
	for {
		data, err := events.next()
		switch {
		case errors.Is(err, io.EOF) && a.finish != "", err == nil && string(data) == "[DONE]" && a.finish != "":
			return a.complete()
		case errors.Is(err, io.EOF), err == nil && string(data) == "[DONE]":
			return &Failure{Reason: Interrupted, Err: errors.New("the answer ended without a reason to finish")}
		case errors.Is(err, errLine), errors.Is(err, errEvent), errors.Is(err, errStream):
			return &Failure{Reason: BadResponse, Err: err}
		case err != nil:
			return err
		}
		c, text, finish, err := decoder.decode(data)
		if err != nil {
			return &Failure{Reason: BadResponse, Err: err}
		}
		if c.Usage != nil {
			a.usage = &Usage{Input: c.Usage.Prompt, Output: c.Usage.Completion}
		}
		if finish != "" {
			a.finish = finish
		}
		if text == "" {
			if a.begun.Load() {
				a.silence.Reset(a.stall)
			}
			continue
		}
		a.silence.Stop() // it is the customer who may be slow now
		if a.begun.CompareAndSwap(false, true) {
			a.firstAfter = time.Since(began)
		}
		a.said += len(text)
		a.chunks++
		if err := a.say(text); err != nil {
			return &saidError{err}
		}
		a.silence.Reset(a.stall)
	}
}

// complete judges an answer that has ended in good form.
func (a *attempt) complete() error {
	switch {
	case a.finish == "tool_calls" || a.finish == "function_call":
		return &Failure{Reason: BadResponse, Err: errors.New("the model called a tool, and there is none")}
	case a.finish == "content_filter":
		return &Failure{Reason: BadResponse, Err: errors.New("the upstream filtered the answer"), permanent: true, innocent: true}
	case a.said == 0:
		return &Failure{Reason: BadResponse, Err: errors.New("the answer is empty")}
	case a.finish != "length":
		a.finish = "stop"
	}
	return nil
}

// saidError is the error of who takes the text. It says nothing of the upstream.
type saidError struct{ error }

// explain turns the error of a connection into what it means.
func (a *attempt) explain(ctx context.Context, err error) error {
	var f *Failure
	var said *saidError
	if errors.As(err, &f) || errors.As(err, &said) {
		return err
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errFirstToken):
		return &Failure{Reason: FirstToken, Err: cause, overloaded: true}
	case errors.Is(cause, errStalled):
		return &Failure{Reason: Stalled, Err: cause}
	case errors.Is(cause, errTimeout):
		return &Failure{Reason: Timeout, Err: cause, innocent: true}
	case cause != nil:
		return &saidError{cause} // the customer has left
	case a.begun.Load():
		return &Failure{Reason: Interrupted, Err: err}
	}
	return &Failure{Reason: Unavailable, Err: err}
}

// refusal reads an answer that is none.
func refusal(r *http.Response) *Failure {
	if r.StatusCode == http.StatusOK {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if kind == "text/event-stream" {
			return nil
		}
		return &Failure{Reason: BadResponse, Err: fmt.Errorf("the upstream answered %.60q in place of a stream of events", kind)}
	}
	const most = 8 << 10
	data, _ := io.ReadAll(io.LimitReader(r.Body, most))
	var told struct {
		Error json.RawMessage `json:"error"`
	}
	code := ""
	if json.Unmarshal(data, &told) == nil && len(told.Error) > 0 {
		code = " " + errorCode(told.Error)
	}
	f := &Failure{
		Reason: Unavailable, Err: fmt.Errorf("the upstream answered %d%s", r.StatusCode, code), RetryAfter: retryAfter(r.Header),
	}
	switch s := r.StatusCode; {
	case s == http.StatusTooManyRequests:
		f.overloaded, f.innocent = true, true // the gate answers for it, not the breaker
	case s >= http.StatusInternalServerError:
		f.overloaded = true
	case s == http.StatusBadRequest, s == http.StatusRequestEntityTooLarge, s == http.StatusUnprocessableEntity:
		f.permanent, f.innocent = true, true
	case s != http.StatusRequestTimeout && s != http.StatusConflict:
		f.permanent = true
	}
	return f
}

// retryAfter reads how long an upstream wants to be left alone (RFC 9110, section 10.2.3, and its form in milliseconds).
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < 1e9 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	value := h.Get("Retry-After")
	if s, err := strconv.Atoi(value); err == nil && s > 0 && s < 1e6 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
