// Package admin lets an operator steer a running app over HTTP. Its routes belong to the audience admin.
package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

// Plugin returns the plugin.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "admin",
		Doc:  "Lets an operator reload the policy over HTTP, and profile the process; give its routes audience = \"admin\".",
		Handlers: []framework.HandlerInfo{
			{Name: "admin.reload", Admin: true, Doc: "Loads the policy again; on a mistake nothing changes, and the answer says why."},
			{
				Name: "admin.profile", Admin: true, Doc: "A profile of the process for go tool pprof, by the name that ends its route's path, such as heap.",
				Reads: framework.Inputs{Query: []string{"debug", "seconds"}},
			},
		},
	}, framework.NoOptions{}, func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
		return framework.Handlers{
			"admin.reload":  func(ctx context.Context, _ *framework.Request) (*framework.Response, error) { return reload(ctx, h) },
			"admin.profile": profile,
		}, nil
	})
}

func reload(ctx context.Context, h *framework.Host) (*framework.Response, error) {
	err := h.Reload(ctx)
	if err == nil {
		return framework.JSON(map[string]any{"success": true, "message": "Policy reloaded"})
	}
	refusal := &framework.Error{
		Status: http.StatusUnprocessableEntity, Code: "policy_invalid", Message: "the policy was not reloaded, the old one goes on",
	}
	var problems policy.Problems
	if !errors.As(err, &problems) {
		refusal.Details = []framework.Detail{{Field: "policy", Message: err.Error()}}
		return nil, refusal
	}
	for _, p := range problems {
		refusal.Details = append(refusal.Details, framework.Detail{Field: p.Path, Message: p.String()})
	}
	return nil, refusal
}
