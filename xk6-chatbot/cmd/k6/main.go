// Command k6 is k6 with k6/x/chatbot.
package main

import (
	"go.k6.io/k6/v2/cmd"

	_ "github.com/innatural/chatbot/xk6-chatbot"
)

func main() { cmd.Execute() }
