// Package chatbot is the k6 extension k6/x/chatbot: it loads a chatbot the way people use one.
package chatbot

import "go.k6.io/k6/v2/js/modules"

func init() { modules.Register("k6/x/chatbot", New()) } // k6 finds extensions no other way
