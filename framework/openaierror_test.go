package framework_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
)

// What OpenAI's clients are told of each error, and whether they are to ask again by themselves.
func TestErrorsOfOpenAIsProtocol(t *testing.T) {
	var told *framework.Error
	s := frameworktest.Start(t, "version = 1\n[[routes]]\npath = \"/v1/error\"\nhandler = \"test\"\n",
		plugin("test", framework.Handlers{
			"test": func(context.Context, *framework.Request) (*framework.Response, error) { return nil, told },
		}))
	for _, c := range []struct {
		told   framework.Error
		status int
		kind   string
		retry  bool
	}{
		{framework.Error{Status: 400}, 400, "invalid_request_error", false},
		{framework.Error{Status: 401}, 401, "authentication_error", false},
		{framework.Error{Status: 403}, 403, "permission_error", false},
		{framework.Error{Status: 404}, 404, "not_found_error", false},
		{framework.Error{Status: 408}, 504, "timeout_error", false},
		{framework.Error{Status: 409, RetryAfter: 300 * time.Millisecond}, 409, "conflict_error", true},
		{framework.Error{Status: 413}, 413, "invalid_request_error", false},
		{framework.Error{Status: 422}, 422, "idempotency_error", false},
		{framework.Error{Status: 429, RetryAfter: time.Second}, 429, "rate_limit_error", true},
		{framework.Error{Status: 429, RetryAfter: time.Hour, Final: true}, 429, "insufficient_quota", false},
		{framework.Error{Status: 500}, 500, "server_error", false},
		{framework.Error{Status: 502}, 502, "upstream_error", false},
		{framework.Error{Status: 503}, 503, "overloaded_error", true},
		{framework.Error{Status: 504}, 504, "timeout_error", false},
	} {
		c.told.Code, c.told.Message = "some_code", "what to do"
		told = &c.told
		a := s.Get(t, "/v1/error")
		var body struct {
			Error struct {
				Message, Type, Code, Param string
				RequestID                  string `json:"request_id"`
				RetryAfterMS               int64  `json:"retry_after_ms"`
			}
		}
		if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
			t.Fatalf("%v in %s", err, a.Body)
		}
		e := body.Error
		if a.Status != c.status || e.Type != c.kind || e.Code != "some_code" || e.Message != "what to do" || e.RequestID == "" {
			t.Errorf("%d is told as %d %s", c.told.Status, a.Status, a.Body)
		}
		if got := a.Header.Get("X-Should-Retry"); got != strconv.FormatBool(c.retry) {
			t.Errorf("%d %s: x-should-retry is %s", a.Status, e.Type, got)
		}
		want := c.told.RetryAfter.Milliseconds()
		if got := a.Header.Get("Retry-After-Ms"); e.RetryAfterMS != want || want > 0 && got != strconv.FormatInt(want, 10) {
			t.Errorf("%d: the time to wait is %d and %q, want %d", a.Status, e.RetryAfterMS, got, want)
		}
		if (a.Header.Get("Retry-After") != "") != (want > 0) {
			t.Errorf("%d: Retry-After is %q", a.Status, a.Header.Get("Retry-After"))
		}
	}
}
