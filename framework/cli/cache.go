package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
)

// The handlers of the cache's administration, and the paths that they have in the HTTP contract. A policy may give them others.
const (
	statsHandler, statsPath           = "cacheadmin.stats", "/api/cache/stats"
	inspectHandler, inspectPath       = "cacheadmin.inspect", "/api/cache/inspect"
	flushHandler, flushPath           = "cacheadmin.flush", "/api/cache/flush"
	invalidateHandler, invalidatePath = "cacheadmin.invalidate", "/api/cache/invalidate"
)

func (s *session) cache() *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Look into the cache of a running server, and purge it",
		Long: "Look into the cache of a running server, and purge it. The server is the one that serve starts with the same policy\n" +
			"and environment, or --server; the admin token is the policy's server.admin_token, or in --token-file. Exit codes:\n" +
			"0 fine, 1 could not run, 2 only a part of the cache could be purged.",
		Example: s.examples(
			"cache stats", "what each layer holds, and how often it answers",
			"cache inspect '/api/products?language=fr'", "what is stored for a URL, and what a request would get",
			"cache purge --tag products", "what has a tag",
			"cache flush", "everything",
		),
		Args: s.command,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(s.cacheStats(), s.cacheInspect(), s.cachePurge(), s.cacheFlush())
	return c
}

func (s *session) cacheStats() *cobra.Command {
	var to adminFlags
	c := &cobra.Command{
		Use:     "stats",
		Short:   "Show what each layer holds, and how often it answers",
		Example: s.examples("cache stats", "as a table", "cache stats --format json", "as the server sends it"),
		Args:    s.args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return s.administer(&to, call{statsHandler, http.MethodGet, statsPath, "", nil}, func(answer []byte) error {
				var a struct {
					Cache cache.Report `json:"cache"`
				}
				if err := json.Unmarshal(answer, &a); err != nil {
					return fmt.Errorf("read statistics: %w", err)
				}
				return s.printf("%s", statsTable(&a.Cache))
			})
		},
	}
	to.register(c)
	return c
}

func (s *session) cacheInspect() *cobra.Command {
	var to adminFlags
	var headers []string
	c := &cobra.Command{
		Use:   "inspect URL",
		Short: "Show what is stored for a URL, and what a request for it would get now",
		Long: "Show what is stored for a URL in each layer, with its variants, and what a GET for it would get now, and why.\n" +
			"Nothing is changed or counted. Of a whole URL the host is that of the request, and that of the server unless\n" +
			"--server names one.",
		Example: s.examples(
			"cache inspect '/api/products?language=fr'", "a path of the server",
			"cache inspect /api/products -H 'Accept-Encoding: br'", "as a request with a header",
		),
		Args: s.args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := requestTarget(args[0]); err != nil {
				return err
			}
			if u, err := url.Parse(args[0]); err == nil && u.Host != "" && to.server == "" {
				to.server = u.Scheme + "://" + u.Host
			}
			query := url.Values{"url": {args[0]}, "header": headers}
			return s.administer(&to, call{inspectHandler, http.MethodGet, inspectPath, query.Encode(), nil}, func(answer []byte) error {
				var found framework.Inspection
				if err := json.Unmarshal(answer, &found); err != nil {
					return fmt.Errorf("read inspection: %w", err)
				}
				return s.printf("%s", s.inspection(&found))
			})
		},
	}
	to.register(c)
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "`'NAME: VALUE'` of the request; may be repeated")
	return c
}

