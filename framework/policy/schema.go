package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// schema is a JSON Schema of draft 4, the newest that TOML editors read.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Default     any                `json:"default,omitempty"`
	Enum        []any              `json:"enum,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	Minimum     json.Number        `json:"minimum,omitempty"`
	Maximum     json.Number        `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	MinEntries  int                `json:"minProperties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false or a *schema
	Definitions map[string]*schema `json:"definitions,omitempty"`
}

// Schema returns the JSON Schema (draft 4) of the policies that vocab allows, for completion and checks in editors. It is
// strict: a key that it does not know is a mistake. What it cannot say, such as the range of a duration, its descriptions
// do. The same vocabulary always gives the same bytes.
func Schema(vocab Vocabulary) ([]byte, error) {
	described := Describe(vocab)
	root, err := schemaOf(described, described, nil)
	if err != nil {
		return nil, fmt.Errorf("build schema: %w", err)
	}
	root.Schema = "http://json-schema.org/draft-04/schema#"
	root.Title = "Policy"
	root.Properties["routes"].Items.Properties["handler"].handlers(vocab)
	root.Definitions = map[string]*schema{
		"reference": {Description: "Read from the environment or a file.", Type: "string", Pattern: `\$\{`},
		"duration":  {Type: "string", Pattern: durationPattern()},
		"size":      {Type: "string", Pattern: sizePattern()},
	}
	for format, pattern := range formatPatterns {
		root.Definitions[format] = &schema{Type: "string", Pattern: pattern}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return b.Bytes(), nil
}

// formatPatterns are regular expressions that every value of a format matches; the loader is stricter.
var formatPatterns = map[string]string{
	"address":     `:[0-9]+$`,
	"keytemplate": `^[!-~]*$`,
	"network":     `^[0-9a-fA-F.:]+(/[0-9]+)?$`,
	"route":       `^/`,
}

func durationPattern() string {
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.name
	}
	return `^(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(` + strings.Join(names, "|") + `))+)$`
}

func sizePattern() string {
	names := make([]string, len(sizeUnits))
	for i, u := range sizeUnits {
		names[i] = u.name
	}
	return `^([0-9]+\.?[0-9]*|\.[0-9]+) *(` + strings.Join(names, "|") + `)$`
}

// schemaOf returns the schema of k, which is at path in root.
func schemaOf(root, k *Key, path []string) (*schema, error) {
	s := &schema{Description: strings.TrimSpace(k.Doc + " " + k.limits())}
	var err error
	if inheritedFrom(root, path) == "" && k.hasDefault() {
		if s.Default, err = decodeLiteral(k.Default); err != nil {
			return nil, fmt.Errorf("read default of %s: %w", strings.Join(path, "."), err)
		}
	}
	switch k.Type {
	case TypeTable:
		s.Type, s.Additional, s.Properties = "object", false, map[string]*schema{}
		for _, child := range k.Keys {
			if s.Properties[child.Name], err = schemaOf(root, child, append(path, child.Name)); err != nil {
				return nil, err
			}
			if child.Rules.Required {
				s.Required = append(s.Required, child.Name)
			}
		}
	case TypeList:
		s.Type = "array"
		if k.Rules.NonEmpty {
			s.MinItems = 1
		}
		s.Items, err = schemaOf(root, k.Elem, path)
	case TypeMap:
		s.Type = "object"
		if k.Rules.NonEmpty {
			s.MinEntries = 1
		}
		s.Additional, err = schemaOf(root, k.Elem, path)
	case TypeAny:
	case TypeBoolean:
		s.Type = "boolean"
	case TypeInteger, TypeFloat:
		s.number(k)
	case TypeDuration:
		s.AnyOf = orReference(&schema{Ref: "#/definitions/duration"})
	case TypeSize:
		s.AnyOf = orReference(&schema{Ref: "#/definitions/size"})
	default:
		s.text(k)
	}
	return s, err
}

func (s *schema) number(k *Key) {
	s.Type = "number"
	if k.Type == TypeInteger {
		s.Type = "integer"
	}
	s.Minimum, s.Maximum = json.Number(k.Rules.Min), json.Number(k.Rules.Max)
	for _, n := range k.Rules.OneOf {
		s.Enum = append(s.Enum, json.Number(n))
	}
}

func (s *schema) text(k *Key) {
	switch names := k.Rules.values(); {
	case len(names) > 0:
		one := &schema{}
		for _, name := range names {
			one.Enum = append(one.Enum, name)
		}
		s.AnyOf = orReference(one)
	case k.Rules.Format != "":
		s.AnyOf = orReference(&schema{Ref: "#/definitions/" + k.Rules.Format})
	default:
		s.Type = "string"
		if k.Rules.NonEmpty || k.Rules.Required {
			s.MinLength = 1
		}
	}
}

// handlers offers the handlers of vocab, each with what it does.
func (s *schema) handlers(vocab Vocabulary) {
	var known []*schema
	for _, plugin := range vocab.Plugins {
		for _, h := range plugin.Handlers {
			known = append(known, &schema{Description: h.Doc, Enum: []any{h.Name}})
		}
	}
	s.Type, s.AnyOf = "", orReference(known...)
}

// orReference allows a reference, ${env:NAME} or ${file:PATH}, beside what else a string may be.
func orReference(of ...*schema) []*schema {
	return append(of, &schema{Ref: "#/definitions/reference"})
}

// decodeLiteral reads a value as TOML writes it.
func decodeLiteral(text string) (any, error) {
	var document struct {
		V any `toml:"v"`
	}
	err := toml.Unmarshal([]byte("v = "+text), &document)
	return document.V, err
}
