package httpcache

import (
	"cmp"
	"slices"
	"strings"
)

// Input is a declared input of a cached route as the request has it: a name with several values is several inputs, one that is
// absent is none, which is another key than that of an empty value.
type Input struct{ Name, Value string }

// Key is what an answer depends on: the method, the path, the host if asked, and the declared inputs. Header names and the
// host are compared without regard to case, inputs in the order of their names.
type Key struct {
	Scope    string // of the policy and the data that the answer was made with
	Method   string // HEAD shares the answers of GET
	Host     string // empty when it is not in the key
	Path     string // as the client sent it
	Query    []Input
	Headers  []Input
	Cookies  []Input
	Template *Template // says what of the others is in the key, and how; nil for all of it
}

// String returns the key under which answers are stored:
//
//	GET@shop.example /api/products?language=fr&tag=a&tag=b h:accept-language=fr c:currency=MAD
//
// What could be taken for a separator is percent-encoded, so two different keys never have the same string.
func (k *Key) String() string { return string(k.Append(make([]byte, 0, 128))) }

// Append appends what String returns to b. It does not allocate when b has room and the inputs are in order.
func (k *Key) Append(b []byte) []byte {
	if k.Scope != "" {
		b = append(appendEscaped(b, k.Scope), ' ')
	}
	return k.append(b, false)
}

// Readable returns the key for people: as String does, without the scope and with the values of cookies and credentials hidden.
func (k *Key) Readable() string { return string(k.append(nil, true)) }

func (k *Key) append(b []byte, hide bool) []byte {
	if k.Template != nil {
		return k.Template.append(b, k, hide)
	}
	method := k.Method
	if method == "HEAD" {
		method = "GET"
	}
	b = appendEscaped(b, method)
	b = append(b, '@')
	b = appendEscaped(b, lower(k.Host))
	b = append(b, ' ')
	b = appendEscaped(b, k.Path)
	separator := "?"
	for _, in := range sorted(k.Query) {
		b = appendInput(b, &separator, "&", in, false)
	}
	separator = " h:"
	for _, in := range sortedFold(k.Headers) {
		b = appendInput(b, &separator, " h:", in, hide && isCredential(in.Name))
	}
	separator = " c:"
	for _, in := range sorted(k.Cookies) {
		b = appendInput(b, &separator, " c:", in, hide)
	}
	return b
}

// hidden stands for a value that people are not to see.
const hidden = "••••"

// isCredential reports whether a header, named in lower case, says who is asking.
func isCredential(header string) bool {
	return header == "cookie" || strings.HasSuffix(header, "authorization")
}

// appendInput appends an input and the separator before it; next is the one that follows.
func appendInput(b []byte, separator *string, next string, in Input, hide bool) []byte {
	b = append(b, *separator...)
	*separator = next
	b = appendEscaped(b, in.Name)
	b = append(b, '=')
	if hide {
		return append(b, hidden...)
	}
	return appendEscaped(b, in.Value)
}

// sorted returns the inputs by name. Inputs of the same name stay in their order.
func sorted(inputs []Input) []Input {
	byName := func(a, b Input) int { return cmp.Compare(a.Name, b.Name) }
	if slices.IsSortedFunc(inputs, byName) {
		return inputs
	}
	inputs = slices.Clone(inputs)
	slices.SortStableFunc(inputs, byName)
	return inputs
}

// sortedFold returns the inputs by their names in lower case.
func sortedFold(inputs []Input) []Input {
	for i, in := range inputs {
		if lower(in.Name) != in.Name {
			inputs = slices.Clone(inputs)
			for j := i; j < len(inputs); j++ {
				inputs[j].Name = lower(inputs[j].Name)
			}
			break
		}
	}
	return sorted(inputs)
}

// lower returns s with its ASCII letters in lower case. Unicode's rules would make different names one.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// appendEscaped appends s with every byte percent-encoded that separates the parts of a key, or would not print.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c == 0x7f, c == '%', c == '?', c == '&', c == '=', c == '@':
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}
