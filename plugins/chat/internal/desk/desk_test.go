package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

var limits = store.Limits{TTL: time.Hour, MaxBytes: 1 << 20}

func openTicket(t testing.TB, d *desk.Desk, session string, draft desk.Draft) *desk.Ticket {
	t.Helper()
	ticket, err := d.Open(t.Context(), session, draft)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func TestTicketIsGivenOnlyToItsCustomer(t *testing.T) {
	d := desk.New(store.NewMemory(limits), limits.TTL)
	with := openTicket(t, d, "anna", desk.Draft{Order: "CMD-2024 118", Kind: "damage", Summary: "flacon cassé"})
	without := openTicket(t, d, "anna", desk.Draft{Kind: "refund"})
	nobody := openTicket(t, d, "", desk.Draft{Order: "12345", Kind: "return"})
	for name, c := range map[string]struct {
		session, id, order string
		found              bool
	}{
		"its conversation":                    {"anna", with.ID, "", true},
		"its conversation, no order":          {"anna", without.ID, "", true},
		"its conversation, another order":     {"anna", with.ID, "999", true},
		"the order, written otherwise":        {"bob", with.ID, "#cmd 2024-118", true},
		"the order, in Arabic digits":         {"bob", nobody.ID, "١٢٣٤٥", true},
		"another conversation":                {"bob", with.ID, "", false},
		"another order":                       {"bob", with.ID, "CMD-2024 119", false},
		"an order of nothing":                 {"bob", without.ID, "-", false},
		"no conversation":                     {"", nobody.ID, "", false},
		"no conversation, a ticket of no one": {"", without.ID, "", false},
		"an id that nobody has":               {"anna", "SAV-000000", "12345", false},
		"a key of the store":                  {"anna", "../session:anna", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			ticket, err := d.Find(t.Context(), c.session, c.id, c.order)
			if c.found && (err != nil || ticket.ID != c.id || ticket.Status != desk.Open) {
				t.Errorf("found %+v, %v", ticket, err)
			}
			if !c.found && !errors.Is(err, desk.ErrNotFound) {
				t.Errorf("found %+v, %v; want nothing", ticket, err)
			}
		})
	}
}

func TestTicketsOfAConversationAreBounded(t *testing.T) {
	d := desk.New(store.NewMemory(limits), limits.TTL)
	var many sync.WaitGroup
	for i := range 30 {
		many.Go(func() {
			_, err := d.Open(t.Context(), "anna", desk.Draft{Kind: "delivery", Summary: fmt.Sprint(i)})
			if err != nil && !errors.Is(err, desk.ErrTooMany) {
				t.Error(err)
			}
		})
	}
	many.Wait()
	tickets, err := d.List(t.Context(), "anna")
	if err != nil || len(tickets) != 10 {
		t.Errorf("%d tickets, %v; want 10", len(tickets), err)
	}
	long := openTicket(t, d, "bob", desk.Draft{Summary: strings.Repeat("é", 5000)})
	if n := len([]rune(long.Summary)); n != 1000 {
		t.Errorf("the summary has %d characters", n)
	}
}

func TestErasedTicketSaysNothingOfItsCustomer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tickets.db")
	f, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	s, err := f.Space("tickets", limits)
	if err != nil {
		t.Fatal(err)
	}
	d := desk.New(s, limits.TTL)
	ticket := openTicket(t, d, "anna", desk.Draft{Order: "12345", Kind: "damage", Summary: "Je suis Anna, 06 12 34 56 78"})
	for range 2 {
		if err := d.Erase(t.Context(), "anna"); err != nil {
			t.Fatal(err)
		}
	}
	if tickets, err := d.List(t.Context(), "anna"); err != nil || len(tickets) != 0 {
		t.Errorf("the conversation has %v, %v", tickets, err)
	}
	if _, err := d.Find(t.Context(), "anna", ticket.ID, ""); !errors.Is(err, desk.ErrNotFound) {
		t.Errorf("the erased conversation finds its ticket: %v", err)
	}
	kept, err := d.Find(t.Context(), "", ticket.ID, "12345")
	if err != nil {
		t.Fatal(err)
	}
	if kept.Summary != "" || kept.Kind != "damage" || kept.Status != desk.Open {
		t.Errorf("kept: %+v", kept)
	}
	if b, err := s.Get(t.Context(), "ticket:"+ticket.ID); err != nil || strings.Contains(strings.ToLower(string(b)), "anna") {
		t.Errorf("stored: %s, %v", b, err)
	}
}

func TestMergeUnitesWhatTwoSidesOpened(t *testing.T) {
	got := desk.Merge([]byte(`["SAV-A1","SAV-B2"]`), []byte(`["SAV-B2","SAV-C3"]`))
	var ids []string
	if err := json.Unmarshal(got, &ids); err != nil || strings.Join(ids, " ") != "SAV-A1 SAV-B2 SAV-C3" {
		t.Errorf("merged: %s", got)
	}
	if got := desk.Merge([]byte(`{"id":"old"}`), []byte(`{"id":"new"}`)); string(got) != `{"id":"new"}` {
		t.Errorf("merged tickets: %s", got)
	}
}