func (s *session) cachePurge() *cobra.Command {
	var to adminFlags
	var what struct {
		Key     string   `json:"key,omitempty"`
		Pattern string   `json:"pattern,omitempty"`
		Tags    []string `json:"tags,omitempty"`
		Soft    bool     `json:"soft,omitempty"`
		DryRun  bool     `json:"dryRun,omitempty"`
	}
	c := &cobra.Command{
		Use:   "purge",
		Short: "Purge answers by key, by pattern or by tags",
		Long: "Purge answers by key, by pattern or by tags, in every layer, and say what happened in each. What is being made\n" +
			"meanwhile is not stored.",
		Example: s.examples(
			"cache purge --tag products --tag pages", "what has one of the tags",
			"cache purge --key 'GET@ /api/products?language=fr'", "one answer, by the key that inspect shows",
			"cache purge --pattern '/api/products*language=fr' --dry-run", "count only; * is any characters, ? is one",
		),
		Args: s.args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			given := 0
			for _, is := range []bool{what.Key != "", what.Pattern != "", len(what.Tags) > 0} {
				if is {
					given++
				}
			}
			if given != 1 {
				return fmt.Errorf("say what to purge by one of --key, --pattern and --tag; %s cache flush purges everything", s.Name)
			}
			return s.purge(&to, invalidateHandler, invalidatePath, what)
		},
	}
	to.register(c)
	c.Flags().StringVar(&what.Key, "key", "", "`KEY` as inspect and explain show it")
	c.Flags().StringVar(&what.Pattern, "pattern", "", "`PATTERN` of a part of the key, with * for any characters and ? for one")
	c.Flags().StringArrayVar(&what.Tags, "tag", nil, "`TAG` of a route or of its handler's answers; may be repeated")
	c.Flags().BoolVar(&what.Soft, "soft", false, "make answers stale instead of removing them: they serve until there are new ones")
	c.Flags().BoolVar(&what.DryRun, "dry-run", false, "count what this would purge in the server's memory, and leave it")
	return c
}

func (s *session) cacheFlush() *cobra.Command {
	var to adminFlags
	c := &cobra.Command{
		Use:     "flush",
		Short:   "Purge everything",
		Example: s.examples("cache flush", "in every layer, on every instance"),
		Args:    s.args(0, 0),
		RunE:    func(*cobra.Command, []string) error { return s.purge(&to, flushHandler, flushPath, struct{}{}) },
	}
	to.register(c)
	return c
}

// purge orders a purge and prints what happened in each layer. What could be done only in part is a problem.
func (s *session) purge(to *adminFlags, handler, path string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("write order: %w", err)
	}
	show := func(answer []byte) error {
		var a purged
		if err := json.Unmarshal(answer, &a); err != nil {
			return fmt.Errorf("read what was purged: %w", err)
		}
		return s.printf("%s", &a)
	}
	err = s.administer(to, call{handler, http.MethodPost, path, "", body}, show)
	refused, ok := errors.AsType[*refusal](err)
	if !ok || refused.code != "redis_unavailable" {
		return err
	}
	if to.format == formatJSON {
		err = s.writeJSON(json.RawMessage(refused.body))
	} else {
		err = s.printf("%s", refused.layers())
	}
	return errors.Join(err, errFound)
}

// administer asks the server, and shows its answer, or prints it as it is when JSON is wanted.
func (s *session) administer(to *adminFlags, of call, show func(answer []byte) error) error {
	server, err := s.admin(to)
	if err != nil {
		return err
	}
	answer, err := server.ask(of)
	switch {
	case err != nil:
		return err
	case to.format == formatJSON:
		return s.writeJSON(json.RawMessage(answer))
	}
	return show(answer)
}

// purged is what a server says of a purge.
type purged struct {
	Matched int  `json:"matched"`
	DryRun  bool `json:"dryRun"`
	Layers  struct {
		Memory, Redis struct {
			Outcome       string `json:"outcome"`
			InstancesTold int    `json:"instancesTold"`
		}
	} `json:"layers"`
}

// String is a line for each layer.
func (p *purged) String() string {
	answers := plural(int64(p.Matched), "answer")
	if p.DryRun {
		return answers + " in memory would be purged\n"
	}
	t := newTable()
	t.row("memory", p.Layers.Memory.Outcome, answers)
	if told := p.Layers.Redis.InstancesTold; told > 0 {
		t.row("redis", p.Layers.Redis.Outcome, plural(int64(told), "other instance")+" told")
	} else {
		t.row("redis", p.Layers.Redis.Outcome)
	}
	return t.String()
}
