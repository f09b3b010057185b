package modelmock

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind names one way to misbehave.
type Kind string

// The faults, in the order in which an answer meets them.
const (
	Refused              Kind = "refused"
	HangBeforeHeaders    Kind = "hang-before-headers"
	RateLimited          Kind = "429"
	RateLimitedWithHint  Kind = "429-retry-after"
	ServerError          Kind = "500"
	WrongContentType     Kind = "content-type"
	HangBeforeFirstToken Kind = "hang-before-first-token"
	ErrorAfterStatus     Kind = "200-then-error"
	ChoicesNull          Kind = "choices-null"
	HugeLine             Kind = "huge-line"
	Stall                Kind = "stall"
	Cut                  Kind = "cut"
	EndedEarly           Kind = "ended-early"
	BrokenJSON           Kind = "broken-json"
	NoUsage              Kind = "no-usage"
	UsageOnChoices       Kind = "usage-on-choices"
	Contradiction        Kind = "contradiction"
	Injection            Kind = "injection"
	Leak                 Kind = "leak"
	Empty                Kind = "empty"
)

// Description is a fault and what it does.
type Description struct {
	Kind Kind
	Doc  string
}

// Faults lists every fault, in the order in which an answer meets them: of two that exclude each other the first wins.
func Faults() []Description {
	return []Description{
		{Refused, "closes the connection without an answer"},
		{HangBeforeHeaders, "never sends a status"},
		{RateLimited, "answers 429"},
		{RateLimitedWithHint, "answers 429 with Retry-After: 1"},
		{ServerError, "answers 500"},
		{WrongContentType, "answers 200 with a page of HTML"},
		{HangBeforeFirstToken, "sends a status, and then nothing"},
		{ErrorAfterStatus, "sends status 200, and then an error"},
		{ChoicesNull, "sends choices: null, in a stream around the answer, else in its place"},
		{HugeLine, "sends 8 MiB in one line before the answer"},
		{Stall, "goes silent after some tokens, and stays so"},
		{Cut, "breaks the connection after some tokens"},
		{EndedEarly, "ends in good form after some tokens, without a reason to finish"},
		{BrokenJSON, "breaks the JSON of one chunk after some tokens, or of the whole answer"},
		{NoUsage, "does not count tokens"},
		{UsageOnChoices, "sends usage with the last choice instead of after it"},
		{Contradiction, "offers a product that does not exist, at a price that is wrong"},
		{Injection, "does what the customer's message says instead of what it was told"},
		{Leak, "recites its prompt"},
		{Empty, "answers nothing"},
	}
}

// Fault is a fault and how often it happens.
type Fault struct {
	Kind  Kind    `json:"fault"`
	Share float64 `json:"share"` // of the requests, from 0 to 1; each fault is drawn by itself
	After int     `json:"after"` // tokens that are sent before stall, cut, ended-early and broken-json
}

// check says what is wrong with a fault, and what to do.
func (f Fault) check() error {
	known := func(d Description) bool { return d.Kind == f.Kind }
	switch {
	case !slices.ContainsFunc(Faults(), known):
		return fmt.Errorf("unknown fault %q; known are %s", f.Kind, names())
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("share of %s is %v; it goes from 0 to 1", f.Kind, f.Share)
	case f.After < 0:
		return errors.New("after counts tokens; it is at least 0")
	}
	return nil
}

func names() string {
	var list []string
	for _, d := range Faults() {
		list = append(list, string(d.Kind))
	}
	return strings.Join(list, ", ")
}
