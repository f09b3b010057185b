package qualification

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/internal/lenient"
	"github.com/innatural/chatbot/plugins/internal/session"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// question is a step as the HTTP contract writes it.
type question struct {
	Success     bool           `json:"success"`
	CurrentStep int            `json:"currentStep"` // from 1
	TotalSteps  int            `json:"totalSteps"`
	Step        string         `json:"step"`
	Question    string         `json:"question"`
	Options     []button       `json:"options"`
	Type        string         `json:"type"`
	Config      questionConfig `json:"config"`
}

type button struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Icon  string `json:"icon"`
}

// questionConfig is how many options may be chosen.
type questionConfig struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// ask returns the step at a place of the path.
func ask(path []*step, at int, language string) question {
	st := path[at]
	q := question{
		Success: true, CurrentStep: at + 1, TotalSteps: len(path), Step: st.ID, Type: st.Type, Config: questionConfig{1, 1},
	}
	if st.Type == "multiple" {
		q.Config = questionConfig{0, len(st.Options)}
	}
	q.Question, _ = st.Question.In(language)
	for _, o := range st.Options {
		label, _ := o.Label.In(language)
		q.Options = append(q.Options, button{o.ID, label, o.Icon})
	}
	return q
}

func (q *qualification) start(_ context.Context, req *framework.Request) (*framework.Response, error) {
	var r struct {
		SessionID string `json:"sessionId"`
		Language  string `json:"language"`
	}
	if err := req.DecodeJSON(&r); err != nil {
		return nil, err
	}
	if wrong := checkLanguage(session.CheckID(nil, r.SessionID), r.Language); len(wrong) > 0 {
		return nil, framework.BadRequest("the request is not valid", wrong...)
	}
	p := progress{language: cmp.Or(r.Language, text.French)}
	q.sessions.Update(r.SessionID, func(progress, bool) progress { return p })
	q.counted.With("none", "started").Inc()
	return private(struct {
		Success  bool     `json:"success"`
		Question question `json:"question"`
	}{true, ask(q.script.path(p), 0, p.language)})
}

// answerRequest is an answer as the HTTP contract writes it.
type answerRequest struct {
	SessionID string  `json:"sessionId"`
	Step      stepRef `json:"step"`
	Answer    struct {
		Selected lenient.Strings `json:"selected"` // ids of options; nil is no answer
	} `json:"answer"`
	Language string `json:"language"`
}

// stepRef is the number of a step, as a number or a string, or its id.
type stepRef string

func (s *stepRef) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(s))
	}
	var n int
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*s = stepRef(strconv.Itoa(n))
	return nil
}

func (q *qualification) answer(_ context.Context, req *framework.Request) (*framework.Response, error) {
	var r answerRequest
	if err := req.DecodeJSON(&r); err != nil {
		return nil, err
	}
	wrong := checkLanguage(session.CheckID(nil, r.SessionID), r.Language)
	if len(wrong) > 0 {
		return nil, framework.BadRequest("the answer is not valid", wrong...)
	}
	if _, ok := q.sessions.Get(r.SessionID); !ok {
		return nil, errNoSession
	}
	var after progress
	var finished bool
	q.sessions.Update(r.SessionID, func(before progress, _ bool) progress {
		after = before
		after.language = cmp.Or(r.Language, before.language, text.French)
		st, selected, mistakes := q.check(&r, before)
		if wrong = mistakes; len(wrong) == 0 {
			after = q.script.with(after, st, selected)
			finished = q.script.completed(after) && !q.script.completed(before)
		}
		return after
	})
	if len(wrong) > 0 {
		return nil, framework.BadRequest("the answer is not valid", wrong...)
	}
	if finished {
		q.counted.With(q.script.category(after), "completed").Inc()
	}
	path := q.script.path(after)
	next := after.next(path)
	if next < len(path) {
		return private(ask(path, next, after.language))
	}
	message, _ := q.script.Completed.Message.In(after.language)
	return private(struct {
		Success   bool   `json:"success"`
		Completed bool   `json:"completed"`
		Message   string `json:"message"`
	}{true, true, message})
}

