package chat

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
)

func TestTicketsForTheShop(t *testing.T) {
	b := newBot(t)
	opened := b.say(t, "anna", "mon colis est arrivé cassé, commande 48213")["ticket"].(map[string]any)["id"].(string)
	list := b.ask(t, "chat.tickets", "/?status=open&limit=1", nil)
	tickets := list["tickets"].([]any)
	if len(tickets) != 1 || list["next"] != nil {
		t.Fatalf("listed: %v", list)
	}
	ticket := tickets[0].(map[string]any)
	if ticket["id"] != opened || ticket["order"] != "48213" || ticket["kind"] != "parcel_damaged" ||
		!strings.Contains(ticket["summary"].(string), "cassé") || ticket["created"] == "" {
		t.Errorf("listed: %v", ticket)
	}
	closed := b.ask(t, "chat.ticket", "/", map[string]string{"id": strings.ToLower(opened), "status": "closed"})
	if closed["ticket"].(map[string]any)["status"] != "closed" {
		t.Errorf("closed: %v", closed)
	}
	if list := b.ask(t, "chat.tickets", "/?status=open", nil); len(list["tickets"].([]any)) != 0 {
		t.Errorf("open are %v", list)
	}
	if told := b.say(t, "anna", "où en est mon ticket "+opened+" ?")["ticket"].(map[string]any); told["status"] != "closed" {
		t.Errorf("the customer is told %v", told)
	}
	if logs := b.logs.String(); !strings.Contains(logs, "ticket="+opened) || strings.Contains(logs, "48213") {
		t.Errorf("logged:\n%s", logs)
	}
}

func TestTicketsRefuse(t *testing.T) {
	b := newBot(t)
	refuse := func(handler, target string, body any, status int, field string) {
		t.Helper()
		_, err := b.call(t, handler, target, body)
		e, ok := errors.AsType[*framework.Error](err)
		if !ok || e.Status != status || field != "" && (len(e.Details) != 1 || e.Details[0].Field != field) {
			t.Errorf("%s%s %v: %+v, want %d for %s", handler, target, body, err, status, field)
		}
	}
	for target, field := range map[string]string{
		"/?status=lost": "status", "/?limit=0": "limit", "/?limit=1001": "limit", "/?limit=x": "limit", "/?after=x": "after",
	} {
		refuse("chat.tickets", target, nil, http.StatusBadRequest, field)
	}
	refuse("chat.ticket", "/", map[string]string{"id": "SAV-000A00", "status": "closed"}, http.StatusNotFound, "")
	refuse("chat.ticket", "/", map[string]string{"id": "17", "status": "closed"}, http.StatusBadRequest, "id")
	refuse("chat.ticket", "/", map[string]string{"id": "SAV-000A00", "status": "gone"}, http.StatusBadRequest, "status")
	refuse("chat.ticket", "/", map[string]string{"id": "SAV-000A00"}, http.StatusBadRequest, "status")
	refuse("chat.ticket", "/", 1, http.StatusBadRequest, "")
}
