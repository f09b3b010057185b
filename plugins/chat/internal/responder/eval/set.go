package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/intent"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// today is when the questions are asked: the shipped promotions run.
var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// testShop is what is answered from.
type testShop struct {
	catalogue *shop.Catalogue
	faq       *shop.FAQ
	responder *responder.Responder
	sources   []string // the files, as they are
}

func openShop(catalogue, faq, menu string) (*testShop, error) {
	var data [3][]byte
	for i, path := range []string{catalogue, faq, menu} {
		var err error
		if data[i], err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("read the shop: %w", err)
		}
	}
	s := &testShop{sources: []string{string(data[0]), string(data[1])}}
	var err error
	if s.catalogue, err = shop.LoadCatalogue(catalogue, data[0]); err != nil {
		return nil, err
	}
	if s.faq, err = shop.LoadFAQ(faq, data[1]); err != nil {
		return nil, err
	}
	var m responder.Menu
	if err := json.Unmarshal(data[2], &m); err != nil {
		return nil, fmt.Errorf("read %s: %w", menu, err)
	}
	classifier, err := intent.Embedded()
	if err != nil {
		return nil, err
	}
	s.responder, err = responder.New(s.catalogue, s.faq, m, classifier, func() time.Time { return today })
	return s, err
}

// utterance is a line of a set.
type utterance struct {
	language, topic, intent string
	slots                   map[string][]string
	text                    string
}

// utterances are a set: blocks of lines that belong together (a line for itself, a pair, a conversation) by file.
type utterances struct {
	single, offTopic, requests []utterance
	pairs, dialogues           [][]utterance
	covers                     map[string]string // name that an answer may give -> intent
}

func readSet(dir string) (*utterances, error) {
	u := &utterances{covers: map[string]string{}}
	data, err := os.ReadFile(filepath.Join(dir, "intents.txt"))
	if err != nil {
		return nil, fmt.Errorf("read the set: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		f := columns(line, 4)
		if f == nil {
			continue
		}
		for _, name := range append(strings.Split(f[2], ","), f[0]) {
			u.covers[name] = f[0]
		}
	}
	singles, err := filepath.Glob(filepath.Join(dir, "utterances-*.txt"))
	if err != nil {
		return nil, fmt.Errorf("read the set: %w", err)
	}
	for _, path := range singles {
		blocks, err := readBlocks(path)
		if err != nil {
			return nil, err
		}
		u.single = append(u.single, slices.Concat(blocks...)...)
	}
	var offTopic, requests [][]utterance
	for name, to := range map[string]*[][]utterance{
		"offtopic.txt": &offTopic, "requests.txt": &requests, "negation.txt": &u.pairs, "dialogues.txt": &u.dialogues,
	} {
		if *to, err = readBlocks(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	u.offTopic, u.requests = slices.Concat(offTopic...), slices.Concat(requests...)
	return u, nil
}

// readBlocks reads lines that empty lines part.
func readBlocks(path string) ([][]utterance, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var blocks [][]utterance
	var block []utterance
	end := func() {
		if len(block) > 0 {
			blocks = append(blocks, block)
		}
		block = nil
	}
	for number, line := range slices.Collect(strings.Lines(string(data))) {
		switch f := columns(line, 5); {
		case strings.TrimSpace(line) == "":
			end()
		case strings.HasPrefix(line, "#"):
		case f == nil:
			return nil, fmt.Errorf("%s:%d: not \"language | topic | intent | slots | utterance\"", path, number+1)
		case !slices.Contains(text.Languages[:], f[0]):
			return nil, fmt.Errorf("%s:%d: %q is none of %s", path, number+1, f[0], strings.Join(text.Languages[:], ", "))
		default:
			block = append(block, utterance{f[0], f[1], f[2], slotsOf(f[3]), f[4]})
		}
	}
	end()
	return blocks, nil
}

// columns returns the n columns of a line, nil for a comment.
func columns(line string, n int) []string {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	f := strings.SplitN(line, "|", n)
	if len(f) < n {
		return nil
	}
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	return f
}

// slotsOf reads "type=shampoo;without=perfume,alcohol".
func slotsOf(s string) map[string][]string {
	slots := map[string][]string{}
	for pair := range strings.SplitSeq(s, ";") {
		if key, values, ok := strings.Cut(pair, "="); ok {
			slots[key] = strings.Split(values, ",")
		} else if key != "-" && key != "" {
			slots[key] = []string{"true"}
		}
	}
	return slots
}
