// Package catalog serves the shop's products, and hands the catalogue to the other plugins.
package catalog

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"path"
	"slices"
	"strconv"
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
	File string `toml:"file" doc:"Catalogue to serve, a JSON file read at start and at reload; without it the built-in one."`
}

// CheckDependencies implements policy.Dependent.
func (o Options) CheckDependencies(*policy.Policy) error {
	_, _, err := load(o)
	return shop.FileProblems("file", err)
}

// Plugin returns the plugin. It provides the *shop.Catalogue.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "catalog",
		Doc:  "Serves the shop's products, in French, English and Arabic.",
		Handlers: []framework.HandlerInfo{
			{Name: "catalog.list", Doc: "Every product.", Reads: framework.Inputs{Query: []string{"language"}}},
			{
				Name: "catalog.search", Doc: "The products that answer a question, best first.",
				Reads: framework.Inputs{Query: []string{"q", "language", "limit"}},
			},
			{
				Name: "catalog.get", Doc: "One product or bundle; its route needs the parameter id.",
				Reads: framework.Inputs{Query: []string{"language"}},
			},
			{Name: "catalog.image", Doc: "A picture of the built-in catalogue; its route needs the parameter name."},
		},
		Provides: []framework.Service{framework.ServiceOf[*shop.Catalogue]()},
	}, Options{}, build)
}

//go:embed data/catalogue.json
var builtInFile []byte

// builtIn is the built-in catalogue, loaded once: it is immutable, and reloads need not wait for it.
var builtIn = sync.OnceValues(func() (*shop.Catalogue, error) {
	return shop.LoadCatalogue("catalogue.json", builtInFile)
})

//go:embed data/images/*.svg
var images embed.FS

func build(h *framework.Host, o Options) (framework.Handlers, error) {
	catalogue, data, err := load(o)
	if err != nil {
		return nil, err
	}
	h.AnswersFrom(data)
	framework.Provide(h, catalogue)
	return handlers(catalogue, h.Metrics)
}

// load returns the catalogue and the file that it was read from.
func load(o Options) (*shop.Catalogue, []byte, error) {
	if o.File == "" {
		catalogue, err := builtIn()
		return catalogue, builtInFile, err
	}
	data, err := shop.ReadFile(o.File)
	if err != nil {
		return nil, nil, fmt.Errorf("read catalogue: %w", err)
	}
	catalogue, err := shop.LoadCatalogue(o.File, data)
	return catalogue, data, err
}

// catalog answers from one catalogue. It may be used concurrently.
type catalog struct {
	*shop.Catalogue
	images   map[string][]byte
	searches *telemetry.Counter
}

func handlers(catalogue *shop.Catalogue, metrics *telemetry.Registry) (framework.Handlers, error) {
	c := catalog{catalogue, map[string][]byte{}, metrics.Counter(telemetry.CatalogSearches, telemetry.CatalogSearchesHelp,
		telemetry.LabelLanguage, telemetry.LabelResult)}
	const folder = "data/images"
	files, err := images.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read images: %w", err)
	}
	for _, f := range files {
		if c.images[f.Name()], err = images.ReadFile(path.Join(folder, f.Name())); err != nil {
			return nil, fmt.Errorf("read images: %w", err)
		}
	}
	return framework.Handlers{
		"catalog.list": c.list, "catalog.search": c.search, "catalog.get": c.get, "catalog.image": c.image,
	}, nil
}

func (c catalog) list(_ context.Context, req *framework.Request) (*framework.Response, error) {
	language, wrong := readLanguage(req)
	if wrong != nil {
		return nil, invalid(wrong)
	}
	language = cmp.Or(language, text.French)
	products := make([]shop.ProductView, len(c.Products))
	for i, p := range c.Products {
		products[i] = p.In(language)
	}
	return framework.JSON(struct {
		Success  bool               `json:"success"`
		Products []shop.ProductView `json:"products"`
		Language string             `json:"language"`
	}{true, products, language})
}

const (
	maxQuestion  = 500 // characters
	defaultLimit = 10
	maxLimit     = 50
)

// nothingFound is what a search that finds nothing says.
var nothingFound = shop.NewText(map[string]string{
	text.French:  "Aucun produit ne correspond à cette recherche.",
	text.English: "No product matches this search.",
	text.Arabic:  "لا يوجد منتج يطابق هذا البحث.",
})

func (c catalog) search(_ context.Context, req *framework.Request) (*framework.Response, error) {
	language, wrong := readLanguage(req)
	q := strings.TrimSpace(req.Query("q"))
	switch n := utf8.RuneCountInString(q); {
	case n == 0:
		wrong = append(wrong, framework.Detail{Field: "q", Message: "is required"})
	case n > maxQuestion:
		wrong = append(wrong, framework.Detail{Field: "q", Message: fmt.Sprintf("must have at most %d characters", maxQuestion)})
	}
	limit, err := strconv.Atoi(cmp.Or(req.Query("limit"), strconv.Itoa(defaultLimit)))
	if err != nil || limit < 1 || limit > maxLimit {
		wrong = append(wrong, framework.Detail{Field: "limit", Message: fmt.Sprintf("must be a number from 1 to %d", maxLimit)})
	}
	if wrong != nil {
		return nil, invalid(wrong)
	}
	language = cmp.Or(language, text.Detect(q), text.French)
	hits := c.Search(text.Tokens(q), language, limit)
	if len(hits) == 0 {
		c.searches.With(language, "none").Inc()
		message, _ := nothingFound.In(language)
		return framework.JSON(struct {
			Success  bool               `json:"success"`
			Message  string             `json:"message"`
			Products []shop.ProductView `json:"products"`
			Language string             `json:"language"`
		}{false, message, []shop.ProductView{}, language})
	}
	c.searches.With(language, "found").Inc()
	products := make([]shop.ProductView, len(hits))
	for i, hit := range hits {
		products[i] = hit.Product.In(language)
	}
	return framework.JSON(struct {
		Success  bool               `json:"success"`
		Product  shop.ProductView   `json:"product"`
		Products []shop.ProductView `json:"products"`
		Language string             `json:"language"`
	}{true, products[0], products, language})
}

func (c catalog) get(_ context.Context, req *framework.Request) (*framework.Response, error) {
	language, wrong := readLanguage(req)
	if wrong != nil {
		return nil, invalid(wrong)
	}
	p := c.Find(req.Param("id"))
	if p == nil {
		return nil, framework.NotFound("there is no product with this id")
	}
	resp, err := framework.JSON(struct {
		Success bool             `json:"success"`
		Product shop.ProductView `json:"product"`
	}{true, p.In(cmp.Or(language, text.French))})
	if err != nil {
		return nil, err
	}
	resp.Tags = []string{"product:" + p.ID}
	return resp, nil
}

func (c catalog) image(_ context.Context, req *framework.Request) (*framework.Response, error) {
	picture, ok := c.images[req.Param("name")]
	if !ok {
		return nil, framework.NotFound("there is no such picture")
	}
	return framework.Bytes("image/svg+xml", slices.Clone(picture)), nil
}

// readLanguage returns the asked language, or "" when none is asked, and what is wrong with it.
func readLanguage(req *framework.Request) (string, []framework.Detail) {
	language := req.Query("language")
	if language != "" && !slices.Contains(text.Languages[:], language) {
		return "", []framework.Detail{{Field: "language", Message: "must be one of fr, en, ar"}}
	}
	return language, nil
}

func invalid(wrong []framework.Detail) error {
	return framework.BadRequest("the request is not valid", wrong...)
}
