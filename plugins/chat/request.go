package chat

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
	"github.com/innatural/chatbot/plugins/internal/session"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// Limits of what a request may hold, in characters.
const (
	maxMessage  = 5000
	maxName     = 100
	maxEmail    = 254 // RFC 5321, section 4.5.3.1.3
	maxConcerns = 20
	maxConcern  = 100
)

// chatRequest is a message as the HTTP contract writes it.
type chatRequest struct {
	Message     string               `json:"message"`
	SessionID   string               `json:"sessionId"`
	Language    string               `json:"language"`
	UserProfile conversation.Profile `json:"userProfile"`
}

// readChat decodes and checks a message before any work is done for it.
func readChat(req *framework.Request, handler string) (*turnRequest, error) {
	var r chatRequest
	if err := decode(req, &r); err != nil {
		return nil, err
	}
	var w mistakes
	r.Message = strings.TrimSpace(r.Message)
	switch n := utf8.RuneCountInString(r.Message); {
	case n == 0:
		w.add("message", "is required")
	case n > maxMessage:
		w.add("message", "must have at most %d characters, not %d", maxMessage, n)
	}
	w = session.CheckID(w, r.SessionID)
	w.language("language", r.Language)
	w.profile(&r.UserProfile)
	if len(w) > 0 {
		return nil, framework.BadRequest("the message is not valid", w...)
	}
	repeatable, err := readRepeatable(req, handler, r.SessionID)
	if err != nil {
		return nil, err
	}
	return &turnRequest{
		ID: req.ID(), Repeatable: repeatable, Message: r.Message, Language: r.Language, Profile: r.UserProfile, SessionID: r.SessionID,
		Client: req.Client(), Tokens: model.Tokens(r.Message),
	}, nil
}

// decode reads a JSON object. Bytes that are not UTF-8 would silently become other characters.
func decode(req *framework.Request, v any) error {
	if !utf8.Valid(req.Body()) {
		return &framework.Error{Status: http.StatusBadRequest, Code: "invalid_json", Message: "the body is not valid UTF-8"}
	}
	return req.DecodeJSON(v)
}

// mistakes are what is wrong with a request, by field.
type mistakes []framework.Detail

func (m *mistakes) add(field, format string, args ...any) {
	*m = append(*m, framework.Detail{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (m *mistakes) language(field, s string) {
	if s != "" && !slices.Contains(text.Languages[:], s) {
		m.add(field, "must be one of fr, en, ar")
	}
}

func (m *mistakes) hairType(field, s string) {
	if s != "" && !slices.Contains(shop.HairTypes.IDs(), s) {
		m.add(field, "must be one of %s", strings.Join(shop.HairTypes.IDs(), ", "))
	}
}

// concerns checks a list of ids or words. None is unknown: what is not understood is ignored.
func (m *mistakes) concerns(field string, list []string) {
	if len(list) > maxConcerns {
		m.add(field, "must have at most %d entries", maxConcerns)
		return
	}
	for i, s := range list {
		if utf8.RuneCountInString(s) > maxConcern {
			m.add(fmt.Sprintf("%s[%d]", field, i), "must have at most %d characters", maxConcern)
		}
	}
}

func (m *mistakes) profile(p *conversation.Profile) {
	m.language("userProfile.language", p.Language)
	m.hairType("userProfile.hairType", p.HairType)
	m.concerns("userProfile.concerns", p.Concerns)
	p.Name, p.Email = strings.TrimSpace(p.Name), strings.TrimSpace(p.Email)
	if utf8.RuneCountInString(p.Name) > maxName {
		m.add("userProfile.name", "must have at most %d characters", maxName)
	}
	local, domain, ok := strings.Cut(p.Email, "@")
	ok = ok && local != "" && domain != "" && len(p.Email) <= maxEmail && !strings.ContainsAny(p.Email, " \r\n\t")
	if p.Email != "" && !ok {
		m.add("userProfile.email", "must be an e-mail address")
	}
}
