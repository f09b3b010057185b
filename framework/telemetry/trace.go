package telemetry

import "strings"

// TraceID returns the trace id of a traceparent header (W3C Trace Context, section 3.2): 32 lower-case hexadecimal digits. It
// returns nothing for a header that the recommendation calls invalid. Of later versions it reads the part that they keep.
func TraceID(traceparent string) string {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(traceparent) < length {
		return ""
	}
	version, traceID, parentID, flags := traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:55]
	if traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' {
		return ""
	}
	if !isHex(version) || !isHex(traceID) || !isHex(parentID) || !isHex(flags) || version == "ff" {
		return ""
	}
	if len(traceparent) > length && (version == "00" || traceparent[length] != '-') {
		return ""
	}
	if strings.Trim(traceID, "0") == "" || strings.Trim(parentID, "0") == "" {
		return ""
	}
	return strings.Clone(traceID)
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
