// Package policy turns a TOML policy file into a checked, immutable Policy in which every value knows where it came from.
//
// Layers are merged in this order, later ones winning: built-in defaults, the file, the environment, flags. All mistakes are
// reported at once, each with its place. The package knows no HTTP and no Redis: routes are names, patterns and values.
package policy

import "fmt"

// meta is what a policy knows about itself.
type meta struct {
	file   string
	hash   string
	root   *Key
	places map[string]place // of what a layer wrote, by dotted path, such as routes[2].cache.ttl
	hidden map[string]bool  // dotted paths of values that came from a reference
	router *router
	used   []string // plugins with a table or a route

	secrets []place  // literals of secrets in the file
	texts   []string // what no problem may show
}

// Source is a policy file: its name, as problems print it, and its text.
type Source struct {
	Name string
	Text []byte
}

// Layers are what lies over the file.
type Layers struct {
	Env   []string          // as os.Environ returns it; nil reads no variable
	Flags map[string]string // by dotted path, such as server.listen
}

// Kind says which layer a value came from.
type Kind string

// The layers.
const (
	FromDefault Kind = "default"
	FromFile    Kind = "file"
	FromEnv     Kind = "env"
	FromFlag    Kind = "flag"
)

// Origin is where a value came from.
type Origin struct {
	Kind      Kind
	File      string // for FromFile
	Line, Col int    // for FromFile, from 1
	Name      string // the variable or flag; for FromFile the references that the value holds, such as "env SHOP_KEY"
}

// String says where in a few words: "policies/shop.toml:11:1", "env REQUEST_TIMEOUT", "flag --set server.listen" or "default".
func (o Origin) String() string {
	switch o.Kind {
	case FromFile:
		at := fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Col)
		if o.Name != "" {
			at += " (" + o.Name + ")"
		}
		return at
	case FromEnv:
		return "env " + o.Name
	case FromFlag:
		return "flag --set " + o.Name
	}
	return string(FromDefault)
}

// Problem is one mistake in a policy.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
	Path string `json:"path"` // dotted path of the key
	Kind string `json:"kind"` // stable word, such as "unknown-key"
	What string `json:"what"`
	Hint string `json:"hint,omitempty"` // what to do

	hide []int // columns at which the line holds a secret
}

// Problems are all the mistakes of a policy, sorted by place. As an error it is their text, a line each.
type Problems []Problem
