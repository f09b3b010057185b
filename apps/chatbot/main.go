// Command chatbot serves the INnatural shop's chatbot, or whatever a policy file says.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework/cli"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/policies"
)

var version = "dev" // set by the linker

func main() {
	os.Exit(cli.Main(cli.Program{
		Name: "chatbot", Version: version, Policy: policies.Chatbot, Plugins: plugins.Standard(), Commands: []*cobra.Command{modelMock()},
	}))
}
