package conversation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

func newTalks(maxTurns int) *conversation.Talks {
	return conversation.New(store.NewMemory(store.Limits{TTL: time.Hour, MaxBytes: 1 << 24}), maxTurns)
}

// add adds a turn, whose answer may be missing.
func add(t testing.TB, talks *conversation.Talks, id string, turn conversation.Turn, memory responder.Memory) {
	t.Helper()
	talk, err := talks.Begin(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer talk.End()
	asked := turn
	asked.Answer = ""
	if err := talk.Ask(t.Context(), asked, ""); err != nil {
		t.Fatal(err)
	}
	if turn.Answer == "" {
		return
	}
	remember := func(c conversation.Conversation) conversation.Conversation {
		c.Memory = memory
		return c
	}
	if err := talk.Answer(t.Context(), turn, remember); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, talks *conversation.Talks, id string) conversation.Conversation {
	t.Helper()
	c, err := talks.Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func messages(turns []conversation.Turn) string {
	var all []string
	for _, t := range turns {
		all = append(all, t.Message)
	}
	return strings.Join(all, " ")
}

func TestWhatTheResponderRemembersIsKeptWhole(t *testing.T) {
	talks := newTalks(5)
	memory := responder.Memory{
		Topic: "products", Shown: []string{"a", "b"}, Last: []string{"b"}, Unsure: 2, Ticket: "SAV-7K4M2Q",
		Needs: &responder.Needs{
			Needs: shop.Needs{Types: []string{"shampoo"}, MaxPrice: 12.5, Free: []string{"sulfate"}, Vegan: true}, With: []string{"argan"},
			NotConcerns: []string{"oily"}, Cheapest: true,
		},
	}
	add(t, talks, "s", conversation.Turn{Message: "m", Answer: "a"}, memory)
	if got := read(t, talks, "s").Memory; !reflect.DeepEqual(got, memory) {
		t.Errorf("remembered: %+v, want %+v", got, memory)
	}
}

func TestTurnsAreBounded(t *testing.T) {
	talks := newTalks(3)
	for i := range 5 {
		add(t, talks, "s", conversation.Turn{Message: fmt.Sprint("m", i), Answer: "a"}, responder.Memory{})
	}
	if c := read(t, talks, "s"); messages(c.Turns) != "m2 m3 m4" || c.Count != 5 {
		t.Errorf("kept: %s of %d", messages(c.Turns), c.Count)
	}
	talks = newTalks(200)
	for range 50 {
		add(t, talks, "s", conversation.Turn{Message: strings.Repeat("m", 20_000), Answer: strings.Repeat("a", 20_000)}, responder.Memory{})
	}
	if n := len(read(t, talks, "s").Turns); n != 6 {
		t.Errorf("%d turns of 40,000 bytes are kept, want those of 256 KiB", n)
	}
	add(t, talks, "s", conversation.Turn{Message: "m", Answer: strings.Repeat("a", 1<<20)}, responder.Memory{})
	if n := len(read(t, talks, "s").Turns); n != 1 {
		t.Errorf("%d turns are kept beside one that is too large", n-1)
	}
}

func TestWindow(t *testing.T) {
	talks := newTalks(10)
	for i := range 4 {
		add(t, talks, "s", conversation.Turn{Message: fmt.Sprint("m", i), Answer: "1234567890"}, responder.Memory{})
	}
	add(t, talks, "s", conversation.Turn{Message: "unanswered"}, responder.Memory{})
	c := read(t, talks, "s")
	for _, w := range []struct {
		turns, tokens int
		want          string
	}{{10, 1000, "m0 m1 m2 m3"}, {2, 1000, "m2 m3"}, {10, 36, "m1 m2 m3"}, {10, 35, "m2 m3"}, {10, 11, ""}, {0, 1000, ""}} {
		if got := messages(c.Window(w.turns, w.tokens, func(s string) int { return len(s) })); got != w.want {
			t.Errorf("Window(%d, %d) = %q, want %q", w.turns, w.tokens, got, w.want)
		}
	}
}

func TestMessageIsKeptBeforeItsAnswer(t *testing.T) {
	talks := newTalks(10)
	add(t, talks, "s", conversation.Turn{Message: "first", Answer: "a"}, responder.Memory{Topic: "products"})
	add(t, talks, "s", conversation.Turn{Message: "second"}, responder.Memory{})
	if c := read(t, talks, "s"); messages(c.Turns) != "first second" || c.Turns[1].Answer != "" || c.Memory.Topic != "products" {
		t.Errorf("kept: %+v", c)
	}
}

func TestKeysOfAnswersAreBounded(t *testing.T) {
	talks := newTalks(10)
	for i := range 30 {
		talk, err := talks.Begin(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := talk.Ask(t.Context(), conversation.Turn{Message: "m"}, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
		talk.End()
	}
	if keys := read(t, talks, "s").Answers; len(keys) != conversation.MaxAnswers || keys[len(keys)-1] != "k29" {
		t.Errorf("keys: %q", keys)
	}
}

func TestForgottenConversationStaysForgotten(t *testing.T) {
	talks := newTalks(10)
	talk, err := talks.Begin(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := talk.Ask(t.Context(), conversation.Turn{Message: "m"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := talks.Delete(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	same := func(c conversation.Conversation) conversation.Conversation { return c }
	if err := talk.Answer(t.Context(), conversation.Turn{Message: "m", Answer: "a"}, same); !errors.Is(err, store.ErrLost) {
		t.Errorf("Answer: %v", err)
	}
	talk.End()
	if c := read(t, talks, "s"); c.Count != 0 {
		t.Errorf("kept: %+v", c)
	}
}

func TestMergeKeepsTheTurnsOfBoth(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC) }
	shared, _ := json.Marshal(conversation.Conversation{
		Profile: conversation.Profile{Name: "Anna"}, Count: 2, Memory: responder.Memory{Topic: "sav"},
		Turns: []conversation.Turn{{At: at(1), Message: "one"}, {At: at(4), Message: "four"}},
	})
	here, _ := json.Marshal(conversation.Conversation{
		Profile: conversation.Profile{HairType: "dry"}, Count: 2, Memory: responder.Memory{Topic: "products"},
		Turns: []conversation.Turn{{At: at(2), Message: "two"}, {At: at(3), Message: "three"}},
	})
	var c conversation.Conversation
	if err := json.Unmarshal(conversation.Merge(shared, here), &c); err != nil {
		t.Fatal(err)
	}
	want := conversation.Profile{Name: "Anna", HairType: "dry"}
	if messages(c.Turns) != "one two three four" || c.Count != 4 || c.Memory.Topic != "sav" || !reflect.DeepEqual(c.Profile, want) {
		t.Errorf("merged: %+v", c)
	}
	// Redis went away between a message and its answer: memory holds what Redis had, too.
	began, _ := json.Marshal(conversation.Conversation{
		Count: 3, Turns: []conversation.Turn{{At: at(1), Message: "one", Answer: "1"}, {At: at(2), Message: "two"}, {At: at(3), Message: "three"}},
	})
	ended, _ := json.Marshal(conversation.Conversation{Count: 4, Turns: []conversation.Turn{
		{At: at(1), Message: "one", Answer: "1"}, {At: at(2), Message: "two", Answer: "2"}, {At: at(3), Message: "three"}, {At: at(4), Message: "four"},
	}})
	for _, both := range [][2][]byte{{began, ended}, {ended, began}} {
		c = conversation.Conversation{}
		if err := json.Unmarshal(conversation.Merge(both[0], both[1]), &c); err != nil {
			t.Fatal(err)
		}
		if messages(c.Turns) != "one two three four" || c.Count != 4 || c.Turns[1].Answer != "2" {
			t.Errorf("merged: %+v", c)
		}
	}
	for _, broken := range []string{"", "{", "[]"} {
		if got := conversation.Merge(shared, []byte(broken)); string(got) != string(shared) {
			t.Errorf("merged with %q: %s", broken, got)
		}
		if got := conversation.Merge([]byte(broken), here); string(got) != string(here) {
			t.Errorf("%q merged: %s", broken, got)
		}
	}
}

func TestDamagedConversationIsAnError(t *testing.T) {
	values := store.NewMemory(store.Limits{TTL: time.Hour, MaxBytes: 1 << 20})
	if err := values.Put(context.Background(), "s", []byte("{")); err != nil {
		t.Fatal(err)
	}
	talks := conversation.New(values, 5)
	if _, err := talks.Read(t.Context(), "s"); err == nil {
		t.Error("it was read")
	}
	if _, err := talks.Begin(t.Context(), "s"); err == nil {
		t.Error("a turn has begun")
	}
	if err := talks.Delete(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	if _, err := talks.Begin(t.Context(), "s"); err != nil {
		t.Errorf("after its deletion: %v", err)
	}
}
