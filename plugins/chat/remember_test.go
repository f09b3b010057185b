package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

// A conversation is answered in one message at a time; the stream is refused before it begins.
func TestBusyConversationIsA409(t *testing.T) {
	b := newBot(t)
	talk, err := b.talks.Begin(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, handler := range []string{"chat", "chat.stream"} {
		all.Go(func() {
			req := framework.NewRequest("POST", "/", []byte(`{"message":"un savon","sessionId":"s"}`))
			resp, err := b.handlers[handler](t.Context(), req)
			if err == nil && resp.Stream != nil {
				var sent []byte
				if sent, err = framework.RecordStream(t.Context(), resp); len(sent) > 0 {
					t.Errorf("before the refusal the stream says %s", sent)
				}
			}
			wantCode(t, "a busy conversation", err, 409, "conversation_busy")
			if e, ok := errors.AsType[*framework.Error](err); ok && e.RetryAfter <= 0 {
				t.Error("it does not say when to come back")
			}
		})
	}
	if got := b.say(t, "other", "bonjour"); got["success"] != true { // is not busy
		t.Errorf("another conversation: %v", got)
	}
	all.Wait()
	talk.End()
}

// ordered has the desk do something, and returns the answer.
func (b *bot) ordered(t *testing.T, session string, order responder.DeskRequest) responder.Answer {
	t.Helper()
	turn := &turn{turnRequest: &turnRequest{SessionID: session, Message: "?"}}
	turn.reply.Language, turn.reply.Desk = "fr", &order
	if err := b.consult(t.Context(), turn, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return turn.reply.Answer
}

func TestTicketIsOpenedAndFound(t *testing.T) {
	b := newBot(t)
	opened := b.ordered(t, "anna", responder.DeskRequest{Open: &desk.Draft{Order: "12345", Kind: "parcel_damaged"}})
	if opened.Ticket == nil || !strings.Contains(opened.Text, opened.Ticket.ID) {
		t.Fatalf("the answer is %+v", opened)
	}
	id := opened.Ticket.ID
	for _, c := range []struct {
		session, order string
		found          bool
	}{{"anna", "", true}, {"bob", "", false}, {"bob", "99999", false}, {"bob", "12345", true}, {"", "", false}} {
		a := b.ordered(t, c.session, responder.DeskRequest{Find: id, With: c.order})
		if found := a.Ticket != nil; found != c.found || found && a.Ticket.ID != id || a.Text == "" {
			t.Errorf("%+v: %+v", c, a)
		}
	}
	b.desk = desk.New(failing{store.NewMemory(store.Limits{TTL: time.Hour, MaxBytes: 1 << 20})}, time.Hour)
	if a := b.ordered(t, "anna", responder.DeskRequest{Open: &desk.Draft{}}); a.Ticket != nil || a.Text == "" {
		t.Errorf("without a store the answer is %+v", a)
	}
}

// A whole matter: the damage, the order's number one turn later, the ticket, and whom it is told to.
func TestTicketOfAConversation(t *testing.T) {
	b := newBot(t)
	ticketOf := func(session, message string) string {
		got := b.say(t, session, message)
		ticket, _ := got["ticket"].(map[string]any)
		id, _ := ticket["id"].(string)
		if id != "" && (ticket["status"] != "open" || !strings.Contains(got["response"].(string), id) || len(ticket) != 2) {
			t.Errorf("%s: %v", message, got)
		}
		return id
	}
	if id := ticketOf("anna", "Mon colis est arrivé avec un flacon cassé"); id != "" {
		t.Errorf("without a number the ticket %s was opened", id)
	}
	id := ticketOf("anna", "ma commande est la 123456")
	if id == "" {
		t.Fatal("no ticket was opened")
	}
	if kept, err := b.desk.Find(t.Context(), "anna", id, ""); err != nil || kept.Order != "123456" || kept.Kind != "parcel_damaged" {
		t.Errorf("the ticket is %+v, %v", kept, err)
	}
	for _, c := range []struct{ session, message, want string }{
		{"anna", "où en est mon ticket " + strings.ToLower(id) + " ?", id},
		{"bob", "où en est mon ticket " + id + " ?", ""},
		{"dora", "où en est mon ticket " + id + " pour la commande 123456 ?", id},
	} {
		if got := ticketOf(c.session, c.message); got != c.want {
			t.Errorf("%s: %q finds %q, want %q", c.session, c.message, got, c.want)
		}
	}
}

func TestClearErasesWhatIsKeptOfACustomer(t *testing.T) {
	b := newBot(t)
	const secret = "Zéphyrine"
	first, err := b.text(t.Context(), "chat", keyed("k", "anna", "Je suis "+secret+", mon colis est cassé, commande 12345"))
	if err != nil {
		t.Fatal(err)
	}
	b.ordered(t, "anna", responder.DeskRequest{Open: &desk.Draft{Order: "12345", Kind: "parcel_damaged", Summary: "je suis " + secret}})
	tickets, err := b.desk.List(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := b.ask(t, "chat.clear", "/", map[string]string{"sessionId": "anna"}); got["success"] != true {
			t.Fatalf("clear: %v", got)
		}
	}
	if c := b.kept(t, "anna"); c.Count != 0 || len(c.Turns) != 0 {
		t.Errorf("kept: %+v", c)
	}
	if list, err := b.desk.List(t.Context(), "anna"); err != nil || len(list) != 0 {
		t.Errorf("tickets: %v, %v", list, err)
	}
	for _, ticket := range tickets {
		if kept, err := b.desk.Find(t.Context(), "", ticket.ID, "12345"); err != nil || kept.Summary != "" || kept.Status != "open" {
			t.Errorf("the shop's ticket is %+v, %v", kept, err)
		}
	}
	if len(tickets) == 0 {
		t.Error("no ticket was opened")
	}
	again, err := b.text(t.Context(), "chat", keyed("k", "anna", "bonjour")) // the key is free again
	if err != nil || again == first {
		t.Errorf("after the erasure the key is answered %q, %v", again, err)
	}
}

// A conversation that is erased while it is answered in stays erased; the customer gets the answer.
func TestErasureDuringAnAnswer(t *testing.T) {
	b := newBot(t)
	erased := func(string, string) error { return b.erase(t.Context(), "s") }
	turn := &turn{
		turnRequest: &turnRequest{Message: "un savon", SessionID: "s", Repeatable: &repeatable{"k", "f"}}, began: time.Now(), sink: erased,
	}
	rest := way[1:] // after attach
	if err := b.once(t.Context(), turn, func(ctx context.Context) error { return b.run(ctx, turn, rest) }); err != nil || turn.reply.Text == "" {
		t.Errorf("the customer gets %q, %v", turn.reply.Text, err)
	}
	if c := b.kept(t, "s"); c.Count != 0 {
		t.Errorf("kept: %+v", c)
	}
	if value, err := b.answers.Get(t.Context(), "k"); err != nil || value != nil {
		t.Errorf("the answer is kept: %s, %v", value, err)
	}
}

// failing is a store whose disk is full.
type failing struct{ store.Store }

var errDisk = errors.New("no space left")

func (failing) Check(context.Context) error { return errDisk }

func (failing) Delete(context.Context, string) error { return errDisk }

func (failing) Lock(context.Context, string, time.Duration) (*store.Lock, error) { return nil, errDisk }

func TestCustomerIsAnsweredWithoutAStore(t *testing.T) {
	b := newBot(t)
	b.answers = failing{b.answers}
	if err := b.erase(t.Context(), "s"); err != nil {
		t.Errorf("nothing is to be erased: %v", err)
	}
	if _, err := b.text(t.Context(), "chat", keyed("k", "s", "un savon")); err != nil {
		t.Errorf("the customer gets %v", err)
	}
	_, err := b.call(t, "chat.clear", "/", map[string]string{"sessionId": "s"})
	wantCode(t, "an erasure that fails", err, 503, "not_erased")
	b.stored.conversations = failing{b.stored.conversations}
	_, err = b.call(t, "chat.export", "/?sessionId=s", nil)
	wantCode(t, "an export that would be empty", err, 503, "not_readable")
	_, err = b.call(t, "chat.tickets", "/", nil)
	wantCode(t, "a list that would be empty", err, 503, "not_readable")
	_, err = b.call(t, "chat.ticket", "/", map[string]string{"id": "SAV-7K4M2Q", "status": "closed"})
	wantCode(t, "a ticket that would not be found", err, 503, "not_readable")
	if !strings.Contains(b.logs.String(), fmt.Sprint(errDisk)) {
		t.Error("the failure is not logged")
	}
}

func TestPersonalDataStaysOutOfLogsAndMetrics(t *testing.T) {
	const message = "Je suis Zéphyrine, zephyrine@boutique.fr, 06 12 34 56 78, ma commande 47110815 : un savon ?"
	for name, on := range map[string]bool{"by default": false, "with content": true} {
		t.Run(name, func(t *testing.T) {
			b := newBot(t, func(o *Options) { o.LogContent = on })
			for _, handler := range []string{"chat", "chat.stream"} {
				body := fmt.Sprintf(`{"message":%q,"sessionId":"anna-4f2c","userProfile":{"name":"Zéphyrine","email":"zephyrine@boutique.fr"}}`, message)
				if _, err := b.text(t.Context(), handler, framework.NewRequest("POST", "/", []byte(body))); err != nil {
					t.Fatal(err)
				}
			}
			b.notKept(t.Context(), "conversations", errDisk)
			_, metrics, err := b.metrics.WriteMetrics("text/plain")
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"éphyrine", "zephyrine", "12 34", "47110815", "anna-4f2c"} {
				if said := b.logs.String() + string(metrics); strings.Contains(said, secret) {
					t.Errorf("%s is in logs or metrics:\n%s", secret, b.logs)
				}
			}
			if logged := strings.Contains(b.logs.String(), "un savon"); logged != on {
				t.Errorf("the message is logged: %v, want %v:\n%s", logged, on, b.logs)
			}
		})
	}
}
