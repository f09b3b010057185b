package chat

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
)

// repeatable is a request that its client may send again and be answered the same, by the header Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header).
type repeatable struct {
	key         string // of who asks, the handler and the client's key
	fingerprint string // of the body
}

const maxIdempotencyKey = 255

// readRepeatable returns what makes a request repeatable, or nil. The scope is who asks: nobody gets the answer to another one's key.
func readRepeatable(req *framework.Request, handler string, scope ...string) (*repeatable, error) {
	key := req.Header("Idempotency-Key")
	if key == "" {
		return nil, nil
	}
	if len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, framework.BadRequest("the header is not valid", framework.Detail{
			Field: "Idempotency-Key", Message: "must have 1 to 255 visible ASCII characters",
		})
	}
	return &repeatable{digest(append(scope, handler, key)...), digest(string(req.Body()))}, nil
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p)) // of a length that tells the parts apart
		h.Write(sum[:])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

var errReused = &framework.Error{
	Status: http.StatusUnprocessableEntity, Code: "idempotency_key_reused",
	Message: "the Idempotency-Key was used for another request; use a new one for each request",
}

// attach answers a request that was sent before with the answer to that: with what was said so far, then with what follows. The answer
// is made as long as somebody waits for it.
func (c *chat) attach(ctx context.Context, t *turn, next func(context.Context) error) error {
	if t.Repeatable == nil {
		return next(ctx)
	}
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f, first := c.flights.join(t.Repeatable, cancel)
	if f.fingerprint != t.Repeatable.fingerprint {
		return errReused
	}
	sink, admitted := t.sink, t.Admitted
	if first {
		own := *t.turnRequest
		t.turnRequest, t.sink, own.Admitted = &own, f.say, f.admit
		stop := context.AfterFunc(ctx, func() {
			if cause := context.Cause(ctx); !errors.Is(cause, framework.ErrClientGone) { // others may wait still
				cancel(cause)
			}
		})
		c.flights.running.Go(func() {
			defer stop()
			defer cancel(nil)
			err := c.shielded(inner, func(ctx context.Context) error { return c.once(ctx, t, next) })
			c.flights.end(t.Repeatable.key, f, t.reply, err)
		})
	}
	defer c.flights.leave(t.Repeatable.key, f)
	answer, err := f.follow(ctx, sink, admitted)
	if err == nil && !first {
		t.reply = answer
	}
	return err
}

// shielded runs f so that a panic of it, on a goroutine that is not the request's, ends the request and not the process.
func (c *chat) shielded(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.ErrorContext(ctx, "Answering panicked", "panic", p, "stack", string(debug.Stack()))
			err = errors.New("answering panicked")
		}
	}()
	return f(ctx)
}

// given is an answer as it is kept for who asks again; without one it is being made.
type given struct {
	Fingerprint string `json:"fingerprint"`
	Reply       *reply `json:"reply,omitempty"`
}

// once answers what no instance has answered yet, waits for one that does, or says again what was answered.
func (c *chat) once(ctx context.Context, t *turn, next func(context.Context) error) error {
	value, err := c.answers.Get(ctx, t.Repeatable.key)
	if err == nil {
		if again, err := c.again(t, value); again || err != nil {
			return err
		}
	}
	lock, err := c.answers.Lock(ctx, t.Repeatable.key, time.Hour) // or until ctx ends
	switch {
	case ctx.Err() != nil:
		if err == nil {
			lock.Release()
		}
		return context.Cause(ctx)
	case err != nil:
		c.notKept(ctx, "answers", err)
		return next(ctx)
	}
	defer lock.Release()
	if again, err := c.again(t, lock.Value); again || err != nil {
		return err
	}
	c.keepAnswer(ctx, lock, given{Fingerprint: t.Repeatable.fingerprint})
	if err := next(ctx); err != nil {
		return err
	}
	if !t.erased {
		answer := t.reply
		answer.Evidence = responder.Evidence{} // it has done its work
		c.keepAnswer(context.WithoutCancel(ctx), lock, given{t.Repeatable.fingerprint, &answer})
	}
	return nil
}

