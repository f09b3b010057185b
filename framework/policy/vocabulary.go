package policy

// Vocabulary is what one build of a program can do: the names that its policies may use.
type Vocabulary struct {
	Plugins []Plugin
}

// Plugin describes a plugin to the policy: its options, with their defaults, and its handlers.
type Plugin struct {
	Name     string
	Doc      string
	Options  any // a struct value holding the defaults, tagged like Policy; nil when the plugin has none
	Handlers []Handler
}

// Handler describes a handler that routes can name.
type Handler struct {
	Name   string // what a route writes, such as "catalog.search"
	Doc    string // one sentence
	Reads  Inputs // what it reads of a request besides path parameters and, on an uncached route, the body
	Stream bool   // it answers with a stream
	Always bool   // it answers while the server stops or is overloaded, as health checks must
	Admin  bool   // it is for who runs the server: its routes need audience = "admin"

	// Heeds says that it returns soon after its context has ended, whatever it waits for. Then it runs on the goroutine of its
	// connection, which costs less than one of its own; and what does not return after all, holds its connection.
	Heeds bool

	// Gateway says that it passes requests on to another server, and its answers back (RFC 9110, section 3.7): bodies arrive
	// piece by piece, an answer is whole, a stream or a change of protocol, and goes out with the headers that it has.
	Gateway bool
}

// Inputs names parts of a request. A cached route's key holds exactly them.
type Inputs struct {
	Query   []string
	Headers []string
	Cookies []string
}

// Validator is implemented by plugin options that check themselves beyond their `check` tags. Validate's error is
// reported at the plugin's table; an *OptionError at the key that it names.
type Validator interface{ Validate() error }

// Dependent is implemented by plugin options that depend on what is not theirs: on other parts of the policy, on files. What
// CheckDependencies returns is reported as the error of Validate is, where a policy is about to be served: by Check and by
// Policy.Unmet. It starts nothing and writes nothing, and may be asked of options that Validate refuses.
type Dependent interface{ CheckDependencies(p *Policy) error }

// OptionError is a mistake in one option.
type OptionError struct {
	Key string // dotted path within the plugin's table
	Err error
}

func (e *OptionError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the mistake itself.
func (e *OptionError) Unwrap() error { return e.Err }
