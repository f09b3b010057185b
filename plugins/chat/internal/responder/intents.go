package responder

import (
	_ "embed"
	"fmt"
	"strings"
)

// IntentInfo is what data/intents.txt says of an intent.
type IntentInfo struct {
	Name        string
	Topic       string
	Local       bool     // answered by the responder even when there is a model
	ContextFree bool     // depends on nothing but the message: a model's answer may be cached by Slots and language
	Ticket      bool     // opens a ticket once the number of the order is known
	Sorry       bool     // something went wrong for the customer
	Entries     []string // ids of the FAQ's entries that answer it, the usual one first
}

//go:embed data/intents.txt
var intentsFile string

// IntentInfo returns what is known of an intent by its name. It may be called concurrently.
func (r *Responder) IntentInfo(name string) (IntentInfo, bool) {
	info, ok := r.intents[name]
	return info, ok
}

// loadIntents reads data/intents.txt.
func loadIntents(file string) (map[string]IntentInfo, error) {
	all := map[string]IntentInfo{}
	number := 0
	for line := range strings.Lines(file) {
		number++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "|")
		if len(f) != 4 {
			return nil, fmt.Errorf("read intents.txt:%d: %d columns, not 4", number, len(f))
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		info := IntentInfo{Name: f[0], Topic: f[1], Entries: items(f[3])}
		for _, how := range items(f[2]) {
			switch how {
			case "local":
				info.Local = true
			case "context_free":
				info.ContextFree = true
			case "ticket":
				info.Ticket = true
			case "sorry":
				info.Sorry = true
			default:
				return nil, fmt.Errorf("read intents.txt:%d: %q is none of local, context_free, ticket, sorry", number, how)
			}
		}
		all[info.Name] = info
	}
	return all, nil
}

// items cuts a list at its commas; "-" is none.
func items(list string) []string {
	if list == "-" {
		return nil
	}
	return strings.Split(list, ",")
}
