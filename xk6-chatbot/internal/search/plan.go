// Package search finds the highest rate at which a service keeps its promise: it doubles the rate until the promise breaks,
// halves the interval in between, and confirms the result. A control step at a low rate after each step lets the service come
// back, and shows whether it did.
package search

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Options of a search. Rates are turns per second.
type Options struct {
	Latency   time.Duration // within which the quantile of turns ends, counted from when they were due
	Quantile  float64
	Errors    float64       // share of turns that may fail or be shed
	Start     float64       // the first rate
	Max       float64       // no rate is higher
	Control   float64       // the rate of control steps
	Step      time.Duration // how long a rate is held; longer where that makes too few turns
	Precision float64       // of the result: upper bound over lower bound
	Seed      uint64        // of the arrivals
}

// Validate says what is wrong with options.
func (o Options) Validate() error {
	switch {
	case o.Latency <= 0 || o.Quantile <= 0 || o.Quantile >= 1 || o.Errors < 0 || o.Errors >= 1:
		return errors.New("slo needs a latency over 0, a quantile between 0 and 1, errors from 0 and below 1")
	case o.Start <= 0 || o.Max < o.Start:
		return fmt.Errorf("start is %v and max is %v; it is 0 < start ≤ max", o.Start, o.Max)
	case o.Control <= 0 || o.Control > o.Start:
		return fmt.Errorf("control is %v; it is over 0 and at most start, %v", o.Control, o.Start)
	case o.Step < 100*time.Millisecond:
		return fmt.Errorf("step is %v; it is at least 100ms", o.Step)
	case o.Precision < 1.01 || o.Precision > 4:
		return fmt.Errorf("precision is %v; it is from 1.01 to 4", o.Precision)
	}
	return nil
}

// Why a search ended.
const (
	Found        = "found"         // the promise breaks between the result's bounds
	Unlimited    = "max"           // it holds at the highest rate allowed
	NoneHeld     = "none"          // it holds at no rate
	NotRecovered = "not recovered" // the service did not come back after a step
	Unstable     = "unstable"      // no rate at which it held held again
)

const (
	maxControls = 6    // control steps in a row that may fail before the service counts as not recovered
	lowest      = 64.0 // of the start rate, a 64th is tried before none holds
	maxConfirms = 3
)

// Result is the outcome of a search.
type Result struct {
	Rate   float64 // the highest rate at which the promise held, and held again
	Upper  float64 // the lowest at which it broke; infinite when it never did
	Reason string
}

// plan decides which rate comes next. It knows no time.
type plan struct {
	o          Options
	low, high  float64 // the promise held, broke
	rate       float64 // of the current step
	control    bool
	controls   int // in a row
	confirming bool
	confirms   int
	result     *Result
}

func newPlan(o Options) *plan {
	return &plan{o: o, high: math.Inf(1), control: true, rate: o.Control}
}

// judged takes whether the current step kept the promise and decides what the next one is.
func (p *plan) judged(held bool) {
	if p.control {
		switch p.controls++; {
		case held:
			p.control, p.controls = false, 0
			p.rate = p.next()
		case p.controls == maxControls && math.IsInf(p.high, 1) && p.low == 0:
			p.end(NoneHeld)
		case p.controls == maxControls:
			p.end(NotRecovered)
		}
		return
	}
	switch {
	case held && p.confirming:
		p.end(Found)
		return
	case held:
		p.low = p.rate
		if p.rate >= p.o.Max {
			p.end(Unlimited)
			return
		}
	case p.confirming: // once was luck, and so may be what held below
		p.confirming = false
		p.high, p.low = p.rate, 0
		if p.confirms++; p.confirms == maxConfirms {
			p.end(Unstable)
			return
		}
	default:
		p.high = p.rate
		if p.low == 0 && p.rate <= p.o.Start/lowest {
			p.end(NoneHeld)
			return
		}
	}
	p.control, p.rate = true, p.o.Control
}

func (p *plan) next() float64 {
	switch {
	case p.confirming:
		return p.low
	case p.low == 0 && math.IsInf(p.high, 1):
		return p.o.Start
	case math.IsInf(p.high, 1):
		return min(2*p.low, p.o.Max)
	case p.low == 0:
		return p.high / 2
	case p.high/p.low <= p.o.Precision:
		p.confirming = true
		return p.low
	}
	return math.Sqrt(p.low * p.high)
}

func (p *plan) end(reason string) { p.result = &Result{p.low, p.high, reason} }
