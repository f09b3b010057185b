package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

const (
	maxPerSession = 10
	maxSummary    = 1000 // characters, of what a customer said
	lockWithin    = 2 * time.Second
)

// Desk keeps tickets. It may be used concurrently.
type Desk struct {
	tickets store.Store
	ttl     time.Duration
}

// New returns a desk that keeps its tickets in a store of its own, which keeps a value for ttl.
func New(tickets store.Store, ttl time.Duration) *Desk { return &Desk{tickets, ttl} }

// filed is a ticket as it is kept.
type filed struct {
	Ticket
	Session string `json:"session,omitempty"` // that opened it, until that is erased
}

func ticketKey(id string) string       { return "ticket:" + id }
func sessionKey(session string) string { return "session:" + session }

// Open opens a ticket for a conversation, which may be none ("") that is kept here.
func (d *Desk) Open(ctx context.Context, session string, draft Draft) (*Ticket, error) {
	id, err := d.freeID(ctx)
	if err != nil {
		return nil, err
	}
	f := filed{Session: session, Ticket: Ticket{
		ID: id, Status: Open, Order: draft.Order, Kind: draft.Kind, Summary: Summary(draft.Summary),
		Created: time.Now().UTC().Truncate(time.Second),
	}}
	if session == "" {
		return d.file(ctx, &f)
	}
	links, err := d.tickets.Lock(ctx, sessionKey(session), lockWithin)
	if err != nil {
		return nil, fmt.Errorf("open ticket: %w", err)
	}
	defer links.Release()
	live, err := d.live(ctx, links.Value)
	if err != nil {
		return nil, err
	}
	if len(live) >= maxPerSession {
		return nil, ErrTooMany
	}
	if _, err := d.file(ctx, &f); err != nil {
		return nil, err
	}
	ids := make([]string, 0, maxPerSession)
	for _, other := range live {
		ids = append(ids, other.ID)
	}
	list, err := json.Marshal(append(ids, f.ID))
	if err == nil {
		err = links.Put(ctx, list)
	}
	if err != nil {
		return nil, fmt.Errorf("open ticket: %w", err)
	}
	return &f.Ticket, nil
}

// live returns the tickets of a list of ids, as far as they are kept still.
func (d *Desk) live(ctx context.Context, list []byte) ([]*filed, error) {
	ids, err := decodeIDs(list)
	if err != nil {
		return nil, err
	}
	var live []*filed
	for _, id := range ids {
		f, err := d.get(ctx, id)
		if err != nil {
			return nil, err
		}
		if f != nil {
			live = append(live, f)
		}
	}
	return live, nil
}

func decodeIDs(list []byte) (ids []string, err error) {
	if list == nil {
		return nil, nil
	}
	if err := json.Unmarshal(list, &ids); err != nil {
		return nil, fmt.Errorf("read list of tickets: %w", err)
	}
	return ids, nil
}

// file lists a new ticket and keeps it.
func (d *Desk) file(ctx context.Context, f *filed) (*Ticket, error) {
	if err := d.enlist(ctx, &f.Ticket); err != nil {
		return nil, err
	}
	b, err := json.Marshal(f)
	if err == nil {
		err = d.tickets.Put(ctx, ticketKey(f.ID), b)
	}
	if err != nil {
		return nil, fmt.Errorf("keep ticket: %w", err)
	}
	return &f.Ticket, nil
}

// freeID returns an id that no ticket has: of ten thousand tickets two would have the same in one shop of twenty, and one would be lost.
func (d *Desk) freeID(ctx context.Context) (string, error) {
	for {
		id := newID()
		if f, err := d.get(ctx, id); f == nil || err != nil {
			return id, err
		}
	}
}

// get returns a ticket, or nil.
func (d *Desk) get(ctx context.Context, id string) (*filed, error) {
	b, err := d.tickets.Get(ctx, ticketKey(id))
	if err != nil {
		return nil, fmt.Errorf("read ticket: %w", err)
	}
	return decode(b)
}

func decode(b []byte) (*filed, error) {
	if b == nil {
		return nil, nil
	}
	var f filed
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("read ticket: %w", err)
	}
	return &f, nil
}

// Find returns a ticket to the conversation that opened it, or to who knows the number of its order too. Everybody else gets
// ErrNotFound, whether or not there is such a ticket.
func (d *Desk) Find(ctx context.Context, session, id, order string) (*Ticket, error) {
	f, err := d.get(ctx, id)
	if err != nil {
		return nil, err
	}
	opened := f != nil && session != "" && session == f.Session
	ordered := f != nil && sameOrder(order, f.Order)
	if !opened && !ordered {
		return nil, ErrNotFound
	}
	return &f.Ticket, nil
}

// List returns the tickets that a conversation opened, the oldest first.
func (d *Desk) List(ctx context.Context, session string) ([]*Ticket, error) {
	list, err := d.tickets.Get(ctx, sessionKey(session))
	if err != nil {
		return nil, fmt.Errorf("list tickets: %w", err)
	}
	live, err := d.live(ctx, list)
	if err != nil {
		return nil, err
	}
	tickets := make([]*Ticket, 0, len(live))
	for _, f := range live {
		tickets = append(tickets, &f.Ticket)
	}
	slices.SortStableFunc(tickets, func(a, b *Ticket) int { return cmp.Compare(a.Created.Unix(), b.Created.Unix()) })
	return tickets, nil
}

// Erase removes what the tickets of a conversation say of its customer: the words of the message and the link to the conversation.
// Number, kind, order and status stay: the shop has to settle a complaint about an order, and to show that it did.
func (d *Desk) Erase(ctx context.Context, session string) error {
	links, err := d.tickets.Lock(ctx, sessionKey(session), lockWithin)
	if err != nil {
		return fmt.Errorf("erase tickets: %w", err)
	}
	defer links.Release()
	ids, err := decodeIDs(links.Value)
	if err != nil {
		return err
	}
	for _, id := range ids {
		_, err := d.change(ctx, id, func(f *filed) { f.Session, f.Summary = "", "" })
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if err := d.tickets.Delete(ctx, sessionKey(session)); err != nil {
		return fmt.Errorf("erase tickets: %w", err)
	}
	return nil
}

// Merge makes one value of two that a store has under one key: see store.RedisOptions.
func Merge(shared, here []byte) []byte {
	var a, b []string
	if json.Unmarshal(shared, &a) != nil || json.Unmarshal(here, &b) != nil {
		return here // a ticket
	}
	for _, id := range b {
		if !slices.Contains(a, id) {
			a = append(a, id)
		}
	}
	list, err := json.Marshal(a)
	if err != nil { // strings always encode
		return here
	}
	return list
}

// sameOrder compares numbers of orders as customers write them: "#cmd-2024 118" is "CMD2024118".
func sameOrder(a, b string) bool { return essence(a) == essence(b) && essence(a) != "" }

func essence(order string) string {
	return strings.Map(func(r rune) rune {
		if r = westernDigit(r); !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, order)
}

// Summary returns as much of a message as a ticket holds.
func Summary(message string) string {
	left := maxSummary
	for i := range message {
		if left == 0 {
			return message[:i]
		}
		left--
	}
	return message
}
