package framework

import (
	"context"
	"fmt"
	"reflect"

	"github.com/innatural/chatbot/framework/policy"
)

// Handler answers a request. It gets a detached snapshot: nothing that it keeps can change under it or leak into another
// answer, and a test calls it without a server. It must end soon after ctx does; ctx ends at the route's deadline, when
// the client leaves and when the app stops. A handler is called concurrently.
type Handler func(ctx context.Context, req *Request) (*Response, error)

// Handlers are a plugin's handlers by the names that routes use: the plugin's own, or "plugin.name".
type Handlers map[string]Handler

// HandlerInfo describes a handler to policies: its name, what it reads and whether it streams.
type HandlerInfo = policy.Handler

// Inputs names the parts of a request that a handler reads.
type Inputs = policy.Inputs

// Info describes a plugin.
type Info struct {
	Name     string        // the name of its options' table and the first part of its handlers' names
	Doc      string        // one sentence
	Handlers []HandlerInfo // every handler that Build returns
	Provides []Service     // what Build hands to other plugins with Provide
}

// Plugin contributes named handlers to an app. NewPlugin makes one. A Plugin is a description: it holds no state, and the
// same value may serve several apps at once.
type Plugin struct {
	info    Info
	options any
	build   func(h *Host, options any) (Handlers, error)
}

// NewPlugin describes a plugin whose options are O, a struct tagged with `toml`, `doc` and `check` like the policy itself.
// The build function is called once for every generation that needs the plugin, with the defaults overlaid by the policy's
// [plugins.NAME] table; its error keeps the generation from starting.
func NewPlugin[O any](info Info, defaults O, build func(h *Host, options O) (Handlers, error)) Plugin {
	return Plugin{
		info:    info,
		options: defaults,
		build: func(h *Host, options any) (Handlers, error) {
			o, ok := options.(O)
			if !ok {
				return nil, fmt.Errorf("build plugin %s: the policy was loaded for other options", info.Name)
			}
			return build(h, o)
		},
	}
}

// NoOptions is the options type of a plugin that has none.
type NoOptions struct{}

// Info returns the plugin's description.
func (p Plugin) Info() Info { return p.info }

// Vocabulary returns what policies may say in a program with these plugins.
func Vocabulary(plugins ...Plugin) policy.Vocabulary {
	var v policy.Vocabulary
	for _, p := range plugins {
		v.Plugins = append(v.Plugins, policy.Plugin{
			Name: p.info.Name, Doc: p.info.Doc, Options: p.options, Handlers: p.info.Handlers,
		})
	}
	return v
}

// Service names a type that one plugin provides and others use. ServiceOf makes one.
type Service struct{ t reflect.Type }

// ServiceOf names the type T as a service.
func ServiceOf[T any]() Service { return Service{reflect.TypeFor[T]()} }

func (s Service) String() string { return s.t.String() }
