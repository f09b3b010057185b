package admin_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins/admin"
)

const good = `
version = 1
[[routes]]
method = "POST"
path = "/-/reload"
handler = "admin.reload"
audience = "admin"
`

func reload(t *testing.T, s *frameworktest.Server) (status int, body string) {
	t.Helper()
	a := s.Do(t, http.MethodPost, "/-/reload", "")
	return a.Status, a.Body
}

func TestProfile(t *testing.T) {
	s := frameworktest.Start(t, "version = 1\n[[routes]]\npath = \"/debug/pprof/*\"\nhandler = \"admin.profile\"\naudience = \"admin\"\n", admin.Plugin())
	for path, want := range map[string]struct {
		status int
		body   string // it begins so
	}{
		"goroutine?debug=1": {200, "goroutine profile: total "},
		"heap":              {200, "\x1f\x8b"}, // gzip, as pprof has it
		"profile?seconds=1": {200, "\x1f\x8b"},
		"trace?seconds=1":   {200, "go 1."},
		"nothing":           {404, ""},
		"profile?seconds=x": {400, ""},
		"profile?seconds=0": {400, ""},
	} {
		if a := s.Get(t, "/debug/pprof/"+path); a.Status != want.status || !strings.HasPrefix(a.Body, want.body) {
			t.Errorf("%s: %d %.40q", path, a.Status, a.Body)
		}
	}
	both := make(chan int, 2) // at once, which a process can't
	for range cap(both) {
		go func() { both <- s.Get(t, "/debug/pprof/profile?seconds=2").Status }()
	}
	if a, b := <-both, <-both; min(a, b) != http.StatusOK || max(a, b) != http.StatusConflict {
		t.Errorf("two profiles at once: %d and %d", a, b)
	}
}

func TestReload(t *testing.T) {
	var text atomic.Value
	text.Store(good)
	s := frameworktest.StartWith(t, func(v policy.Vocabulary) (*policy.Policy, error) {
		return framework.PolicyText("shop.toml", text.Load().(string))(v)
	}, admin.Plugin())
	if status, body := reload(t, s); status != 200 || !strings.Contains(body, `"success":true`) {
		t.Errorf("a good policy: %d %s", status, body)
	}
	text.Store(good + "tll = 1\n[server]\nbody_limit = \"1 parsec\"\n")
	status, body := reload(t, s)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a bad policy: %d", status)
	}
	for _, want := range []string{"policy_invalid", "shop.toml:8:1", "unknown key", "body_limit"} {
		if !strings.Contains(body, want) {
			t.Errorf("the answer does not say %q: %s", want, body)
		}
	}
	text.Store(good)
	if status, _ := reload(t, s); status != 200 {
		t.Errorf("the old policy does not go on: %d", status)
	}
}