func (c *chat) keepAnswer(ctx context.Context, lock *store.Lock, g given) {
	value, err := json.Marshal(g)
	if err == nil {
		err = lock.Put(ctx, value)
	}
	if err != nil && !errors.Is(err, store.ErrLost) { // the conversation was erased
		c.notKept(ctx, "answers", err)
	}
}

// again says an answer again, if there is one.
func (c *chat) again(t *turn, value []byte) (bool, error) {
	var g given
	if value == nil || json.Unmarshal(value, &g) != nil { // of another version of the program
		return false, nil
	}
	if g.Fingerprint != t.Repeatable.fingerprint {
		return false, errReused
	}
	if g.Reply == nil {
		return false, nil
	}
	if t.Admitted != nil {
		if err := t.Admitted(); err != nil {
			return true, err
		}
	}
	t.reply = *g.Reply
	for _, piece := range pieces(t.reply.Text) {
		if err := t.sink(t.reply.Language, piece); err != nil {
			return true, err
		}
	}
	return true, nil
}

// flights are the repeatable requests that this generation answers now.
type flights struct {
	running sync.WaitGroup

	mu    sync.Mutex
	byKey map[string]*flight
}

// flight is an answer that several requests may follow.
type flight struct {
	fingerprint string
	cancel      context.CancelCauseFunc

	mu       sync.Mutex
	changed  chan struct{} // closed, and replaced, when something below changes
	watchers int
	admitted bool
	pieces   []spoken
	ended    bool
	reply    reply
	err      error
}

type spoken struct{ language, piece string }

// join returns the flight of a request, and whether the caller has to begin it, with a context that cancel ends.
func (f *flights) join(r *repeatable, cancel context.CancelCauseFunc) (of *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of = f.byKey[r.key]
	if of == nil {
		if f.byKey == nil {
			f.byKey = map[string]*flight{}
		}
		of, first = &flight{fingerprint: r.fingerprint, cancel: cancel, changed: make(chan struct{})}, true
		f.byKey[r.key] = of
	}
	if of.fingerprint == r.fingerprint {
		of.watchers++
	}
	return of, first
}

// leave ends what nobody waits for any more. Who asks again begins anew.
func (f *flights) leave(key string, of *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if of.watchers--; of.watchers == 0 {
		f.remove(key, of)
		of.cancel(framework.ErrClientGone)
	}
}

func (f *flights) remove(key string, of *flight) {
	if f.byKey[key] == of {
		delete(f.byKey, key)
	}
}

func (f *flights) end(key string, of *flight, answer reply, err error) {
	f.mu.Lock()
	f.remove(key, of)
	f.mu.Unlock()
	of.change(func() { of.ended, of.reply, of.err = true, answer, err })
}

func (f *flight) change(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flight) admit() error {
	f.change(func() { f.admitted = true })
	return nil
}

func (f *flight) say(language, piece string) error {
	f.change(func() { f.pieces = append(f.pieces, spoken{language, piece}) })
	return nil
}

// follow gives to a sink what was said, and then what is said, until the end.
func (f *flight) follow(ctx context.Context, s sink, admitted func() error) (reply, error) {
	for heard := 0; ; {
		f.mu.Lock()
		told, news, ended, changed := f.admitted, f.pieces[heard:], f.ended, f.changed
		f.mu.Unlock()
		if told && admitted != nil {
			if err := admitted(); err != nil {
				return reply{}, err
			}
			admitted = nil
		}
		for _, said := range news {
			if err := s(said.language, said.piece); err != nil {
				return reply{}, err
			}
		}
		heard += len(news)
		if ended {
			return f.reply, f.err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return reply{}, context.Cause(ctx)
		}
	}
}
