// Package lenient reads JSON that clients write in more than one form.
package lenient

import "encoding/json"

// Strings is a list of strings, or one string. Null leaves it nil.
type Strings []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *Strings) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(s))
	}
	var one *string
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	if one != nil {
		*s = Strings{*one}
	}
	return nil
}
