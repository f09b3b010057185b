package responder

import "testing"

func TestFill(t *testing.T) {
	values := []string{"name", "Soap {price}", "price", "1 €", "odd"}
	for template, want := range map[string]string{
		"": "", "plain": "plain", "{name}": "Soap {price}", "a {name} at {price}.": "a Soap {price} at 1 €.",
		"{other} {price}": "{other} 1 €", "{ {price}": "{ 1 €", "{name": "{name", "}{": "}{", "{odd}": "{odd}",
	} {
		if got := fill(template, values); got != want {
			t.Errorf("fill(%q) = %q, want %q", template, got, want)
		}
	}
}
