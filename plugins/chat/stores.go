package chat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
	"github.com/innatural/chatbot/plugins/internal/session"
)

// Where conversations and tickets are kept.
const (
	inMemory = "memory"
	inRedis  = "redis"
	inFile   = "bbolt"
)

const (
	answersTTL   = 10 * time.Minute // of answers that are given again to who repeats a request
	answersBytes = 16 << 20
	activeBytes  = 32 << 20
)

// Validate implements policy.Validator.
func (o Options) Validate() error {
	var mistakes []error
	if o.Store == inFile && o.Path == "" {
		mistakes = append(mistakes, &policy.OptionError{Key: "path", Err: errors.New(`is required with store = "bbolt"; name the file, such as "/var/lib/chatbot/chat.db"`)})
	}
	if err := o.Model.Validate(); err != nil {
		mistakes = append(mistakes, err)
	}
	return errors.Join(mistakes...)
}

// CheckDependencies implements policy.Dependent.
func (o Options) CheckDependencies(p *policy.Policy) error {
	switch {
	case o.Store == inRedis && !p.Cache.Redis.Configured():
		return &policy.OptionError{Key: "store", Err: errors.New("the Redis that keeps conversations is that of [cache.redis], " +
			"which names none; add its host or addresses there, or choose another store")}
	case o.Store == inFile:
		if err := checkPlace(o.Path); err != nil {
			return &policy.OptionError{Key: "path", Err: err}
		}
	}
	return nil
}

// checkPlace returns why a file could be neither opened nor created at a path. Who may do so is not asked: whoever checks the policy
// may be somebody else than who serves it.
func checkPlace(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder; name a file in it", path)
	}
	folder := filepath.Dir(path)
	switch info, err := os.Stat(folder); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %s; create it, or name a file in another one", folder)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is a file; name a file in a folder", folder)
	}
	return nil
}

// stores hold what the chat remembers.
type stores struct {
	conversations, tickets store.Store
	answers                store.Store              // given again to who repeats a request
	active                 *session.Store[struct{}] // conversations that this instance answered in lately
}

// space says what a store is for.
type space struct {
	name   string
	limits store.Limits
	merge  func(shared, here []byte) []byte
}

// openStores opens the stores that the options name. They outlive reloads, unless what they depend on is changed.
func openStores(h *framework.Host, o Options) (s stores, err error) {
	errorsOf := h.Metrics.Counter(telemetry.ChatStoreErrors, telemetry.ChatStoreErrorsHelp, telemetry.LabelStore)
	var open func(space) (store.Store, error)
	switch o.Store {
	case inRedis:
		open = func(of space) (store.Store, error) {
			memory, err := shareMemory(h, of)
			if err != nil {
				return nil, err
			}
			r := store.NewRedis(h.Redis(), store.RedisOptions{
				Name: of.name, TTL: of.limits.TTL, Memory: memory, Merge: of.merge, Log: h.Log,
				Count: errorsOf.With(of.name).Inc,
			})
			h.Go(r.BringBack)
			return r, nil
		}
	case inFile:
		path, err := filepath.Abs(o.Path)
		if err != nil {
			return s, fmt.Errorf("find %s: %w", o.Path, err)
		}
		file, err := framework.Shared(h, "file "+path, func() (*store.File, error) { return store.OpenFile(path) })
		if err != nil {
			return s, err
		}
		open = func(of space) (store.Store, error) { return file.Space(of.name, of.limits) }
	default:
		_, err := framework.Shared(h, "told", func() (struct{}, error) { // once, not at every reload
			h.Log.Info("Conversations and tickets end with the process; keep them with another store of plugins.chat", "store", o.Store)
			return struct{}{}, nil
		})
		if err != nil {
			return s, err
		}
		open = func(of space) (store.Store, error) { return shareMemory(h, of) }
	}
	s.conversations, err = open(space{"conversations", store.Limits{TTL: o.TTL.D(), MaxBytes: int64(o.MaxBytes)}, conversation.Merge})
	if err != nil {
		return s, err
	}
	s.tickets, err = open(space{"tickets", store.Limits{TTL: o.TicketTTL.D(), MaxBytes: int64(o.TicketBytes)}, desk.Merge})
	if err != nil {
		return s, err
	}
	if o.Store == inFile { // those few minutes need not outlive the process
		open = func(of space) (store.Store, error) { return shareMemory(h, of) }
	}
	s.answers, err = open(space{"answers", store.Limits{TTL: answersTTL, MaxBytes: answersBytes}, theirs})
	if err != nil {
		return s, err
	}
	s.active, err = framework.Shared(h, "active "+o.TTL.String(), func() (*session.Store[struct{}], error) {
		return session.NewStore(activeBytes, o.TTL.D(), func(struct{}) int { return 0 }), nil
	})
	return s, err
}

// theirs keeps an answer that another instance gave, rather than that of this one.
func theirs(shared, _ []byte) []byte { return shared }

// shareMemory returns a store in memory that outlives reloads.
func shareMemory(h *framework.Host, of space) (*store.Memory, error) {
	key := fmt.Sprintf("memory %s %s %d", of.name, of.limits.TTL, of.limits.MaxBytes)
	return framework.Shared(h, key, func() (*store.Memory, error) { return store.NewMemory(of.limits), nil })
}
