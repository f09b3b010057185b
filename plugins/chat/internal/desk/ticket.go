// Package desk is the after-sales desk: the tickets of customers whose orders need a person. It keeps them, and gives one out only
// to the conversation that opened it, to who knows its id and the number of its order, and to the shop's people.
package desk

import (
	"crypto/rand"
	"errors"
	"regexp"
	"strings"
	"time"
)

// What a ticket's status may be.
const (
	Open   = "open" // it waits for the shop
	Closed = "closed"
)

// Why the desk does not do what is asked; any other error says that it can't store or read now.
var (
	ErrNotFound = errors.New("no such ticket, or that of somebody else")
	ErrTooMany  = errors.New("the conversation, or all on this day, have opened as many tickets as they may")
)

// Ticket is a request that the shop's people answer. It is immutable.
type Ticket struct {
	ID      string    `json:"id"` // as a customer may read it out: SAV-7K4M2Q
	Status  string    `json:"status"`
	Order   string    `json:"order,omitempty"` // number of the order, as the customer wrote it
	Kind    string    `json:"kind"`            // what it is about: the name of an intent
	Summary string    `json:"summary,omitempty"`
	Created time.Time `json:"created"`
}

// Draft is what a ticket is opened with.
type Draft struct {
	Order   string // number of the order, or ""
	Kind    string // what it is about: the name of an intent
	Summary string // what the customer said, for the shop's people; the first 1,000 characters are kept
}

// alphabet is Crockford's Base32 (crockford.com/base32.html): no letter of it is taken for a digit or for another one.
const (
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	prefix   = "SAV-"
	idLength = 6 // without the prefix: 30 bits
	digits   = "0123456789"
)

// newID returns an id that can't be guessed. It holds a digit and a letter, so that no word looks like one.
func newID() string {
	for {
		b := make([]byte, idLength)
		_, _ = rand.Read(b) // never fails
		for i := range b {
			b[i] = alphabet[b[i]%byte(len(alphabet))]
		}
		if id := string(b); strings.ContainsAny(id, digits) && strings.Trim(id, digits) != "" {
			return prefix + id
		}
	}
}

var written = regexp.MustCompile(`(?i)\bsav[\s._#:n°-]{0,3}([0-9a-z]{6})\b`)

// FindID returns the id of a ticket that a text holds, in its normal form, or "". Customers leave the dash out, write small letters,
// and take 0 for O, 1 for I or L; digits may be Arabic.
func FindID(text string) string {
	text = strings.Map(westernDigit, text)
	if !strings.ContainsAny(text, digits) { // which takes a hundredth of the time
		return ""
	}
	for _, found := range written.FindAllStringSubmatch(text, -1) {
		if strings.ContainsAny(found[1], digits) {
			if id := normal.Replace(strings.ToUpper(found[1])); strings.Trim(id, alphabet) == "" {
				return prefix + id
			}
		}
	}
	return ""
}

var normal = strings.NewReplacer("O", "0", "I", "1", "L", "1")

// westernDigit returns the Western digit of an Arabic or Persian one, and other characters as they are.
func westernDigit(r rune) rune {
	switch {
	case '٠' <= r && r <= '٩':
		return r - '٠' + '0'
	case '۰' <= r && r <= '۹':
		return r - '۰' + '0'
	}
	return r
}
