package framework

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// The forms of an error's body. The field names are the contract's.
type (
	apiError struct {
		Success   bool     `json:"success"`
		Error     string   `json:"error"`
		Code      string   `json:"code"`
		Details   []Detail `json:"details,omitempty"`
		RequestID string   `json:"requestId"`
		Timestamp string   `json:"timestamp"`
	}
	openAIError struct {
		Error openAIErrorBody `json:"error"`
	}
	openAIErrorBody struct {
		Message      string  `json:"message"`
		Type         string  `json:"type"`
		Code         string  `json:"code"`
		Param        *string `json:"param"`
		RequestID    string  `json:"request_id"`
		RetryAfterMS int64   `json:"retry_after_ms"`
	}
	problem struct { // RFC 9457
		Type      string   `json:"type"`
		Title     string   `json:"title"`
		Status    int      `json:"status"`
		Detail    string   `json:"detail"`
		Code      string   `json:"code"`
		Details   []Detail `json:"details,omitempty"`
		RequestID string   `json:"requestId"`
	}
)

// openAITypes are the types that the official clients know, by status.
var openAITypes = map[int]string{
	http.StatusUnauthorized: "authentication_error", http.StatusForbidden: "permission_error",
	http.StatusNotFound: "not_found_error", http.StatusConflict: "conflict_error",
	http.StatusUnprocessableEntity: "idempotency_error", http.StatusTooManyRequests: "rate_limit_error",
	http.StatusInternalServerError: "server_error", http.StatusBadGateway: "upstream_error",
	http.StatusServiceUnavailable: "overloaded_error", http.StatusGatewayTimeout: "timeout_error",
}

// errorResponse writes an error in the form that its client expects.
func errorResponse(r *fasthttp.Response, e *Error, form errorForm, id string, now time.Time) {
	var v any
	contentType := "application/json; charset=utf-8"
	status := e.Status
	h := &r.Header
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	switch form {
	case formAPI:
		v = apiError{
			Error: e.Message, Code: e.Code, Details: e.Details, RequestID: id, Timestamp: now.UTC().Format(time.RFC3339),
		}
	case formOpenAI:
		if status == http.StatusRequestTimeout { // the clients retry a 408 by themselves
			status = http.StatusGatewayTimeout
		}
		kind, ok := openAITypes[status]
		if !ok {
			kind = "invalid_request_error"
		}
		if status == http.StatusTooManyRequests && e.Final {
			kind = "insufficient_quota"
		}
		v = openAIError{openAIErrorBody{
			Message: e.Message, Type: kind, Code: e.Code, RequestID: id, RetryAfterMS: e.RetryAfter.Milliseconds(),
		}}
		retry := status == http.StatusConflict || status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
		h.Set("X-Should-Retry", strconv.FormatBool(retry && !e.Final))
		if e.RetryAfter > 0 {
			h.Set("Retry-After-Ms", strconv.FormatInt(e.RetryAfter.Milliseconds(), 10))
		}
	case formProblem:
		contentType = "application/problem+json"
		v = problem{
			Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: e.Message, Code: e.Code,
			Details: e.Details, RequestID: id,
		}
	}
	body, err := json.Marshal(v)
	if err != nil { // strings and numbers always encode
		body = []byte(`{}`)
	}
	h.SetContentType(contentType)
	if e.RetryAfter > 0 {
		h.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	r.SetStatusCode(status)
	r.SetBodyRaw(body)
}
