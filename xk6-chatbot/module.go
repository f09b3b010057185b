package chatbot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"

	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
	"github.com/innatural/chatbot/xk6-chatbot/internal/search"
)

// Root is what all virtual users of a k6 process share. Its methods may be called from any goroutine.
type Root struct {
	run      string // tells this run's conversations from those of another
	recorder *record.Recorder

	mu          sync.Mutex
	scenarios   map[string]*running
	searches    map[string]*search.Search // by scenario
	cached      map[string]*stored        // by URL
	prompts     map[string][]Prompt       // by absolute path
	attendances map[string]*attendance    // by scenario
	recovering  map[string]recovering     // by scenario
	target      string                    // address of the server of the first client
	config      map[string]any            // what the run was made with, for the report

	once     sync.Once
	promises atomic.Pointer[promised] // nil until a scenario uses the extension
	failed   atomic.Bool              // the test, by the extension
}

// New returns the module, for k6 to register.
func New() *Root {
	id := make([]byte, 4)
	_, _ = rand.Read(id) // never fails, as crypto/rand says
	return &Root{
		run: hex.EncodeToString(id), recorder: record.New(),
		scenarios: map[string]*running{}, searches: map[string]*search.Search{}, cached: map[string]*stored{},
		prompts: map[string][]Prompt{}, attendances: map[string]*attendance{}, recovering: map[string]recovering{}, config: map[string]any{},
	}
}

// NewModuleInstance returns the module as one virtual user sees it. k6 makes one more for the options, setup, teardown and the
// summary.
func (r *Root) NewModuleInstance(vu modules.VU) modules.Instance {
	m, err := newMetrics(vu.InitEnv().Registry)
	if err != nil {
		common.Throw(vu.Runtime(), err)
	}
	return &instance{root: r, vu: vu, metrics: m}
}

// instance is the module in one virtual user. It is used on that user's goroutine alone.
type instance struct {
	root    *Root
	vu      modules.VU
	metrics *chatMetrics
	count   int64 // conversations so far
	current *running

	within       context.Context            // of the iteration that was counted last
	iteration    atomic.Pointer[iterations] // that it counts for, until it has ended
	subscription atomic.Uint64              // to the ends of iterations; 0 is none
	arrived      uint64                     // of an open model, the iteration whose arrival has been held against the schedule; counted from 1
}

// Exports returns what a script imports.
func (i *instance) Exports() modules.Exports {
	return modules.Exports{Named: map[string]any{
		"Client":     i.newClient,
		"PromptSet":  i.newPromptSet,
		"Search":     i.newSearch,
		"loadPolicy": i.loadPolicy,
		"scenario":   i.scenario,
		"phase":      i.phase,
		"summary":    i.summary,
	}}
}
