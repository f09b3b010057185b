package encoding

import "strings"

// Compressible reports whether bodies of a content type shrink: text, and the formats that are text underneath. Images,
// audio, video, archives and fonts that are compressed already do not, and an event stream must never wait for a compressor.
func Compressible(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.Trim(mediaType, " \t"))
	kind, subtype, _ := strings.Cut(mediaType, "/")
	switch {
	case mediaType == "text/event-stream":
		return false
	case kind == "text":
		return subtype != ""
	case strings.HasSuffix(subtype, "+json"), strings.HasSuffix(subtype, "+xml"):
		return true
	}
	switch mediaType {
	case "application/json", "application/x-ndjson", "application/json-seq", "application/jsonl",
		"application/xml", "application/javascript", "application/x-javascript", "application/ecmascript",
		"application/wasm", "application/graphql", "application/yaml", "application/toml", "application/sql",
		"application/rtf", "application/openmetrics-text", "application/x-www-form-urlencoded",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf":
		return true
	}
	return false
}
