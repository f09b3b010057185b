package cli

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthDeadline bounds a health check.
const healthDeadline = 2 * time.Second

func (s *session) healthcheck() *cobra.Command {
	var flags policyFlags
	c := &cobra.Command{
		Use:   "healthcheck [URL]",
		Short: "Ask a running server whether it lives",
		Long: "Ask a running server whether it lives: exit code 0 when it answers 200 within two seconds, 1 otherwise. Without a\n" +
			"URL it is /livez at the address that serve listens on with the same flags and environment.",
		Example: s.examples(
			"healthcheck", "in a container without curl",
			"healthcheck http://127.0.0.1:8080/readyz", "something else",
		),
		Args: s.args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			url := strings.Join(args, "")
			if url == "" {
				layer, err := flags.layer()
				if err != nil {
					return err
				}
				p, err := s.loadPolicy(flags.file, layer)
				if err != nil {
					return fmt.Errorf("find the server: %w", err)
				}
				url = baseURL(p, p.Server.Listen) + "/livez"
			}
			return s.askHealth(url)
		},
	}
	flags.register(c)
	return c
}

func (s *session) askHealth(url string) error {
	client := http.Client{Timeout: healthDeadline, Transport: &http.Transport{
		// The certificate is for the name that clients use, which is not this one. Nothing secret is sent.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}}
	response, err := client.Get(url)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	_ = response.Body.Close() // only the status counts
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return s.printf("%s answers %s\n", url, response.Status)
}
