package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

// Bounds of asking a server.
const (
	adminDeadline = 30 * time.Second
	maxAnswer     = 16 << 20
)

// adminFlags say which running server a command administers, and as whom.
type adminFlags struct {
	policy, server, tokenFile string
	format                    outputFormat
}

func (f *adminFlags) register(c *cobra.Command) {
	f.format.register(c)
	c.Flags().StringVarP(&f.policy, "policy", "p", "", "policy `FILE` of the server; the built-in policy without it")
	c.Flags().StringVarP(&f.server, "server", "s", "",
		"`URL` of the server, such as http://127.0.0.1:5000; the policy's address without it")
	c.Flags().StringVar(&f.tokenFile, "token-file", "",
		"`FILE` that holds the admin token; without it the policy's server.admin_token,\n"+
			"which the variable POLICY__SERVER__ADMIN_TOKEN sets too")
}

// adminClient asks a server for what its admin routes do.
type adminClient struct {
	program, server, token string
	policy                 *policy.Policy // of the server, if it is known
}

// call is what a server is asked for.
type call struct {
	handler      string // of the route
	method, path string // the path where the server's policy is not known
	query        string
	body         []byte
}

// admin finds the server that flags mean, and the token.
func (s *session) admin(flags *adminFlags) (*adminClient, error) {
	c := &adminClient{program: s.Name, server: strings.TrimSuffix(flags.server, "/")}
	if flags.server != "" {
		u, err := url.Parse(flags.server)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("--server %q is no URL of a server; write one such as http://127.0.0.1:5000", flags.server)
		}
	}
	if flags.tokenFile != "" {
		text, err := os.ReadFile(filepath.Clean(flags.tokenFile))
		if err != nil {
			return nil, fmt.Errorf("read admin token: %w", err)
		}
		if c.token = strings.TrimSpace(string(text)); c.token == "" || strings.ContainsAny(c.token, "\r\n") {
			return nil, fmt.Errorf("read admin token: %s does not hold one line", flags.tokenFile)
		}
	}
	if c.server != "" && c.token != "" && flags.policy == "" {
		return c, nil
	}
	p, err := s.loadPolicy(flags.policy, nil)
	if err != nil {
		return nil, fmt.Errorf("find the server: %w", err)
	}
	c.policy = p
	if c.server == "" {
		c.server = baseURL(p, p.Server.Listen)
		if p.Server.Admin.Listen != "" {
			c.server = adminURL(p, p.Server.Admin.Listen)
		}
	}
	if c.token == "" {
		c.token = p.Server.AdminToken.Reveal()
	}
	return c, nil
}

// url is where a call goes.
func (c *adminClient) url(of call) string {
	path := of.path
	if c.policy != nil {
		for _, r := range c.policy.Routes {
			if r.Handler == of.handler && !strings.ContainsAny(r.Path, ":*") {
				path = r.Path
				break
			}
		}
	}
	if of.query != "" {
		path += "?" + of.query
	}
	return c.server + path
}

// ask sends a request and returns the JSON of a good answer. Another one is a *refusal.
func (c *adminClient) ask(of call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, of.method, c.url(of), bytes.NewReader(of.body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.server, err)
	}
	if of.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	// A redirect would take the token elsewhere.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.server, err)
	}
	return answer, c.judge(of, response, answer)
}

// unreachable words why no server answers, and what to do.
func (c *adminClient) unreachable(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		err = of.Err // the URL is said below
	}
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s; start it with %q, or name another server with --server", c.server, c.program+" serve")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer within %s", c.server, adminDeadline)
	case errors.As(err, &name):
		return fmt.Errorf("no host is called %s; name another server with --server", name.Name)
	}
	return fmt.Errorf("ask %s: %w", c.server, err)
}

// refusal is an answer that says why something was not done.
type refusal struct {
	code    string
	message string
	details []framework.Detail
	body    []byte
}

func (r *refusal) Error() string {
	parts := []string{r.message}
	for _, d := range r.details {
		parts = append(parts, d.Field+" "+d.Message)
	}
	return strings.Join(parts, "; ")
}

// layers is what a refusal says of each layer.
func (r *refusal) layers() string {
	t := newTable()
	for _, d := range r.details {
		t.row(d.Field, d.Message)
	}
	return t.String()
}

// noRoute is the code of an answer where no route is; a handler's own 404 has another one.
const noRoute = "not_found"

// judge makes a refusal of an answer that is not good.
func (c *adminClient) judge(of call, response *http.Response, answer []byte) error {
	var said struct {
		Success bool               `json:"success"`
		Error   string             `json:"error"`
		Detail  string             `json:"detail"` // instead of Error in a problem of RFC 9457, outside /api
		Code    string             `json:"code"`
		Details []framework.Detail `json:"details"`
	}
	ours := json.Unmarshal(answer, &said) == nil && (said.Success || said.Code != "")
	why := cmp.Or(said.Error, said.Detail)
	switch status := response.StatusCode; {
	case ours && status == http.StatusOK && said.Success:
		return nil
	case !ours:
		return fmt.Errorf("%s answers %s, and not as this program does; "+
			"name another server with --server, or its policy with --policy", c.server, response.Status)
	case status == http.StatusNotFound && said.Code == noRoute, status == http.StatusMethodNotAllowed:
		return fmt.Errorf("nothing answers at %s%s; the server's policy needs a route there with the handler %s, "+
			"or has it elsewhere: name it with --policy", response.Request.URL.Host, response.Request.URL.Path, of.handler)
	case status == http.StatusUnauthorized, status == http.StatusForbidden && c.token != "":
		return fmt.Errorf("%s: %s; give it with --token-file, or in the variable POLICY__SERVER__ADMIN_TOKEN", c.server, why)
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%s: %s (in %s seconds)", c.server, why, response.Header.Get("Retry-After"))
	}
	return &refusal{code: said.Code, message: c.server + ": " + why, details: said.Details, body: answer}
}
