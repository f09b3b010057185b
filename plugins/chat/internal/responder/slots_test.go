package responder

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestSlots(t *testing.T) {
	data, err := os.ReadFile("testdata/slots.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := newTestResponder(t)
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(line, "|", 3)
		if strings.HasPrefix(line, "#") {
			continue
		}
		want := strings.Split(strings.TrimSpace(f[1]), ";")
		want = slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, "=") })
		for i, s := range want {
			if s == "vegan" {
				want[i] = "vegan=yes"
			}
		}
		message := strings.TrimSpace(f[2])
		q := r.read(Turn{Message: message, Language: strings.TrimSpace(f[0])})
		got := strings.Split(q.needs.canonical(), ";")
		slices.Sort(want)
		slices.Sort(got)
		for i := range want { // values in order
			key, values, _ := strings.Cut(want[i], "=")
			list := strings.Split(values, ",")
			slices.Sort(list)
			want[i] = key + "=" + strings.Join(list, ",")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", message, got, want)
		}
	}
}
