package main

import (
	"fmt"
	"slices"
)

// same are types of hair and skin and the concerns that say the same.
var same = map[string]string{
	"hair:dry": "dryness", "hair:damaged": "damage", "hair:oily": "oily_scalp", "hair:curly": "curl_definition",
	"skin:dry": "dry_skin", "skin:oily": "oily_skin", "skin:sensitive": "sensitive_skin",
}

// holds reports whether the slots found have a value of a key, or what says the same.
func holds(found map[string][]string, prefix, key, value string) bool {
	if slices.Contains(found[prefix+key], value) {
		return true
	}
	for kind, concern := range same {
		if kind == key+":"+value && slices.Contains(found[prefix+"concern"], concern) {
			return true
		}
		if key == "concern" && value == concern && slices.Contains(found[prefix+kind[:4]], kind[5:]) {
			return true
		}
	}
	return false
}

// properties are the slots that can be wanted, and refused as "not_…".
var properties = []string{"type", "hair", "skin", "concern"}

// wrongSlots returns what of the slots that stand in the set was not found, and, with strict, what was found that does not stand there.
func wrongSlots(want, found map[string][]string, strict bool) []string {
	var wrong []string
	for key, values := range want {
		for _, v := range values {
			prefix, bare := "", key
			if len(key) > 4 && key[:4] == "not_" {
				prefix, bare = "not_", key[4:]
			}
			switch key {
			case "cards", "item":
				continue
			case "ticket":
				if v == "new" || v == "last" {
					continue
				}
			}
			if !holds(found, prefix, bare, v) {
				wrong = append(wrong, fmt.Sprintf("no %s=%s", key, v))
			}
			if opposite := map[string]string{"with": "without", "without": "with"}[key]; slices.Contains(found[opposite], v) {
				wrong = append(wrong, fmt.Sprintf("%s=%s", opposite, v))
			}
			if slices.Contains(properties, key) && holds(found, "not_", key, v) {
				wrong = append(wrong, fmt.Sprintf("not_%s=%s", key, v))
			}
			if prefix != "" && holds(found, "", bare, v) {
				wrong = append(wrong, fmt.Sprintf("%s=%s", bare, v))
			}
		}
	}
	if !strict {
		return wrong
	}
	for _, key := range []string{"min", "max", "without", "not_type", "not_hair", "not_skin", "not_concern"} {
		for _, v := range found[key] {
			asked := holds(want, "", key, v)
			if prefix := key[:min(4, len(key))]; prefix == "not_" {
				asked = holds(want, "not_", key[4:], v)
			}
			if !asked {
				wrong = append(wrong, fmt.Sprintf("%s=%s", key, v))
			}
		}
	}
	if len(want["type"]) == 0 && len(found["type"]) > 0 {
		wrong = append(wrong, fmt.Sprintf("type=%v", found["type"]))
	}
	return wrong
}
