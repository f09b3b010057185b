package chatbot

import "go.k6.io/k6/v2/js/modules"

// Root is what all virtual users of a k6 process share.
type Root struct{}

// New returns the module, for k6 to register.
func New() *Root { return &Root{} }

// NewModuleInstance returns the module as one virtual user sees it.
func (*Root) NewModuleInstance(modules.VU) modules.Instance { return instance{} }

type instance struct{}

func (instance) Exports() modules.Exports { return modules.Exports{Named: map[string]any{}} }
