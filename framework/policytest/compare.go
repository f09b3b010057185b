package policytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/innatural/chatbot/framework/policy"
)

// differences are between what a test expects and what came, in the words of the report.
type differences []string

func (d *differences) add(format string, args ...any) { *d = append(*d, fmt.Sprintf(format, args...)) }

func (d *differences) compare(want policy.TestExpect, got answer) {
	if got.status != want.Status {
		d.add("status: want %d, got %d", want.Status, got.status)
	}
	for _, name := range slices.Sorted(maps.Keys(want.Headers)) {
		d.header(name, want.Headers[name], got.header.Values(name))
	}
	if len(want.JSON) > 0 {
		d.json(want.JSON, got.body)
	}
	for _, text := range want.Contains {
		if !strings.Contains(string(got.body), text) {
			d.add("contains: want %q, got a body without it", text)
		}
	}
	for _, text := range want.NotContains {
		if strings.Contains(string(got.body), text) {
			d.add("not_contains: want a body without %q, got it", text)
		}
	}
}

func (d *differences) header(name, pattern string, values []string) {
	got := strings.Join(values, ", ")
	switch {
	case pattern == "" && len(values) > 0:
		d.add("header %s: want none, got %q", name, got)
	case pattern != "" && len(values) == 0:
		d.add("header %s: want %s, got none", name, pattern)
	case pattern != "" && !matches(pattern, got):
		d.add("header %s: want %s, got %q", name, pattern, got)
	}
}

// matches says whether a regular expression matches anywhere in text. One that is none, which LoadTests refuses where it can
// see it, matches nothing.
func matches(pattern, text string) bool {
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(text)
}

func (d *differences) json(want map[string]any, body []byte) {
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		d.add("json: want JSON, got something else: %v", err)
		return
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		value, ok := lookup(got, path)
		if !ok {
			d.add("json %s: want %s, got nothing there", path, written(want[path]))
			continue
		}
		d.value(path, want[path], value)
	}
}

// lookup finds a dotted path in a decoded body; a number is a position in an array, from 0.
func lookup(in any, path string) (any, bool) {
	for step := range strings.SplitSeq(path, ".") {
		switch node := in.(type) {
		case map[string]any:
			child, ok := node[step]
			if !ok {
				return nil, false
			}
			in = child
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			in = node[i]
		default:
			return nil, false
		}
	}
	return in, true
}

// value compares a value that a test writes with one of a body. Of a table only the keys that are written are compared.
func (d *differences) value(path string, want, got any) {
	switch want := want.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(want)) {
			below := path + "." + key
			if value, ok := lookup(got, key); ok {
				d.value(below, want[key], value)
			} else {
				d.add("json %s: want %s, got nothing there", below, written(want[key]))
			}
		}
		return
	case []any:
		if list, ok := got.([]any); ok && len(list) == len(want) {
			for i := range want {
				d.value(path+"."+strconv.Itoa(i), want[i], list[i])
			}
			return
		}
	case string:
		if pattern, isPattern := strings.CutPrefix(want, "~"); isPattern && matches(pattern, plain(got)) || want == got {
			return
		}
	case int64:
		if got == float64(want) {
			return
		}
	default:
		if got == want {
			return
		}
	}
	d.add("json %s: want %s, got %s", path, written(want), written(got))
}

// plain is a value as regular expressions see it: a string itself, anything else as JSON.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return written(v)
}

// written is a value as JSON writes it.
func written(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
