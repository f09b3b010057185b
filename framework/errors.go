package framework

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Error is an answer that says what went wrong. A handler returns one to choose status, code and message; any other error
// is answered 500 with a general message, and logged.
type Error struct {
	Status     int           // HTTP status, 400 to 599
	Code       string        // stable, for programs: "invalid_request"
	Message    string        // for people; never an internal text
	Details    []Detail      // what is wrong in which field
	RetryAfter time.Duration // sent as Retry-After when positive
	Final      bool          // the same request would fail again: OpenAI's clients, which repeat some by themselves, do not
	Err        error         // the cause: logged, never sent
}

// Detail is what is wrong with one field.
type Detail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%d %s: %s: %v", e.Status, e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// BadRequest is a 400 with the code invalid_request.
func BadRequest(message string, details ...Detail) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: message, Details: details}
}

// NotFound is a 404 with the code not_found.
func NotFound(message string) *Error {
	return &Error{Status: http.StatusNotFound, Code: "not_found", Message: message}
}

// Why the context of a handler or a stream ended; context.Cause returns them.
var (
	ErrTimeout    = errors.New("the route's time is over")
	ErrClientGone = errors.New("the client has left")
	ErrStopping   = errors.New("the server is stopping")
	ErrStreamIdle = errors.New("the stream was silent for too long")
	ErrStreamMax  = errors.New("the stream's time is over")
)

var (
	errTimeout        = &Error{Status: http.StatusRequestTimeout, Code: "timeout", Message: "the request took too long", Err: ErrTimeout}
	errGatewayTimeout = &Error{
		Status: http.StatusGatewayTimeout, Code: "gateway_timeout", Message: "the server behind this one did not answer in time",
		Err: ErrTimeout,
	}
	errBusy = &Error{
		Status: http.StatusServiceUnavailable, Code: "overloaded", Message: "the server is busy, try again soon",
		RetryAfter: time.Second,
	}
	errEncodedBody = &Error{
		Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding", Message: "send the body as it is, without Content-Encoding",
	}
	errLongURL = &Error{Status: http.StatusRequestURITooLong, Code: "url_too_long", Message: "path and query are too long"}

	errOnlyIfCached = &Error{
		Status: http.StatusGatewayTimeout, Code: "not_cached", Message: "the request takes stored answers only, and there is none",
	}
	errStopping = &Error{
		Status: http.StatusServiceUnavailable, Code: "stopping", Message: "the server is stopping, try again",
		RetryAfter: time.Second, Err: ErrStopping,
	}
)

// asError turns what a handler returned into an answer.
func asError(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && e.Status >= 400 && e.Status <= 599:
		return e
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errors.Is(err, ErrStopping):
		return errStopping
	default:
		return &Error{Status: http.StatusInternalServerError, Code: "internal", Message: "something went wrong on our side", Err: err}
	}
}

// statusToStore returns the status with which a handler's error is answered, or 0 for one that is the server's own and says
// nothing of what was asked for.
func statusToStore(err error) int {
	e := asError(err)
	if e == errTimeout || e == errBusy || e == errStopping || errors.Is(err, context.Canceled) {
		return 0
	}
	return e.Status
}
