package responder

import (
	"errors"
	"strings"
	"testing"

	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// A problem asks for the number of the order, and opens a ticket when it comes, one turn later or two, in whatever language.
func TestTicketIsOpenedOnceTheOrderIsKnown(t *testing.T) {
	r := newTestResponder(t)
	c := newTalk(t, r, "fr")
	if a := c.say("mon colis est arrivé cassé"); a.Desk != nil || a.Memory.Pending == nil {
		t.Fatalf("without a number the desk has %+v to do: %s", a.Desk, a.Text)
	}
	c.say("merci")
	c.turn.Language = "en"
	a := c.say("IN-2026104")
	if a.Desk == nil || a.Desk.Open == nil {
		t.Fatalf("no ticket is to be opened: %+v", a)
	}
	if d := a.Desk.Open; d.Order != "IN-2026104" || d.Kind != "parcel_damaged" || d.Summary != "mon colis est arrivé cassé" {
		t.Errorf("the draft is %+v", d)
	}
	done := r.Desked(a, c.turn, &desk.Ticket{ID: "SAV-7K4M2Q", Status: desk.Open}, nil)
	if !strings.Contains(done.Text, "SAV-7K4M2Q") || done.Ticket == nil || done.Memory.Ticket != "SAV-7K4M2Q" || done.Desk != nil {
		t.Errorf("the opened ticket: %+v", done)
	}
	c.turn.Before = done.Memory
	if a := c.say("any news on my ticket?"); a.Desk == nil || a.Desk.Find != "SAV-7K4M2Q" {
		t.Errorf("the ticket of the conversation is not looked up: %+v: %s", a.Desk, a.Text)
	}

	c = newTalk(t, r, "fr")
	if a := c.say("il manque un savon dans ma commande 48213"); a.Desk == nil || a.Desk.Open == nil || a.Desk.Open.Order != "48213" {
		t.Errorf("with the number at once: %+v: %s", a.Desk, a.Text)
	}
	if a := c.say("où en est mon dossier SAV-7K4M2Q ?"); a.Desk == nil || a.Desk.Find != "SAV-7K4M2Q" {
		t.Errorf("a ticket that is named is not looked up: %+v: %s", a.Desk, a.Text)
	}
	if a := newTalk(t, r, "ar").say("ما حالة الشكوى؟"); a.Desk != nil || a.Intent.Name != "ticket_status" {
		t.Errorf("an unknown ticket: %+v: %s: %s", a.Desk, a.Intent.Name, a.Text)
	}
}

// Four digits are the number of an order where one is waited for, or where they are called that.
func TestShortOrderNumbers(t *testing.T) {
	r := newTestResponder(t)
	for _, x := range []struct{ language, problem, number, order string }{
		{"fr", "mon colis est arrivé cassé", "4512", "4512"},
		{"fr", "mon colis est arrivé cassé", "c'est la commande n° 4512", "4512"},
		{"fr", "mon colis est arrivé cassé", "le numéro est 4512 merci", "4512"},
		{"en", "my parcel arrived broken", "it is order #4512", "4512"},
		{"ar", "وصل الطرد مكسور", "رقم الطلب 4512", "4512"},
		{"fr", "mon colis est arrivé cassé", "le flacon de 250 ml", ""},
		{"fr", "bonjour", "4512", ""},
	} {
		c := newTalk(t, r, x.language)
		c.say(x.problem)
		a := c.say(x.number)
		switch {
		case x.order == "" && a.Desk != nil:
			t.Errorf("%s: %s: %+v is to be done", x.problem, x.number, a.Desk)
		case x.order != "" && (a.Desk == nil || a.Desk.Open == nil || a.Desk.Open.Order != x.order):
			t.Errorf("%s: %s: %s %+v: %s", x.problem, x.number, a.Intent.Name, a.Desk, a.Text)
		}
	}
	if a := newTalk(t, r, "fr").say("ma commande 4512 est arrivée cassée"); a.Desk == nil || a.Desk.Open == nil {
		t.Errorf("with the number at once: %s: %s", a.Intent.Name, a.Text)
	}
}

// Whatever the desk does, the customer is told, in their language, and nothing of its errors.
func TestDesked(t *testing.T) {
	r := newTestResponder(t)
	for _, l := range text.Languages {
		turn := Turn{Language: l}
		open := Answer{Text: "…", Desk: &DeskRequest{Open: &desk.Draft{}}}
		find := Answer{Desk: &DeskRequest{Find: "SAV-1"}}
		seen := map[string]bool{}
		for _, a := range []Answer{
			r.Desked(open, turn, &desk.Ticket{ID: "SAV-2", Status: desk.Open}, nil),
			r.Desked(open, turn, nil, desk.ErrTooMany),
			r.Desked(open, turn, nil, errors.New("secret: disk full")),
			r.Desked(find, turn, &desk.Ticket{ID: "SAV-1", Status: desk.Open}, nil),
			r.Desked(find, turn, &desk.Ticket{ID: "SAV-1", Status: "closed"}, nil),
			r.Desked(find, turn, nil, desk.ErrNotFound),
		} {
			if a.Text == "" || seen[a.Text] || strings.Contains(a.Text, "secret") || a.Desk != nil {
				t.Errorf("%s: %+v", l, a)
			}
			seen[a.Text] = true
		}
	}
}

// An entry that only this shop's FAQ has is found by its words, and one that another shop lacks is not needed.
func TestFAQOfAnotherShop(t *testing.T) {
	r := newTestResponder(t)
	for i := range r.faq.Entries {
		if !r.owned[&r.faq.Entries[i]] {
			t.Errorf("no intent has the entry %s", r.faq.Entries[i].ID)
		}
	}
	for name, info := range r.intents {
		for _, id := range info.Entries {
			if r.faq.Find(id) == nil {
				t.Errorf("intents.txt: %s: the FAQ has no entry %s", name, id)
			}
		}
	}
	for _, name := range r.classifier.Intents() {
		if _, ok := r.IntentInfo(name); !ok {
			t.Errorf("intents.txt lacks %s", name)
		}
	}
}

// What is said more of a complaint opens no second ticket; another complaint about the order that is known does.
func TestOneTicketForOneComplaint(t *testing.T) {
	r := newTestResponder(t)
	c := newTalk(t, r, "fr")
	a := c.say("ma commande 48213 est arrivée cassée")
	if a.Desk == nil || a.Desk.Open == nil {
		t.Fatalf("no ticket is to be opened: %s", a.Text)
	}
	c.turn.Before = r.Desked(a, c.turn, &desk.Ticket{ID: "SAV-7K4M2Q", Status: desk.Open}, nil).Memory
	if a := c.say("le pot est arrivé tout cassé"); a.Desk == nil || a.Desk.Find != "SAV-7K4M2Q" || a.Desk.With != "48213" {
		t.Errorf("the same complaint: %s: %+v", a.Intent.Name, a.Desk)
	}
	if a := c.say("et il manque un savon dans le colis"); a.Desk == nil || a.Desk.Open == nil || a.Desk.Open.Order != "48213" {
		t.Errorf("another complaint: %s: %+v", a.Intent.Name, a.Desk)
	}
}
