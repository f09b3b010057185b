package policytest

import (
	"slices"
	"testing"

	"github.com/innatural/chatbot/framework/policy"
)

func TestCompare(t *testing.T) {
	body := `{"n": 3, "x": 1.5, "yes": true, "nothing": null, "name": "Ada", "list": [1, "b", {"c": 2}], "deep": {"a": {"b": "c"}}}`
	for name, test := range map[string]struct {
		want policy.TestExpect
		diff []string
	}{
		"all alike": {want: policy.TestExpect{JSON: map[string]any{
			"n": int64(3), "x": 1.5, "yes": true, "name": "Ada", "list": []any{int64(1), "~^b$", map[string]any{"c": int64(2)}},
			"deep": map[string]any{"a": map[string]any{"b": "~c"}}, "deep.a.b": "c", "list.2.c": int64(2),
		}}},
		"a pattern sees numbers and tables as JSON": {want: policy.TestExpect{JSON: map[string]any{
			"n": "~^3$", "nothing": "~^null$", "deep": `~^{"a":{"b":"c"}}$`,
		}}},
		"another number": {
			want: policy.TestExpect{JSON: map[string]any{"n": int64(4)}}, diff: []string{"json n: want 4, got 3"},
		},
		"a number is no string": {
			want: policy.TestExpect{JSON: map[string]any{"n": "3"}}, diff: []string{`json n: want "3", got 3`},
		},
		"a list of another length": {
			want: policy.TestExpect{JSON: map[string]any{"list": []any{int64(1)}}},
			diff: []string{`json list: want [1], got [1,"b",{"c":2}]`},
		},
		"within lists and tables": {
			want: policy.TestExpect{JSON: map[string]any{
				"list": []any{int64(1), "b", map[string]any{"c": int64(3)}}, "deep": map[string]any{"a": map[string]any{"z": "c"}},
			}},
			diff: []string{`json deep.a.z: want "c", got nothing there`, "json list.2.c: want 3, got 2"},
		},
		"past the end": {
			want: policy.TestExpect{JSON: map[string]any{"list.3": int64(1), "list.-1": int64(1), "name.x": "y"}},
			diff: []string{
				"json list.-1: want 1, got nothing there", "json list.3: want 1, got nothing there",
				`json name.x: want "y", got nothing there`,
			},
		},
		"a pattern that is none matches nothing": {
			want: policy.TestExpect{JSON: map[string]any{"name": "~("}}, diff: []string{`json name: want "~(", got "Ada"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d differences
			d.compare(test.want, answer{body: []byte(body)})
			if !slices.Equal(d, test.diff) {
				t.Errorf("differences: got %q, want %q", d, test.diff)
			}
		})
	}
}
