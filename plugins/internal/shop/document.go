package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/innatural/chatbot/framework/policy"
)

const (
	maxFile     = 32 << 20 // bytes of a catalogue or FAQ
	maxProblems = 20       // reported of one file
)

// document is a JSON file that is read piece by piece, so that a problem can say where it is.
type document struct {
	name     string
	data     []byte
	problems []error
}

// ReadFile reads a catalogue or FAQ file, no more of it than LoadCatalogue and LoadFAQ take.
func ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// FileProblems makes what is wrong with a catalogue or FAQ file, a mistake each, that of the option which names the file.
func FileProblems(key string, err error) error {
	mistakes := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		mistakes = joined.Unwrap()
	}
	var problems []error
	for _, mistake := range mistakes {
		if errors.Is(mistake, fs.ErrNotExist) {
			mistake = fmt.Errorf("%w; correct the path, or drop it for the built-in one", mistake)
		}
		if mistake != nil {
			problems = append(problems, &policy.OptionError{Key: key, Err: mistake})
		}
	}
	return errors.Join(problems...)
}

func openDocument(name string, data []byte) (*document, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: the file has %d bytes; at most %d are read", name, len(data), maxFile)
	}
	d := &document{name: name, data: bytes.TrimPrefix(data, []byte("\ufeff"))}
	var top map[string]json.RawMessage
	err := json.Unmarshal(d.data, &top)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, d.errorAt(int(syntax.Offset)-1, "", errors.New("syntax: "+syntax.Error()))
	case err != nil || top == nil:
		return nil, d.errorAt(0, "", errors.New("the file must hold one JSON object"))
	}
	return d, nil
}

// errorAt makes an error that starts with file:line:col.
func (d *document) errorAt(offset int, path string, err error) error {
	before := d.data[:min(max(offset, 0), len(d.data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len([]rune(string(before[bytes.LastIndexByte(before, '\n')+1:]))) + 1
	if path != "" {
		path += ": "
	}
	return fmt.Errorf("%s:%d:%d: %s%w", d.name, line, column, path, err)
}

func (d *document) problem(offset int, path string, err error) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, d.errorAt(offset, path, err))
	}
}

// element is one value of a list of the file.
type element struct {
	at  int // its offset in the file
	key string
	raw json.RawMessage
}

// list returns the elements of the file's list called name: of an array, or of an object by key. No list is an empty one.
func (d *document) list(name string) []element {
	dec := json.NewDecoder(bytes.NewReader(d.data))
	if !d.seek(dec, name) {
		return nil
	}
	start := d.skip(int(dec.InputOffset()))
	opening, _ := dec.Token()
	if opening == nil {
		return nil
	}
	if opening != json.Delim('[') && opening != json.Delim('{') {
		d.problem(start, name, errors.New("want a list"))
		return nil
	}
	var elements []element
	for dec.More() {
		var e element
		if opening == json.Delim('{') {
			key, _ := dec.Token()
			e.key, _ = key.(string)
		}
		e.at = d.skip(int(dec.InputOffset()))
		if dec.Decode(&e.raw) != nil {
			break // the whole file was found valid before
		}
		elements = append(elements, e)
	}
	return elements
}

// seek reads the top object up to the value of a key.
func (d *document) seek(dec *json.Decoder, name string) bool {
	if _, err := dec.Token(); err != nil {
		return false
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return false
		}
		if key == name {
			return true
		}
		var skipped json.RawMessage
		if dec.Decode(&skipped) != nil {
			return false
		}
	}
	return false
}

// skip returns the offset of the value that starts at or after an offset.
func (d *document) skip(offset int) int {
	for offset < len(d.data) && strings.IndexByte(" \t\r\n,:", d.data[offset]) >= 0 {
		offset++
	}
	return offset
}

// field is a key of an object and where its value goes.
type field struct {
	key string
	to  any
}

// read decodes an object key by key. Keys are taken as they are written; others are ignored.
func (e element) read(fields ...field) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(e.raw, &object); err != nil || object == nil {
		return fmt.Errorf("%s is not an object", excerpt(e.raw))
	}
	for _, f := range fields {
		raw, ok := object[f.key]
		if !ok || bytes.Equal(raw, []byte("null")) {
			continue
		}
		if err := json.Unmarshal(raw, f.to); err != nil {
			return fmt.Errorf("%s: %s", f.key, plainly(raw, err))
		}
	}
	return nil
}

// plainly says what is wrong with a value without the names of Go's types.
func plainly(raw []byte, err error) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s is not what belongs here (found a %s)", excerpt(raw), wrong.Value)
	}
	return err.Error()
}

// number is a JSON number, or a string that holds one, with a point or a comma.
type number float64

func (n *number) UnmarshalJSON(data []byte) error {
	var s scalar
	if err := s.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("%s is not a number", excerpt(data))
	}
	v, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(string(s)), ",", ".", 1), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) || v < 0 {
		return fmt.Errorf("%s is not a number of 0 or more", excerpt(data))
	}
	*n = number(v)
	return nil
}

// day is a date, "2027-12-31" or RFC 3339; it lasts until its end.
type day time.Time

func (d *day) UnmarshalJSON(data []byte) error {
	var s scalar
	if err := s.UnmarshalJSON(data); err != nil {
		return err
	}
	if t, err := time.Parse(time.DateOnly, string(s)); err == nil {
		*d = day(t.AddDate(0, 0, 1))
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(s))
	if err != nil {
		return fmt.Errorf("%q is not a date such as 2027-12-31", string(s))
	}
	*d = day(t)
	return nil
}
