package encoding

import "strings"

// The places of what an Accept-Encoding can name, in the weights read from it.
const (
	gzipPlace = iota
	brotliPlace
	zstdPlace
	identityPlace
	anyPlace
	places
	unknownPlace = -1
)

// Negotiate chooses the content coding of an answer from the client's Accept-Encoding, all lines of it joined by commas, and
// the codings that the server offers, the preferred one first (RFC 9110, section 12.5.3). The client's weights decide,
// then the server's order; a coding that the client did not accept is never chosen. Members that are malformed count as
// absent, the first of two for the same coding counts.
//
// It returns Identity when no offered coding is better. Acceptable is false when the client refused even that: the server may
// then answer 406, or send the body as it is, as if it were not negotiated (section 12.4.1). An empty accept gives Identity:
// clients that say nothing are as a rule unable to decode.
func Negotiate(accept string, offered []string) (coding string, acceptable bool) {
	weights := parseAccept(accept)
	weight := func(place int) int {
		if weights[place] < 0 {
			place = anyPlace
		}
		return weights[place]
	}
	best, bestWeight := Identity, 0
	for _, c := range offered {
		if place := placeOf(c); place != unknownPlace && weight(place) > bestWeight {
			best, bestWeight = c, weight(place)
		}
	}
	// Where neither it nor * is listed, identity is acceptable and the last choice.
	identity := weight(identityPlace)
	if bestWeight > 0 && bestWeight >= identity {
		return best, true
	}
	return Identity, identity != 0
}

// parseAccept reads the weights of the codings in thousandths; those that are not listed have -1.
func parseAccept(accept string) [places]int {
	weights := [places]int{-1, -1, -1, -1, -1}
	for rest := accept; rest != ""; {
		var member string
		member, rest, _ = strings.Cut(rest, ",")
		name, params, weighted := strings.Cut(member, ";")
		place := placeOf(strings.Trim(name, " \t"))
		if place == unknownPlace || weights[place] >= 0 {
			continue
		}
		if !weighted {
			weights[place] = 1000
		} else if w, ok := parseWeight(strings.Trim(params, " \t")); ok {
			weights[place] = w
		}
	}
	return weights
}

// placeOf returns the place of a coding, whose name is in either case; x-gzip is another name of gzip (RFC 9110, section
// 8.4.1.3).
func placeOf(name string) int {
	switch {
	case name == "*":
		return anyPlace
	case strings.EqualFold(name, Gzip), strings.EqualFold(name, "x-gzip"):
		return gzipPlace
	case strings.EqualFold(name, Brotli):
		return brotliPlace
	case strings.EqualFold(name, Zstd):
		return zstdPlace
	case strings.EqualFold(name, Identity):
		return identityPlace
	}
	return unknownPlace
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
