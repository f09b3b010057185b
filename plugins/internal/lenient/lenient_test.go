package lenient_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/innatural/chatbot/plugins/internal/lenient"
)

func TestStrings(t *testing.T) {
	for text, want := range map[string][]string{`["a","b"]`: {"a", "b"}, `"a"`: {"a"}, `null`: nil, `[]`: {}} {
		var got struct{ S lenient.Strings }
		if err := json.Unmarshal([]byte(`{"s":`+text+`}`), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !slices.Equal(got.S, want) || (got.S == nil) != (want == nil) {
			t.Errorf("%s: %#v, want %#v", text, got.S, want)
		}
	}
	for _, text := range []string{`1`, `{}`, `[1]`, `true`} {
		var got lenient.Strings
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s was read as %v", text, got)
		}
	}
}
