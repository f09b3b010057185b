// Package shop holds what the catalog, faq, qualification and chat plugins share: the shop's catalogue and FAQ, loaded from
// their files, shown in a language, searched, and recommended from.
//
// A Catalogue and a FAQ are immutable once loaded and may be used concurrently.
package shop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// Text is a text in several languages. In a file it is an object by language ({"fr": "…", "ar": "…"}) or one string, whose
// language is told from its words.
type Text struct {
	by    [len(text.Languages)]string
	plain string // in no known language: it stands for each
}

// NewText makes a text from strings by language.
func NewText(byLanguage map[string]string) Text {
	var t Text
	for i, l := range text.Languages {
		t.by[i] = strings.TrimSpace(byLanguage[l])
	}
	return t
}

// UnmarshalJSON reads a string, a number (a size may be one), an object by language, or null.
func (t *Text) UnmarshalJSON(data []byte) error {
	*t = Text{}
	switch data[0] {
	case '{':
		var by map[string]*scalar
		if err := json.Unmarshal(data, &by); err != nil {
			return err
		}
		for i, l := range text.Languages {
			if s := by[l]; s != nil {
				t.by[i] = strings.TrimSpace(string(*s))
			}
		}
		return nil
	case 'n':
		return nil
	}
	var s scalar
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*t = plainText(string(s))
	return nil
}

func plainText(s string) Text {
	s = strings.TrimSpace(s)
	if i := slices.Index(text.Languages[:], text.Detect(s)); i >= 0 {
		var t Text
		t.by[i] = s
		return t
	}
	return Text{plain: s}
}

// In returns the text in a language, or else in the first of fr, en and ar that it has, and the language that it is in. Text in
// no known language counts as in the asked one.
func (t Text) In(language string) (s, actual string) {
	for i, l := range text.Languages {
		if l == language && t.by[i] != "" {
			return t.by[i], l
		}
	}
	if t.plain != "" {
		return t.plain, language
	}
	for i, l := range text.Languages {
		if t.by[i] != "" {
			return t.by[i], l
		}
	}
	return "", language
}

// String returns the text in the first language that it has.
func (t Text) String() string { s, _ := t.In(text.French); return s }

// IsZero reports whether there is no text in any language.
func (t Text) IsZero() bool { return t == Text{} }

// each yields the text in each language that it has; "" is no known language.
func (t Text) each(yield func(language, s string)) {
	for i, s := range t.by {
		if s != "" {
			yield(text.Languages[i], s)
		}
	}
	if t.plain != "" {
		yield("", t.plain)
	}
}

// Texts is a list of texts in several languages. In a file it is an object of lists by language, a list whose items are strings
// or objects by language, or one string.
type Texts struct {
	by    [len(text.Languages)][]string
	items []Text // when the file has one list for all languages
}

// UnmarshalJSON reads any of the forms, or null.
func (t *Texts) UnmarshalJSON(data []byte) error {
	*t = Texts{}
	switch data[0] {
	case '{':
		var by map[string]json.RawMessage
		if err := json.Unmarshal(data, &by); err != nil {
			return err
		}
		for i, l := range text.Languages {
			if raw, ok := by[l]; ok {
				items, err := plainList(raw)
				if err != nil {
					return fmt.Errorf("%s: %w", l, err)
				}
				t.by[i] = items
			}
		}
		return nil
	case '[':
		if err := json.Unmarshal(data, &t.items); err != nil {
			return err
		}
	default:
		t.items = make([]Text, 1)
		if err := t.items[0].UnmarshalJSON(data); err != nil {
			return err
		}
	}
	t.items = slices.DeleteFunc(t.items, Text.IsZero)
	return nil
}

// plainList reads a list of strings, one string, or null.
func plainList(raw []byte) ([]string, error) {
	var list []scalar
	if raw[0] != '[' {
		raw = slices.Concat([]byte{'['}, raw, []byte{']'})
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	var items []string
	for _, s := range list {
		if s := strings.TrimSpace(string(s)); s != "" {
			items = append(items, s)
		}
	}
	return items, nil
}

// In returns the list in a language, or else in the first of fr, en and ar that it has; never nil.
func (t Texts) In(language string) []string {
	for i, l := range text.Languages {
		if l == language && len(t.by[i]) > 0 {
			return t.by[i]
		}
	}
	for _, list := range t.by {
		if len(list) > 0 {
			return list
		}
	}
	list := make([]string, len(t.items))
	for i, item := range t.items {
		list[i], _ = item.In(language)
	}
	return list
}

// each yields every item in each language; "" is no known language.
func (t Texts) each(yield func(language, s string)) {
	for i, list := range t.by {
		for _, s := range list {
			yield(text.Languages[i], s)
		}
	}
	for _, item := range t.items {
		item.each(yield)
	}
}

// scalar is a JSON string, or a number as it is written, or null.
type scalar string

func (s *scalar) UnmarshalJSON(data []byte) error {
	switch c := data[0]; {
	case c == '"':
		return json.Unmarshal(data, (*string)(s))
	case c == '-' || c >= '0' && c <= '9':
		*s = scalar(data)
	case c == 'n':
		*s = ""
	default:
		return fmt.Errorf("%s is not a text", excerpt(data))
	}
	return nil
}

// excerpt shortens JSON for an error's text.
func excerpt(data []byte) string {
	const most = 40
	data = bytes.TrimSpace(data)
	if r := []rune(string(data)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(data)
}
