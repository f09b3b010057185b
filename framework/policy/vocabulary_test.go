package policy

import (
	"errors"
	"net/netip"
)

// catalogOptions are options of every form that plugins may use.
type catalogOptions struct {
	File    string            `toml:"file" doc:"Catalogue to read." check:"nonempty"`
	Refresh Duration          `toml:"refresh" doc:"How often it is read again." check:"min=1s,max=24h"`
	Limit   int               `toml:"limit" doc:"Products in an answer." check:"min=1,max=100"`
	Ratio   float64           `toml:"ratio" doc:"Share of matching words." check:"min=0,max=1"`
	Sizes   []string          `toml:"sizes" doc:"Sizes that are shown." check:"oneof=S|M|L"`
	Weights map[string]int    `toml:"weights" doc:"Weight of each field." check:"min=0,max=10"`
	Allow   []netip.Prefix    `toml:"allow" doc:"Networks that may write."`
	Search  catalogSearch     `toml:"search" doc:"How products are found."`
	Feeds   []catalogFeed     `toml:"feeds" doc:"Other shops' catalogues."`
	Extra   *catalogSearch    `toml:"extra" doc:"A second search."`
	Labels  map[string]string `toml:"labels" doc:"Text of each label."`
}

type catalogSearch struct {
	Fuzzy bool `toml:"fuzzy" doc:"Whether misspelt words are found."`
	Boost Size `toml:"boost" doc:"Memory for boosting." check:"max=1GiB"`
}

type catalogFeed struct {
	URL   string `toml:"url" doc:"Address of the feed." check:"required"`
	Token Secret `toml:"token" doc:"Its token."`
}

func (o catalogOptions) Validate() error {
	var errs []error
	if o.Limit > 50 && o.Search.Fuzzy {
		errs = append(errs, &OptionError{Key: "search.fuzzy", Err: errors.New("fuzzy search answers at most 50 products; lower limit")})
	}
	if o.File == o.Labels["file"] {
		errs = append(errs, errors.New("a label cannot be called like the file "+o.File))
	}
	return errors.Join(errs...)
}

type payOptions struct {
	Key     Secret   `toml:"key" doc:"Key of the payment service." check:"required"`
	URL     string   `toml:"url" doc:"Its address."`
	Timeout Duration `toml:"timeout" doc:"How long it may take."`
}

// testVocabulary is a program with a plugin of each kind.
func testVocabulary() Vocabulary {
	return Vocabulary{Plugins: []Plugin{
		{Name: "health", Doc: "Health of the service.", Handlers: []Handler{{Name: "health"}, {Name: "health.live", Always: true}, {Name: "health.stop", Admin: true}}},
		{
			Name: "catalog", Doc: "The shop's products.",
			Options: catalogOptions{
				File: "catalog.json", Refresh: Duration(3600e9), Limit: 20, Ratio: 0.5, Sizes: []string{"S", "M"},
				Weights: map[string]int{"name": 3, "text": 1},
			},
			Handlers: []Handler{
				{Name: "catalog.list", Reads: Inputs{Query: []string{"language"}}},
				{Name: "catalog.search", Reads: Inputs{Query: []string{"q", "language"}, Headers: []string{"Accept-Language"}}},
				{Name: "catalog.mine", Reads: Inputs{Headers: []string{"Authorization"}}},
				{Name: "catalog.basket", Reads: Inputs{Cookies: []string{"basket"}}},
			},
		},
		{Name: "chat", Doc: "The chatbot.", Handlers: []Handler{{Name: "chat"}, {Name: "chat.stream", Stream: true}}},
		{Name: "proxy", Doc: "Another server.", Handlers: []Handler{{Name: "proxy", Gateway: true}}},
		{Name: "pay", Doc: "Payments.", Options: payOptions{Timeout: Duration(5e9)}, Handlers: []Handler{{Name: "pay"}}},
	}}
}
