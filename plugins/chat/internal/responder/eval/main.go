// Command eval measures how well the responder understands customers, on utterances that it was not made with, and prints a report.
//
//	go run ./plugins/chat/internal/responder/eval [-set directory] [-catalogue file] [-faq file]
//
// The files of a set, and what stands in their columns, are told in testdata/heldout: utterances-*.txt, offtopic.txt,
// negation.txt, requests.txt, dialogues.txt and intents.txt. Each but intents.txt may be missing.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	set := flag.String("set", "plugins/chat/internal/responder/testdata/heldout", "directory of the utterances")
	catalogue := flag.String("catalogue", "plugins/catalog/data/catalogue.json", "catalogue that is answered from")
	faq := flag.String("faq", "plugins/faq/data/faq.json", "FAQ that is answered from")
	menu := flag.String("menu", "plugins/chat/data/greeting.json", "buttons that may be chosen")
	flag.Parse()
	s, err := openShop(*catalogue, *faq, *menu)
	if err == nil {
		var u *utterances
		if u, err = readSet(*set); err == nil {
			measure(s, u).print(os.Stdout)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "eval:", err)
	os.Exit(1)
}
