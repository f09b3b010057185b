package encoding

import "strings"

// Negotiate chooses the content coding of an answer from the client's Accept-Encoding, all lines of it joined by commas, and
// the codings that the server offers, the preferred one first (RFC 9110, section 12.5.3). The client's weights decide,
// then the server's order; a coding that the client did not accept is never chosen. Members that are malformed count as
// absent, the first of two for the same coding counts.
//
// It returns Identity when no offered coding is better. Acceptable is false when the client refused even that: the server may
// then answer 406, or send the body as it is, as if it were not negotiated (section 12.4.1). An empty accept gives Identity:
// clients that say nothing are as a rule unable to decode.
func Negotiate(accept string, offered []string) (coding string, acceptable bool) {
	best, bestWeight := Identity, 0
	for _, c := range offered {
		weight, listed := weightOf(accept, c)
		if !listed {
			weight, _ = weightOf(accept, "*")
		}
		if weight > bestWeight {
			best, bestWeight = c, weight
		}
	}
	identity, listed := weightOf(accept, Identity)
	if !listed {
		identity, listed = weightOf(accept, "*")
	}
	switch {
	case bestWeight > 0 && (!listed || bestWeight >= identity):
		return best, true
	default:
		return Identity, !listed || identity > 0
	}
}

// weightOf returns the weight of a coding in thousandths and whether a well-formed member names it.
func weightOf(accept, coding string) (weight int, listed bool) {
	for rest := accept; rest != ""; {
		var member string
		member, rest, _ = strings.Cut(rest, ",")
		name, params, weighted := strings.Cut(member, ";")
		name = strings.Trim(name, " \t")
		if !sameCoding(name, coding) {
			continue
		}
		if !weighted {
			return 1000, true
		}
		if w, ok := parseWeight(strings.Trim(params, " \t")); ok {
			return w, true
		}
	}
	return 0, false
}

// sameCoding compares codings without regard to case; x-gzip is another name of gzip (RFC 9110, section 8.4.1.3).
func sameCoding(name, coding string) bool {
	return strings.EqualFold(name, coding) || coding == Gzip && strings.EqualFold(name, "x-gzip")
}

// parseWeight reads `q=` and a qvalue of at most three decimals, in thousandths (RFC 9110, section 12.4.2).
func parseWeight(s string) (int, bool) {
	if len(s) < 3 || len(s) > 7 || s[0] != 'q' && s[0] != 'Q' || s[1] != '=' {
		return 0, false
	}
	whole, decimals := s[2], s[3:]
	if whole != '0' && whole != '1' || decimals != "" && decimals[0] != '.' {
		return 0, false
	}
	weight, unit := int(whole-'0')*1000, 100
	for i := 1; i < len(decimals); i++ {
		if decimals[i] < '0' || decimals[i] > '9' {
			return 0, false
		}
		weight += int(decimals[i]-'0') * unit
		unit /= 10
	}
	return weight, weight <= 1000
}
