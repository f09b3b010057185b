package chatbot

import (
	"sync"
	"time"

	"go.k6.io/k6/v2/lib"

	"github.com/innatural/chatbot/xk6-chatbot/internal/phase"
)

// attendance is which phases of a scenario had a turn. One that had none fails the test: k6 knows nothing of phases, and would
// let a server pass that stood still in the recovery. Its methods may be called from any goroutine.
type attendance struct {
	root     *Root
	scenario string
	profile  phase.Profile
	state    *lib.State

	mu   sync.Mutex
	seen map[string]bool // phases in which a turn began
	told map[string]bool // those that failed the test
}

// beforeEnd is when, before the end of a scenario, it is known which phases no turn began in: afterwards k6 asks no more.
const beforeEnd = 10 * time.Millisecond

// attend notes that a turn of a conversation begins.
func (c *Conversation) attend(at time.Time) {
	if len(c.running.profile) < 2 || c.phase != "" {
		return // there are no phases, or a search names them
	}
	r := c.client.instance.root
	r.mu.Lock()
	a := r.attendances[c.running.name]
	if a == nil {
		a = &attendance{
			root: r, scenario: c.running.name, profile: c.running.profile, state: c.state,
			seen: map[string]bool{}, told: map[string]bool{},
		}
		r.attendances[a.scenario] = a
		end := c.running.start.Add(a.profile[len(a.profile)-1].End)
		time.AfterFunc(time.Until(end)-beforeEnd, a.check)
	}
	r.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[a.profile.At(at.Sub(c.running.start)).Name] = true
}

// interrupted notes that a turn never ended. A phase all of whose turns did not has none.
func (c *Conversation) interrupted(began time.Time) {
	r := c.client.instance.root
	name := c.phaseAt(began)
	r.mu.Lock()
	a := r.attendances[c.running.name]
	r.mu.Unlock()
	if a != nil && !r.recorder.Has(c.running.name, name) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.fail(name)
	}
}

// check fails the test when no turn began in a phase. All of them are over.
func (a *attendance) check() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range a.profile.Names() {
		if !a.seen[name] {
			a.fail(name)
		}
	}
}

// fail fails the test for a phase that had no turn, unless a threshold will, with an exit code of its own. One of several scenarios
// would have its threshold kept by another's turns.
func (a *attendance) fail(name string) {
	promised := func(end string) bool {
		_, ok := a.state.Options.Thresholds["chat_turns{phase:"+name+end]
		return ok
	}
	if len(a.state.Options.Scenarios) == 1 && (promised("}") || promised(answered)) || a.told[name] {
		return
	}
	a.told[name] = true
	a.state.Logger.Errorf("no turn was measured in phase %s of scenario %s", name, a.scenario)
	a.root.fail(a.state)
}
