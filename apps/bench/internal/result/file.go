package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Schema checks documents.
type Schema struct{ compiled *jsonschema.Schema }

// NewSchema reads the text of a schema.
func NewSchema(text []byte) (*Schema, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("result.schema.json", value); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	compiled, err := c.Compile("result.schema.json")
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return &Schema{compiled}, nil
}

// maxFile bounds what is read of a file.
const maxFile = 256 << 20

// ReadFile reads a document.
func (s *Schema) ReadFile(name string) (*Document, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read %s: it has more than %d MiB", name, maxFile>>20)
	}
	d, err := s.Read(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// Read reads the text of a document. Its error says where the text is wrong.
func (s *Schema) Read(text []byte) (*Document, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("it is empty: the run that was to write it may not have ended")
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("not JSON, or not all of it: %w", err)
	}
	if object, ok := value.(map[string]any); ok {
		if v, ok := object["schema_version"].(json.Number); !ok || v.String() != fmt.Sprint(Version) {
			return nil, fmt.Errorf("schema_version is %v, and this program reads %d: is it a result of bench, or of a k6 run with k6/x/chatbot?",
				object["schema_version"], Version)
		}
	}
	if err := s.compiled.Validate(value); err != nil {
		if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
			return nil, errors.New(where(invalid))
		}
		return nil, err
	}
	var d Document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	return &d, nil
}

// where says the deepest thing that is wrong, and its place.
func where(e *jsonschema.ValidationError) string {
	for len(e.Causes) > 0 {
		deepest := e.Causes[0]
		for _, c := range e.Causes {
			if len(c.InstanceLocation) > len(deepest.InstanceLocation) {
				deepest = c
			}
		}
		e = deepest
	}
	place := strings.Join(e.InstanceLocation, ".")
	if place == "" {
		place = "the document"
	}
	return place + ": " + e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
}

// Write writes the document as JSON.
func (d *Document) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
