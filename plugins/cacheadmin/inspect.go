package cacheadmin

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/innatural/chatbot/framework"
)

func inspect(ctx context.Context, h *framework.Host, req *framework.Request) (*framework.Response, error) {
	asked, err := described(req)
	if err != nil {
		return nil, err
	}
	return framework.JSON(struct {
		Success bool `json:"success"`
		framework.Inspection
	}{true, h.Inspect(ctx, asked)})
}

// described makes the request that the query describes: url, a path with an optional query, or all of a URL from http:// on,
// and any number of header, each "Name: value".
func described(req *framework.Request) (*framework.Request, error) {
	invalid := func(field, message string) error {
		return framework.BadRequest("the query is not valid", framework.Detail{Field: field, Message: message})
	}
	text := req.Query("url")
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, invalid("url", "is missing; write ?url= and the URL to look at, percent-encoded")
	case err != nil, u.Opaque != "", u.Host == "" && !strings.HasPrefix(text, "/"):
		return nil, invalid("url", "is no URL; write a path that begins with a slash, or all of it from http:// on")
	}
	asked := framework.NewRequest("GET", u.RequestURI(), nil).WithHeader("Host", cmp.Or(u.Host, req.Header("Host")))
	for _, line := range req.QueryAll("header") {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, invalid("header", `is not "Name: value"`)
		}
		asked.WithHeader(name, strings.TrimSpace(value))
	}
	return asked, nil
}
