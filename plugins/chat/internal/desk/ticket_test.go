package desk

import (
	"strings"
	"testing"
)

func TestFindID(t *testing.T) {
	for text, want := range map[string]string{
		"SAV-7K4M2Q":                            "SAV-7K4M2Q",
		"où en est mon ticket sav-7k4m2q ?":     "SAV-7K4M2Q",
		"ticket SAV7K4M2Q":                      "SAV-7K4M2Q",
		"le numéro SAV 7K4M2Q merci":            "SAV-7K4M2Q",
		"SAV n°7K4M2Q":                          "SAV-7K4M2Q",
		"SAV-BONJOU":                            "", // no digit: a word
		"SAV-OK4MI2":                            "SAV-0K4M12",
		"تذكرتي SAV-٧K٤M٢Q":                     "SAV-7K4M2Q",
		"le sav merci":                          "",
		"SAV-7K4M2Q9":                           "",
		"SAV-7K4M2U":                            "", // not in the alphabet
		"je veux le SAV pour ma commande 12345": "",
	} {
		if got := FindID(text); got != want {
			t.Errorf("FindID(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestNewIDIsFoundAgain(t *testing.T) {
	const many = 2000
	seen := map[string]bool{}
	for range many {
		id := newID()
		if FindID(strings.ToLower("ticket "+id+", svp")) != id {
			t.Fatalf("%s is found as %q", id, FindID(id))
		}
		seen[id] = true
	}
	if len(seen) < many-2 { // two of them are the same in one run of 400
		t.Errorf("%d ids of %d are different", len(seen), many)
	}
}

func FuzzFindID(f *testing.F) {
	f.Add("SAV-7K4M2Q")
	f.Add("sav ٧k٤m٢q")
	f.Fuzz(func(t *testing.T, text string) {
		if id := FindID(text); id != "" && FindID(id) != id {
			t.Errorf("FindID(%q) = %q, which is none", text, id)
		}
	})
}