// check returns the step that is answered and the options chosen, or what is wrong with them. A step may be answered again;
// one that was not asked yet may not.
func (q *qualification) check(r *answerRequest, p progress) (st *step, selected []string, wrong []framework.Detail) {
	path := q.script.path(p)
	next := p.next(path)
	at := slices.IndexFunc(path, func(st *step) bool { return st.ID == string(r.Step) })
	if n, err := strconv.Atoi(string(r.Step)); err == nil {
		at = n - 1
	}
	switch {
	case r.Step == "":
		return nil, nil, mistake("step", "is required")
	case at < 0 || at >= len(path):
		return nil, nil, mistake("step", fmt.Sprintf("must be a number from 1 to %d", len(path)))
	case at > next:
		return nil, nil, mistake("step", fmt.Sprintf("was not asked yet; answer step %d first", next+1))
	}
	st = path[at]
	selected = []string{} // an answer that chooses nothing is one too
	for _, id := range r.Answer.Selected {
		switch {
		case st.option(id) == nil:
			return nil, nil, mistake("answer.selected", "must be among "+st.optionIDs())
		case !slices.Contains(selected, id):
			selected = append(selected, id)
		}
	}
	switch {
	case r.Answer.Selected == nil:
		return nil, nil, mistake("answer.selected", "is required")
	case st.Type == "single" && len(selected) != 1:
		return nil, nil, mistake("answer.selected", "must be one option")
	}
	return st, selected, nil
}

func mistake(field, message string) []framework.Detail {
	return []framework.Detail{{Field: field, Message: message}}
}

func (st *step) optionIDs() string {
	var ids []string
	for _, o := range st.Options {
		ids = append(ids, o.ID)
	}
	return strings.Join(ids, ", ")
}

// How many products are recommended.
const (
	defaultLimit = 4
	maxLimit     = 20
)

// chosen is an answer in words.
type chosen struct {
	ID    string `json:"id"`
	Label string `json:"label"`
}

func (q *qualification) recommendations(_ context.Context, req *framework.Request) (*framework.Response, error) {
	id, language := req.Param("sessionId"), req.Query("language")
	wrong := checkLanguage(session.CheckID(nil, id), language)
	limit := defaultLimit
	if s := req.Query("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if limit = n; err != nil || n < 1 || n > maxLimit {
			wrong = append(wrong, mistake("limit", fmt.Sprintf("must be a number from 1 to %d", maxLimit))...)
		}
	}
	if len(wrong) > 0 {
		return nil, framework.BadRequest("the request is not valid", wrong...)
	}
	p, ok := q.sessions.Get(id)
	if !ok {
		return nil, errNoSession
	}
	language = cmp.Or(language, p.language)
	found := q.catalogue.Recommend(q.script.needs(p), language, limit)
	cards := []shop.Card{}
	key := "none"
	for _, rec := range found {
		cards = append(cards, rec.Product.Card(language, rec.Reason))
		if key = "found"; len(rec.Missed) > 0 {
			key = "missed"
		}
	}
	answers := map[string][]chosen{}
	for _, st := range q.script.path(p) {
		for _, id := range p.answers[st.ID] {
			label, _ := st.option(id).Label.In(language)
			answers[st.ID] = append(answers[st.ID], chosen{id, label})
		}
	}
	message, _ := q.messages[key].In(language)
	return private(map[string]any{"success": true, "recommendations": struct {
		Success         bool                `json:"success"`
		Count           int                 `json:"count"`
		Recommendations []shop.Card         `json:"recommendations"`
		Qualification   map[string][]chosen `json:"qualification"` // the answers, by step
		Completed       bool                `json:"completed"`
		Message         string              `json:"message"`
	}{true, len(cards), cards, answers, q.script.completed(p), message}})
}

func (q *qualification) stats(context.Context, *framework.Request) (*framework.Response, error) {
	var s struct {
		TotalSessions int            `json:"totalSessions"`
		Completed     int            `json:"completed"`
		InProgress    int            `json:"inProgress"`
		ByCategory    map[string]int `json:"byCategory"`
	}
	s.ByCategory = map[string]int{}
	for _, o := range q.script.Steps[0].Options {
		s.ByCategory[o.ID] = 0
	}
	for _, p := range q.sessions.Values() {
		s.TotalSessions++
		if q.script.completed(p) {
			s.Completed++
		} else {
			s.InProgress++
		}
		if c := q.script.category(p); c != "" {
			s.ByCategory[c]++
		}
	}
	return private(map[string]any{"success": true, "stats": s})
}

var errNoSession = &framework.Error{
	Status: http.StatusNotFound, Code: "session_not_found", Message: "there is no such session, or it is too old; start again",
}

func checkLanguage(wrong []framework.Detail, s string) []framework.Detail {
	if s != "" && !slices.Contains(text.Languages[:], s) {
		return append(wrong, framework.Detail{Field: "language", Message: "must be one of fr, en, ar"})
	}
	return wrong
}

// private is JSON that is meant for one customer.
func private(v any) (*framework.Response, error) {
	resp, err := framework.JSON(v)
	if err != nil {
		return nil, err
	}
	return resp.Set("Cache-Control", "no-store"), nil
}
