package policy

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxReferencedFile = 64 << 10

// expand resolves the references of a string: ${env:NAME}, ${env:NAME:-text} with a text for a variable that is not set or empty,
// ${file:path} relative to folder, and $$ for a dollar sign.
// It returns the text, the references, and for those that cannot be resolved what is wrong; what to do.
func expand(s, folder string, env map[string]string) (text string, refs []string, mistakes []string) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String(), refs, mistakes
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			s = rest[1:]
			continue
		case !strings.HasPrefix(rest, "{"):
			b.WriteByte('$')
			s = rest
			continue
		}
		inside, after, closed := strings.Cut(rest[1:], "}")
		s = after
		kind, name, _ := strings.Cut(inside, ":")
		fallback, optional := "", false
		if kind == "env" {
			name, fallback, optional = strings.Cut(name, ":-")
		}
		ref := "${" + inside + "}"
		switch {
		case !closed:
			return "", refs, append(mistakes, quote("$"+rest)+" has no closing brace; write $$ for a dollar sign")
		case kind == "env" && name != "":
			value, set := env[name]
			if !set && !optional {
				mistakes = append(mistakes, ref+" is not set; set the variable, or write $$ for a dollar sign")
			}
			b.WriteString(cmp.Or(value, fallback))
		case kind == "file" && name != "":
			value, err := readReference(folder, name)
			if err != nil {
				mistakes = append(mistakes, ref+": "+err.Error()+"; a path is relative to the policy's folder")
			}
			b.WriteString(value)
		default:
			mistakes = append(mistakes, quote(ref)+" is neither ${env:NAME} nor ${file:PATH}; write $$ for a dollar sign")
		}
		if !slices.Contains(refs, kind+" "+name) {
			refs = append(refs, kind+" "+name)
		}
	}
}

// readReference reads a small text file without its last line break.
func readReference(folder, name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(folder, name)
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", errors.New("no such file")
	case err != nil:
		return "", errors.New("the file cannot be read")
	case !info.Mode().IsRegular(): // opening a pipe could wait for ever
		return "", errors.New("not a regular file")
	case info.Size() > maxReferencedFile:
		return "", fmt.Errorf("larger than %s", Size(maxReferencedFile))
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", errors.New("the file cannot be read")
	}
	if !utf8.Valid(text) {
		return "", errors.New("not UTF-8 text")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}
