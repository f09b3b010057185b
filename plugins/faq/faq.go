// Package faq answers customers' frequent questions, and hands the FAQ to the other plugins.
package faq

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// Options are the plugin's options.
type Options struct {
	File string `toml:"file" doc:"FAQ to answer from, a JSON file read at start and at reload; without it the built-in one."`
}

// CheckDependencies implements policy.Dependent.
func (o Options) CheckDependencies(*policy.Policy) error {
	_, _, err := load(o)
	return shop.FileProblems("file", err)
}

// Plugin returns the plugin. It provides the *shop.FAQ.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "faq",
		Doc:  "Answers frequent questions, in French, English and Arabic.",
		Handlers: []framework.HandlerInfo{{
			Name: "faq", Doc: "The answer to a question, or that there is none.",
			Reads: framework.Inputs{Query: []string{"q", "language"}},
		}},
		Provides: []framework.Service{framework.ServiceOf[*shop.FAQ]()},
	}, Options{}, build)
}

//go:embed data/faq.json
var builtInFile []byte

// builtIn is the built-in FAQ, loaded once: it is immutable, and reloads need not wait for it.
var builtIn = sync.OnceValues(func() (*shop.FAQ, error) { return shop.LoadFAQ("faq.json", builtInFile) })

func build(h *framework.Host, o Options) (framework.Handlers, error) {
	f, data, err := load(o)
	if err != nil {
		return nil, err
	}
	h.AnswersFrom(data)
	framework.Provide(h, f)
	return framework.Handlers{"faq": faq{f, h.Metrics.Counter(telemetry.FAQSearches, telemetry.FAQSearchesHelp,
		telemetry.LabelLanguage, telemetry.LabelResult)}.answer}, nil
}

// load returns the FAQ and the file that it was read from.
func load(o Options) (*shop.FAQ, []byte, error) {
	if o.File == "" {
		faq, err := builtIn()
		return faq, builtInFile, err
	}
	data, err := shop.ReadFile(o.File)
	if err != nil {
		return nil, nil, fmt.Errorf("read FAQ: %w", err)
	}
	faq, err := shop.LoadFAQ(o.File, data)
	return faq, data, err
}

// faq answers from one FAQ. It may be used concurrently.
type faq struct {
	*shop.FAQ
	searches *telemetry.Counter
}

// maxQuestion is the longest question, in characters.
const maxQuestion = 500

// nothingFound is what is said to a question that the FAQ doesn't answer.
var nothingFound = shop.NewText(map[string]string{
	text.French:  "Je n'ai pas trouvé de réponse à cette question. Essayez d'autres mots, ou écrivez à notre service client.",
	text.English: "I found no answer to this question. Try other words, or ask our customer service.",
	text.Arabic:  "لم أجد إجابة عن هذا السؤال. يمكن تجربة كلمات أخرى أو مراسلة خدمة العملاء.",
})

// answer is what the handler sends. Nothing found has no question.
type answer struct {
	Success  bool   `json:"success"`
	Question string `json:"question,omitempty"`
	Message  string `json:"message"`
	Language string `json:"language"` // of the message
}

func (f faq) answer(_ context.Context, req *framework.Request) (*framework.Response, error) {
	var wrong []framework.Detail
	q, language := strings.TrimSpace(req.Query("q")), req.Query("language")
	switch n := utf8.RuneCountInString(q); {
	case n == 0:
		wrong = append(wrong, framework.Detail{Field: "q", Message: "is required"})
	case n > maxQuestion:
		wrong = append(wrong, framework.Detail{Field: "q", Message: fmt.Sprintf("must have at most %d characters", maxQuestion)})
	}
	if language != "" && !slices.Contains(text.Languages[:], language) {
		wrong = append(wrong, framework.Detail{Field: "language", Message: "must be one of fr, en, ar"})
	}
	if wrong != nil {
		return nil, framework.BadRequest("the request is not valid", wrong...)
	}
	language = cmp.Or(language, text.Detect(q), text.French)
	entry, _, ok := f.Search(text.Tokens(q), language)
	if !ok {
		f.searches.With(language, "none").Inc()
		message, actual := nothingFound.In(language)
		return framework.JSON(answer{false, "", message, actual})
	}
	f.searches.With(language, "found").Inc()
	question, message, actual := entry.In(language)
	return framework.JSON(answer{true, question, message, actual})
}
