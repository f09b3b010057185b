package framework

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/policy"
)

// cors answers for a route which web origins may read it (Fetch standard, section 3.2).
type cors struct {
	policy  policy.CORS
	methods string
}

// allowOrigin returns the value of Access-Control-Allow-Origin for an origin, or "".
func (c *cors) allowOrigin(origin string) string {
	switch {
	case origin == "" || len(c.policy.Origins) == 0:
		return ""
	case slices.Contains(c.policy.Origins, "*"):
		return "*"
	case slices.Contains(c.policy.Origins, origin):
		return origin
	}
	return ""
}

// set adds the headers that let a page of an allowed origin read the answer. It is for routes that allow some.
func (c *cors) set(h *fasthttp.ResponseHeader, origin string) {
	allowed := c.allowOrigin(origin)
	if allowed != "*" {
		h.Add("Vary", "Origin")
	}
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, X-Cache, RateLimit, RateLimit-Policy, Retry-After")
	if c.policy.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers a preflight request of an allowed origin; nil leaves the request to be answered as any OPTIONS.
func (c *cors) preflight(origin, method string) *Response {
	if method == "" || c.allowOrigin(origin) == "" {
		return nil
	}
	h := http.Header{}
	h.Set("Access-Control-Allow-Methods", c.methods)
	h.Set("Access-Control-Allow-Headers", strings.Join(append([]string{"Content-Type"}, c.policy.Headers...), ", "))
	h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.policy.MaxAge.D().Seconds())))
	return &Response{Status: http.StatusNoContent, Header: h}
}
