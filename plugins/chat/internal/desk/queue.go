package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

// maxPerDay bounds the list of a day, which is written whole with each ticket.
const maxPerDay = 10_000

// ErrCursor says that a cursor is none that Page has returned.
var ErrCursor = errors.New("not the cursor of a page of tickets")

// dayKey names the list of the tickets that were opened on a day.
func dayKey(at time.Time) string { return "day:" + at.UTC().Format(time.DateOnly) }

// enlist adds a ticket that will be kept next to the list of its day. An id without a ticket does no harm there.
func (d *Desk) enlist(ctx context.Context, t *Ticket) error {
	list, err := d.tickets.Lock(ctx, dayKey(t.Created), lockWithin)
	if err != nil {
		return fmt.Errorf("list ticket: %w", err)
	}
	defer list.Release()
	ids, err := decodeIDs(list.Value)
	if err != nil {
		return err
	}
	if len(ids) >= maxPerDay {
		return ErrTooMany
	}
	value, err := json.Marshal(append(ids, t.ID))
	if err == nil {
		err = list.Put(ctx, value)
	}
	if err != nil {
		return fmt.Errorf("list ticket: %w", err)
	}
	return nil
}

// Query selects tickets for the shop's people.
type Query struct {
	Status string // that they have; "" is any
	After  string // the cursor that the page before returned; "" begins with the oldest
	Limit  int    // most tickets of a page
}

// Page returns tickets of all customers, the oldest first, and the cursor of the page that follows, or "" after the last one. What is
// opened while pages are read comes on the last of them.
func (d *Desk) Page(ctx context.Context, q Query) (page []*Ticket, next string, err error) {
	today := time.Now().UTC().Truncate(day)
	at, skip := today.Add(-d.ttl).Truncate(day), 0
	if q.After != "" {
		if at, skip, err = parseCursor(q.After); err != nil {
			return nil, "", err
		}
	}
	page = []*Ticket{}
	for ; !at.After(today); at, skip = at.Add(day), 0 {
		list, err := d.tickets.Get(ctx, dayKey(at))
		if err != nil {
			return nil, "", fmt.Errorf("list tickets: %w", err)
		}
		ids, err := decodeIDs(list)
		if err != nil {
			return nil, "", err
		}
		for i := skip; i < len(ids); i++ {
			f, err := d.get(ctx, ids[i])
			switch {
			case err != nil:
				return nil, "", err
			case f == nil || q.Status != "" && f.Status != q.Status:
				continue
			case len(page) == q.Limit:
				return page, cursor(at, i), nil
			}
			page = append(page, &f.Ticket)
		}
	}
	return page, "", nil
}

const day = 24 * time.Hour

// A cursor is a day and a place in its list, which only grows: 2026-01-31.17.
func cursor(at time.Time, place int) string {
	return at.Format(time.DateOnly) + "." + strconv.Itoa(place)
}

func parseCursor(s string) (at time.Time, place int, err error) {
	date, number, _ := strings.Cut(s, ".")
	at, err = time.Parse(time.DateOnly, date)
	if err == nil {
		place, err = strconv.Atoi(number)
	}
	if err != nil || place < 0 || place > maxPerDay {
		return time.Time{}, 0, ErrCursor
	}
	return at, place, nil
}

// SetStatus closes a ticket or opens it again, for the shop's people, and returns it. The error is ErrNotFound without such a ticket.
func (d *Desk) SetStatus(ctx context.Context, id, status string) (*Ticket, error) {
	f, err := d.change(ctx, id, func(f *filed) { f.Status = status })
	if err != nil {
		return nil, err
	}
	return &f.Ticket, nil
}

// change changes a ticket, which nobody else changes meanwhile.
func (d *Desk) change(ctx context.Context, id string, to func(*filed)) (*filed, error) {
	f, err := d.get(ctx, id) // a lock would leave a trace of an id that nobody has
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, ErrNotFound
	}
	lock, err := d.tickets.Lock(ctx, ticketKey(id), lockWithin)
	if err != nil {
		return nil, fmt.Errorf("change ticket: %w", err)
	}
	defer lock.Release()
	if f, err = decode(lock.Value); err != nil || f == nil {
		return nil, errors.Join(err, ErrNotFound)
	}
	to(f)
	b, err := json.Marshal(f)
	if err == nil {
		err = lock.Put(ctx, b)
	}
	if errors.Is(err, store.ErrLost) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("change ticket: %w", err)
	}
	return f, nil
}
