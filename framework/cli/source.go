package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

// builtIn is what the policy that comes with the program is called.
const builtIn = "built-in policy"

// source is where a command's policy comes from. It may be used concurrently.
type source struct {
	program string
	file    string // empty is the program's own policy
	text    []byte // of the program's own policy
	flags   map[string]string
	environ []string

	mu   sync.Mutex
	last []byte // what was read last
}

func (s *session) source(file string, flags map[string]string) *source {
	return &source{program: s.Name, file: file, text: []byte(s.Policy), flags: flags, environ: os.Environ()}
}

// name is what problems call the policy.
func (s *source) name() string {
	if s.file == "" {
		return builtIn
	}
	return s.file
}

// read returns the policy's text, and remembers it.
func (s *source) read() ([]byte, error) {
	if s.file == "" {
		return s.text, nil
	}
	text, err := os.ReadFile(filepath.Clean(s.file))
	switch {
	case os.IsNotExist(err):
		return nil, fmt.Errorf("read policy: %w; %q writes one to start from", err, s.program+" new "+s.file)
	case err != nil:
		return nil, fmt.Errorf("read policy: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = text
	return text, nil
}

// load is a framework.Loader: the policy with the environment and the flags over it. A policy with problems is an
// *invalidPolicy.
func (s *source) load(v policy.Vocabulary) (*policy.Policy, error) { return s.loadWith(policy.Load, v) }

// check is load for who wants to know whether the policy could be served here.
func (s *source) check(v policy.Vocabulary) (*policy.Policy, error) {
	return s.loadWith(policy.Check, v)
}

func (s *source) loadWith(
	load func(policy.Source, policy.Vocabulary, policy.Layers) (*policy.Policy, policy.Problems), v policy.Vocabulary,
) (*policy.Policy, error) {
	text, err := s.read()
	if err != nil {
		return nil, err
	}
	src := policy.Source{Name: s.name(), Text: text}
	p, problems := load(src, v, policy.Layers{Env: s.environ, Flags: s.flags})
	if len(problems) > 0 {
		return nil, &invalidPolicy{problems, src}
	}
	return p, nil
}

// placed adds the policy's text to problems that were found when it was to be served. Any other error stays as it is.
func (s *source) placed(err error) error {
	problems, ok := errors.AsType[policy.Problems](err)
	if _, placed := errors.AsType[*invalidPolicy](err); placed || !ok {
		return err
	}
	text := s.text
	if s.file != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		text = s.last
	}
	return &invalidPolicy{problems, policy.Source{Name: s.name(), Text: text}}
}

// changed says whether the file now holds something else than what was read last. While it is away it has not changed.
func (s *source) changed() bool {
	text, err := os.ReadFile(filepath.Clean(s.file))
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !bytes.Equal(text, s.last)
}

// loadPolicy loads a policy for a command that does not serve it.
func (s *session) loadPolicy(file string, flags map[string]string) (*policy.Policy, error) {
	return s.source(file, flags).load(framework.Vocabulary(s.Plugins...))
}

// policyFlags are the flags of a command that serves a policy, or asks who does.
type policyFlags struct {
	file   string
	listen string
	set    []string
}

func (f *policyFlags) register(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "policy", "p", "", "policy `FILE`; the built-in policy without it")
	c.Flags().StringVarP(&f.listen, "listen", "l", "", "`ADDRESS` to listen on, host:port, over the policy's; port 0 is any")
}

// layer is what the flags lay over the policy, by dotted path.
func (f *policyFlags) layer() (map[string]string, error) {
	layer := map[string]string{}
	for _, assignment := range f.set {
		key, value, ok := strings.Cut(assignment, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--set %q is not an assignment; write --set key=value, such as --set log.level=debug", assignment)
		}
		layer[key] = value
	}
	if f.listen != "" {
		layer["server.listen"] = f.listen
	}
	return layer, nil
}
