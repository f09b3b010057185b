// Package policies holds the policies that come with the product.
package policies

import _ "embed"

// Chatbot is the shop's policy, chatbot.toml: what the server does without a file.
//
//go:embed chatbot.toml
var Chatbot string

// Gateway is gateway.toml: a shared cache in front of the server that the variable GATEWAY_UPSTREAM names.
//
//go:embed gateway.toml
var Gateway string
