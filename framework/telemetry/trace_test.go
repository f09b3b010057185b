package telemetry_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/telemetry"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceID(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, want := range map[string]string{
		traceparent: id,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":      id,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":      id, // a later version
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what": id,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what":  "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what": "",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":      "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":      "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":      "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":      "",
		"00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01":       "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0":       "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g":      "",
		"0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":      "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bg-01":      "",
		"00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01":      "",
		" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":     "",
		"":     "",
		"00--": "",
	} {
		if got := telemetry.TraceID(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func FuzzTraceID(f *testing.F) {
	f.Add(traceparent)
	f.Add(traceparent + "-x")
	f.Add("ff" + traceparent[2:])
	f.Add(strings.ToUpper(traceparent))
	f.Add("")
	valid := regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-(?s:.)*)?$`)
	f.Fuzz(func(t *testing.T, header string) {
		want := ""
		if m := valid.FindStringSubmatch(header); m != nil && m[1] != "ff" && (m[1] != "00" || m[4] == "") &&
			strings.Trim(m[2], "0") != "" && strings.Trim(m[3], "0") != "" {
			want = m[2]
		}
		if got := telemetry.TraceID(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	})
}
