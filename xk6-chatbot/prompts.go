package chatbot

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/fsext"
)

//go:embed scenarios/messages.json
var builtinPrompts []byte

// Prompt is a message that a customer may send.
type Prompt struct {
	Text     string `json:"text" js:"text"`
	Language string `json:"language" js:"language"`
	Intent   string `json:"intent" js:"intent"`
}

const (
	maxIntents = 32 // more than that would make too many time series
	recent     = 16 // messages that may come again
)

// PromptSet draws messages for one virtual user.
type PromptSet struct {
	Size int `js:"size"`

	instance    *instance
	all         []Prompt
	intents     []string // sorted
	seed        uint64
	repeatRatio float64
	rng         *rand.Rand
	order       []int
	next        int
	last        []int // the most recent ones, newest last
}

func (i *instance) newPromptSet(call sobek.ConstructorCall) *sobek.Object {
	rt := i.vu.Runtime()
	var o struct {
		Seed        uint64  `json:"seed"`
		RepeatRatio float64 `json:"repeatRatio"`
	}
	set, err := i.promptSet(call.Argument(0))
	if err == nil {
		err = decode("new PromptSet", call.Argument(1), &o)
	}
	if err == nil && (o.RepeatRatio < 0 || o.RepeatRatio > 1) {
		err = fmt.Errorf("new PromptSet: repeatRatio is %v; it is from 0 to 1", o.RepeatRatio)
	}
	if err != nil {
		common.Throw(rt, err)
	}
	set.seed, set.repeatRatio = o.Seed, o.RepeatRatio
	return rt.ToValue(set).ToObject(rt)
}

// promptSet returns the messages of a file, or the built-in ones when no file is named.
func (i *instance) promptSet(path sobek.Value) (*PromptSet, error) {
	if absent(path) {
		return i.defaultPrompts()
	}
	env := i.vu.InitEnv()
	if env == nil {
		return nil, common.NewInitContextError("a PromptSet is made in the init context, outside of functions")
	}
	if path.String() == "" {
		return nil, errors.New("new PromptSet: needs the path of a file of messages, relative to the script, or none")
	}
	name := env.GetAbsFilePath(path.String())
	return i.loadPrompts(name, func() ([]byte, error) { return fsext.ReadFile(env.FileSystems["file"], name) })
}

func (i *instance) defaultPrompts() (*PromptSet, error) {
	return i.loadPrompts("", func() ([]byte, error) { return builtinPrompts, nil })
}

func (i *instance) loadPrompts(name string, read func() ([]byte, error)) (*PromptSet, error) {
	r := i.root
	r.mu.Lock()
	defer r.mu.Unlock()
	all, ok := r.prompts[name]
	if !ok {
		data, err := read()
		if err != nil {
			return nil, fmt.Errorf("new PromptSet: %w", err)
		}
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, fmt.Errorf("new PromptSet: %s: it is an array of objects with text, language and intent: %w", name, err)
		}
		if len(all) == 0 || slices.ContainsFunc(all, func(p Prompt) bool { return p.Text == "" }) {
			return nil, fmt.Errorf("new PromptSet: %s: a message has no text, or there is none", name)
		}
		r.prompts[name] = all
	}
	set := &PromptSet{Size: len(all), instance: i, all: all}
	for _, p := range all {
		set.intents = append(set.intents, p.Intent)
	}
	slices.Sort(set.intents)
	if set.intents = slices.Compact(set.intents); len(set.intents) > maxIntents {
		return nil, fmt.Errorf("new PromptSet: %s: it has %d intents; %d at most become tags", name, len(set.intents), maxIntents)
	}
	return set, nil
}

// Next draws a message.
func (s *PromptSet) Next() (Prompt, error) {
	if s.instance.vu.State() == nil {
		return Prompt{}, errors.New("next: messages are drawn by virtual users, not in the init context")
	}
	return s.draw(), nil
}

// draw goes through all messages in an order of its own for every user, and now and then comes back to a recent one.
func (s *PromptSet) draw() Prompt {
	if s.rng == nil {
		s.rng = rand.New(rand.NewPCG(s.seed, s.instance.vu.State().VUIDGlobal)) // #nosec G404 -- a load profile needs no secrets
	}
	if len(s.last) > 0 && s.rng.Float64() < s.repeatRatio {
		return s.all[s.last[s.rng.IntN(len(s.last))]]
	}
	if s.next == len(s.order) {
		s.order, s.next = s.rng.Perm(len(s.all)), 0
	}
	n := s.order[s.next]
	s.next++
	if s.last = append(s.last, n); len(s.last) > recent {
		s.last = append(s.last[:0], s.last[1:]...)
	}
	return s.all[n]
}

// intent returns the value of the tag for an intent: only those of the messages are known.
func (s *PromptSet) intent(name string) string {
	if _, known := slices.BinarySearch(s.intents, name); name == "" || !known {
		return "other"
	}
	return name
}