// Whatever the size of pages, they hold every ticket once, the oldest first, also those that are opened meanwhile.
func TestPagesHoldEveryTicket(t *testing.T) {
	d := desk.New(store.NewMemory(limits), limits.TTL)
	var all []string
	for i := range 7 {
		all = append(all, openTicket(t, d, fmt.Sprintf("s%d", i%2), desk.Draft{Kind: "delivery"}).ID)
	}
	for _, size := range []int{1, 2, 7, 100} {
		if size == 2 {
			all = append(all, openTicket(t, d, "", desk.Draft{Kind: "return"}).ID)
		}
		if got := pages(t, d, desk.Query{Limit: size}); strings.Join(got, " ") != strings.Join(all, " ") {
			t.Errorf("pages of %d hold %v, want %v", size, got, all)
		}
	}
	if closed, err := d.SetStatus(t.Context(), all[3], desk.Closed); err != nil || closed.Status != desk.Closed || closed.ID != all[3] {
		t.Fatalf("closed: %+v, %v", closed, err)
	}
	if got := pages(t, d, desk.Query{Limit: 2, Status: desk.Closed}); len(got) != 1 || got[0] != all[3] {
		t.Errorf("closed are %v", got)
	}
	if got := pages(t, d, desk.Query{Limit: 2, Status: desk.Open}); len(got) != len(all)-1 || slices.Contains(got, all[3]) {
		t.Errorf("open are %v", got)
	}
	if kept, err := d.Find(t.Context(), "s1", all[3], ""); err != nil || kept.Status != desk.Closed {
		t.Errorf("its customer finds %+v, %v", kept, err)
	}
	if _, err := d.SetStatus(t.Context(), all[3], desk.Open); err != nil {
		t.Error(err)
	}
	if got := pages(t, d, desk.Query{Limit: 100, Status: desk.Open}); len(got) != len(all) {
		t.Errorf("opened again, open are %v", got)
	}
	if _, err := d.SetStatus(t.Context(), "SAV-000000", desk.Closed); !errors.Is(err, desk.ErrNotFound) {
		t.Errorf("the ticket of nobody: %v", err)
	}
}

// pages returns the ids of all pages.
func pages(t *testing.T, d *desk.Desk, q desk.Query) (ids []string) {
	t.Helper()
	for range 100 {
		page, next, err := d.Page(t.Context(), q)
		if err != nil || len(page) > q.Limit {
			t.Fatalf("a page of %d: %d tickets, %v", q.Limit, len(page), err)
		}
		for _, ticket := range page {
			ids = append(ids, ticket.ID)
		}
		if q.After = next; next == "" {
			return ids
		}
	}
	t.Fatal("the pages do not end")
	return nil
}

func TestACursorOfNobodyIsRefused(t *testing.T) {
	d := desk.New(store.NewMemory(limits), limits.TTL)
	for _, after := range []string{"x", "2026-01-31", "2026-01-31.", "2026-01-31.-1", "2026-13-31.0", "2026-01-31.10001", ".1", "2026-01-31.1.1"} {
		if _, _, err := d.Page(t.Context(), desk.Query{After: after, Limit: 1}); !errors.Is(err, desk.ErrCursor) {
			t.Errorf("%q: %v", after, err)
		}
	}
}

// Of a customer's erasure and the shop's closing at once, neither undoes the other.
func TestErasureAndClosingAtOnce(t *testing.T) {
	d := desk.New(store.NewMemory(limits), limits.TTL)
	for range 200 {
		ticket := openTicket(t, d, "anna", desk.Draft{Order: "1", Summary: "Anna"})
		var both sync.WaitGroup
		both.Go(func() {
			if err := d.Erase(t.Context(), "anna"); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if _, err := d.SetStatus(t.Context(), ticket.ID, desk.Closed); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if kept, err := d.Find(t.Context(), "", ticket.ID, "1"); err != nil || kept.Status != desk.Closed || kept.Summary != "" {
			t.Fatalf("kept: %+v, %v", kept, err)
		}
	}
}

// occupied is a store that has a ticket already under the first id that is asked for.
type occupied struct {
	store.Store
	key string
}

func (o *occupied) Get(ctx context.Context, key string) ([]byte, error) {
	if o.key == "" {
		o.key = key
		if err := o.Put(ctx, key, []byte(`{"id": "another one's"}`)); err != nil {
			return nil, err
		}
	}
	return o.Store.Get(ctx, key)
}

func TestANewTicketTakesNoOtherOnesPlace(t *testing.T) {
	s := &occupied{Store: store.NewMemory(limits)}
	opened, err := desk.New(s, limits.TTL).Open(t.Context(), "", desk.Draft{Kind: "refund"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Store.Get(t.Context(), s.key)
	if err != nil || string(before) != `{"id": "another one's"}` || s.key == "ticket:"+opened.ID {
		t.Errorf("%s took the place of %s: %s, %v", opened.ID, s.key, before, err)
	}
}
