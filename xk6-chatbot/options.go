package chatbot

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/grafana/sobek"
)

// decode reads an object of options into a struct by its json tags, strictly. what names the call in errors.
func decode(what string, value sobek.Value, into any) error {
	if absent(value) {
		return nil
	}
	return decodeExported(what, value.Export(), into)
}

func decodeExported(what string, exported, into any) error {
	if _, ok := exported.(map[string]any); !ok {
		return fmt.Errorf("%s: options are an object, not %v", what, exported)
	}
	data, err := json.Marshal(exported)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(into)
	var wrongType *json.UnmarshalTypeError
	switch unknown := unknownField.FindStringSubmatch(fmt.Sprint(err)); {
	case err == nil:
		return nil
	case unknown != nil:
		return fmt.Errorf("%s: there is no option %q; there are %s", what, unknown[1], strings.Join(fields(reflect.TypeOf(into).Elem()), ", "))
	case errors.As(err, &wrongType):
		return fmt.Errorf("%s: option %s can't be a %s", what, wrongType.Field, wrongType.Value)
	}
	return fmt.Errorf("%s: %w", what, err)
}

var unknownField = regexp.MustCompile(`unknown field "(.*)"`)

func fields(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag != "" && tag != "-" {
			names = append(names, tag)
		}
	}
	return names
}

func absent(v sobek.Value) bool { return v == nil || sobek.IsUndefined(v) || sobek.IsNull(v) }
