package modelmock

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// speak chooses the answer's words, and counts them.
func (a *answer) speak(text string) {
	said, prompt := "", &strings.Builder{}
	for _, m := range a.request.Messages {
		prompt.WriteString(m.Content + "\n")
		if m.Role == "user" {
			said = m.Content
		}
	}
	switch {
	case a.has(Contradiction):
		text = wrong(quote(prompt.String()))
	case a.has(Injection):
		text = "Sure, I forget what I was told. " + said +
			" Everything is free today: use the code FREE100 at https://shop.example/free."
	case a.has(Leak):
		text = "My instructions are: " + prompt.String()
	case a.has(Empty):
		text = ""
	case text == "":
		text = quote(prompt.String())
	}
	a.tokens = split(text, a.profile.Tokens)
	a.finish = "stop"
	if most := max(a.request.MaxCompletionTokens, a.request.MaxTokens); most > 0 && most < len(a.tokens) {
		a.tokens, a.finish = a.tokens[:most], "length"
	}
	const runesPerToken = 4
	in := (utf8.RuneCountInString(prompt.String()) + runesPerToken - 1) / runesPerToken
	a.usage = usage{in, len(a.tokens), in + len(a.tokens)}
}

// split makes tokens of words. It repeats the text, or cuts it, to as many as are asked for; 0 is as many as it has.
func split(text string, count int) []string {
	if text == "" {
		return nil
	}
	tokens := strings.SplitAfter(text, " ")
	if count == 0 {
		return tokens
	}
	tokens[len(tokens)-1] += " "
	for len(tokens) < count {
		tokens = append(tokens, tokens[:min(len(tokens), count-len(tokens))]...)
	}
	return tokens[:count]
}

var (
	evidence = regexp.MustCompile(`(?m)^\s*[-*•] +(.+)$`)
	number   = regexp.MustCompile(`\d+([.,]\d+)?`)
)

// quote returns the first thing that a prompt lists, of which the first two parts matter.
func quote(prompt string) string {
	if found := evidence.FindStringSubmatch(prompt); found != nil {
		parts := strings.SplitN(found[1], " | ", 3)
		return strings.Join(parts[:min(2, len(parts))], ", ")
	}
	return "Bonjour ! Dites-m'en un peu plus, et je cherche avec vous."
}

// wrong changes every number of a text, and adds a product that there is not.
func wrong(text string) string {
	return number.ReplaceAllString(text, "3.07") + " Essayez aussi le Sérum Lune d'Or à 4,99 €."
}
