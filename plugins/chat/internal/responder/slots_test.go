package responder

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
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

// What a conversation asks for is what all its turns do.
func TestDialogues(t *testing.T) {
	data, err := os.ReadFile("testdata/dialogues.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := newTestResponder(t)
	for talk := range strings.SplitSeq(string(data), "\n\n") {
		turn := Turn{Session: "s"}
		for line := range strings.Lines(talk) {
			f := strings.SplitN(strings.TrimSpace(line), "|", 4)
			if len(f) < 4 || strings.HasPrefix(line, "#") {
				continue
			}
			turn.Language, turn.Message = f[0], f[3]
			a := r.Answer(turn)
			if got := a.Intent.Name; got != f[1] {
				t.Errorf("%s: taken for %s, want %s", f[3], got, f[1])
			}
			switch needs := a.Memory.Needs; {
			case f[2] == "-":
			case needs == nil:
				t.Errorf("%s: needs nothing, want %s", f[3], f[2])
			case !sameSlots(needs.canonical(), f[2]):
				t.Errorf("%s: needs %s, want %s", f[3], needs.canonical(), f[2])
			}
			turn.Before = a.Memory
			turn.Number++
		}
	}
}

// sameSlots reports whether two lists of slots are the same in any order.
func sameSlots(a, b string) bool {
	x, y := strings.Split(a, ";"), strings.Split(b, ";")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// A set that has no phrase would change what is understood without a word: a name misspelt in cues.json, say.
func TestCuesAreAllThere(t *testing.T) {
	c, err := loadCues()
	if err != nil {
		t.Fatal(err)
	}
	var look func(v reflect.Value, name string)
	look = func(v reflect.Value, name string) {
		switch {
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					look(v.Field(i), name+"."+f.Name)
				}
			}
		case v.Len() == 0:
			t.Errorf("cues%s is empty", name)
		}
	}
	look(reflect.ValueOf(*c), "")
	d := json.NewDecoder(bytes.NewReader(cuesFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&cues{}); err != nil {
		t.Error(err)
	}
}
