package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// The handlers of the chat's administration, and the paths that they have in the built-in policy.
const (
	exportHandler, exportPath = "chat.export", "/api/chat/export"
	eraseHandler, erasePath   = "chat.erase", "/api/chat/erase"
)

func (s *session) conversation() *cobra.Command {
	c := &cobra.Command{
		Use:   "conversation",
		Short: "Export or erase what a running server keeps of a customer",
		Long: "Export or erase what a running server keeps of a customer, by the id of the customer's session. The server and the\n" +
			"admin token are found as " + s.Name + " cache finds them.",
		Example: s.examples(
			"conversation export 2f1c", "messages, answers, profile and tickets, as JSON",
			"conversation erase 2f1c", "all of it; tickets stay without the customer's words",
		),
		Args: s.command,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(s.conversationExport(), s.conversationErase())
	return c
}

func (s *session) conversationExport() *cobra.Command {
	var to adminFlags
	c := &cobra.Command{
		Use:     "export SESSION",
		Short:   "Print all that is kept of a customer, as JSON",
		Example: s.examples("conversation export 2f1c > customer.json", "for a customer who asks what is known"),
		Args:    s.args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			query := url.Values{"sessionId": {args[0]}}.Encode()
			return s.administer(&to, call{exportHandler, http.MethodGet, exportPath, query, nil}, func(answer []byte) error {
				return s.writeJSON(json.RawMessage(answer))
			})
		},
	}
	to.register(c)
	return c
}

func (s *session) conversationErase() *cobra.Command {
	var to adminFlags
	c := &cobra.Command{
		Use:     "erase SESSION",
		Short:   "Erase what is kept of a customer; tickets stay without the customer's words",
		Example: s.examples("conversation erase 2f1c", "for a customer who asks to be forgotten"),
		Args:    s.args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			order, err := json.Marshal(map[string]string{"sessionId": args[0]})
			if err != nil {
				return fmt.Errorf("write order: %w", err)
			}
			return s.administer(&to, call{eraseHandler, http.MethodPost, erasePath, "", order}, func([]byte) error {
				return s.printf("erased\n")
			})
		},
	}
	to.register(c)
	return c
}
