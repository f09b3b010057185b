package chatbot

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
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
	object, ok := exported.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: options are an object, not %v", what, exported)
	}
	if err := known(what, object, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = json.Unmarshal(data, into)
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: option %s can't be a %s", what, wrongType.Field, wrongType.Value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// known checks that a struct has a field for each key of an object, and of those in it. The decoder would take baseUrl for
// baseURL.
func known(what string, object map[string]any, t reflect.Type) error {
	options := map[string]reflect.Type{}
	var names []string
	for field := range t.Fields() {
		if name := field.Tag.Get("json"); name != "" {
			options[name] = field.Type
			names = append(names, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		option, ok := options[key]
		if !ok && len(names) > 0 {
			return fmt.Errorf("%s: there is no option %q; there are %s", what, key, strings.Join(names, ", "))
		}
		if ok && option.Kind() == reflect.Pointer {
			option = option.Elem()
		}
		if inner, nested := object[key].(map[string]any); nested && ok && option.Kind() == reflect.Struct {
			if err := known(what+": "+key, inner, option); err != nil {
				return err
			}
		}
	}
	return nil
}

func absent(v sobek.Value) bool { return v == nil || sobek.IsUndefined(v) || sobek.IsNull(v) }
