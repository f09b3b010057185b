package session

import (
	"regexp"

	"github.com/innatural/chatbot/framework"
)

var id = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// ValidID says whether an id has the form that the HTTP contract gives it.
func ValidID(s string) bool { return id.MatchString(s) }

// CheckID adds to wrong what is wrong with a required sessionId.
func CheckID(wrong []framework.Detail, s string) []framework.Detail {
	switch {
	case s == "":
		return append(wrong, framework.Detail{Field: "sessionId", Message: "is required"})
	case !ValidID(s):
		return append(wrong, framework.Detail{
			Field: "sessionId", Message: "must be 1 to 100 letters, digits, - and _",
		})
	}
	return wrong
}
