package responder

import (
	"strings"

	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// Menu is what can be chosen with a button: first what a visit is about, then a category, then a subcategory.
type Menu struct {
	InitialOptions []Choice            `json:"initialOptions"`
	Categories     []Choice            `json:"categories"`
	Subcategories  map[string][]Choice `json:"subcategories"` // by category
}

// Choice is a button in every language. A subcategory whose id is a type of product leads to its products.
type Choice struct {
	ID          string    `json:"id"`
	Label       shop.Text `json:"label"`
	Icon        string    `json:"icon"`
	Description shop.Text `json:"description"`
}

// Button is a choice in one language.
type Button struct {
	ID          string `json:"id"`
	Label       string `json:"label"`
	Icon        string `json:"icon"`
	Description string `json:"description,omitempty"`
}

// Buttons returns choices in a language; never nil.
func Buttons(choices []Choice, language string) []Button {
	buttons := make([]Button, len(choices))
	for i, c := range choices {
		label, _ := c.Label.In(language)
		description, _ := c.Description.In(language)
		buttons[i] = Button{c.ID, label, c.Icon, description}
	}
	return buttons
}

func (m Menu) categories(language string) []Button { return Buttons(m.Categories, language) }

func (m Menu) subcategories(category, language string) []Button {
	return Buttons(m.Subcategories[category], language)
}

// Kinds of choice.
type kind int

const (
	_ kind = iota
	initialOption
	category
	subcategory
)

// chosen is a choice that was made.
type chosen struct {
	kind kind
	id   string
}

// index returns the choices by their ids and labels in every language, as label writes them.
func (m Menu) index() map[string]chosen {
	index := map[string]chosen{}
	add := func(k kind, choices []Choice) {
		for _, c := range choices {
			index[label(cutWords(c.ID))] = chosen{k, c.ID}
			for _, l := range text.Languages {
				s, _ := c.Label.In(l)
				index[label(cutWords(s))] = chosen{k, c.ID}
			}
		}
	}
	for _, choices := range m.Subcategories {
		add(subcategory, choices)
	}
	add(category, m.Categories)
	add(initialOption, m.InitialOptions)
	return index
}

const maxLabelWords = 6

// label joins the words of a label as they are compared.
func label(w words) string {
	folded := make([]string, len(w))
	for i, t := range w {
		folded[i] = t.Folded
	}
	return strings.Join(folded, " ")
}
