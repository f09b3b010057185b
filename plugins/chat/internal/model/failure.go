package model

import (
	"errors"
	"fmt"
	"time"
)

// Reason says why there is no answer of a model, for metrics and for programs.
type Reason string

// The reasons.
const (
	RateLimited    Reason = "rate_limited"        // the customer sends too many messages
	CustomerBudget Reason = "customer_budget"     // the customer's tokens are spent
	TotalBudget    Reason = "total_budget"        // everybody's tokens are spent
	QueueFull      Reason = "queue_full"          // too many wait already
	CircuitOpen    Reason = "circuit_open"        // every upstream failed too often lately
	FirstToken     Reason = "first_token_timeout" // no first token in time
	Timeout        Reason = "timeout"             // no end in time
	Stalled        Reason = "stalled"             // silent within the answer
	Unavailable    Reason = "upstream_error"      // refused, broken, 429 or 5xx
	BadResponse    Reason = "bad_response"        // not what the protocol says
	Interrupted    Reason = "interrupted"         // the answer broke off
	Contradiction  Reason = "contradiction"       // the answer contradicts what is known
)

// Failure is why an upstream, or all of them, gave no answer.
type Failure struct {
	Reason     Reason
	RetryAfter time.Duration // when the upstream said so
	Err        error         // for logs; it has no text of customers

	overloaded bool // the upstream has too much to do
	permanent  bool // the same upstream would fail again
	innocent   bool // the request is to blame, or its sender: it says nothing of the upstream
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Reason, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Why a context of an attempt ended.
var (
	errFirstToken = errors.New("no first token in time")
	errStalled    = errors.New("silent for too long")
	errTimeout    = errors.New("not complete in time")
)
