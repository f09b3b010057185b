package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// The handlers of the chat's tickets, and the paths that they have in the built-in policy.
const (
	ticketsHandler, ticketsPath = "chat.tickets", "/api/chat/tickets"
	ticketHandler, ticketPath   = "chat.ticket", "/api/chat/ticket"
)

func (s *session) ticket() *cobra.Command {
	c := &cobra.Command{
		Use:   "ticket",
		Short: "List, close or open again the after-sales tickets of a running server",
		Long: "List, close or open again the after-sales tickets of a running server. The server and the admin token are found as\n" +
			s.Name + " cache finds them.",
		Example: s.examples(
			"ticket list", "those that wait for the shop, the oldest first",
			"ticket close SAV-7K4M2Q", "it is settled, and the customer who asks is told so",
			"ticket open SAV-7K4M2Q", "it was not",
		),
		Args: s.command,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(s.ticketList(), s.ticketSet("close", "closed", "Close a ticket that is settled"),
		s.ticketSet("open", "open", "Open a ticket again"))
	return c
}

// ticketEntry is a ticket of a list.
type ticketEntry struct {
	ID      string    `json:"id"`
	Status  string    `json:"status"`
	Order   string    `json:"order"`
	Kind    string    `json:"kind"`
	Summary string    `json:"summary"`
	Created time.Time `json:"created"`
}

func (s *session) ticketList() *cobra.Command {
	var to adminFlags
	var all bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the tickets that wait for the shop, the oldest first",
		Example: s.examples("ticket list", "those that are open", "ticket list --all", "closed ones too"),
		Args:    s.args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			query := url.Values{}
			if !all {
				query.Set("status", "open")
			}
			t, none := newTable(), true
			t.row("ID", "OPENED", "STATUS", "ABOUT", "ORDER", "WHAT THE CUSTOMER SAID")
			for {
				var page struct {
					Tickets []ticketEntry `json:"tickets"`
					Next    string        `json:"next"`
				}
				err := s.administer(&to, call{ticketsHandler, http.MethodGet, ticketsPath, query.Encode(), nil}, func(answer []byte) error {
					if err := json.Unmarshal(answer, &page); err != nil {
						return fmt.Errorf("read tickets: %w", err)
					}
					return nil
				})
				if err != nil {
					return err
				}
				for _, e := range page.Tickets {
					none = false
					t.row(e.ID, e.Created.Local().Format("2006-01-02 15:04"), e.Status, e.Kind, oneLine(e.Order, 20), oneLine(e.Summary, 80))
				}
				if page.Next == "" {
					break
				}
				query.Set("after", page.Next)
			}
			if none {
				return s.printf("no tickets\n")
			}
			return s.printf("%s", t)
		},
	}
	to.register(c)
	c.Flags().BoolVar(&all, "all", false, "list closed tickets too")
	return c
}

func (s *session) ticketSet(name, status, short string) *cobra.Command {
	var to adminFlags
	c := &cobra.Command{
		Use:     name + " ID",
		Short:   short,
		Example: s.examples("ticket "+name+" SAV-7K4M2Q", "the customer who asks is told so"),
		Args:    s.args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			order, err := json.Marshal(map[string]string{"id": args[0], "status": status})
			if err != nil {
				return fmt.Errorf("write order: %w", err)
			}
			return s.administer(&to, call{ticketHandler, http.MethodPost, ticketPath, "", order}, func(answer []byte) error {
				var said struct {
					Ticket ticketEntry `json:"ticket"`
				}
				if err := json.Unmarshal(answer, &said); err != nil {
					return fmt.Errorf("read ticket: %w", err)
				}
				return s.printf("%s is %s\n", said.Ticket.ID, said.Ticket.Status)
			})
		},
	}
	to.register(c)
	return c
}

// oneLine returns as much of a customer's words as a cell has room for, without what a terminal would obey.
func oneLine(words string, most int) string {
	words = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, words)
	if runes := []rune(words); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return words
}
