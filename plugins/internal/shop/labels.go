package shop

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/innatural/chatbot/plugins/internal/text"
)

//go:embed labels.json
var labelsFile []byte

// Property is a property of products whose values have ids, and labels in labels.json.
type Property struct {
	name    string // in labels.json
	concept string // what its concepts in text/synonyms.txt start with
}

// The properties.
var (
	Types     = Property{"types", ""}
	Concerns  = Property{"concerns", ""}
	HairTypes = Property{"hairTypes", "hair_"}
	SkinTypes = Property{"skinTypes", "skin_"}
	FreeOf    = Property{"free", "no_"}
	veganness = Property{"vegan", ""}
)

// label is a value of a property: its id and how it is called.
type label struct {
	id   string
	name Text
}

// labels are those of labels.json by property. A test checks the file: a mistake in it can't be met at run time.
var labels = sync.OnceValue(func() map[string][]label {
	all, err := parseLabels(labelsFile)
	if err != nil {
		panic(err)
	}
	return all
})

func parseLabels(file []byte) (map[string][]label, error) {
	var byProperty map[string]map[string]Text
	if err := json.Unmarshal(file, &byProperty); err != nil {
		return nil, fmt.Errorf("read labels.json: %w", err)
	}
	all := map[string][]label{}
	for property, names := range byProperty {
		for id, name := range names {
			all[property] = append(all[property], label{id, name})
		}
		slices.SortFunc(all[property], func(a, b label) int { return strings.Compare(a.id, b.id) })
	}
	return all, nil
}

// IDs returns the values of the property, sorted.
func (p Property) IDs() []string {
	var ids []string
	for _, l := range labels()[p.name] {
		ids = append(ids, l.id)
	}
	return ids
}

// Label returns how a value is called in a sentence ("la chute de cheveux"), or the value itself when it has no label.
func (p Property) Label(id, language string) string {
	if l := p.find(id); l != nil {
		name, _ := l.name.In(language)
		return name
	}
	return id
}

func (p Property) find(id string) *label {
	list := labels()[p.name]
	at, ok := slices.BinarySearchFunc(list, id, func(l label, id string) int { return strings.Compare(l.id, id) })
	if !ok {
		return nil
	}
	return &list[at]
}

// maxID is longer than every id, in bytes: longer text is words.
const maxID = 64

// Understand returns the values that a text names: an id in any spelling ("hair-loss"), or words in any of the languages
// ("chute de cheveux"); nil when it names none.
func (p Property) Understand(s string) []string {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil
	}
	if p.find(s) != nil {
		return []string{s}
	}
	if len(s) <= maxID {
		id := strings.ReplaceAll(strings.ReplaceAll(text.Fold(s), " ", "_"), "-", "_")
		if p.find(id) != nil {
			return []string{id}
		}
	}
	return p.Among(text.Concepts(s))
}

// Among returns the values that concepts of a text stand for (see text.Concepts); nil when there are none.
func (p Property) Among(concepts []string) []string {
	var ids []string
	for _, concept := range concepts {
		if id, ok := strings.CutPrefix(concept, p.concept); ok && p.find(id) != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// all returns the values that a list of a file names, in order. What is no value is kept as it is written.
func (p Property) all(list Texts) []string {
	ids := []string{}
	for _, s := range list.In(text.French) {
		found := p.Understand(s)
		if found == nil {
			found = []string{s}
		}
		for _, id := range found {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// FormatPrice writes an amount as a language does: "12,90 €", "€12.90", "12.90 يورو". A currency other than EUR is written by
// its code.
func FormatPrice(amount float64, currency, language string) string {
	s := strconv.FormatFloat(amount, 'f', 2, 64)
	switch {
	case language == text.French:
		if currency == "EUR" {
			currency = "€"
		}
		return strings.Replace(s, ".", ",", 1) + " " + currency
	case currency != "EUR":
		return s + " " + currency
	case language == text.Arabic:
		return s + " يورو"
	}
	return "€" + s
}
