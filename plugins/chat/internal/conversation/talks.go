package conversation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

// busyAfter is how long a message waits for the answer to the one before it.
const busyAfter = 2 * time.Second

// MaxAnswers is how many keys of answers a conversation holds; the oldest go.
const MaxAnswers = 20

// Talks keeps conversations by the ids of their sessions. It may be used concurrently.
type Talks struct {
	values   store.Store
	maxTurns int
}

// New returns the conversations that a store holds, of each at most maxTurns.
func New(values store.Store, maxTurns int) *Talks { return &Talks{values, maxTurns} }

// Read returns a conversation, empty when nothing is kept of it.
func (t *Talks) Read(ctx context.Context, id string) (Conversation, error) {
	value, err := t.values.Get(ctx, id)
	if err != nil {
		return Conversation{}, fmt.Errorf("read conversation: %w", err)
	}
	return decode(value)
}

// Delete forgets a conversation. An answer that is under way in it is given and not kept.
func (t *Talks) Delete(ctx context.Context, id string) error {
	if err := t.values.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete conversation: %w", err)
	}
	return nil
}

// Begin makes the caller the only one who answers in a conversation, on every instance that shares the store. It waits for another
// one who does, two seconds at most, then for store.ErrBusy. End has to be called.
func (t *Talks) Begin(ctx context.Context, id string) (*Talk, error) {
	lock, err := t.values.Lock(ctx, id, busyAfter)
	if err != nil {
		return nil, fmt.Errorf("begin a turn: %w", err)
	}
	now, err := decode(lock.Value)
	if err != nil {
		lock.Release()
		return nil, err
	}
	return &Talk{Conversation: now, lock: lock, maxTurns: t.maxTurns}, nil
}

// Talk is a conversation that one turn is being added to. It is not for concurrent use.
type Talk struct {
	Conversation // as it is kept now

	lock     *store.Lock
	maxTurns int
	asked    Conversation // before the turn
}

// Ask keeps the message of a turn, before its answer is made, and the key under which the answer is kept elsewhere, if it is.
func (t *Talk) Ask(ctx context.Context, turn Turn, answer string) error {
	t.asked = t.Conversation
	if answer != "" {
		t.asked.Answers = append(slices.Clone(t.asked.Answers[max(0, len(t.asked.Answers)-MaxAnswers+1):]), answer)
	}
	return t.keep(ctx, t.asked.append(turn, t.maxTurns))
}

// Answer keeps the turn in the place of what Ask kept. The function change returns the conversation with all else that the turn left.
func (t *Talk) Answer(ctx context.Context, turn Turn, change func(Conversation) Conversation) error {
	return t.keep(ctx, change(t.asked.append(turn, t.maxTurns)))
}

func (t *Talk) keep(ctx context.Context, c Conversation) error {
	t.Conversation = c
	value, err := encode(c)
	if err == nil {
		err = t.lock.Put(ctx, value)
	}
	if err != nil {
		return fmt.Errorf("keep turn: %w", err)
	}
	return nil
}

// End lets the next message be answered.
func (t *Talk) End() { t.lock.Release() }
